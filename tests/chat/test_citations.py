"""Citations: what is taken for one, and which do not exist."""

import numpy as np
import pytest

from converters.view import Place, View
from vlm_inspect.chat.citations import check_citations, find_citations
from vlm_inspect.citation import cite, permille


class Nowhere:
    def locate(self, box_xyxyn: tuple[float, float, float, float]) -> Place:
        return Place()


VIEWS = [View(np.zeros((8, 8, 3), np.uint8), "image", "image", Nowhere())] * 2


@pytest.mark.parametrize(
    "text",
    ["[view 1: 0, 0, 1000, 1000]", "[View 0: 410, 300, 580, 440]", "[view 1]", "none", "[view 0, 1 2 3 4]"],
)
def test_places_that_exist_are_not_remarked(text: str) -> None:
    assert list(check_citations(text, VIEWS)) == []


@pytest.mark.parametrize(
    "text",
    [
        "[view 2: 0, 0, 10, 10]",
        "[view 0: 0, 0, 1200, 10]",
        "[view 0: 10, 0, 5, 10]",
        "[view 0: 1, 2, 3]",
        "[view 0: x]",
    ],
)
def test_places_that_do_not_exist_are_named_in_one_line(text: str) -> None:
    told = list(check_citations(f"See {text} and {text}.", VIEWS))
    assert len(told) == 1
    assert told[0].startswith(text)
    assert "\n" not in told[0]


def test_a_citation_is_found_again() -> None:
    box = (0.1234, 0.0, 0.12341, 0.9)
    found = find_citations(f"It is at {cite(1, box)}.")
    assert [(one.view, one.box_permille) for one in found] == [(1, tuple(map(float, permille(box))))]
