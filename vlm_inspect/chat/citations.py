"""Places that an answer names, [view 2: 410, 300, 580, 440], and whether they exist."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from converters.view import View
from vlm_inspect.citation import PERMILLE

_CITATION = re.compile(r"\[\s*view\s+(\d{1,4})\s*(?:[:,]\s*([^\[\]]*))?\]", re.IGNORECASE)
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Citation:
    """One named place; `box_permille` is None where only the view is named."""

    text: str
    view: int
    box_permille: tuple[float, ...] | None


def find_citations(text: str) -> list[Citation]:
    """Return the places that a text names."""
    found = []
    for match in _CITATION.finditer(text):
        numbers = None if match[2] is None else tuple(float(number) for number in _NUMBERS.findall(match[2]))
        found.append(Citation(match[0], int(match[1]), numbers))
    return found


def check_citations(text: str, views: Sequence[View]) -> Iterator[str]:
    """Yield one line for every named place that does not exist."""
    for citation in dict.fromkeys(find_citations(text)):
        if citation.view >= len(views):
            yield f"{citation.text} names a view that does not exist; the views are 0 to {len(views) - 1}"
        elif citation.box_permille is not None and not _lies_on_view(citation.box_permille):
            yield f"{citation.text} names no box of view {citation.view}; a box is x0, y0, x1, y1, 0 to {PERMILLE}"


def _lies_on_view(box: tuple[float, ...]) -> bool:
    if len(box) != 4:
        return False
    x0, y0, x1, y1 = box
    return 0 <= x0 < x1 <= PERMILLE and 0 <= y0 < y1 <= PERMILLE
