"""A report says each thing once, and groups the views that show one defect."""

import io
import re
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from tests.report.conftest import Case, make_inspection
from tests.report.test_html import Page
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import DefectOutcome, Inspection, RuleOutcome, SeenRecord
from vlm_inspect.report.html import render_html
from vlm_inspect.report.marks import marks_of_view, rank_views
from vlm_inspect.report.said_once import SaidOnce
from vlm_inspect.report.terminal import print_inspection

TORN = "The seal is torn at the left corner."
LEFT_OUT = "The model left this rule out."


@pytest.fixture
def repetitive() -> Inspection:
    rules = tuple(
        RuleOutcome(id=name, status="cannot_tell", reason=LEFT_OUT, severity="major", source="model")
        for name in ("seal", "label")
    )
    defect = DefectOutcome(
        type="tear",
        severity="major",
        view=1,
        box_xyxyn=(0.3, 0.3, 0.5, 0.6),
        score=0.9,
        source="both",
        description=TORN,
        seen_on=(SeenRecord(view=0, box_xyxyn=(0, 0, 0.4, 0.4)),),
    )
    return make_inspection(
        outcome="REVIEW",
        answer=f"{TORN} Nothing else stands out.",
        reasoning=f"I looked at every corner. {TORN} {LEFT_OUT}",
        review_reasons=(f"major rule seal was not checked: {LEFT_OUT}", "the model and the heatmap disagree"),
        rules=rules,
        defects=(defect,),
        notes=("the model and the heatmap disagree", "12 points were left out"),
    )


def sentences(text: str) -> Counter[str]:
    found = re.split(r"(?<=[.!?])\s+|\n|:\s", text)
    return Counter(" ".join(one.split()).strip(" -.") for one in found if len(one) > 15)


def test_no_sentence_stands_twice_on_the_terminal_or_the_page(case: Case, repetitive: Inspection) -> None:
    stream = io.StringIO()
    print_inspection(repetitive, Console(file=stream, width=400, color_system=None))
    page = Page(render_html(repetitive, case.views, case.evidence))
    for text in (stream.getvalue(), "\n".join(page.words)):
        counts = sentences(text)
        for said in (TORN, LEFT_OUT, "the model and the heatmap disagree", "I looked at every corner"):
            assert counts[said.strip(".")] == 1, (said, text)
        assert "12 points were left out" in text
        assert "as for seal" in text
        assert "also on view 0" in text


def test_what_was_said_behind_a_colon_counts_and_short_words_may_come_again() -> None:
    said = SaidOnce()
    assert said.rest("rule a fails: the pin is bent. No.") == "rule a fails: the pin is bent. No."
    assert said.rest("The pin is  bent! 18.2 mm is too short; No.") == "18.2 mm is too short; No."
    assert said.rest("One line is new.\nthe pin is bent\n\nAnd one more.") == "One line is new.\nAnd one more."
    assert not said.is_new("One line is new")
    assert said.rest("It cannot be measured; and one more") == "It cannot be measured."
    assert said.rest("") == ""


def test_a_short_sentence_goes_with_the_one_that_it_belongs_to() -> None:
    said = SaidOnce()
    assert said.rest("The scan is in inches. Convert it.") == "The scan is in inches. Convert it."
    assert said.rest("The scan is in inches. Convert it. It was not measured.") == "It was not measured."
    assert said.rest("Yes. The scan is in inches.") == "Yes."


def test_one_defect_on_several_views_is_one_row_with_a_mark_on_each(case: Case, repetitive: Inspection) -> None:
    assert [(m.number, m.box_xyxyn) for m in marks_of_view(repetitive, Evidence(), 0)] == [(1, (0, 0, 0.4, 0.4))]
    assert rank_views(repetitive, case.views, Evidence()) == [1, 0, 2]
    page = Page(render_html(repetitive, case.views, case.evidence))
    assert [row.get("id") for row in page.all("tr") if row.get("id")] == ["defect-1"]
    assert [link["href"] for link in page.all("a")].count("#defect-1") == 2


def test_the_picture_comes_first_beside_the_nearest_normal_part_and_is_enlarged_by_a_click(case: Case) -> None:
    maps = tuple(replace(one, nearest_reference=4) for one in case.evidence.maps)
    references = [() if number < 3 else case.views for number in range(6)]
    source = render_html(case.inspection, case.views, replace(case.evidence, maps=maps), references=references)
    page = Page(source)
    assert source.index('id="view-1"') < source.index("<h2>Defects</h2>") < source.index("<h2>Rules</h2>")
    assert source.index("nearest normal part: reference 5 of 6") < source.index("<h2>Defects</h2>")
    zooms = [one["id"] for one in page.all("input") if one.get("class") == "zoom"]
    assert len(set(zooms)) == len(zooms)
    assert [one["for"] for one in page.all("label") if one.get("class") == "stack"] == zooms
    assert zooms[:3] == ["zoom-1", "normal-1", "bare-1"]
    assert "script" not in {tag for tag, _ in page.tags}
    assert "in/lot 7/screw-12.ply · 2026-01-02 03:04:05 UTC" in page.text
    without = render_html(case.inspection, case.views, case.evidence)
    assert "normal part:" not in without
    unknown = render_html(case.inspection, case.views, case.evidence, references=references)
    assert "a normal part: reference 4 of 6" in unknown  # nobody says that it is the nearest


def test_half_a_sentence_ends_as_one_and_a_short_heading_brings_nothing_new() -> None:
    said = SaidOnce()
    assert said.rest("It is in milliseconds: not compared; convert its time first.").endswith("first.")
    told = said.rest("Its speed is not known; convert its time first. Its level is.")
    assert told == "Its speed is not known. Its level is."
    assert said.rest("To review: Its speed is not known. Is it still running?") == "Is it still running?"
