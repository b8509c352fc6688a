"""How a model writes boxes, from what it says of a rectangle whose place is known."""

from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any

import numpy as np

from converters.view import BoxXyxyn
from vlm_inspect.backends.box_conventions import BoxUnit
from vlm_inspect.backends.learned import BoxHabit
from vlm_inspect.model_probe.pictures import COLOURS, Picture

SIZE_HW = (420, 700)
"""Multiples of 28, so that resizing to patches changes nothing; unlike 1000, so that pixels are no per mille."""
_SAME = 0.6
"""Overlap (intersection over union) from which a box is the known one."""
_CLEARLY = 0.2
"""A reading counts only where its overlap beats that of every other reading by as much."""
_UNITS: tuple[BoxUnit, ...] = ("per_mille", "pixels", "fraction")


def draw_rectangle(random: Random, colour: str) -> tuple[Picture, BoxXyxyn]:
    """Return a grey picture with a rectangle of a colour, and the rectangle's place.

    It lies off the diagonal and away from the upper left corner, where all conventions say nearly the same.
    """
    height, width = SIZE_HW
    left, top = random.randint(440, 500), random.randint(60, 110)
    right, bottom = left + random.randint(130, 180), top + random.randint(90, 130)
    picture = np.full((height, width, 3), 128, dtype=np.uint8)
    picture[top:bottom, left:right] = COLOURS[colour]
    return picture, (left / width, top / height, right / width, bottom / height)


def find_habit(told: Any, known: BoxXyxyn) -> BoxHabit | None:
    """Return the unit and order in which four numbers are the known box, or None where no reading clearly is.

    Args:
        told: what the model says: four numbers.
        known: where the rectangle lies.
    """
    if not isinstance(told, Sequence) or isinstance(told, str) or len(told) != 4:
        return None
    try:
        numbers = [float(value) for value in told]
    except (TypeError, ValueError, OverflowError):
        return None
    readings = [
        (_overlap(_read(numbers, unit, rows_first), known), BoxHabit(unit=unit, rows_first=rows_first))
        for unit, rows_first in product(_UNITS, (False, True))
    ]
    (best, habit), (next_best, _) = sorted(readings, key=lambda reading: -reading[0])[:2]
    return habit if best >= _SAME and best - next_best >= _CLEARLY else None


def _read(numbers: Sequence[float], unit: BoxUnit, rows_first: bool) -> BoxXyxyn:
    x0, y0, x1, y1 = (numbers[i] for i in ((1, 0, 3, 2) if rows_first else (0, 1, 2, 3)))
    units: dict[BoxUnit, tuple[float, float]] = {
        "per_mille": (1000.0, 1000.0),
        "pixels": (float(SIZE_HW[1]), float(SIZE_HW[0])),
        "fraction": (1.0, 1.0),
    }
    wide, high = units[unit]
    return x0 / wide, y0 / high, x1 / wide, y1 / high


def _overlap(a: BoxXyxyn, b: BoxXyxyn) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if not (wide > 0 and high > 0):
        return 0.0
    areas = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b))
    return wide * high / (areas - wide * high)
