"""What happens in a curve and in no reference: events in seconds or samples, their channels, scores and pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.sample import Series
from converters.series import render_series
from converters.view import ViewBudget
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.localization.curves.courses import nearest_courses
from vlm_inspect.localization.curves.localizer import CurveLocalizer, FittedCurves, ScoredCurves
from vlm_inspect.localization.curves.names import channel_columns
from vlm_inspect.localization.localizer import FittedLocalizer, Localization, is_scored
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.report.frame_curve import render_curve_plot, render_curve_table

COUNT, RATE = 800, 100.0


def cycle(seed: int, *, clock: bool = True) -> Series:
    """A drive of two channels, about eight cycles at any phase, whose second follows the first."""
    rng = np.random.default_rng(seed)
    time = np.arange(COUNT) / RATE
    turn = 2 * np.pi * (time * rng.normal(1.0, 0.01) + rng.uniform(0, 1))
    current = np.exp(3 * np.cos(turn)) / 10 + rng.normal(scale=0.03, size=COUNT)
    position = 10 * np.sin(turn) + rng.normal(scale=0.2, size=COUNT)
    at = time if clock else np.arange(float(COUNT))
    return Series(
        Path("c.csv"), at, np.column_stack([current, position]), ("current", "position"), ("A", "mm"), not clock
    )


def gappy(curve: Series, first: int, last: int) -> Series:
    curve.values[first:last, 0] = np.nan
    return curve


def part(curve: Series) -> Part:
    return Part(curve, tuple(render_series(curve, ViewBudget())))


@pytest.fixture(scope="module")
def fitted() -> FittedLocalizer:
    parts = tuple(part(cycle(k)) for k in range(4))
    return CurveLocalizer().fit(ReferenceSet(parts, tuple("abcd")))


def changed(column: int, where: slice, by: float, *, seed: int = 50, clock: bool = True) -> Series:
    curve = cycle(seed, clock=clock)
    curve.values[where, column] += by
    return curve


def only_event(found: Localization) -> tuple[str, ...]:
    assert found.sample_curve is not None
    (event,) = found.sample_curve.events
    return event.channels


def test_a_shifted_level_is_one_event_of_its_channel_with_its_times(fitted: FittedLocalizer) -> None:
    found = fitted.localize(part(changed(1, slice(300, 400), 6.0)))
    assert found.sample_curve is not None
    (event,) = found.sample_curve.events
    assert event.channels == ("position",)
    assert event.first_s == pytest.approx(3.0, abs=0.3)
    assert 2.9 <= event.peak_s <= 4.1
    assert event.last_s == pytest.approx(4.0, abs=0.3)
    assert event.score > 0.5 > found.sample_curve.scores[600]
    assert len(found.sample_curve.scores) == COUNT
    assert f"Event 1: {event.span}, position" in found.notes[0]


def test_channels_that_no_longer_belong_together_are_an_event(fitted: FittedLocalizer) -> None:
    curve = cycle(51)
    late = np.roll(curve.values[:, 1], 25)[300:500]  # each channel alone is as in a normal curve
    curve.values[300:500, 1] = late
    found = fitted.localize(part(curve))
    assert found.sample_curve is not None
    assert any(2.5 <= event.peak_s <= 5.5 for event in found.sample_curve.events)


def test_without_a_clock_events_are_told_in_samples() -> None:
    references = ReferenceSet(tuple(part(cycle(k, clock=False)) for k in range(4)))
    found = CurveLocalizer().fit(references).localize(part(changed(0, slice(500, 580), 1.2, clock=False)))
    assert found.sample_curve is not None
    (event,) = found.sample_curve.events
    assert (event.first_s, event.peak_s, event.last_s) == (None, None, None)
    assert 480 <= event.first <= event.peak <= event.last <= 600
    assert event.span.startswith("samples ")


def test_normal_curves_of_any_phase_have_no_events_and_known_scores(fitted: FittedLocalizer) -> None:
    assert is_scored(fitted)
    normal = [fitted.localize(part(cycle(60 + k))) for k in range(6)]
    assert sum(len(one.sample_curve.events) for one in normal if one.sample_curve is not None) <= 1
    assert all(one.log_scores is not None and one.log_scores[0] < fitted.level.max() + 0.7 for one in normal)
    assert all(not one.pictures for one in normal if one.sample_curve is not None and not one.sample_curve.events)


def test_the_picture_marks_the_event_where_it_is(fitted: FittedLocalizer) -> None:
    one = part(changed(1, slice(300, 400), 6.0))
    (picture,) = fitted.localize(one).pictures
    assert picture.kind == "deviation"
    assert "events marked" in picture.label
    differs = (picture.image != one.views[0].image).any(axis=2)
    tinted = np.flatnonzero(differs.mean(axis=0) > 0.2)
    seconds = [one.views[0].origin.locate((x / 900, 0, x / 900, 1)).time_s for x in (tinted[0], tinted[-1])]
    assert seconds == pytest.approx([3.0, 4.0], abs=0.4)


def test_scores_without_a_reference_are_those_of_the_others(fitted: FittedLocalizer) -> None:
    assert isinstance(fitted, ScoredCurves)
    first = part(cycle(0))
    assert fitted.score([first], without=0)[0] == pytest.approx(fitted.level[0])
    assert fitted.score([first])[0] < fitted.level[0]  # it is among those that it is held against
    two = CurveLocalizer().fit(ReferenceSet(tuple(part(cycle(k)) for k in range(2)), tuple("ab")))
    assert is_scored(two)
    assert np.isfinite(two.level).all()


def test_one_reference_sets_no_events_and_says_so() -> None:
    found = CurveLocalizer().fit(ReferenceSet((part(cycle(0)),))).localize(part(changed(1, slice(300, 400), 6.0)))
    assert (found.sample_curve, found.log_scores) == (None, None)
    assert "give two at least" in found.notes[0]


def test_a_curve_in_step_that_ends_early_is_an_event_at_its_end() -> None:
    def stroke(seed: int) -> Series:
        rng = np.random.default_rng(seed)
        time = np.arange(COUNT) / RATE
        force = sum(5 * np.exp(-(((time - at) / 0.4) ** 2)) for at in (2.0, 5.0)) + rng.normal(scale=0.05, size=COUNT)
        return Series(Path("p.csv"), time, force[:, None], ("force",), ("kN",))

    fitted = CurveLocalizer().fit(ReferenceSet(tuple(part(stroke(k)) for k in range(4))))
    whole = stroke(9)
    cut = replace(whole, time_s=whole.time_s[:400], values=whole.values[:400])
    found = fitted.localize(part(cut))
    assert found.sample_curve is not None
    assert found.sample_curve.events[-1].last >= 380
    assert "ends before" in found.sample_curve.events[-1].note
    (picture,) = found.pictures
    assert "nearest reference in green" in picture.label


@pytest.mark.parametrize("reach", [None, 30])
def test_courses_are_the_distances_of_a_direct_computation(reach: int | None) -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 90)).astype(np.float32), rng.normal(size=(2, 120)).astype(np.float32)
    found = nearest_courses(one, other, 20, reach=reach)
    for row, start in enumerate(found.starts):
        starts = [s for s in range(101) if reach is None or abs(s - start) <= reach]
        gaps = np.array([((one[:, start : start + 20] - other[:, s : s + 20]) ** 2).mean(axis=1) for s in starts])
        assert found.single[row] == pytest.approx(np.sqrt(gaps.min(axis=0) + 1e-4), abs=1e-3)
        assert found.together[row].max() == pytest.approx(np.sqrt(gaps.mean(axis=1).min() + 1e-4), abs=1e-3)


def test_the_table_and_the_plot_of_a_curve_have_a_score_for_every_sample(fitted: FittedLocalizer) -> None:
    curve = fitted.localize(part(changed(1, slice(300, 400), 6.0))).sample_curve
    assert curve is not None
    lines = render_curve_table(curve).decode().splitlines()
    assert (lines[0], len(lines)) == ("sample,time_s,score", COUNT + 1)
    sample, time_s, score = lines[1 + 350].split(",")
    assert (sample, time_s) == ("350", "3.5")
    assert float(score) > 0.5
    assert render_curve_plot(curve).startswith(b"\x89PNG")


def test_strokes_whose_trigger_comes_early_or_late_are_laid_onto_each_other() -> None:
    def stroke(seed: int, late: float, *, second: float = 3.0) -> Series:
        rng = np.random.default_rng(seed)
        time = np.arange(COUNT) / RATE
        force = rng.normal(scale=0.05, size=COUNT)
        for at, height in ((2.0, 5.0), (4.5, second)):
            force += height * np.exp(-(((time - at - late) / 0.4) ** 2))
        return Series(Path("p.csv"), time, force[:, None], ("force",), ("kN",))

    lags = (0.0, 0.7, -0.6, 0.4, -0.3)
    fitted = CurveLocalizer().fit(ReferenceSet(tuple(part(stroke(k, late)) for k, late in enumerate(lags))))
    assert isinstance(fitted, FittedCurves | ScoredCurves)

    def events(curve: Series) -> int:
        found = fitted.localize(part(curve)).sample_curve
        assert found is not None
        return len(found.events)

    assert [events(stroke(20 + k, late)) for k, late in enumerate((0.5, -0.5))] == [0, 0]
    assert events(stroke(30, 0.5, second=0.0)) == 1  # the second stroke is missing
    assert events(stroke(31, 1.7)) >= 1  # later than any normal one


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (cycle(50, clock=False), "no clock"),
        (replace(cycle(50), time_s=1000 * cycle(50).time_s), "1000 times as far apart"),
        (replace(cycle(50), units=("kA", "mm")), "in kA"),
        (replace(cycle(50), time_s=cycle(50).time_s[:300], values=cycle(50).values[:300]), "37% of the length"),
        (
            replace(cycle(50), names=("torque", "angle")),
            "lacks current, position of its references; it has",
        ),
        (replace(cycle(50), names=("", "")), "The curve's channels have no names: matched by their order"),
        (gappy(cycle(50), 200, 260), "60 samples of current are missing, more in a row"),
        (gappy(cycle(50), 400, 401), "1 sample of current is missing"),
    ],
)
def test_what_cannot_be_compared_is_said_and_never_normal(fitted: FittedLocalizer, curve: Series, said: str) -> None:
    found = fitted.localize(part(curve))
    assert said in found.mismatch
    assert found.log_scores is None
    assert all(one.tolerance is None or (one.probability or 0.0) >= 0.5 for one in found.maps)


def test_names_match_whatever_their_case_and_a_gap_has_no_score(fitted: FittedLocalizer) -> None:
    assert fitted.localize(part(replace(cycle(51), names=("Current ", "POSITION")))).log_scores is not None
    found = fitted.localize(part(gappy(cycle(51), 300, 340)))
    assert found.sample_curve is not None
    assert np.flatnonzero(np.isnan(found.sample_curve.scores)).tolist() == list(range(300, 340))
    assert render_curve_table(found.sample_curve).decode().splitlines()[1 + 310] == "310,3.1,"


def test_channels_of_slower_sensors_lack_no_samples() -> None:
    def slow(seed: int) -> Series:
        curve = cycle(seed)
        curve.values[np.arange(COUNT) % 5 != seed % 5, 1] = np.nan
        return curve

    fitted = CurveLocalizer().fit(ReferenceSet(tuple(part(slow(k)) for k in range(3)), tuple("abc")))
    assert fitted.localize(part(slow(52))).log_scores is not None
    assert "1 sample of current is missing" in fitted.localize(part(gappy(slow(52), 9, 10))).mismatch


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ("current", "torque")}, "it has the channels current, torque, and the other current, position"),
        ({"time_is_index": True}, "one of them has a clock, and the other has none"),
        ({"values": np.full((COUNT, 2), np.nan)}, "it has not one value of current, position"),
    ],
)
def test_a_reference_unlike_the_first_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    other = replace(cycle(3), path=Path("other.csv"), **change)
    with pytest.raises(ReferenceSampleError, match=f"other.csv is no reference beside c.csv: {said}"):
        CurveLocalizer().fit(ReferenceSet(tuple(part(one) for one in (cycle(0), cycle(1), other))))


@pytest.mark.parametrize(
    ("names", "wanted", "columns"),
    [
        (("a", "b", "c"), ("c", "a"), (2, 0)),
        (("x", "a", "b"), ("a", "b", "c"), None),  # one name stands for no other
        (("", ""), ("a", "b"), (0, 1)),
        (("",), ("a", "b"), None),
        (("x", "x"), ("x", "x"), (0, 1)),
        (("Force_1", "b"), ("b", "force 1"), (1, 0)),
        (("A", "a"), ("a", "A"), (1, 0)),
    ],
)
def test_channels_are_found_by_name_and_by_order_only_without_names(
    names: tuple[str, ...], wanted: tuple[str, ...], columns: tuple[int, ...] | None
) -> None:
    assert channel_columns(names, wanted) == columns
