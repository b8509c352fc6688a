"""What a heatmap without a tolerance says of a model's places: it agrees, points elsewhere, or stays open."""

from dataclasses import replace

import numpy as np
import pytest

from converters.view import BoxXyxyn, Place, View
from tests.test_fusion import BAD, FINE, GOOD, UNREADABLE, Flat, evidence_of, judge, region_of, view_of
from vlm_inspect.decision.agreement import compare_places
from vlm_inspect.evidence import AnomalyMap, Evidence, Region
from vlm_inspect.verdict import Defect, Verdict

HOT: BoxXyxyn = (0.6, 0.6, 0.8, 0.8)
WARM: BoxXyxyn = (0.1, 0.6, 0.2, 0.7)
CORNER: BoxXyxyn = (0.05, 0.15, 0.2, 0.3)


def uncalibrated(*boxes: BoxXyxyn, view: int = 0, heights: tuple[float, ...] = (5.0, 3.0)) -> Evidence:
    """Evidence of one map whose regions are these, in this order of heat."""
    values = np.zeros((100, 100), np.float32)
    regions = []
    for box, height in zip(boxes, heights, strict=False):
        one = region_of(box, Flat().locate(box), calibrated=False, source="dapo-mini", view=view, score=1.0)
        values[int(100 * one.peak_xyn[1]), int(100 * one.peak_xyn[0])] = height
        regions.append(one)
    made = AnomalyMap(view, values, float(values.max()), "dapo-mini", unit="nats")
    return Evidence(maps=(made,), regions=tuple(reversed(regions)), measurements=GOOD, localizer="dapo-mini")


def naming(*boxes: BoxXyxyn | None, view: int = 0, opinion: Verdict = BAD) -> Verdict:
    return replace(opinion, defects=tuple(Defect("dent", "major", view, box) for box in boxes))


def test_a_box_elsewhere_is_reviewed_and_both_places_are_shown() -> None:
    inspection = judge(naming(CORNER), uncalibrated(HOT, WARM))
    assert inspection.outcome == "REVIEW"
    (reason,) = inspection.review_reasons
    assert reason.startswith("the heatmap points elsewhere: its hottest place lies at x 0.60 to 0.80, y 0.60 to 0.80")
    assert "dent at x 0.05 to 0.20" in reason
    assert {(d.box_xyxyn, d.source) for d in inspection.defects} == {(CORNER, "model"), (HOT, "heatmap")}
    assert [one.box_xyxyn for one in inspection.unconfirmed] == [WARM]


@pytest.mark.parametrize("box", [HOT, (0.62, 0.63, 0.72, 0.74), (0.5, 0.5, 0.9, 0.9), (0.66, 0.58, 0.76, 0.9)], ids=str)
def test_a_box_on_the_hottest_region_is_both(box: BoxXyxyn) -> None:
    inspection = judge(naming(box), uncalibrated(HOT, WARM))
    assert inspection.outcome == "NG"
    (defect,) = inspection.defects
    assert (defect.source, defect.box_xyxyn, defect.score) == ("both", box, pytest.approx(0.95))
    assert any("heatmap agrees with the model on the place of: dent" in note for note in inspection.notes)
    assert any(
        note.startswith("unconfirmed: the uncalibrated heatmap also points at x 0.10") for note in inspection.notes
    )


def test_a_box_on_a_lesser_region_is_supported_but_the_hottest_contradicts() -> None:
    inspection = judge(naming(WARM), uncalibrated(HOT, WARM))
    assert inspection.outcome == "REVIEW"
    assert {(d.box_xyxyn, d.source) for d in inspection.defects} == {(WARM, "both"), (HOT, "heatmap")}
    assert inspection.unconfirmed == ()


def test_one_of_several_boxes_on_the_hottest_region_is_enough() -> None:
    inspection = judge(naming(CORNER, HOT), uncalibrated(HOT, WARM))
    assert inspection.outcome == "NG"
    assert {(d.box_xyxyn, d.source) for d in inspection.defects} == {(CORNER, "model"), (HOT, "both")}


@pytest.mark.parametrize("box", [None, (0.0, 0.0, 1.0, 1.0), (0.1, 0.0, 0.9, 0.9)], ids=str)
def test_a_model_without_a_place_is_not_contradicted(box: BoxXyxyn | None) -> None:
    inspection = judge(naming(box), uncalibrated(HOT, WARM))
    assert inspection.outcome == "NG"
    assert [one.box_xyxyn for one in inspection.unconfirmed] == [HOT, WARM]
    assert all(one.source == "heatmap" and one.score == 0.5 for one in inspection.unconfirmed)


@pytest.mark.parametrize("opinion", [FINE, UNREADABLE], ids=["normal", "unreadable"])
def test_places_that_no_model_speaks_of_are_listed(opinion: Verdict) -> None:
    inspection = judge(opinion, uncalibrated(HOT, WARM))
    assert inspection.defects == ()
    assert [one.box_xyxyn for one in inspection.unconfirmed] == [HOT, WARM]
    assert inspection.unconfirmed[0].source_xyxy == (600, 600, 800, 800)


def test_an_ignored_box_names_no_place() -> None:
    inspection = judge(naming((0.6, 0.0, 0.8, 0.08)), uncalibrated(HOT))
    assert inspection.outcome == "REVIEW"  # every defect lies in an ignored area
    assert not any("elsewhere" in reason for reason in inspection.review_reasons)


@pytest.mark.parametrize("evidence", [evidence_of(0.05), evidence_of(0.95)], ids=["within", "exceeded"])
def test_what_is_calibrated_decides_alone(evidence: Evidence) -> None:
    cold = region_of(HOT, calibrated=False)
    inspection = judge(naming(CORNER), replace(evidence, regions=(cold,)))
    assert not any("elsewhere" in reason for reason in inspection.review_reasons)


def test_the_evidence_does_not_agree_with_itself() -> None:
    worded = replace(naming(HOT), source="evidence", probability=0.5)
    assert not compare_places(worded, uncalibrated(HOT), (view_of(Flat()),)).supported


class Quarter:
    """A tile: the lower right quarter of a photograph of 1000 x 1000 pixels."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        x0, y0, x1, y1 = (500 + 500 * side for side in box_xyxyn)
        return Place(source_xyxy=(x0, y0, x1, y1))


def test_views_of_one_picture_are_compared_on_it_and_ordered_by_heat() -> None:
    views: tuple[View, ...] = (view_of(Flat()), view_of(Quarter()))
    on_tile = region_of((0.2, 0.2, 0.6, 0.6), Quarter().locate((0.2, 0.2, 0.6, 0.6)), view=1, calibrated=False)
    whole = uncalibrated(CORNER, heights=(2.0,))
    tile = AnomalyMap(1, np.full((10, 10), 4.0, np.float32), 4.0, "memory")
    evidence = replace(whole, maps=(*whole.maps, tile), regions=(*whole.regions, on_tile))
    seen = compare_places(naming(HOT), evidence, views)  # the tile's region, told on the whole picture
    assert [region for _, region in seen.supported] == [on_tile]
    assert seen.elsewhere is None
    elsewhere = compare_places(naming(CORNER), evidence, views).elsewhere
    assert elsewhere is on_tile


def test_one_place_on_two_views_is_listed_once() -> None:
    views = (view_of(Flat()), view_of(Quarter()))
    on_tile = region_of((0.2, 0.2, 0.6, 0.6), Quarter().locate((0.2, 0.2, 0.6, 0.6)), view=1, calibrated=False)
    evidence = uncalibrated(HOT)
    shown: list[Region] = list(
        compare_places(FINE, replace(evidence, regions=(*evidence.regions, on_tile)), views).unconfirmed
    )
    assert shown == [evidence.regions[0]]


def test_without_a_region_nothing_is_said() -> None:
    assert judge(naming(CORNER), evidence_of(None)).outcome == "NG"
