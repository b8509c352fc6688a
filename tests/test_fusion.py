"""The decision of the contract, line by line, and the laws that no opinion and no evidence may break."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.view import BoxXyxyn, Pane, Place, View
from vlm_inspect.decision.bounds import between
from vlm_inspect.decision.fusion import Record, fuse, pool_score
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import AnomalyMap, Evidence, Measurement, Region
from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.inspection import Inspection, Provenance, Usage
from vlm_inspect.offline.report import judge_evidence
from vlm_inspect.rules import Check, Rule, RuleBook
from vlm_inspect.sensitivity.record import record_sensitivity
from vlm_inspect.sensitivity.standing import Standing
from vlm_inspect.tolerance import Tolerance
from vlm_inspect.verdict import Defect, RuleResult, Verdict, VerdictSource

TOLERANCE = Tolerance(limit=2.0, centre=1.0, n=8, overkill=0.01)
BOOK = RuleBook(
    class_name="screw",
    rules=(
        Rule(id="thread-complete", text="The thread runs unbroken.", severity="critical"),
        Rule(id="straight", text="The shaft is straight."),
        Rule(id="clean", text="No stains.", severity="minor"),
        Rule(id="length", text="20 mm long.", severity="critical", check=Check(measure="length", min=19.7, max=20.3)),
        Rule(id="shine", text="Not too dark.", severity="minor", check=Check(measure="brightness", min=40)),
    ),
    defects=("missing thread", "bent", "short", "dent"),
    ignore=((0.0, 0.0, 1.0, 0.1),),
)
OUTCOMES = ("OK", "REVIEW", "NG")


class Flat:
    """A photograph of 1000 x 1000 pixels."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        x0, y0, x1, y1 = (1000 * side for side in box_xyxyn)
        return Place(source_xyxy=(x0, y0, x1, y1))


class Solid:
    """A view of a scan: x and y of the view are mm, z is the view's own."""

    def __init__(self, z: float) -> None:
        self.z = z

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        x0, y0, x1, y1 = (20 * side for side in box_xyxyn)
        return Place(point_mm=((x0 + x1) / 2, (y0 + y1) / 2, self.z), size_mm=max(x1 - x0, y1 - y0))


class Clip:
    """Four frames side by side, one a second."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        frame = min(3, int((box_xyxyn[0] + box_xyxyn[2]) / 2 * 4))
        return Place(frame=25 * frame, time_s=float(frame))


def view_of(origin: Any, **fields: Any) -> View:
    return View(np.zeros((100, 100, 3), np.uint8), fields.pop("kind", "image"), "whole", origin, **fields)


def map_of(p: float | None, *, view: int = 0, source: str = "memory") -> AnomalyMap:
    """A map whose calibrated probability is p; None: uncalibrated."""
    values = np.zeros((4, 4), np.float32)
    if p is None:
        return AnomalyMap(view, values, 1.0, source)
    inside = min(max(p, 1e-9), 1 - 1e-9)
    slope = math.log(49) / math.log(2)
    score = 2.0 * math.exp(math.log(inside / (1 - inside)) / slope)
    return AnomalyMap(view, values, score, source, tolerance=TOLERANCE)


def region_of(box: BoxXyxyn, place: Place | None = None, **fields: Any) -> Region:
    base = Region(
        view=0, box_xyxyn=box, peak_xyn=((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), score=0.9, area=0.01,
        source="memory", calibrated=True, place=place or Place(),
    )  # fmt: skip
    return replace(base, **fields)


def length(value: float | None) -> Measurement:
    passed = None if value is None else 19.7 <= value <= 20.3
    return Measurement("length", "length", value, "mm", passed, "no scan" if value is None else f"{value:g} mm")


BRIGHT = Measurement("shine", "brightness", 90.0, "", True, "90")
DARK = Measurement("shine", "brightness", 20.0, "", False, "20 < 40")
GOOD = (length(20.0), BRIGHT)
PASSES = tuple(RuleResult(rule.id, "pass") for rule in BOOK.rules)
FINE = Verdict(anomalous=False, reasoning="clean", probability=0.05, rules=PASSES)
BAD = Verdict(anomalous=True, reasoning="bent", probability=0.95, rules=PASSES)
UNREADABLE = ParseError("The model refused to answer.", reply_text="sorry", cause="refusal")


def evidence_of(p: float | None = 0.05, **fields: Any) -> Evidence:
    base = Evidence(maps=(map_of(p),), measurements=GOOD, reference_count=4, localizer="memory")
    return replace(base, **fields)


def record_of(
    model: str = "openai:some-model", views: tuple[View, ...] = (view_of(Flat()),), book: RuleBook = BOOK
) -> Record:
    provenance = Provenance(input_sha256="a", rules_sha256="b", prompt_sha256="c", version="0", created_at="now")
    return Record(book, views, model, "memory", Usage(), provenance)


def judge(
    opinion: Verdict | ParseError, evidence: Evidence, thresholds: Thresholds | None = None, **record: Any
) -> Inspection:
    return fuse(opinion, evidence, thresholds or Thresholds(), record_of(**record))


def measured(verdict: Verdict) -> Verdict:
    """Return a verdict that words the evidence."""
    return replace(verdict, source="evidence")


def rules_with(**statuses: str) -> tuple[RuleResult, ...]:
    named = {name.replace("_", "-"): status for name, status in statuses.items()}
    return tuple(replace(rule, status=named.get(rule.id, rule.status)) for rule in PASSES)  # type: ignore[arg-type] # plain str


# --- the outcome ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "opinion", "evidence", "outcome", "reason"),
    [
        ("both normal", FINE, evidence_of(0.05), "OK", ""),
        ("both anomalous", BAD, evidence_of(0.95), "NG", ""),
        ("no map, normal", FINE, evidence_of(maps=()), "OK", ""),
        ("no map, anomalous", BAD, evidence_of(maps=()), "NG", ""),
        ("uncalibrated map does not count", FINE, evidence_of(None), "OK", ""),
        ("failed critical check beats the model", FINE, evidence_of(measurements=(length(18.2), BRIGHT)), "NG", ""),
        ("failed check and unreadable reply", UNREADABLE, evidence_of(measurements=(length(18.2), BRIGHT)), "NG", ""),
        ("unreadable", UNREADABLE, evidence_of(0.01), "REVIEW", "refused"),
        ("unreadable and hot", UNREADABLE, evidence_of(0.99), "REVIEW", "refused"),
        ("failed minor check", FINE, evidence_of(measurements=(length(20.0), DARK)), "REVIEW", "minor rule shine"),
        ("failed minor check, NG anyway", BAD, evidence_of(0.95, measurements=(length(20.0), DARK)), "NG", ""),
        ("critical check not measured", FINE, evidence_of(measurements=(length(None), BRIGHT)), "REVIEW", "length"),
        ("critical check left out", FINE, evidence_of(measurements=(BRIGHT,)), "REVIEW", "length"),
        ("critical rule cannot_tell", replace(FINE, rules=rules_with(thread_complete="cannot_tell")), evidence_of(),
         "REVIEW", "thread-complete"),
        ("critical rule left out", replace(FINE, rules=PASSES[1:]), evidence_of(), "REVIEW", "thread-complete"),
        ("critical rule cannot_tell, no map", replace(BAD, rules=rules_with(thread_complete="cannot_tell")),
         evidence_of(maps=()), "REVIEW", "thread-complete"),
        ("critical rule cannot_tell, hot map", replace(BAD, rules=rules_with(thread_complete="cannot_tell")),
         evidence_of(0.95), "NG", ""),
        ("major rule cannot_tell", replace(FINE, rules=rules_with(straight="cannot_tell")), evidence_of(), "REVIEW",
         "major rule straight could not be told"),
        ("major rule left out", replace(FINE, rules=tuple(r for r in PASSES if r.id != "straight")), evidence_of(),
         "REVIEW", "major rule straight could not be told"),
        ("major rule not checked", replace(FINE, rules=rules_with(straight="not_checked")), evidence_of(), "REVIEW",
         "major rule straight was not checked"),
        ("minor rule cannot_tell", replace(FINE, rules=rules_with(clean="cannot_tell")), evidence_of(), "OK", ""),
        ("fails its own rule", replace(FINE, rules=rules_with(straight="fail")), evidence_of(), "REVIEW", "straight"),
        ("model fails a minor rule", replace(FINE, rules=rules_with(clean="fail")), evidence_of(), "REVIEW", "clean"),
        ("names a defect, says normal", replace(FINE, defects=(Defect("dent"),)), evidence_of(), "REVIEW", "dent"),
        ("model normal, map hot", FINE, evidence_of(0.9), "REVIEW", "heatmap exceeds"),
        ("answer OK was ordered", replace(FINE, probability=0.0), evidence_of(0.99), "REVIEW", "heatmap exceeds"),
        ("model anomalous, map cold", BAD, evidence_of(0.02), "REVIEW", "inside its tolerance"),
        ("samples disagree", replace(FINE, doubts=("1 of 5 answers disagree",)), evidence_of(), "REVIEW", "1 of 5"),
        ("normal at P 0.9", replace(FINE, probability=0.9), evidence_of(maps=()), "REVIEW", "probability of 0.90"),
        ("anomalous at P 0.1", replace(BAD, probability=0.1), evidence_of(maps=()), "REVIEW", "probability of 0.10"),
        ("between the thresholds", replace(FINE, probability=0.5), evidence_of(maps=()), "REVIEW", "lies between"),
    ],
)  # fmt: skip
def test_outcome(name: str, opinion: Verdict | ParseError, evidence: Evidence, outcome: str, reason: str) -> None:
    inspection = judge(opinion, evidence)
    assert inspection.outcome == outcome, (name, inspection.review_reasons, inspection.score)
    assert bool(inspection.review_reasons) == (outcome == "REVIEW")
    assert reason in " ".join(inspection.review_reasons)


def test_numbers_that_differ_look_different() -> None:
    used = Thresholds(ok_below=0.0021, ng_above=0.0049)
    assert between(0.003, used, None) == "the score 0.003 lies between 0.002 (OK) and 0.005 (NG)"
    assert between(0.4, Thresholds(), None).startswith("the score 0.40 lies between 0.")


def test_what_may_be_another_part_is_never_ok_and_said_once() -> None:
    told = "The scan seems to be in inches where the reference is in millimetres."
    for opinion in (FINE, measured(FINE)):
        kept = judge(opinion, evidence_of(mismatch=told))
        assert (kept.outcome, kept.review_reasons) == ("REVIEW", (told,))
    broken = evidence_of(0.95, mismatch=told)
    own = judge(judge_evidence(broken, BOOK, (view_of(Flat()),)), broken)
    assert (own.outcome, told in own.notes) == ("NG", False)
    assert own.answer.startswith(told)
    assert told in judge(BAD, broken).notes


def test_a_part_that_fails_a_check_scores_as_one() -> None:
    inspection = judge(FINE, evidence_of(0.01, measurements=(length(18.2), BRIGHT)))
    assert inspection.score >= 0.97
    row = next(rule for rule in inspection.rules if rule.id == "length")
    assert (row.status, row.source, row.severity) == ("fail", "measurement", "critical")
    assert row.measured is not None
    assert (row.measured.value, row.measured.unit) == (18.2, "mm")


def test_what_speaks_against_an_ng_is_kept_as_a_note() -> None:
    inspection = judge(UNREADABLE, evidence_of(measurements=(length(18.2), BRIGHT)))
    assert "The model refused to answer." in inspection.notes
    assert inspection.review_reasons == ()


def test_rules_of_an_unreadable_reply_cannot_be_told() -> None:
    inspection = judge(UNREADABLE, evidence_of())
    assert {rule.id: rule.status for rule in inspection.rules} == {
        **dict.fromkeys(("thread-complete", "straight", "clean"), "cannot_tell"), "length": "pass", "shine": "pass",
    }  # fmt: skip
    assert "refused" in inspection.answer


def test_the_model_has_no_say_on_a_measured_rule() -> None:
    said = replace(BAD, rules=rules_with(length="pass"))
    inspection = judge(said, evidence_of(0.95, measurements=(length(18.2), BRIGHT)))
    assert next(rule.status for rule in inspection.rules if rule.id == "length") == "fail"
    said = replace(FINE, rules=rules_with(length="fail"))
    assert judge(said, evidence_of()).outcome == "OK"


def test_an_unanswered_question_is_said() -> None:
    record = record_of()
    assert fuse(FINE, evidence_of(), Thresholds(), record).answer == "clean"
    asked = replace(record, question="Who made it?")
    assert fuse(FINE, evidence_of(), Thresholds(), asked).answer.startswith("The model did not answer the question.")
    assert fuse(replace(FINE, answer="ACME."), evidence_of(), Thresholds(), asked).answer == "ACME."


# --- the score -----------------------------------------------------------------------------------------------------


def test_the_score_pools_log_odds() -> None:
    assert pool_score(0.8, 0.8, Thresholds()) == pytest.approx(0.8)
    assert pool_score(0.9, 0.1, Thresholds()) == pytest.approx(0.5)
    odds = (0.8 / 0.2) ** 0.75 * (0.3 / 0.7) ** 0.25
    assert pool_score(0.8, 0.3, Thresholds(model_weight=3.0, heatmap_weight=1.0)) == pytest.approx(odds / (1 + odds))
    assert pool_score(None, 0.123, Thresholds()) == 0.123
    assert pool_score(None, None, Thresholds()) == 0.5
    assert pool_score(0.9, 0.1, Thresholds(model_weight=0.0, heatmap_weight=0.0)) == pytest.approx(0.5)


def test_the_evidence_model_does_not_count_the_heatmap_twice() -> None:
    said = replace(BAD, probability=0.7)
    assert judge(measured(said), evidence_of(0.7)).score == pytest.approx(0.7)


def test_a_model_without_a_probability_still_counts() -> None:
    inspection = judge(replace(BAD, probability=None), evidence_of(maps=()))
    assert (inspection.outcome, inspection.score) == ("NG", pytest.approx(0.9))
    assert judge(replace(FINE, probability=math.nan), evidence_of(maps=())).score == pytest.approx(0.1)


def test_uncalibrated_is_said() -> None:
    assert any("uncalibrated" in note for note in judge(FINE, evidence_of()).notes)
    calibrated = judge(FINE, evidence_of(), Thresholds(calibrated=True))
    assert calibrated.calibrated
    assert not any("uncalibrated" in note for note in calibrated.notes)


def test_a_calibration_that_leaves_no_part_ok_is_said() -> None:
    for ok_below, said in ((0.0, True), (0.3, False)):
        found = judge(FINE, evidence_of(), Thresholds(ok_below=ok_below, calibrated=True))
        assert any("no part is OK with this calibration" in note for note in found.notes) == said


# --- the evidence model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "status", "outcome"),
    [
        (0.02, "pass", "OK"),
        (0.02, "not_checked", "OK"),
        (0.02, "cannot_tell", "REVIEW"),
        (0.95, "cannot_tell", "NG"),
        (None, "cannot_tell", "REVIEW"),
        (0.55, "cannot_tell", "REVIEW"),
    ],
)
def test_outcome_of_the_evidence_model(p: float | None, status: str, outcome: str) -> None:
    probability = 0.5 if p is None else p
    rules = rules_with(thread_complete=status, straight=status, clean=status)
    verdict = Verdict(anomalous=probability >= 0.5, reasoning="measured", probability=probability, rules=rules)
    evidence = evidence_of(p, reference_count=0 if p is None else 4)
    inspection = judge(measured(verdict), evidence)
    assert inspection.outcome == outcome
    assert inspection.rules[0].source == "heatmap"


def test_the_evidence_model_is_never_ok_beyond_the_tolerance() -> None:
    verdict = Verdict(anomalous=True, reasoning="", probability=0.55, rules=PASSES)
    lenient = Thresholds(ok_below=0.8, ng_above=0.9)
    assert judge(measured(verdict), evidence_of(0.55), lenient).outcome == "REVIEW"


# --- defects -------------------------------------------------------------------------------------------------------


def defects_of(opinion: Verdict | ParseError, evidence: Evidence, **record: Any) -> list[tuple[Any, ...]]:
    return [(d.type, d.source, d.severity) for d in judge(opinion, evidence, **record).defects]


def test_model_and_heatmap_that_agree_on_the_place_are_both() -> None:
    region = region_of((0.4, 0.4, 0.6, 0.6), Place(point_mm=(1.0, 2.0, 3.0), size_mm=0.5), score=0.93)
    said = replace(BAD, defects=(Defect("missing thread", "critical", 0, (0.35, 0.35, 0.55, 0.6), "smooth"),))
    inspection = judge(said, evidence_of(0.95, regions=(region,)))
    assert len(inspection.defects) == 1
    defect = inspection.defects[0]
    assert (defect.type, defect.source, defect.point_mm, defect.size_mm) == (
        "missing thread",
        "both",
        (1.0, 2.0, 3.0),
        0.5,
    )
    assert defect.box_xyxyn == region.box_xyxyn
    assert defect.description == "smooth"


def test_a_box_elsewhere_is_the_models_alone_and_the_region_the_heatmaps() -> None:
    region = region_of((0.7, 0.7, 0.8, 0.8))
    said = replace(BAD, defects=(Defect("bent", "major", 0, (0.2, 0.2, 0.3, 0.3)),))
    inspection = judge(said, evidence_of(0.95, regions=(region,)))
    assert {(d.type, d.source) for d in inspection.defects} == {
        ("bent", "model"),
        ("deviation from the references", "heatmap"),
    }
    assert next(d for d in inspection.defects if d.source == "model").source_xyxy == pytest.approx((200, 200, 300, 300))


def test_a_box_around_everything_points_at_nothing() -> None:
    region = region_of((0.7, 0.7, 0.8, 0.8))
    said = replace(BAD, defects=(Defect("bent", "major", 0, (0.0, 0.0, 1.0, 1.0)),))
    assert {d.source for d in judge(said, evidence_of(0.95, regions=(region,))).defects} == {"model", "heatmap"}


@pytest.mark.parametrize(
    ("region", "maps"),
    [
        (region_of((0.7, 0.7, 0.8, 0.8), calibrated=False), (map_of(0.05),)),
        (region_of((0.7, 0.7, 0.8, 0.8), score=0.3), (map_of(0.05),)),
        (region_of((0.7, 0.7, 0.8, 0.8), score=0.8), (map_of(0.05),)),
    ],
)
def test_regions_inside_the_tolerance_are_no_defects(region: Region, maps: tuple[AnomalyMap, ...]) -> None:
    assert judge(FINE, evidence_of(maps=maps, regions=(region,))).defects == ()


def test_failed_checks_are_defects_by_the_vocabulary() -> None:
    assert defects_of(FINE, evidence_of(measurements=(length(18.2), DARK))) == [
        ("short", "measurement", "critical"),
        ("shine out of limits", "measurement", "minor"),
    ]
    defect = judge(FINE, evidence_of(measurements=(length(18.2), BRIGHT))).defects[0]
    assert (defect.box_xyxyn, defect.view, defect.description) == (None, None, "18.2 mm")


def test_only_a_length_is_short() -> None:
    check = Check(measure="width", min=6.9)
    book = RuleBook(class_name="x", rules=(Rule(id="head", text="Head 7 mm.", check=check),), defects=("short", "dent"))
    failed = Measurement("head", "width", 6.0, "mm", False, "6 mm < 6.9 mm")
    assert [d.type for d in judge(FINE, evidence_of(measurements=(failed,)), book=book).defects] == ["too small"]


def test_a_failed_deviation_shows_where() -> None:
    book = RuleBook(
        class_name="x", rules=(Rule(id="form", text="True to form.", check=Check(measure="max_deviation", max=0.2)),)
    )
    failed = Measurement("form", "max_deviation", 0.8, "mm", False, "0.8 mm > 0.2 mm")
    region = region_of((0.1, 0.5, 0.2, 0.6), Place(point_mm=(1.0, 1.0, 1.0)), source="deviation")
    evidence = evidence_of(0.95, measurements=(failed,), regions=(region,))
    measured = next(d for d in judge(BAD, evidence, book=book).defects if d.source == "measurement")
    assert (measured.box_xyxyn, measured.point_mm) == (region.box_xyxyn, (1.0, 1.0, 1.0))


def test_ignored_areas_swallow_the_models_boxes() -> None:
    said = replace(BAD, defects=(Defect("dent", "major", 0, (0.4, 0.0, 0.5, 0.15)),))
    inspection = judge(said, evidence_of(maps=()))
    assert inspection.defects == ()
    assert inspection.outcome == "REVIEW"
    assert any("ignored area" in reason for reason in inspection.review_reasons)
    assert any("do not count" in note for note in inspection.notes)


def test_one_defect_seen_on_two_views_of_a_scan_is_one() -> None:
    views = (view_of(Solid(0.0)), view_of(Solid(0.4)))
    near, again = region_of((0.5, 0.5, 0.55, 0.55)), region_of((0.51, 0.5, 0.56, 0.55), view=1, score=0.99)
    far = region_of((0.1, 0.8, 0.15, 0.85), view=1)
    regions = tuple(replace(r, place=views[r.view].origin.locate(r.box_xyxyn)) for r in (near, again, far))
    maps = (map_of(0.99), map_of(0.99, view=1))
    found = judge(BAD, evidence_of(maps=maps, regions=regions), views=views).defects
    assert [(d.view, d.score) for d in found] == [(1, 0.99), (1, 0.9)]
    assert len(found) == 2


def test_a_defect_that_stays_over_neighbouring_frames_is_one() -> None:
    panes = tuple(Pane((25 * i, 0, 25 * i + 25, 100)) for i in range(4))
    view = view_of(Clip(), kind="frames", panes=panes)
    boxes: list[BoxXyxyn] = [(0.05, 0.4, 0.15, 0.6), (0.3, 0.4, 0.4, 0.6), (0.85, 0.4, 0.95, 0.6)]
    regions = tuple(region_of(box, Clip().locate(box), score=0.9 - i / 100) for i, box in enumerate(boxes))
    found = judge(BAD, evidence_of(0.99, regions=regions), views=(view,)).defects
    assert sorted(d.time_s or 0.0 for d in found) == [0.0, 3.0]


def test_an_event_of_a_clip_is_one_defect_however_long_it_lasts() -> None:
    panes = tuple(Pane((25 * i, 0, 25 * i + 25, 100)) for i in range(4))
    view = view_of(Clip(), kind="frames", panes=panes)
    boxes: list[BoxXyxyn] = [(0.05, 0.4, 0.15, 0.6), (0.85, 0.4, 0.95, 0.6)]
    regions = tuple(region_of(box, Clip().locate(box), score=0.9 - i / 100) for i, box in enumerate(boxes))
    frames = [one.place.frame or 0 for one in regions]
    event = ClipEvent(frames[0], frames[0], frames[1], 0.0, 0.0, 3.0, 0.9, boxes[0], "motion", "it moves")
    curve = FrameCurve(None, np.zeros(200), (event,))
    evidence = replace(evidence_of(0.99, regions=regions), curve=curve)
    assert [d.time_s for d in judge(BAD, evidence, views=(view,)).defects] == [0.0]
    apart = replace(curve, events=(replace(event, last=frames[0]),))
    assert len(judge(BAD, replace(evidence, curve=apart), views=(view,)).defects) == 2


def test_a_defect_on_the_whole_view_and_on_a_tile_is_one() -> None:
    place = Place(source_xyxy=(100.0, 100.0, 140.0, 140.0))
    whole = region_of((0.1, 0.2, 0.14, 0.24), place)
    tile = region_of((0.4, 0.4, 0.6, 0.6), replace(place, source_xyxy=(105.0, 100.0, 138.0, 141.0)), view=1)
    views = (view_of(Flat()), view_of(Flat()))
    assert len(judge(BAD, evidence_of(0.95, regions=(whole, tile)), views=views).defects) == 1


def test_the_worst_defect_comes_first() -> None:
    boxes: list[BoxXyxyn] = [(x, 0.5, x + 0.05, 0.55) for x in (0.1, 0.3, 0.5, 0.7)]
    severities = ("minor", "critical", "major", "critical")
    named = tuple(
        Defect(f"d{i}", severity, 0, box, score=0.5 + i / 10)  # type: ignore[arg-type] # plain str
        for i, (severity, box) in enumerate(zip(severities, boxes, strict=True))
    )
    assert [d.type for d in judge(replace(BAD, defects=named), evidence_of(maps=())).defects] == [
        "d3",
        "d1",
        "d2",
        "d0",
    ]


@pytest.mark.parametrize(
    ("note", "vocabulary", "word"),
    [
        ("0.82 mm above the reference", ("scratch", "contamination"), "contamination"),
        ("0.82 mm above the reference", ("bent", "contamination"), "surface above the reference"),
        ("0.30 mm below the reference", ("missing thread", "contamination"), "missing thread"),
        ("0.30 mm below the reference", ("missing thread", "dent"), "surface below the reference"),
        ("material missing, up to 0.40 mm of the reference", ("missing thread", "scratched"), "material missing"),
        ("material missing, up to 0.40 mm of the reference", ("missing thread", "stain"), "missing thread"),
        ("0.40 mm away from the reference", ("missing thread",), "deviation from the references"),
        ("", ("missing thread",), "deviation from the references"),
    ],
)
def test_a_region_is_named_no_further_than_the_evidence_goes(note: str, vocabulary: tuple[str, ...], word: str) -> None:
    book = BOOK.model_copy(update={"defects": vocabulary})
    region = region_of((0.7, 0.7, 0.8, 0.8), note=note)
    assert judge(BAD, evidence_of(0.95, regions=(region,)), book=book).defects[0].type == word


def test_severity_follows_the_rule_that_the_word_bears_on() -> None:
    region = region_of((0.7, 0.7, 0.8, 0.8), defect_type="missing thread")
    assert judge(BAD, evidence_of(0.95, regions=(region,))).defects[0].severity == "critical"


# --- laws ----------------------------------------------------------------------------------------------------------

UNIT = st.floats(0, 1)
STATUS = st.sampled_from(["pass", "fail", "cannot_tell"])
VERDICTS = st.builds(
    lambda anomalous, p, thread, straight, doubts: Verdict(
        anomalous, "r", p, rules=rules_with(thread_complete=thread, straight=straight), doubts=doubts
    ),
    st.booleans(), st.none() | UNIT, STATUS, STATUS, st.sampled_from([(), (), ("torn",)]),
)  # fmt: skip
THRESHOLDS = st.builds(
    lambda ends, model, heat: Thresholds(min(ends), max(ends), model, heat), st.tuples(UNIT, UNIT), UNIT, UNIT
)
MEASURED = st.sampled_from([GOOD, (length(None), BRIGHT), (length(20.0), DARK)])


@given(st.just(UNREADABLE), st.none() | UNIT, THRESHOLDS, MEASURED)
@settings(max_examples=100, deadline=None)
def test_an_unreadable_reply_is_always_review(
    opinion: ParseError, p: float | None, thresholds: Thresholds, measured: tuple[Measurement, ...]
) -> None:
    assert judge(opinion, evidence_of(p, measurements=measured), thresholds).outcome == "REVIEW"


@given(VERDICTS | st.just(UNREADABLE), st.none() | UNIT, THRESHOLDS, st.sampled_from(["model", "evidence"]))
@settings(max_examples=150, deadline=None)
def test_a_failed_critical_check_is_always_ng(
    opinion: Verdict | ParseError, p: float | None, thresholds: Thresholds, source: VerdictSource
) -> None:
    opinion = replace(opinion, source=source) if isinstance(opinion, Verdict) else opinion
    inspection = judge(opinion, evidence_of(p, measurements=(length(18.2), BRIGHT)), thresholds)
    assert inspection.outcome == "NG"
    assert 0.5 <= inspection.score <= 1.0


@given(VERDICTS, st.none() | UNIT, THRESHOLDS, MEASURED)
@settings(max_examples=300, deadline=None)
def test_ok_is_never_given_in_doubt(
    verdict: Verdict, p: float | None, thresholds: Thresholds, measured: tuple[Measurement, ...]
) -> None:
    inspection = judge(verdict, evidence_of(p, measurements=measured), thresholds)
    assert 0.0 <= inspection.score <= 1.0
    assert bool(inspection.review_reasons) == (inspection.outcome == "REVIEW")
    if inspection.outcome == "OK":
        assert not verdict.anomalous
        assert not verdict.doubts
        assert measured == GOOD
        assert p is None or p < 0.5
        assert next(rule.status for rule in inspection.rules if rule.id == "thread-complete") == "pass"
        assert inspection.score <= thresholds.ok_below


@given(VERDICTS, st.tuples(UNIT, UNIT), THRESHOLDS, MEASURED)
@settings(max_examples=300, deadline=None)
def test_a_hotter_map_never_helps_the_part(
    verdict: Verdict, pair: tuple[float, float], thresholds: Thresholds, measured: tuple[Measurement, ...]
) -> None:
    colder, hotter = (judge(verdict, evidence_of(p, measurements=measured), thresholds) for p in (min(pair), max(pair)))
    assert OUTCOMES.index(colder.outcome) <= OUTCOMES.index(hotter.outcome)
    assert colder.score <= hotter.score + 1e-12


def test_a_failed_size_takes_the_place_where_the_scan_deviates_most() -> None:
    tip = region_of((0.4, 0.4, 0.6, 0.6), Place(point_mm=(10.0, 10.0, 0.0)), source="deviation", score=0.99)
    hot = replace(map_of(0.99, source="deviation"), unit="mm")
    found = judge(measured(BAD), evidence_of(maps=(hot,), regions=(tip,), measurements=(length(18.2), BRIGHT))).defects
    assert [(d.type, d.source, d.point_mm) for d in found] == [("short", "measurement", (10.0, 10.0, 0.0))]


@pytest.mark.parametrize(
    ("count", "reason"), [(0, "there is no reference"), (1, "give more normal ones"), (4, "not every view")]
)
def test_a_comparison_that_cannot_decide_says_why(count: int, reason: str) -> None:
    open_rules = RuleBook(class_name="part")
    found = judge(measured(FINE), evidence_of(None, reference_count=count, measurements=()), book=open_rules)
    assert found.outcome == "REVIEW"
    assert any(reason in line for line in found.review_reasons), found.review_reasons


@pytest.mark.parametrize(
    ("log_score", "said"), [(0.6, "below the bound of NG"), (-0.5, "but a place exceeds its own bound")]
)
def test_a_hot_place_of_a_part_that_is_not_ng_is_told_in_one_way(log_score: float, said: str) -> None:
    sensitivity = record_sensitivity(
        ["stain"] * 8, np.linspace(0.05, 0.2, 8), np.arange(8) < 7,
        references=4, earns_ok=True, matters=(0.05, 0.2), missed=0.1, unit_per_share=None,
    )  # fmt: skip
    standing = Standing(log_score=log_score, ok_below=0.0, ng_above=1.0, slope=2.0, even=0.5, sensitivity=sensitivity)
    evidence = evidence_of(standing=standing, regions=(region_of((0.4, 0.4, 0.6, 0.6)),))
    found = judge(judge_evidence(evidence, BOOK, (view_of(Flat()),)), evidence)
    assert found.outcome == "REVIEW"
    assert "a place exceeds its own bound" in found.review_reasons
    assert "the heatmap exceeds its tolerance" not in found.review_reasons
    assert said in found.reasoning
    assert "On every view the part stays inside" not in found.reasoning


@pytest.mark.parametrize(("p", "outcome", "status"), [(0.01, "OK", "pass"), (0.45, "REVIEW", "cannot_tell")])
def test_likeness_passes_a_rule_with_an_earned_ok_alone(p: float, outcome: str, status: str) -> None:
    book = RuleBook(class_name="nut", rules=(Rule(id="clean", text="No stains.", by="likeness"),))
    evidence = evidence_of(p, measurements=())
    found = judge(judge_evidence(evidence, book, (view_of(Flat()),)), evidence, book=book)
    assert (found.outcome, found.rules[0].status) == (outcome, status)
    assert ("so surely" in found.rules[0].reason) == (status == "cannot_tell")


def standing_at(log_score: float) -> Standing:
    sensitivity = record_sensitivity(
        ["stain"] * 8, np.linspace(0.05, 0.2, 8), np.arange(8) < 7,
        references=4, earns_ok=True, matters=(0.05, 0.2), missed=0.1, unit_per_share=None,
    )  # fmt: skip
    return Standing(log_score=log_score, ok_below=0.0, ng_above=1.0, slope=2.0, even=0.5, sensitivity=sensitivity)


@pytest.mark.parametrize(
    ("ok_below", "ng_above", "outcome", "said"),
    [
        (0.1, 0.5, "NG", "exceeds the bound of NG of the calibration file"),
        (0.1, 0.9, "REVIEW", "below the bound of NG of the calibration file, but not inside that of OK"),
        (0.8, 0.9, "OK", "stays inside the bound of OK of the calibration file"),
    ],
)
def test_offline_words_and_answers_follow_the_bounds_of_a_calibration(
    ok_below: float, ng_above: float, outcome: str, said: str
) -> None:
    thresholds = Thresholds(ok_below=ok_below, ng_above=ng_above, calibrated=True)
    evidence = evidence_of(standing=standing_at(0.6))
    for question in ("Is this part OK?", "Ist das Teil in Ordnung?"):
        opinion = judge_evidence(evidence, BOOK, (view_of(Flat()),), question, None, thresholds)
        found = judge(opinion, evidence, thresholds)
        assert found.outcome == outcome
        assert said in found.reasoning
        assert found.answer.startswith(f"{outcome}, P(anom")
        assert all(one.rstrip(".") in found.answer for one in found.review_reasons) or question.startswith("Ist")
        assert ("REVIEW" in found.answer) == (outcome == "REVIEW")


@pytest.mark.parametrize(
    ("log_score", "said"),
    [(0.6, "by its score the part is not inside the bound of OK"), (-0.5, "a place exceeds its own bound")],
)
def test_rules_in_words_of_a_review_by_bounds_do_not_say_like_the_references(log_score: float, said: str) -> None:
    book = RuleBook(class_name="screw", rules=(Rule(id="hole", text="No holes.", severity="critical"),))
    cold = replace(map_of(0.2), normal_peaks=())
    evidence = evidence_of(standing=standing_at(log_score), maps=(cold,), regions=(region_of((0.4, 0.4, 0.6, 0.6)),))
    opinion = judge_evidence(evidence, book, (view_of(Flat()),), "Is it OK?", None, Thresholds())
    found = judge(opinion, evidence, book=book)
    assert found.outcome == "REVIEW"
    assert "Region 1" in found.answer
    assert "No place exceeds" not in found.answer
    assert "Not above its tolerance" not in found.answer
    assert said in found.rules[0].reason
    assert "Hottest place: view 0 (whole), 50 % from the left and 50 % from the top, P(anomalous) 0.90." in (
        found.reasoning
    )
    assert "No place exceeds" not in found.reasoning


def test_a_review_without_a_place_and_without_any_ok_does_not_say_that_the_part_stands_out() -> None:
    book = RuleBook(class_name="screw", rules=(Rule(id="hole", text="No holes.", severity="critical"),))
    evidence = evidence_of(standing=standing_at(-2.0))
    thresholds = Thresholds(ok_below=0.0, ng_above=0.9, calibrated=True)
    opinion = judge_evidence(evidence, book, (view_of(Flat()),), "What is wrong?", None, thresholds)
    found = judge(opinion, evidence, thresholds, book=book)
    assert found.outcome == "REVIEW"
    assert found.rules[0].reason == "Not read by a model, and no part of this class can be OK by its score."
    assert "No single place exceeds its own bound; it is the score of the part in all" in found.reasoning
    assert "No place exceeds" not in found.answer + found.reasoning
    assert "To review: " in found.answer


def test_one_reference_is_no_view_that_could_not_be_compared() -> None:
    evidence = replace(evidence_of(maps=(replace(map_of(0.2), tolerance=None),)), reference_count=1)
    found = judge_evidence(evidence, BOOK, (view_of(Flat()),), None, None, Thresholds())
    assert "One reference does not tell how much normal parts differ" in found.reasoning
    assert "every view" not in found.reasoning + "".join(one.reason for one in found.rules)


def test_a_score_between_the_usual_thresholds_is_not_told_as_inside() -> None:
    evidence = evidence_of(0.45)
    opinion = judge_evidence(evidence, BOOK, (view_of(Flat()),), "Is this part OK?", None, Thresholds())
    found = judge(opinion, evidence)
    assert found.outcome == "REVIEW"
    assert "On every view" not in found.reasoning
    assert "not so far that it is OK" in found.reasoning
    assert found.answer.startswith("REVIEW, P(anomalous) 0.45. To review: the score 0.45 lies between")
