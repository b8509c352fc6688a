"""`RawScan`: what a file of points or triangles holds, before it is checked and becomes a `PointCloud`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.limits import note

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
    that the sensor saw nothing. None: a cloud in no order."""


def refuse_too_many(path: Path, count: int, what: str = "points") -> None:
    """Raise ConversionError where a file declares more than `MAX_POINTS`, or less than none."""
    if not 0 <= count <= MAX_POINTS:
        raise ConversionError(
            f"{path}: declares {count} {what}, the limit is {MAX_POINTS}: thin the scan out, or repair its header"
        )


def colors_from(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return RGB (N, 3) as uint8: floats that stay in [0, 1] are scaled up, numbers up to 65535 scaled down.

    What counts is the largest value, not the type: many write 0 to 255 into 16 bits.
    """
    if values.dtype == np.uint8:
        return values.view(np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=255.0, neginf=0.0)
    most = float(numbers.max(initial=0.0))
    if values.dtype.kind == "f" and most <= 1.0:
        numbers = numbers * 255.0
    elif 255.0 < most <= 65535.0:
        numbers = np.floor(numbers / 256.0)
    return np.clip(np.rint(numbers), 0, 255).astype(np.uint8)


def scan_from_columns(values: NDArray[np.float64], *, is_leica: bool = False) -> RawScan:
    """Return the scan of a matrix (N, C) without column names: x, y, z, then unit normals, or r, g, b, or neither.

    Three columns are normals where every row has length 1, colours where every value lies in [0, 255] (or [0, 65535]
    in whole numbers). One column more than that is an intensity (or another scalar), which is left out: before the
    colours, as Leica and most scanners write it, unless only the columns right after z can be colours.
    """
    rest = values.shape[1] - 3
    first = 4 if rest % 3 == 1 and rest > 1 and not _are_unit(values[:, 3:6]) else 3
    if first == 4 and not is_leica and not _are_colors(values[:, 4:7]) and not _are_unit(values[:, 4:7]):
        first = 3
    if first == 4:
        note("Columns without names were taken as x, y, z, intensity, then colours or normals.")
    colors, normals = None, None
    for at in range(first, values.shape[1] - 2, 3):
        three = values[:, at : at + 3]
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
    if not len(known) or known.min() < 0.0:
        return False
    most = float(known.max())
    return most <= 255.0 or (most <= 65535.0 and bool((known == np.rint(known)).all()))
