"""A belt whose events are known: found in time and place, and none where nothing happens."""

from dataclasses import replace

import numpy as np
import pytest

from converters.clip_stretch import beginning_of
from converters.sample import VideoClip
from converters.view import ViewBudget
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.frame_curve import LIMIT, FrameCurve
from vlm_inspect.gathering import MAX_REGIONS, gather
from vlm_inspect.localization.clip_events.curve import without_beginning
from vlm_inspect.localization.clip_events.localizer import ClipLocalizer, FittedClips
from vlm_inspect.localization.composition import FittedClass, show_evidence
from vlm_inspect.localization.localizer import Localization, is_scored
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import RuleBook

from .belts import FPS, SPEED, belt, part_of, references_of, timeless


@pytest.fixture(scope="module")
def normal() -> FittedClips:
    return ClipLocalizer().fit(references_of(belt(1), belt(2), belt(3)))


def curve_of(found: Localization) -> FrameCurve:
    assert found.curve is not None
    return found.curve


def test_nothing_happens_on_a_normal_belt(normal: FittedClips) -> None:
    found = normal.localize(part_of(belt(7, 200)))
    curve = curve_of(found)
    assert curve.events == ()
    assert curve.scores.shape == (200,)
    assert np.isfinite(curve.scores).all()
    assert all(one.probability is not None and one.probability < 0.5 for one in found.maps)


def test_a_camera_that_cannot_be_followed_is_said(normal: FittedClips) -> None:
    assert normal.normal is not None
    told = "to tell whether the camera moved"
    marked = part_of(belt(8, 60, mark_at=range(30, 40)))
    assert not any(told in note for note in normal.localize(marked).notes)
    unknown = FittedClips(replace(normal.normal, anchor=None))
    assert any(told in note for note in unknown.localize(marked).notes)
    assert not any(told in note for note in unknown.localize(part_of(belt(7, 60))).notes)  # nothing rests on it


@pytest.mark.parametrize(
    ("clip", "first", "last"),
    [
        pytest.param(belt(8, 150, speeds={range(60, 90): -4.3}), 60, 90, id="reversed"),
        pytest.param(belt(8, 150, speeds={range(60, 100): 1.5}), 60, 100, id="slow"),
        pytest.param(belt(8, 150, speeds={range(60, 100): 0.0}), 60, 100, id="stopped"),
        pytest.param(belt(8, 150, missing_at=75), 55, 95, id="missing"),
        pytest.param(belt(8, 150, mark_at=range(70, 80)), 70, 80, id="foreign"),
    ],
)
def test_an_event_is_found_in_time(normal: FittedClips, clip: VideoClip, first: int, last: int) -> None:
    events = curve_of(normal.localize(part_of(clip))).events
    assert len(events) == 1
    assert first - 12 <= events[0].peak <= last + 12
    assert events[0].peak_s == pytest.approx(events[0].peak / FPS)
    assert events[0].score > LIMIT


@pytest.mark.parametrize(
    ("clip", "kind", "said"),
    [
        pytest.param(belt(6, 160, missing_at=90), "duration", "longer than", id="missing"),
        pytest.param(belt(6, 160, speeds={range(80, 110): -SPEED}), "motion", "moves there", id="reversed"),
        pytest.param(belt(6, 160, mark_at=range(80, 130)), "appearance", "looks there", id="foreign"),
    ],
)
def test_an_event_is_told_by_what_is_seen_of_it(normal: FittedClips, clip: VideoClip, kind: str, said: str) -> None:
    event = max(curve_of(normal.localize(part_of(clip))).events, key=lambda one: one.score)
    assert event.kind == kind
    assert said in event.note
    assert normal.normal is not None
    assert "sooner than" in normal.normal.behaviour.channels[-1].said


def test_few_places_that_do_not_agree_with_those_around_them_are_no_longer_state(normal: FittedClips) -> None:
    from vlm_inspect.localization.clip_events.durations import _agreed

    clocks = np.zeros((12, 20), bool)
    clocks[2:10, 3:17] = True
    clocks[0, 19] = True  # a lamp by itself
    heat = np.ones((1, 12, 20), np.float32)
    heat[0, 2, 5], heat[0, 5:10, 10:15], heat[0, 0, 19] = 1.8, 1.6, 1.7
    found = _agreed(heat, clocks)[0]
    assert found[2, 5] == pytest.approx(1.0)
    assert found[7, 12] == pytest.approx(1.6)
    assert found[0, 19] == pytest.approx(1.7)


def test_an_event_is_found_in_place(normal: FittedClips) -> None:
    found = normal.localize(part_of(belt(8, 150, mark_at=range(70, 80))))
    x0, y0, x1, y1 = curve_of(found).events[0].box_xyxyn
    assert x0 < 120 / 160 < x1
    assert y0 < 20 / 96 < y1
    assert x1 - x0 < 0.5


def test_what_moves_has_a_track() -> None:
    clip = belt(8, 150, missing_at=75)
    normal = ClipLocalizer().fit(references_of(belt(1), belt(2), belt(3)))
    (event,) = curve_of(normal.localize(part_of(clip))).events
    middles = [(point.box_xyxyn[0] + point.box_xyxyn[2]) / 2 for point in event.track]
    assert middles[-1] > middles[0]  # the gap travels with the belt


class Ranks:
    """A localizer without a tolerance that finds many places on every view."""

    name = "ranks"
    judged_by = "ranks"

    def localize(self, part: Part) -> Localization:
        maps = []
        for index, view in enumerate(part.views):
            values = np.zeros(view.size_hw, np.float32)
            for k in range(4):
                x = (2 * k + 1) * view.size_hw[1] // 9
                values[10:30, x : x + 20] = 1.0
            maps.append(AnomalyMap(index, values, 1.0, self.name))
        return Localization(maps=tuple(maps))


def test_places_of_a_localizer_without_a_tolerance_leave_room_for_an_event(normal: FittedClips) -> None:
    part = part_of(belt(8, 150, mark_at=range(70, 80)))
    fitted = FittedClass((normal, Ranks()))
    _, evidence = gather(part, ReferenceSet(), RuleBook(class_name="belt"), fitted)
    assert len(part.views) > 1
    assert len(evidence.regions) == MAX_REGIONS
    assert (evidence.regions[0].source, evidence.regions[0].calibrated) == ("events", True)
    assert any(one.source == "ranks" for one in evidence.regions)


def test_the_frames_that_are_shown_tell_the_event(normal: FittedClips) -> None:
    clip = belt(8, 150, mark_at=range(70, 80))
    fitted = FittedClass((normal,))
    shown = show_evidence(part_of(clip), fitted, ViewBudget(max_frames=12))
    frames = {cell.frame for view in shown.views for cell in view.origin.cells}  # type: ignore[attr-defined]  # a grid
    (event,) = curve_of(normal.localize(shown)).events
    assert event.peak in frames
    assert len(frames) <= 12
    assert any(frame < event.first for frame in frames)
    assert any(frame > event.last for frame in frames)
    quiet = part_of(belt(7, 150))
    assert show_evidence(quiet, fitted, ViewBudget(max_frames=12)) is quiet


def test_a_grid_scores_all_frames_of_its_stretch_not_only_those_it_shows(normal: FittedClips) -> None:
    clip = belt(8, 150, mark_at=range(70, 76))
    part = part_of(clip)
    missed = replace(part, views=part.views[:1])  # the first grid alone: its stretch is then the whole clip
    assert max(one.score for one in normal.localize(missed).maps) > 1.0


def test_the_beginning_of_a_clip_is_its_reference() -> None:
    clip = belt(8, 200, mark_at=range(120, 140))
    fitted = ClipLocalizer().fit(references_of(beginning_of(clip, 80)))
    curve = curve_of(fitted.localize(part_of(clip)))
    assert curve.normal_frames == 80
    assert [event.first > 80 for event in curve.events] == [True]
    assert 0.0 < curve.scores[:80].mean() < LIMIT  # judged without themselves, not as copies of themselves


def test_what_happens_in_the_beginning_is_no_event() -> None:
    clip = belt(8, 200)
    fitted = ClipLocalizer().fit(references_of(beginning_of(clip, 80)))
    _, curve, _ = fitted._watched(clip)
    scores = np.full((200, 5), 1.5, np.float32)  # all of it beyond the limit
    whole = replace(curve, scores=scores, heat_at=lambda frame: np.full((12, 20), 1.5, np.float32))
    rest = without_beginning(whole, 80)
    assert rest.heights[:80].max() < 1.0 < rest.heights[80:].min()
    assert rest.heat_at(79).max() < 1.0 < rest.heat_at(80).min()
    assert without_beginning(whole, 0) is whole


def test_without_a_normal_clip_nothing_is_calibrated() -> None:
    clip = belt(8, 200, mark_at=range(120, 130))
    found = ClipLocalizer().fit(references_of()).localize(part_of(clip))
    curve = curve_of(found)
    assert not curve.calibrated
    assert curve.events == ()
    assert 118 <= int(curve.scores.argmax()) <= 132
    assert all(one.tolerance is None for one in found.maps)


def test_a_clip_without_a_clock_has_frames_only() -> None:
    clip = timeless(belt(8, 200, mark_at=range(120, 140)))
    fitted = ClipLocalizer().fit(references_of(beginning_of(clip, 80)))
    curve = curve_of(fitted.localize(part_of(clip)))
    assert curve.times_s is None
    assert curve.events[0].peak_s is None
    assert curve.events[0].span.startswith("frames ")


def test_ignored_boxes_never_count() -> None:
    clip = belt(8, 150, mark_at=range(70, 80))
    subject = Subject(ignore=((0.6, 0.0, 0.9, 0.45),))
    fitted = ClipLocalizer().fit(references_of(belt(1), belt(2)), subject)
    assert curve_of(fitted.localize(part_of(clip))).events == ()


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (replace(belt(1), size_hw=(160, 160)), "another shape"),
        (replace(belt(1), fps=50.0), "frames a second"),
    ],
)
def test_what_cannot_be_compared_is_said_and_never_normal(normal: FittedClips, clip: VideoClip, said: str) -> None:
    found = normal.localize(Part(clip, part_of(belt(1)).views))
    assert found.maps == ()
    assert said in found.notes[0]


def test_few_normal_frames_teach_nothing() -> None:
    found = ClipLocalizer().fit(references_of(belt(1, 6))).localize(part_of(belt(2, 30)))
    assert found.maps == ()
    assert "too few frames" in found.notes[0]


def test_it_tells_how_references_score_without_themselves(normal: FittedClips) -> None:
    assert is_scored(normal)
    level = normal.level
    assert level.shape == (3, 1)
    assert (level < 0.0).all()  # inside the limit
    planted = belt(1, mark_at=range(40, 50))
    assert normal.score([part_of(planted)], without=0)[0, 0] > level[0, 0] + 0.3
