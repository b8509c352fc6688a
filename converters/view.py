"""`View`: one 2-D picture made from an input, and `Origin`: how its pixels map back to the part."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

BoxXyxyn = tuple[float, float, float, float]
"""x0, y0, x1, y1 in [0, 1], relative to the view; x0 <= x1, y0 <= y1."""

BoxXyxy = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, of the image that the name beside it says."""

ViewKind = Literal["image", "depth", "normals", "deviation", "frames", "plot"]


@dataclass(frozen=True)
class ViewBudget:
    """How many pictures one sample may become, and how large: what the model sees, and what it costs."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic, where a file sets these
    max_side: int = 1024
    """Longest side in pixels of a view of an image, a frame grid or a plot."""
    max_tiles: int = 12
    """Most tiles of one large image, beside the whole view; the label of the whole view says how many there are."""
    scan_size: int = 512
    """Side in pixels of a square view of a scan."""
    max_frames: int = 36
    """Most frames of one clip, over all of its grids."""
    grid: int = 3
    """Cells a side of one frame grid."""


@dataclass(frozen=True)
class Place:
    """Where a box of a view lies in the part itself; what a kind of input cannot tell is None."""

    source_xyxy: BoxXyxy | None = None
    """Box in pixels of the source image (upright, as a viewer shows it) or of the video frame."""
    page: int | None = None
    """Page of a multi-page image, from 0."""
    point_mm: tuple[float, float, float] | None = None
    """Point of the scan, in the scan's own coordinates and unit (mm unless the rule book says otherwise)."""
    size_mm: float | None = None
    """Longest side of the box on the part, in the same unit; where a deviation was measured, its longest extent."""
    depth_mm: float | None = None
    """Signed height of a measured deviation at its peak, in the same unit: positive is material too much."""
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """Lowest and highest coordinates of a measured deviation, in the scan's own coordinates."""
    area_mm2: float | None = None
    """Area of its surface, in the square of the unit."""
    volume_mm3: float | None = None
    """Volume between it and the references, signed as `depth_mm`, in the cube of the unit."""
    frame: int | None = None
    """Frame number, from 0."""
    time_s: float | None = None
    """Second of a clip or of a curve, at the centre of the box; None where the input keeps no time."""
    sample: int | None = None
    """Sample number, of a curve that keeps no time."""
    channel: str | None = None
    """Name of the channel of a curve."""


@runtime_checkable
class Origin(Protocol):
    """Maps a box of one view back to the input that the view was made from."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return the place of a box; a box that holds only background gives the nearest part of the input."""
        ...


@dataclass(frozen=True)
class Pane:
    """A rectangle of a view that is a picture of its own: a cell of a frame grid, a panel of a plot."""

    box_xyxy: tuple[int, int, int, int]
    """Pixels of the view; x1 and y1 exclusive."""
    name: str = ""


@dataclass(frozen=True, eq=False)
class View:
    """One 2-D RGB picture made from the input, with its origin.

    `image` is uint8, HWC, RGB. `mask` is bool, HW, True where the part may be (None: everywhere): background of a
    scan, gutters and captions of a grid, the margin of a plot are False.
    """

    image: NDArray[np.uint8]
    kind: ViewKind
    label: str
    """For people and for the model: "depth, front"; "frames 0 to 45 of 120"."""
    origin: Origin
    key: str = ""
    """Views of two samples are comparable when their keys are equal: "image", "tile", "depth/front", "frames"."""
    mask: NDArray[np.bool_] | None = None
    panes: tuple[Pane, ...] = field(default=())
    """Independent pictures inside the view, in reading order; empty: the view is one picture."""

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise TypeError(f"a view's image is uint8 HWC RGB, not {self.image.dtype} {self.image.shape}")
        if self.mask is not None and self.mask.shape != self.image.shape[:2]:
            raise TypeError(f"mask {self.mask.shape} does not fit the image {self.image.shape[:2]}")

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]
