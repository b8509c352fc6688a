"""Curves against references: a burst is found in time, normal curves stay inside, with and without a common start."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.sample import Series
from converters.series import render_series
from converters.view import View, ViewBudget
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.curves.deviation import curve_deviation, deviation_maps, rarity_maps
from vlm_inspect.localization.curves.matching import NotComparable
from vlm_inspect.localization.curves.normality import NormalCurves, learn_curves

RATE = 200


def motor(seed: int, *, burst_s: float | None = None, length_s: float = 10.0, rate: int = RATE) -> Series:
    """A running motor: the phase is random; two channels, the burst in the second alone."""
    rng = np.random.default_rng(seed)
    time = np.arange(0, length_s, 1 / rate)
    turn = 2 * np.pi * 12 * time + rng.uniform(0, 6)
    x = np.sin(turn) + 0.15 * rng.normal(size=len(time))
    y = 0.5 * np.sin(2 * turn) + 0.15 * rng.normal(size=len(time))
    if burst_s is not None:
        y += 1.5 * np.exp(-(((time - burst_s) / 0.15) ** 2)) * np.sin(2 * np.pi * 60 * time)
    return Series(Path("motor.csv"), time, np.column_stack([x, y]), ("x", "y"), ("g", "g"))


def press(seed: int, *, at_s: float = 4.0) -> Series:
    """A press stroke: always at the same second."""
    rng = np.random.default_rng(seed)
    time = np.arange(0, 10, 1 / RATE)
    force = 5 * np.exp(-(((time - at_s) / 0.6) ** 2)) + 0.05 * rng.normal(size=len(time))
    return Series(Path("press.csv"), time, force[:, None], ("force",), ("kN",))


def maps_of(curve: Series, ready: NormalCurves, views: list[View]) -> list[AnomalyMap]:
    found = curve_deviation(curve, ready)
    return [] if isinstance(found, NotComparable) else deviation_maps(curve, found, views)


def peak_s(one: AnomalyMap, views: list[View]) -> float:
    x = int(one.values.max(axis=0).argmax()) / one.values.shape[1]
    return float(views[one.view].origin.locate((x, 0, x, 1)).time_s)


@pytest.fixture(scope="module")
def ready() -> NormalCurves:
    return learn_curves([motor(i) for i in range(4)])


@pytest.fixture(scope="module")
def views() -> list[View]:
    return render_series(motor(0), ViewBudget())


@pytest.mark.parametrize("burst_s", [0.4, 3.3, 9.7])
def test_a_burst_is_found_within_half_a_second(ready: NormalCurves, views: list[View], burst_s: float) -> None:
    (found,) = maps_of(motor(50, burst_s=burst_s), ready, views)
    assert found.probability > 0.9
    assert peak_s(found, views) == pytest.approx(burst_s, abs=0.5)
    top, bottom = views[0].origin.panels
    quiet, loud = (found.values[p.box_xyxy[1] : p.box_xyxy[3]].max() for p in (top, bottom))
    assert loud > 2 * quiet


def test_normal_curves_of_any_phase_length_and_start_stay_inside(ready: NormalCurves, views: list[View]) -> None:
    assert not ready.measure.in_step
    normal = [motor(100 + i) for i in range(6)] + [motor(120, length_s=7.0), motor(121, length_s=14.0)]
    late = motor(122)
    normal.append(Series(late.path, late.time_s + 1e6, late.values, late.names, late.units))
    for curve in normal:
        (found,) = maps_of(curve, ready, render_series(curve, ViewBudget()))
        assert found.probability < 0.5


def test_a_stroke_at_the_wrong_second_is_found_only_in_a_synchronous_class() -> None:
    ready = learn_curves([press(i) for i in range(4)])
    assert ready.measure.in_step
    views = render_series(press(0), ViewBudget())
    (late,) = maps_of(press(50, at_s=7.0), ready, views)
    (normal,) = maps_of(press(51), ready, views)
    assert late.probability > 0.9
    assert normal.probability < 0.5
    assert min(abs(peak_s(late, views) - second) for second in (4.0, 7.0)) < 1.0  # it lacks at 4 s, is there at 7 s


def test_maps_fit_the_plot_and_stay_inside_its_panels(ready: NormalCurves, views: list[View]) -> None:
    (found,) = maps_of(motor(60), ready, views)
    assert found.values.shape == views[0].size_hw
    assert found.values.dtype == np.float32
    inside = np.zeros(views[0].size_hw, dtype=bool)
    for panel in views[0].origin.panels:
        x0, y0, x1, y1 = panel.box_xyxy
        inside[y0:y1, x0:x1] = True
    assert not found.values[~inside].any()
    assert (found.values[inside] > 0).all()
    assert (found.source, found.tolerance) == ("deviation", ready.tolerance)
    assert found.nearest_reference in range(4)


def test_without_references_the_rarest_second_is_shown_uncalibrated(views: list[View]) -> None:
    (found,) = rarity_maps(motor(50, burst_s=6.0), views)
    assert (found.source, found.tolerance, found.nearest_reference) == ("rarity", None, None)
    assert peak_s(found, views) == pytest.approx(6.0, abs=0.5)


def test_one_reference_finds_the_place_and_sets_no_tolerance(views: list[View]) -> None:
    (found,) = maps_of(motor(50, burst_s=6.0), learn_curves([motor(0)]), views)
    assert found.tolerance is None
    assert peak_s(found, views) == pytest.approx(6.0, abs=0.5)


def test_channels_are_matched_by_name(ready: NormalCurves) -> None:
    curve = motor(50, burst_s=5.0)
    swapped = Series(curve.path, curve.time_s, curve.values[:, ::-1].copy(), ("y", "x"), curve.units)
    views = render_series(swapped, ViewBudget())
    (found,) = maps_of(swapped, ready, views)
    first, second = (found.values[p.box_xyxy[1] : p.box_xyxy[3]].max() for p in views[0].origin.panels)
    assert first > 2 * second
    other = Series(curve.path, curve.time_s, curve.values[:, :1], ("x",), ("g",))
    assert maps_of(other, ready, render_series(other, ViewBudget())) == []


def test_a_curve_with_another_clock_is_refused_before_it_is_resampled(ready: NormalCurves) -> None:
    curve = motor(50)
    samples = replace(curve, time_s=np.arange(len(curve.time_s), dtype=float), time_is_index=True)
    found = curve_deviation(samples, ready)
    assert isinstance(found, NotComparable)
    assert "no clock" in found.reason
    slow = curve_deviation(replace(curve, time_s=1e6 * curve.time_s), ready)  # 10^9 windows, were it resampled
    assert isinstance(slow, NotComparable)
    assert "another unit" in slow.reason
    assert slow.other_clock
    steps = np.arange(120 * len(curve.time_s)) * float(np.diff(curve.time_s[:2])[0])
    long = curve_deviation(replace(curve, time_s=steps, values=np.tile(curve.values, (120, 1))), ready)
    assert isinstance(long, NotComparable)
    assert "a part of it" in long.reason
    assert not long.other_clock


def test_what_touches_a_gap_has_no_height(ready: NormalCurves, views: list[View]) -> None:
    gappy = motor(50, burst_s=8.0)
    gappy.values[800:1100, 1] = np.nan  # 4 s to 5.5 s
    found = curve_deviation(gappy, ready)
    assert not isinstance(found, NotComparable)
    inside = (found.middles > 4.0) & (found.middles < 5.5)
    assert (found.heights[inside, 1] == 0.0).all()
    assert (found.heights[inside, 0] > 0.0).all()
    (drawn,) = deviation_maps(gappy, found, views)
    assert drawn.probability > 0.5
    assert peak_s(drawn, views) == pytest.approx(8.0, abs=0.5)  # the burst is seen still
    assert [(gap.first, gap.last) for channel in found.unseen for gap in channel] == [(800, 1099)]


def test_rows_that_are_missing_are_a_gap_of_the_clock(ready: NormalCurves, views: list[View]) -> None:
    whole = motor(50, burst_s=8.0)
    kept = np.r_[0:800, 1100 : len(whole.time_s)]  # nothing from 4 s to 5.5 s
    cut = replace(whole, time_s=whole.time_s[kept], values=whole.values[kept])
    found = curve_deviation(cut, ready)
    assert not isinstance(found, NotComparable)
    inside = (found.middles > 4.0) & (found.middles < 5.5)
    assert (found.heights[inside] == 0.0).all()
    assert any("no sample for 1.5 s after 3.995 s" in doubt for doubt in ready.traits.doubts(cut))
    assert not ready.traits.doubts(whole)


def test_a_curve_of_another_rate_is_not_compared(ready: NormalCurves) -> None:
    found = curve_deviation(motor(50, rate=100), ready)
    assert isinstance(found, NotComparable)
    assert found.reason.startswith("The curve has 100 samples a second and its references 200: not compared")
    assert not isinstance(curve_deviation(motor(50, rate=190), ready), NotComparable)


def test_a_channel_without_a_value_is_not_compared(ready: NormalCurves) -> None:
    empty = motor(50)
    empty.values[:, 0] = np.nan
    found = curve_deviation(empty, ready)
    assert isinstance(found, NotComparable)
    assert found.reason == "The curve has not one value of x: not compared."


@pytest.mark.parametrize("count", [2, 3, 20])
def test_short_curves_do_not_break_it(count: int) -> None:
    def short(seed: int) -> Series:
        rng = np.random.default_rng(seed)
        return Series(Path("s.csv"), np.arange(float(count)), rng.normal(size=(count, 1)), ("x",), ("",))

    (found,) = maps_of(short(0), learn_curves([short(1), short(2)]), render_series(short(0), ViewBudget()))
    assert np.isfinite(found.values).all()
    assert np.isfinite(found.score)
