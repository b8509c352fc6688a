"""Answers from a record: measures with unit and limits, depth, distance along the part, one place in three views."""

from dataclasses import replace

import numpy as np
import pytest

from converters.camera import Camera
from converters.projection import ScanOrigin
from converters.view import Place, View
from vlm_inspect.answers.answering import answer_question
from vlm_inspect.answers.language import load_languages
from vlm_inspect.answers.part_axis import find_axis
from vlm_inspect.answers.places import NumberedPlace, join_views, number_places
from vlm_inspect.answers.questions import read_question
from vlm_inspect.answers.record import PartRecord, rule_rows
from vlm_inspect.evidence import BACKGROUND, AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.inspection import Inspection, Provenance, Usage
from vlm_inspect.registration.findings import Finding
from vlm_inspect.registration.told_finding import ToldFinding, read_told
from vlm_inspect.rules import RuleBook
from vlm_inspect.tolerance import tolerance_from_normals

BOOK = RuleBook.model_validate(
    {
        "class_name": "bolt",
        "unit": "mm",
        "rules": [
            {"id": "overall-length", "text": "It is 20 mm long.", "severity": "critical",
             "check": {"measure": "length", "min": 19.7, "max": 20.3}},
            {"id": "flat", "text": "It is flat.", "check": {"measure": "flatness", "max": 0.5}},
            {"id": "clean", "text": "It carries no dent.", "defects": ["dent"]},
        ],
        "defects": ["dent", "contamination"],
    }
)  # fmt: skip
DENT = Finding(
    strength=9.0, depth=-0.42, unseen=False, peak=(0.0, 0.0, 0.0), centre=(0.0, 0.0, 0.0),
    box=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), size=2.1, area=131.0, volume=-0.6, points=np.zeros((1, 3)),
)  # fmt: skip
TOLERANCE = tolerance_from_normals((1.0, 1.1, 0.9, 1.0), overkill=0.05)


def bolt_view(index: int = 0) -> View:
    """A bolt along x from 0 to 20 mm, thicker from 0 to 4."""
    rng = np.random.default_rng(0)
    x, angle = rng.uniform(0.0, 20.0, 4000), rng.uniform(0.0, 2 * np.pi, 4000)
    radius = np.where(x < 4.0, 3.5, 2.0)
    points = np.stack([x, radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    index_hw = np.arange(1600, dtype=np.int32).reshape(40, 40)
    origin = ScanOrigin(index_hw, points, Camera.facing("front", 12.0, 40), np.eye(4))
    return View(np.zeros((40, 40, 3), np.uint8), "depth", "depth, front", origin, key=f"depth/{index}")


def region(
    point: tuple[float, float, float], view: int, *, size: float = 2.1, finding: Finding = DENT, score: float = 0.97
) -> Region:
    place = Place(point_mm=point, size_mm=size)
    note = finding.told("mm")
    return Region(view, (0.4, 0.4, 0.6, 0.6), (0.5, 0.5), score, 0.04, "deviation", True, place, note=note)


def record(*regions: Region, measurements: tuple[Measurement, ...] = ()) -> PartRecord:
    views = tuple(bolt_view(index) for index in range(3))
    maps = tuple(
        AnomalyMap(i, np.full((4, 4), 3.0, np.float32), 6.0, "deviation", unit="mm", tolerance=TOLERANCE)
        for i in range(3)
    )
    evidence = Evidence(maps=maps, regions=regions, measurements=measurements, reference_count=4, localizer="memory")
    told = [(rule.id, "not_checked", "Not read by a model") for rule in BOOK.rules]
    measured = {one.rule_id: one for one in measurements}
    rows = [
        (id_, ("fail" if measured[id_].passed is False else "pass") if id_ in measured else status, reason)
        for id_, status, reason in told
    ]
    return PartRecord(
        BOOK, views, evidence, rule_rows(BOOK, rows, measurements), number_places(evidence, BOOK, views)
    )  # fmt: skip


def ask(question: str, known: PartRecord, language: str | None = None) -> str:
    usual = load_languages()[language or "English"]
    read = read_question(question, BOOK, usual=usual)
    return " ".join(answer_question(read, known, load_languages()[language] if language else read.language))


SEEN_THRICE = (region((15.0, 2.0, 0.0), 0), region((15.2, 2.0, 0.1), 1), region((15.0, 1.9, 0.4), 2, score=0.9))
ELSEWHERE = replace(region((5.0, 2.0, 0.0), 1, score=0.8), box_xyxyn=(0.05, 0.05, 0.15, 0.15))
SHORT = Measurement("overall-length", "length", 19.699999, "mm", False, "19.7 mm < 19.7 mm")
FLAT = Measurement("flat", "flatness", 0.31, "mm", True, "0.31 mm <= 0.5 mm")


def test_one_place_in_three_views_is_one_place() -> None:
    known = record(*SEEN_THRICE, ELSEWHERE)
    assert [place.numbers for place in known.places] == [(1, 2, 3), (4,)]
    told = ask("How many defects?", known)
    assert "2 places exceed their tolerance" in told
    where = ask("Where?", known)
    assert where.count("Other views of the same place: region 2, 3.") == 1
    assert "Region 4" in where
    assert "Region 2:" not in where
    assert "Region 1" in ask("where is region 3?", known), "any of its numbers names it"


def test_a_place_whose_size_is_said_with_it_is_told_once() -> None:
    told = ask("Where is it, and how big is it?", record(*SEEN_THRICE))
    assert told.count("Region 1:") == 1
    assert "2.1 mm across" in told


def test_tiles_that_overlap_show_one_place() -> None:
    def in_picture(number: int, view: int, box: tuple[float, float, float, float], page: int = 0) -> NumberedPlace:
        place = Place(source_xyxy=box, page=page)
        one = replace(ELSEWHERE, view=view, place=place)
        return NumberedPlace(number, view, one.box_xyxyn, "dent", one)

    first, twin = in_picture(1, 0, (100, 100, 140, 140)), in_picture(2, 1, (105, 100, 150, 140))
    apart, page = in_picture(3, 2, (310, 110, 338, 138)), in_picture(4, 3, (100, 100, 140, 140), page=1)
    views = tuple(bolt_view(index) for index in range(3))
    assert [one.numbers for one in join_views([first, twin, apart, page], views)] == [(1, 2), (3,), (4,)]


@pytest.mark.parametrize(
    ("finding", "told"),
    [
        (DENT, ToldFinding("below", 0.42, 2.1, 130.0, 0.6)),
        (replace(DENT, depth=1.5, volume=0.043), ToldFinding("above", 1.5, 2.1, 130.0, 0.043)),
        (replace(DENT, both_sides=True), ToldFinding("below", 0.42, 2.1, 130.0, 0.6)),
        (replace(DENT, unseen=True), ToldFinding("missing", 0.42, 2.1)),
    ],
)
def test_a_finding_is_read_back_from_its_words(finding: Finding, told: ToldFinding) -> None:
    assert read_told(finding.told("mm")) == told
    assert read_told("0.4 mm above the reference") == ToldFinding("above", 0.4)
    assert read_told("unlike its neighbours") is None


def test_depth_is_answered_as_well_as_width() -> None:
    known = record(*SEEN_THRICE)
    deep = ask("How deep is it?", known)
    assert "0.42 mm below the reference over 2.1 mm (130 mm², 0.6 mm³ missing)" in deep
    assert "2.1 mm across" in ask("How big is it?", known)
    assert "0.42 mm unter der Referenz auf 2.1 mm (130 mm², 0.6 mm³ fehlen)" in ask("Wie tief?", known)
    without = record(replace(SEEN_THRICE[0], note=""))
    assert "The farthest that the part lies from its references is 3 mm (view 0)." in ask("How deep?", without)
    no_scan = replace(without, evidence=replace(without.evidence, maps=()))
    assert "depth takes a scan" in ask("How deep?", no_scan)


def test_measures_are_given_with_unit_and_limits_and_never_on_the_wrong_side_of_one() -> None:
    known = record(measurements=(SHORT, FLAT))
    told = ask("What was measured?", known)
    assert "length of rule overall-length: 19.699999 mm; limits 19.7 to 20.3 mm: fail." in told
    assert "flatness of rule flat: 0.31 mm; at most 0.5 mm: pass." in told
    assert "flat (major): pass. flatness 0.31 mm; at most 0.5 mm." in ask("What about rule flat?", known)
    assert "overall-length" not in ask("Is it flat?", known)


def test_what_no_rule_measures_is_measured_now_or_said_not_to_be() -> None:
    known = replace(record(), measure=lambda name: Measurement("", name, 7.03, "mm", None, ""))
    assert "width: 7.03 mm; no rule of the book limits it." in ask("How wide is the part?", known)
    gone = replace(record(), measure=lambda name: Measurement("", name, None, "", None, "its file is gone"))
    assert "width was not measured: its file is gone." in ask("How wide is the part?", gone)


def test_the_distance_along_the_part_is_from_the_wider_end() -> None:
    axis = find_axis([bolt_view()])
    assert axis is not None
    assert axis.starts_wider
    assert axis.length == pytest.approx(20.0, abs=0.2)
    assert axis.along((15.0, 2.0, 0.0)) == pytest.approx(15.0, abs=0.2)
    said = ask("How far along the axis is it?", record(*SEEN_THRICE))
    assert "from the part's wider end and" in said
    assert "(view" not in said
    assert find_axis([replace(bolt_view(), origin=replace(bolt_view().origin, points=np.ones((5, 3))))]) is None


def test_a_defect_that_nothing_says_is_said() -> None:
    known = record(*SEEN_THRICE)
    assert "Nothing that was measured says contamination." in ask("Is there any contamination?", known)
    assert "Nothing that was measured" not in ask("How deep is the dent?", known)


def undecided(known: PartRecord, *reasons: str) -> PartRecord:
    provenance = Provenance(
        input_sha256="0" * 64, rules_sha256="", prompt_sha256="", version="1", created_at="2026-01-01T00:00:00Z"
    )
    usage = Usage(prompt_tokens=0, completion_tokens=0, latency_s=0.0)
    told = Inspection(
        outcome="REVIEW", score=0.4, calibrated=False, answer="", reasoning="", review_reasons=reasons, rules=(),
        defects=(), views=(), model="evidence", localizer="memory", usage=usage, provenance=provenance,
    )  # fmt: skip
    return replace(known, inspection=told)


def test_of_a_place_beside_the_part_it_is_said_that_no_heatmap_has_it() -> None:
    usual = region((1, 2, 3), 0)
    beside = record(replace(usual, source=BACKGROUND))
    assert "Region 1 was found by the check of the background" in ask("How sure are you?", beside)
    assert "check of the background" not in ask("How sure are you?", record(usual))


def test_of_a_part_that_is_not_decided_the_place_to_begin_with_is_told_and_why_it_is_not() -> None:
    said = ask("Where is the defect?", undecided(record(), "the score 0.40 lies between 0.20 (OK) and 0.60 (NG)"))
    assert said.startswith("REVIEW, P(anomalous) 0.40. To review: the score 0.40 lies between 0.20 (OK) and 0.60 (NG).")
    assert "No place exceeds its own bound; the most unusual is in view 0" in said
    assert "No place was found" not in said
    assert ask("Where is the defect, and is it ok?", undecided(record(), "why")).count("To review: why.") == 1
    assert "No place was found" in ask("Where is the defect?", replace(record(), evidence=Evidence()))


def test_what_the_input_shows_instead_of_the_part_is_said_once() -> None:
    shown = "The photo is in grey and its references are in colour: take it with the same camera and settings."
    reasons = (shown, "major rule flat could not be told: It was not measured")
    known = undecided(replace(record(), evidence=Evidence(mismatch=shown, reference_count=4)), *reasons)
    for question in ("Can I ship it?", "Where is the defect?", "What is wrong?", "Why?"):
        said = ask(question, known)
        assert said.count("The photo is in grey") == 1, question
        assert "camera and settings. Major rule flat could not be told" in said
        assert "No place was found" not in said
    alone = ask("Where is the defect?", replace(known, inspection=None))
    assert "The photo is in grey" in alone
    assert "No place was found" not in alone


def test_what_the_program_says_of_a_part_is_put_into_german() -> None:
    reason = "The photo is in grey and its references are in colour: take it with the same camera and settings."
    said = ask("Warum?", undecided(record(), reason))
    assert "Das Foto ist grau und seine Referenzen sind farbig" in said
    assert "The photo" not in said


@pytest.mark.parametrize("language", list(load_languages()))
def test_every_topic_is_answered_in_every_language(language: str) -> None:
    known = record(*SEEN_THRICE, ELSEWHERE, measurements=(SHORT, FLAT))
    words = load_languages()[language]
    for topic, wordings in words.questions.items():
        said = ask(wordings[0], known, language)
        assert said, topic
        assert "{" not in said
        assert words.say("unknown") not in said, topic
