"""Without references: a patch is as suspicious as it is rare within its own view. Never calibrated."""

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.framing import Picture, plan_framing
from vlm_inspect.localization.score_map import draw_values, smooth
from vlm_inspect.vision import Network

_NEIGHBOURS = 0.02
"""A patch is compared with this share of the view's other patches: those most like it."""


def rarity_map(network: Network, index: int, view: View, pixels: int) -> AnomalyMap:
    """Return the rarity of every patch of a view among the view's own patches, uncalibrated.

    Args:
        network: sees the patches; its first layer is compared.
        index: the view's index.
        view: all of its panes are compared with each other.
        pixels: working size of each picture.
    """
    boxes = [pane.box_xyxy for pane in view.panes] or [(0, 0, view.size_hw[1], view.size_hw[0])]
    mask = np.ones(view.size_hw, bool) if view.mask is None else view.mask
    pictures = [Picture(view.image[y0:y1, x0:x1], mask[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes]
    framing = plan_framing(pictures, pixels=pixels, parts=False, multiple=network.multiple)
    framed = [framing.frame(picture) for picture in pictures]
    grids = [found.layers[0] for found in network.extract([one.image for one in framed])]
    counted = [_counted(one.mask, grid.shape) for one, grid in zip(framed, grids, strict=True)]
    rows = np.concatenate([grid[keep] for grid, keep in zip(grids, counted, strict=True)])
    scores = rarity(rows)
    values = np.zeros(view.size_hw, np.float32)
    peak, start = 0.0, 0
    for one, keep, box in zip(framed, counted, boxes, strict=True):
        grid = np.zeros(keep.shape, np.float32)
        grid[keep] = scores[start : (start := start + int(keep.sum()))]
        grid = smooth(grid, keep)
        draw_values(values, grid, one, box[:2], (box[3] - box[1], box[2] - box[0]))
        peak = max(peak, float(grid.max(initial=0.0)))
    values[~mask] = 0.0
    return AnomalyMap(view=index, values=values, score=peak, source="rarity")


def rarity(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean distance of every row (N, C) to the rows most like it, (N,), standardised channels."""
    import torch

    if len(rows) < 3:
        return np.zeros(len(rows), np.float32)
    scaled = torch.from_numpy((rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6))
    distances = torch.cdist(scaled, scaled) / rows.shape[1] ** 0.5
    count = min(len(rows) - 1, max(2, round(_NEIGHBOURS * len(rows))))
    nearest = distances.topk(count + 1, largest=False).values[:, 1:]
    return np.asarray(nearest.mean(dim=1).numpy(), np.float32)


def _counted(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    import cv2

    share = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(share > 0.3)
