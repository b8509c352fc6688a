"""`RawScan`: what a file of points or triangles holds, before it is checked and becomes a `PointCloud`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError

MAX_POINTS = 50_000_000
"""Most points, and most triangles, of one scan; a file that declares more is refused before memory is taken."""

_UNIT_TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class RawScan:
    """Numbers as the file has them; nothing is dropped or checked yet."""

    points: NDArray[np.float64]
    """(N, 3)."""
    colors: NDArray[np.uint8] | None = None
    """(N, 3) RGB."""
    normals: NDArray[np.float32] | None = None
    """(N, 3), of any length."""
    faces: NDArray[np.int64] | None = None
    """(F, 3) rows of `points`."""
    size_hw: tuple[int, int] | None = None
    """Rows and columns of an organised scan, a grid of pixels whose points lie in raster order: there (0, 0, 0) means
    that the sensor saw nothing, and the sensor is the origin. None: a cloud in no order."""


def refuse_too_many(path: Path, count: int, what: str = "points") -> None:
    """Raise ConversionError where a file declares more than `MAX_POINTS`, or less than none."""
    if not 0 <= count <= MAX_POINTS:
        raise ConversionError(
            f"{path}: declares {count} {what}, the limit is {MAX_POINTS}: thin the scan out, or repair its header"
        )


def colors_from(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return RGB (N, 3) as uint8: integers of 16 bits are scaled down, floats that stay in [0, 1] are scaled up."""
    if values.dtype == np.uint8:
        return values.view(np.uint8)
    if values.dtype == np.uint16:
        return (values.view(np.uint16) >> 8).astype(np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)
    if values.dtype.kind == "f" and numbers.max(initial=0.0) <= 1.0:
        numbers = numbers * 255.0
    return np.clip(np.rint(numbers), 0, 255).astype(np.uint8)


def scan_from_columns(values: NDArray[np.float64]) -> RawScan:
    """Return the scan of a matrix (N, C) without column names: x, y, z, then unit normals, or r, g, b, or neither.

    Columns 4 to 6 are normals where every row has length 1, colours where every value lies in [0, 255]; with nine
    columns the other three follow. Any other column is left out.
    """
    colors, normals = None, None
    for first in range(3, values.shape[1] - 2, 3):
        three = values[:, first : first + 3]
        if normals is None and _are_unit(three):
            normals = three.astype(np.float32)
        elif colors is None and _are_colors(three):
            colors = colors_from(three)
    return RawScan(values[:, :3], colors, normals)


def _are_unit(three: NDArray[np.float64]) -> bool:
    known = three[np.isfinite(three).all(axis=1)]
    return bool(len(known)) and bool(np.all(np.abs(np.linalg.norm(known, axis=1) - 1.0) < _UNIT_TOLERANCE))


def _are_colors(three: NDArray[np.float64]) -> bool:
    known = three[np.isfinite(three).all(axis=1)]
    return bool(len(known)) and bool(known.min() >= 0.0) and bool(known.max() <= 255.0)
