"""From scores on a patch grid to a map of the view."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.framing import Framed

MATCH_GRID = (32, 32)
"""Rows and columns of the grid in which matches are kept, over the whole view."""
_SIGMA = 1.2
"""Gaussian smoothing in cells of the patch grid."""


def smooth(values: NDArray[np.float32], counted: NDArray[np.bool_], sigma: float = _SIGMA) -> NDArray[np.float32]:
    """Smooth scores (h, w) over cells that count; the others stay 0 and do not dilute their neighbours."""
    import cv2

    weight = counted.astype(np.float32)
    total = cv2.GaussianBlur(values * weight, (0, 0), sigmaX=sigma, borderType=cv2.BORDER_REPLICATE)
    share = cv2.GaussianBlur(weight, (0, 0), sigmaX=sigma, borderType=cv2.BORDER_REPLICATE)
    result: NDArray[np.float32] = np.where(counted, total / np.maximum(share, 1e-6), 0.0).astype(np.float32)
    return result


def draw_values(
    canvas: NDArray[np.float32],
    scores: NDArray[np.float32],
    framed: Framed,
    corner_xy: tuple[int, int],
    size_hw: Sequence[int],
) -> None:
    """Write the scores of one framed picture into its rectangle of the view's map, upsampled."""
    import cv2

    width, height = framed.size_wh
    fine = cv2.resize(scores, (width, height), interpolation=cv2.INTER_LINEAR)
    fine[~framed.mask] = 0.0
    matrix = framed.from_source.copy()
    matrix[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5  # OpenCV counts pixel centres at integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(fine, matrix, (size_hw[1], size_hw[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    x, y = corner_xy
    canvas[y : y + size_hw[0], x : x + size_hw[1]] = np.maximum(drawn, 0.0)


def draw_matches(
    canvas: NDArray[np.float32],
    origins: NDArray[np.float32],
    framed: Framed,
    corner_xy: tuple[int, int],
    size_hw: Sequence[int],
    view_hw: tuple[int, int],
) -> None:
    """Write where each patch was found, (h, w, 4), into the cells of the view's match grid that the picture covers."""
    rows, columns = canvas.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns]
    points = np.stack([(x + 0.5) / columns * view_hw[1], (y + 0.5) / rows * view_hw[0]], axis=-1)
    local = points - np.array(corner_xy)
    inside = (local >= 0).all(axis=-1) & (local < np.array([size_hw[1], size_hw[0]])).all(axis=-1)
    spots = framed.to_frame(local[inside]) / framed.size_wh * np.array([origins.shape[1], origins.shape[0]])
    cells = np.floor(spots).astype(np.int64)
    known = (cells >= 0).all(axis=1) & (cells < np.array([origins.shape[1], origins.shape[0]])).all(axis=1)
    found = np.full((len(cells), 4), np.nan, np.float32)
    found[known] = origins[cells[known, 1], cells[known, 0]]
    canvas[inside] = found
