"""The offline model answers from the record, names the place, and says what it cannot answer."""

import pytest

from tests.chat.conftest import Desk, Heard
from vlm_inspect.answers.language import load_languages
from vlm_inspect.chat.citations import check_citations, find_citations
from vlm_inspect.chat.dialogue import Dialogue

CITATION = "[view 0: "


@pytest.mark.parametrize(
    ("question", "hints"),
    [
        ("Is it OK?", ["NG, P(anomalous)", "Region 1", CITATION]),
        ("What is wrong?", ["Region 1: Deviation from the references", CITATION]),
        ("Where is it?", ["Region 1", "view 0 (image, 320 x 320 px)", CITATION]),
        ("how big is it", ["Region 1", "18 x 18 pixels of the picture", CITATION]),
        ("Which rule does it break?", ["no-spot (major): not checked", "bright (minor): pass"]),
        ("What was measured?", ["brightness of rule bright"]),
        ("Compared with what?", ["4 known-normal references, by memory", "held against reference", CITATION]),
        ("How sure are you?", ["P(anomalous)", "uncalibrated", "against a limit of", CITATION]),
        ("How many places?", ["1 place exceeds its tolerance or was named by the model, of 1 that is numbered"]),
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
    assert answer.text.endswith(load_languages()["English"].say("identity"))
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


def test_answers_are_in_the_language_of_the_question_or_of_the_dialogue(desk: Desk, heard: Heard) -> None:
    dialogue = Dialogue(desk.case(), desk.store)
    assert dialogue.ask("Kann ich es ausliefern?", heard).text.startswith("Nein: Das Ergebnis ist NG")
    assert "OK bis P(anomal)" in dialogue.ask("normal oder nicht, warum?", heard).text
    assert dialogue.ask("OK?", heard).text.startswith("NG, P(anomal)"), "OK? fits every language; German was spoken"
    assert dialogue.ask("この部品は出荷できますか？", heard).text.startswith("できません")
    assert "whether it can be shipped" in dialogue.ask("Хорошо?", heard).text, "an unknown language gets English"


def test_a_language_that_is_named_is_that_of_every_answer(desk: Desk, heard: Heard) -> None:
    dialogue = Dialogue(desk.case(), desk.store, language="français")
    assert dialogue.ask("can I ship it?", heard).text.startswith("Non : le résultat est NG")
    assert dialogue.show(7, heard).text.startswith("Il n'y a pas de région 7")


def test_it_says_what_would_have_been_missed_and_what_the_bounds_are(desk: Desk, heard: Heard) -> None:
    dialogue = Dialogue(desk.case("clean"), desk.store)
    missed = dialogue.ask("What would have been missed?", heard).text
    assert "Of those of the size that matters" in missed
    assert "scratch: " in missed
    shipped = dialogue.ask("Can I ship it?", heard).text
    assert shipped.startswith("By this record, yes: it came out OK")
    assert "Nobody read these rules, so that this does not answer for them: no-spot." in shipped
    why = dialogue.ask("Why?", heard).text
    assert "It is like its 4 references" in why
    assert "These measured rules hold: bright." in why


def test_what_no_rule_measures_is_measured_from_the_file(desk: Desk, heard: Heard) -> None:
    dialogue = Dialogue(desk.case(), desk.store)
    assert "sharpness: " in dialogue.ask("How sharp is it?", heard).text
    assert "width was not measured: width is measured on scans" in dialogue.ask("How wide is the part?", heard).text
    desk.case().source.unlink()
    gone = Dialogue(desk.case(), desk.store).ask("How sharp is it?", heard).text
    assert "sharpness was not measured" in gone
    assert "is gone" in gone
