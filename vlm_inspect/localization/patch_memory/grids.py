"""Patch grids: pictures framed and seen by a network, and the scores of their patches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.framing import Framed, Framing, Picture, plan_framing
from vlm_inspect.localization.patch_memory.eyes import NetworkUse
from vlm_inspect.vision.network import Network

_COUNTED_SHARE = 0.3
"""Least share of a cell that must belong to the part for it to count."""
_SMALL_PART = 0.5
"""A part is small where its crop is less than this share of the picture."""
_ROUNDED = 0.85
"""A framing keeps at least this share of its pixels as its scale goes in steps, and its sides in multiples."""


@dataclass(frozen=True, eq=False)
class Pane:
    """One picture of a view: the view itself, or one of its panes, with its corner on the view."""

    picture: Picture
    corner_xy: tuple[int, int]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels of the view."""
        return self.picture.image.shape[0], self.picture.image.shape[1]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the patches of one framed picture lie, and which count."""

    framed: Framed
    pane: Pane
    cells_xy: NDArray[np.float64]
    """(h * w, 2): centres of the patches in [0, 1] of the framed picture."""
    counted: NDArray[np.bool_]
    """(h, w): which patches count."""

    def on_view(self, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """Return the centres of the patches that count in [0, 1] of the view, (N, 2)."""
        spots = self.framed.to_source(self.cells_xy * self.framed.size_wh) + np.array(self.pane.corner_xy)
        placed = np.clip(spots / np.array([size_hw[1], size_hw[0]]), 0, 1)
        return np.asarray(placed[self.counted.ravel()], np.float32)


@dataclass(frozen=True, eq=False)
class Seen:
    """One framed picture with its features."""

    grid: Grid
    rows: tuple[NDArray[np.float32], ...]
    """Of each layer the features of the patches that count, (N, C)."""
    places: NDArray[np.float32]
    """(N, 2): centres of these patches from the middle of the framed picture, in longer sides of the framing."""


def panes_of(view: View) -> Iterator[Pane]:
    """Yield the pictures of a view that are framed on their own: its panes, or itself."""
    boxes = [pane.box_xyxy for pane in view.panes] or [(0, 0, view.size_hw[1], view.size_hw[0])]
    for x0, y0, x1, y1 in boxes:
        mask = None if view.mask is None else view.mask[y0:y1, x0:x1]
        if x1 > x0 and y1 > y0 and (mask is None or mask.any()):
            yield Pane(Picture(view.image[y0:y1, x0:x1], mask), (x0, y0))


def pixels_for(use: NetworkUse, pictures: Sequence[Picture]) -> int:
    """Return how many pixels framed pictures of a class shall have, from its reference pictures."""
    if any(picture.mask is not None for picture in pictures):
        return use.least_pixels  # a scan has many views, a clip many frames
    return use.most_pixels if _own_pixels(pictures) > 1.25 * use.least_pixels else use.least_pixels


def frame_class(use: NetworkUse, pictures: Sequence[Picture], *, parts: bool, multiple: int) -> Framing:
    """Return how the pictures of a class are framed for a network, from its reference pictures; see `plan_framing`."""
    pixels = pixels_for(use, pictures)
    framing = plan_framing(pictures, pixels=pixels, parts=parts, multiple=multiple)
    more = _more_pixels(use, framing, pictures, pixels) if parts else pixels
    return framing if more == pixels else plan_framing(pictures, pixels=more, parts=parts, multiple=multiple)


def is_large(use: NetworkUse, framing: Framing) -> bool:
    """Tell whether a framing shows a part with more pixels than others have, since its pictures have them."""
    if framing.size_wh is None or not use.large_pixels:
        return False
    return framing.size_wh[0] * framing.size_wh[1] > _ROUNDED * use.large_pixels


def _more_pixels(use: NetworkUse, framing: Framing, pictures: Sequence[Picture], pixels: int) -> int:
    """Return how many pixels a framed picture shall have where the pictures have them, `pixels` where they have not."""
    if not use.most_pixels == pixels > use.least_pixels:
        return pixels
    covered = framing.covers(pictures)
    own = covered * _own_pixels(pictures)
    if use.large_pixels and framing.size_wh is not None and own >= use.large_pixels:
        return use.large_pixels
    return pixels if covered >= _SMALL_PART else round(use.small_part_factor * pixels)


def _own_pixels(pictures: Sequence[Picture]) -> float:
    return float(np.median([picture.image.shape[0] * picture.image.shape[1] for picture in pictures]))


def see(network: Network, framing: Framing, panes: Sequence[Pane], *, mirrored: bool = False) -> list[Seen]:
    """Frame pictures and take their features, in their order.

    Args:
        network: whose features they are.
        framing: of the class.
        panes: the pictures.
        mirrored: take each framed picture upside down, mirrored about its level axis. Patches have their place on the
            mirrored picture, and lie on the view where they come from.
    """
    framed = [framing.frame(pane.picture) for pane in panes]
    if mirrored:
        framed = [replace(o, image=np.ascontiguousarray(o.image[::-1]), mask=o.mask[::-1].copy()) for o in framed]
    features = network.extract([one.image for one in framed])
    seen = []
    for pane, one, found in zip(panes, framed, features, strict=True):
        grid = _grid(one, pane, found.layers[0].shape[:2])
        rows = tuple(layer[grid.counted] for layer in found.layers)
        places = framing.places(one, grid.cells_xy[grid.counted.ravel()])
        if mirrored:
            grid = replace(grid, cells_xy=np.abs(grid.cells_xy - np.array([0.0, 1.0])))
        seen.append(Seen(grid, rows, places))
    return seen


def _grid(framed: Framed, pane: Pane, shape: Sequence[int]) -> Grid:
    import cv2

    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    cells = np.stack([(x + 0.5) / shape[1], (y + 0.5) / shape[0]], axis=-1).reshape(-1, 2)
    share = cv2.resize(framed.mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    bare = Framed(framed.image[:0, :0], framed.mask, framed.from_source)
    return Grid(bare, pane, cells, np.asarray(share > _COUNTED_SHARE))
