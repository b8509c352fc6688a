"""Boxes as models write them -> `box_xyxyn`: per mille as asked for, fractions, pixels; swapped corners, overhang."""

import ast
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from converters.view import BoxXyxyn

_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_MIN_SIDE = 1e-4
"""A box thinner than this fraction of the view has no area."""


def read_box(raw: Any, size_hw: tuple[int, int], warnings: list[str], *, rows_first: bool = False) -> BoxXyxyn | None:
    """Return a box relative to the view, or None with a warning where it cannot be one.

    Args:
        raw: four numbers in a list, a string or a mapping (corners, or corner and size), or two corner points.
        size_hw: height and width of the view in pixels, which tell pixels from per mille.
        warnings: what was mended is added here.
        rows_first: the four numbers are y0, x0, y1, x1.
    """
    corners = _four_numbers(raw)
    if corners is None:
        warnings.append(f"a box that is not four numbers was dropped: {str(raw)[:80]}")
        return None
    x0, y0, x1, y1 = (corners[1], corners[0], corners[3], corners[2]) if rows_first else corners
    unit_x, unit_y = _units(corners=(x0, y0, x1, y1), size_hw=size_hw, warnings=warnings)
    box = (x0 / unit_x, y0 / unit_y, x1 / unit_x, y1 / unit_y)
    return _tidy(box, raw, warnings)


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
    corners: tuple[float, float, float, float], size_hw: tuple[int, int], warnings: list[str]
) -> tuple[float, float]:
    """Return what one whole side is in the numbers' unit, along x and y."""
    largest = max(abs(value) for value in corners)
    height, width = size_hw
    if largest <= 1.0:
        return 1.0, 1.0
    x0, y0, x1, y1 = corners
    if largest > 1000 and max(x0, x1) <= width and max(y0, y1) <= height:
        warnings.append("a box was read as pixels, not per mille")
        return float(width), float(height)
    return 1000.0, 1000.0


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
