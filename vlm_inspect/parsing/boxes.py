"""Boxes as models write them -> `box_xyxyn`: as asked for, by the family's habit, swapped, overhanging."""

import ast
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from converters.view import BoxXyxyn
from vlm_inspect.backends.box_conventions import BoxConvention

_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_PER_MILLE = 1000.0
_LARGEST_FRACTION = 1.5
_OVERHANG = 1.05
"""A box that reaches further than this out of a view, in its unit, is in another unit."""
_MIN_SIDE = 1e-4
"""A box thinner than this fraction of the view has no area."""


BOX_KEYS = (
    *("box", "bbox", "box_2d", "bbox_2d", "bounding_box", "box_xyxy", "bbox_xyxy", "box_xyxyn", "bbox_xyxyn"),
    *("polygon", "points", "segmentation"),
)
"""Names under which models give a place, the asked one apart."""
_FRACTIONS = frozenset({"box_xyxyn", "bbox_xyxyn"})
_OUTLINES = frozenset({"polygon", "points", "segmentation"})


def read_box(
    raw: Any, key: str, convention: BoxConvention, size_hw: tuple[int, int], warnings: list[str]
) -> BoxXyxyn | None:
    """Return a box relative to the view, or None with a warning where it cannot be one.

    Args:
        raw: four numbers in a list, a string or a mapping (corners, or corner and size), two corner points, or the
            points of an outline.
        key: its name in the answer, which tells habits apart.
        convention: how boxes were asked for.
        size_hw: height and width in pixels of the view as it was sent.
        warnings: what was mended, and what is ambiguous, is added here.
    """
    corners = _hull(raw) if key in _OUTLINES else _four_numbers(raw)
    if corners is None:
        warnings.append(f"a box that is not four numbers was dropped: {str(raw)[:80]}")
        return None
    asked = key in (convention.key, "box")
    rows_first = convention.rows_first if asked else key == "box_2d"
    if rows_first and not asked:
        warnings.append("a box named box_2d was read as y0, x0, y1, x1")
    x0, y0, x1, y1 = (corners[1], corners[0], corners[3], corners[2]) if rows_first else corners
    if key in _FRACTIONS and max(map(abs, corners)) <= _LARGEST_FRACTION:
        unit_x = unit_y = 1.0
    else:
        if not asked:
            _note_ambiguous(key, corners, convention, warnings)
        unit_x, unit_y = _units((x0, y0, x1, y1), convention, size_hw, warnings)
    return _tidy((x0 / unit_x, y0 / unit_y, x1 / unit_x, y1 / unit_y), raw, warnings)


def _note_ambiguous(key: str, corners: Sequence[float], convention: BoxConvention, warnings: list[str]) -> None:
    """Say where a box comes under another name than was asked for, so that its unit is not known."""
    if key == "bbox_2d" and 1.0 < max(corners) <= _PER_MILLE:
        read, other = ("pixels", "per mille") if convention.unit == "pixels" else ("per mille", "pixels")
        warnings.append(
            f"a box named bbox_2d is ambiguous: it was read as {read}, and may be in {other}; "
            "`vlm-inspect doctor --model` finds out which"
        )


def _hull(raw: Any) -> tuple[float, float, float, float] | None:
    """Return the box around the points of an outline: pairs, or numbers that alternate."""
    flat: list[Any] = []
    try:
        for item in raw if isinstance(raw, (list, tuple)) else ():
            flat.extend(
                item.values() if isinstance(item, Mapping) else item if isinstance(item, (list, tuple)) else [item]
            )
        if len(flat) == 1 or any(isinstance(value, (list, tuple)) for value in flat):  # one outline in a list of them
            return _hull(raw[0])
        numbers = [float(value) for value in flat]
    except (TypeError, ValueError, OverflowError, RecursionError, IndexError):
        return None
    if len(numbers) < 4 or len(numbers) % 2 or not all(map(math.isfinite, numbers)):
        return None
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _four_numbers(raw: Any) -> tuple[float, float, float, float] | None:
    if isinstance(raw, str):
        raw = _from_text(raw)
    if isinstance(raw, Mapping):
        raw = _from_mapping(raw)
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        return None
    flat: list[Any] = []
    for item in raw:
        flat.extend(item if isinstance(item, (list, tuple)) else [item])
    if len(flat) != 4:
        return None
    try:
        x0, y0, x1, y1 = (float(value) for value in flat)
    except (TypeError, ValueError, OverflowError):
        return None
    return (x0, y0, x1, y1) if all(map(math.isfinite, (x0, y0, x1, y1))) else None


def _from_text(raw: str) -> Any:
    numbers = re.findall(r"-?\d+(?:\.\d+)?", raw)
    if len(numbers) == 4:
        return numbers
    try:
        return ast.literal_eval(raw[:200])
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _from_mapping(raw: Mapping[Any, Any]) -> Any:
    plain = {str(key).strip().lower(): value for key, value in raw.items()}
    for names in _CORNERS:
        if all(name in plain for name in names):
            return [plain[name] for name in names]
    for names in _SIZES:
        if all(name in plain for name in names):
            try:
                x, y, width, height = (float(plain[name]) for name in names)
            except (TypeError, ValueError, OverflowError):
                return None
            return [x, y, x + width, y + height]
    return None


def _units(
    corners: tuple[float, float, float, float],
    convention: BoxConvention,
    size_hw: tuple[int, int],
    warnings: list[str],
) -> tuple[float, float]:
    """Return what one whole side is in the numbers' unit, along x and y: as asked for, unless they cannot be that."""
    x0, y0, x1, y1 = corners
    largest = max(abs(value) for value in corners)
    high, wide = convention.sides_of(size_hw)
    if largest <= 1.0:
        return 1.0, 1.0
    fits_pixels = max(x0, x1) <= size_hw[1] and max(y0, y1) <= size_hw[0]
    if convention.unit == "per_mille" and largest > _PER_MILLE and fits_pixels:
        warnings.append("a box was read as pixels, not per mille")
        return float(size_hw[1]), float(size_hw[0])
    beyond = max(x0, x1) > wide * _OVERHANG or max(y0, y1) > high * _OVERHANG
    if convention.unit != "per_mille" and beyond and largest <= _PER_MILLE:
        told = "pixels" if convention.unit == "pixels" else "fractions"
        warnings.append(f"a box was read as per mille: it cannot be in {told}")
        return _PER_MILLE, _PER_MILLE
    return wide, high


def _tidy(box: BoxXyxyn, raw: Any, warnings: list[str]) -> BoxXyxyn | None:
    """Return the box with ordered corners inside [0, 1], or None where nothing is left of it."""
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    if (x0, y0, x1, y1) != box:
        warnings.append(f"a box had its corners swapped: {str(raw)[:80]}")
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))
    if clipped[2] - clipped[0] < _MIN_SIDE or clipped[3] - clipped[1] < _MIN_SIDE:
        warnings.append(f"a box without area on the view was dropped: {str(raw)[:80]}")
        return None
    if clipped != (x0, y0, x1, y1):
        warnings.append(f"a box reached out of the view and was clipped: {str(raw)[:80]}")
    return clipped
