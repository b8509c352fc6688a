"""The offline model answers from the record, names the place, and says what it cannot answer."""

import pytest

from tests.chat.conftest import Desk, Heard
from vlm_inspect.chat.citations import check_citations, find_citations
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.offline.wording import load_wording

CITATION = "[view 0: "


@pytest.mark.parametrize(
    ("question", "hints"),
    [
        ("Is it OK?", ["NG, P(anomalous)", "Region 1", CITATION]),
        ("What is wrong?", ["Region 1: Deviation from the references", CITATION]),
        ("Where is it?", ["Region 1", "view 0 (image, 320 x 320 px)", CITATION]),
        ("how big is it", ["Region 1", "% of its view", CITATION]),
        ("Which rule does it break?", ["no-spot (major): not checked", "bright (minor): pass"]),
        ("What was measured?", ["brightness of rule bright"]),
        ("Compared with what?", ["4 known-normal reference(s), by memory", "held against reference", CITATION]),
        ("How sure are you?", ["P(anomalous)", "uncalibrated", "against a limit of", CITATION]),
        ("How many places?", ["1 of 1 numbered places"]),
        ("where is region 1", ["Region 1", CITATION]),
        ("Where is region 7?", ["There is no region 7; the regions are 1 to 1."]),
        ("What colour is it?", ["cannot be answered from the record"]),
        ("", ["cannot be answered from the record"]),
        ("okapis", ["cannot be answered from the record"]),
    ],
)
def test_questions_are_answered_from_the_record(desk: Desk, heard: Heard, question: str, hints: list[str]) -> None:
    case = desk.case()
    answer = Dialogue(case, desk.store).ask(question, heard)
    for hint in hints:
        assert hint in answer.text, answer.text
    assert answer.text.endswith(load_wording().dialogue_identity)
    assert list(check_citations(answer.text, case.views)) == []
    assert desk.store.turns(case.id)[-1].text == answer.text


def test_a_cited_box_holds_the_spot(desk: Desk, heard: Heard) -> None:
    from tests.chat.plates import SPOT

    (citation,) = find_citations(Dialogue(desk.case(), desk.store).ask("where?", heard).text)
    assert citation.box_permille is not None
    x0, y0, x1, y1 = (value * 320 / 1000 for value in citation.box_permille)
    assert x0 <= SPOT[0] < SPOT[2] <= x1
    assert y0 <= SPOT[1] < SPOT[3] <= y1


def test_show_me_a_region_gives_its_pictures(desk: Desk, heard: Heard) -> None:
    answer = Dialogue(desk.case(), desk.store).ask("show me region 1", heard)
    assert [name for name, _, _ in heard.calls] == ["zoom", "compare_with_references"]
    assert len(answer.pictures) == 2
    assert "beside the same place" in answer.text
    assert len(desk.store.turns(desk.case().id)[-1].pictures) == 2


def test_a_clean_part_has_nothing_to_show(desk: Desk, heard: Heard) -> None:
    dialogue = Dialogue(desk.case("clean"), desk.store)
    assert "No place exceeds its tolerance, and no measured rule fails." in dialogue.ask("is it ok?", heard).text
    assert "no region was found" in dialogue.ask("show me region 1", heard).text
