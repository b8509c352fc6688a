"""Citations: the places that answers rest on, [view 2: 410, 300, 580, 440], in per mille of a view."""

import math

from converters.view import BoxXyxyn

PERMILLE = 1000


def permille(box_xyxyn: BoxXyxyn) -> tuple[int, int, int, int]:
    """Return a box in per mille, rounded outwards so that the smallest keeps an area."""
    x0, y0, x1, y1 = box_xyxyn
    left, top = min(int(x0 * PERMILLE), PERMILLE - 1), min(int(y0 * PERMILLE), PERMILLE - 1)
    right, bottom = (min(math.ceil(value * PERMILLE), PERMILLE) for value in (x1, y1))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def cite(view: int, box_xyxyn: BoxXyxyn) -> str:
    """Return the citation of a box."""
    return f"[view {view}: {', '.join(map(str, permille(box_xyxyn)))}]"
