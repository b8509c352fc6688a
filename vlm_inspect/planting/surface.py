"""The normal picture that defects are planted on, and the window of it that one defect changes."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]
"""(h, w, 3) in [0, 255]."""

LEAST_RANGE = 80.0
"""Grey levels that the range of a picture counts for at least: a plain surface can be soiled all the same."""
_GREY = 6.0
"""Mean difference between colour channels below which a camera sees no colour."""
_MOST_LOOKED_AT = 200_000
"""Pixels that the range of values is read from."""
_CANDIDATES = 6
"""Places looked at for a component."""
_PLACES = 60
_COMPONENT = 0.08
_LIVELY = 0.22
_LEAST_LIVELY = 22.0
"""A picture has components where, at 60 places of 8 % of the part's longer side, the tenth liveliest differ in
themselves by this share of its range (standard deviation), and by so many grey levels."""
_WHOLE_SIDE = 1024
"""Longest side in pixels of the picture that changes of the whole surface are drawn on: of a larger one what is finer
stays as it is."""
_REACH = 3.2
"""Half the side of a window, in diameters of the defect."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A normal picture, and what a defect on it has to know."""

    picture: NDArray[np.uint8]
    """uint8, HWC, RGB."""
    part: Mask
    """(H, W): where the part is; defects lie here."""
    outlined: bool
    """Whether the part lies on a ground of its own, so that it has an outline that can break or grow."""
    longer_side_px: float
    """Of the part's box: what sizes in per cent refer to."""
    range: float
    """Grey levels between the picture's dark and bright ends (2 and 98 %)."""
    ground: NDArray[np.float32]
    """(3,): colour of the ground; of the picture's border where it has none."""
    grey: bool
    """Whether the picture has no colour."""

    @property
    def compactness(self) -> float:
        """Diameter of the disc of the part's area over its longer side, at most 1: 1 of a disc, about 0.4 of a bolt."""
        return min(1.0, 2 * math.sqrt(float(self.part.sum()) / math.pi) / self.longer_side_px)

    @cached_property
    def structured(self) -> bool:
        """Whether there are components on it that could be missing or out of place."""
        return is_structured(self)

    @cached_property
    def small(self) -> "Surface":
        """The surface itself, or where its picture is large the same in fewer pixels."""
        import cv2

        height, width = self.part.shape
        shrink = _WHOLE_SIDE / max(height, width)
        if shrink >= 1:
            return self
        size_wh = max(1, round(width * shrink)), max(1, round(height * shrink))
        picture = np.asarray(cv2.resize(self.picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        part = cv2.resize(self.part.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST).astype(bool)
        return replace(self, picture=picture, part=part, longer_side_px=self.longer_side_px * shrink)


@dataclass(frozen=True, eq=False)
class Spot:
    """A window of a surface around the place of one defect, as the kinds of defects get it."""

    pixels: Pixels
    """(h, w, 3), not to be written to."""
    part: Mask
    """(h, w)."""
    center_yx: tuple[float, float]
    """Of the defect, in pixels of the window."""
    diameter: float
    """Of the disc of the area that the defect shall have, in pixels."""
    amplitude: float
    """How strong it shall be, in grey levels."""
    surface: Surface

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the window in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def area(self) -> float:
        """The area that the defect shall have, in pixels."""
        return float(np.pi * self.diameter**2 / 4)


def see_surface(picture: NDArray[np.uint8], part: Mask | None = None, *, counted: Mask | None = None) -> Surface:
    """Return what defects on a normal picture have to know.

    Args:
        picture: uint8, HWC, RGB.
        part: (H, W), where the part is; None: the picture shows nothing else.
        counted: (H, W), where an inspection looks at all: defects elsewhere would never be found.

    Raises:
        ValueError: there is no pixel to plant on.
    """
    height, width = picture.shape[:2]
    outlined = part is not None and not bool(part.all())
    allowed = np.ones((height, width), bool) if part is None else part
    if counted is not None:
        allowed = allowed & counted
    if not allowed.any():
        raise ValueError("no pixel of the picture belongs to the part")
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    stride = max(1, int(np.sqrt(height * width / _MOST_LOOKED_AT)))
    seen = picture[::stride, ::stride].astype(np.float32)
    low, high = np.quantile(seen.mean(axis=2), [0.02, 0.98])
    border = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
    return Surface(
        picture=picture,
        part=allowed,
        outlined=outlined,
        longer_side_px=float(max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1),
        range=max(LEAST_RANGE, float(high - low)),
        ground=np.median(border, axis=0).astype(np.float32),
        grey=float((seen.max(axis=2) - seen.min(axis=2)).mean()) < _GREY,
    )


def is_structured(surface: Surface) -> bool:
    """Tell whether a picture has components: places that differ in themselves by a good share of its range."""
    generator = np.random.default_rng(0)
    half = max(2, round(_COMPONENT * surface.longer_side_px / 2))
    places = [choose_place(surface, generator) for _ in range(_PLACES)]
    spreads = [_look(surface, place, half).mean(axis=2).std() for place in places]
    return float(np.quantile(spreads, 0.9)) >= max(_LIVELY * surface.range, _LEAST_LIVELY)


def choose_place(surface: Surface, generator: np.random.Generator, *, on_outline: bool = False) -> tuple[int, int]:
    """Return row and column of a random pixel of the part, or of its outline."""
    mask = surface.part
    if on_outline:
        inner = np.zeros_like(mask)
        inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        mask = mask & ~inner
        mask[[0, -1]] = False
        mask[:, [0, -1]] = False
        mask = mask if mask.any() else surface.part
    places = np.flatnonzero(mask)
    row, column = np.unravel_index(int(places[generator.integers(len(places))]), mask.shape)
    return int(row), int(column)


def choose_component(surface: Surface, diameter: float, generator: np.random.Generator) -> tuple[int, int]:
    """Return the place of a component: of some random pixels of the part, that with most to see around it."""
    half = max(2, int(diameter / 2))
    places = [choose_place(surface, generator) for _ in range(_CANDIDATES)]
    return max(places, key=lambda place: float(_look(surface, place, half).mean(axis=2).std()))


def _look(surface: Surface, place_yx: tuple[int, int], half: int) -> NDArray[np.uint8]:
    row, column = place_yx
    return surface.picture[max(0, row - half) : row + half, max(0, column - half) : column + half]


def window_around(surface: Surface, place_yx: tuple[int, int], diameter: float) -> tuple[slice, slice]:
    """Return the rows and columns that a defect of this diameter (pixels) around a place may change."""
    half = int(_REACH * diameter) + 8
    height, width = surface.part.shape
    row, column = place_yx
    return slice(max(0, row - half), min(height, row + half)), slice(max(0, column - half), min(width, column + half))
