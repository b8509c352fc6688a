"""What a reader returns: the input as numbers, before it becomes pictures.

A sample keeps what pictures lose (points in mm, frames, values over time), so that measurements are taken on it and
not on the pictures. `registry.read` makes one from any file; `registry.render` turns it into views.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

SampleKind = Literal["image", "point_cloud", "video", "series"]
ONE: Final[Mapping[SampleKind, str]] = {
    "image": "a photo",
    "point_cloud": "a scan",
    "video": "a clip",
    "series": "a curve",
}
"""What people call a sample of each kind, and several."""
SEVERAL: Final[Mapping[SampleKind, str]] = {
    "image": "photos",
    "point_cloud": "scans",
    "video": "clips",
    "series": "curves",
}


@dataclass(frozen=True, eq=False)
class ImageSample:
    """One photograph, or the pages of one file."""

    path: Path
    pages: tuple[NDArray[np.uint8], ...]
    """Each uint8, HWC, RGB, upright, at full resolution; at least one."""
    notes: tuple[str, ...] = ()
    """What the reader ignored or assumed, in sentences; so in every sample."""
    kind: Literal["image"] = "image"


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of a scan: `vertices` float64 (V, 3) in the scan's unit, `faces` int64 (F, 3) into them."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ScanGrid:
    """The pixels of an organised scan that its points are."""

    size_hw: tuple[int, int]
    """Rows and columns of the file."""
    pixels: NDArray[np.int64]
    """(N,), rising: row times columns plus column of each point. Pixels that saw nothing are none of them."""


@dataclass(frozen=True, eq=False)
class PointCloud:
    """One scan. Every row is finite; a mesh is sampled to points (same file, same points) and kept beside them."""

    path: Path
    points: NDArray[np.float64]
    """(N, 3), N >= 4, the scan's own coordinates and unit."""
    colors: NDArray[np.uint8] | None = None
    """(N, 3) RGB, where the scan has them."""
    normals: NDArray[np.float32] | None = None
    """(N, 3) unit vectors, where the scan has them."""
    mesh: Mesh | None = None
    dropped: int = 0
    """Points of the file left out because a coordinate was NaN or infinite."""
    viewpoint: tuple[float, float, float] | None = None
    """Place of the sensor in the scan's coordinates, where the format has one (organised scans: the origin, or above
    a map of heights)."""
    grid: ScanGrid | None = None
    """Where each point lies in an organised scan; None: a cloud in no order."""
    notes: tuple[str, ...] = ()
    kind: Literal["point_cloud"] = "point_cloud"


@dataclass(frozen=True)
class Frame:
    """One decoded frame: `image` uint8 HWC RGB."""

    index: int
    time_s: float
    image: NDArray[np.uint8]


class FrameReader(Protocol):
    """Decodes a clip from its start, one frame at a time; memory does not grow with the length."""

    def __call__(self, wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        """Yield the wanted frames (all when None) in order."""
        ...


@dataclass(frozen=True, eq=False)
class VideoClip:
    """One clip: a video file, an animated image, or a folder of frames. The frames stay on disk."""

    path: Path
    size_hw: tuple[int, int]
    frame_count: int
    fps: float
    """Mean frames a second; 1.0 where the source keeps no time."""
    frames: FrameReader
    time_is_index: bool = False
    """True where the source keeps no time: `Frame.time_s` is then the frame number, `fps` 1.0."""
    notes: tuple[str, ...] = ()
    kind: Literal["video"] = "video"

    @property
    def duration_s(self) -> float:
        """Length in seconds; in frames where the source keeps no time."""
        return self.frame_count / self.fps


@dataclass(frozen=True)
class WordColumn:
    """A column of a table that holds words instead of numbers: a status, a shift, a serial number."""

    column: int
    """Its place in the file, from 0."""
    name: str
    words: dict[str, tuple[int, int]]
    """Each word that occurs: the first row that holds it, from 0, and how many rows do. An empty cell is none."""
    is_whole: bool = True
    """False where there are more words than are kept."""


@dataclass(frozen=True, eq=False)
class Series:
    """One or several channels over one time axis."""

    path: Path
    time_s: NDArray[np.float64]
    """(N,), strictly rising, N >= 2."""
    values: NDArray[np.float64]
    """(N, C); a missing sample is NaN."""
    names: tuple[str, ...]
    units: tuple[str, ...]
    """C each; "" where the file does not say."""
    time_is_index: bool = False
    """True where the file had no time column and `time_s` is the sample number."""
    words: tuple[WordColumn, ...] = ()
    """Columns of the file that hold words; no channels."""
    notes: tuple[str, ...] = ()
    kind: Literal["series"] = "series"


Sample = ImageSample | PointCloud | VideoClip | Series
