"""A sensor that is wired the wrong way: told where the references show a sign, and named where nobody could tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.sample import Series
from converters.series import render_series
from converters.view import ViewBudget
from tests.localization.test_curve_deviation import motor, press
from vlm_inspect.localization.curves.deviation import signless_channels
from vlm_inspect.localization.curves.localizer import CurveLocalizer
from vlm_inspect.localization.curves.normality import NormalCurves, learn_curves
from vlm_inspect.localization.localizer import FittedLocalizer
from vlm_inspect.references import Part, ReferenceSet


def lopsided(seed: int, *, burst: float = 0.0) -> Series:
    """A running machine at any phase whose waves are steeper on one side; the second sensor sees it from behind."""
    rng = np.random.default_rng(seed)
    time = np.arange(0, 5, 1 / 500)
    turn = 2 * np.pi * 9 * time + rng.uniform(0, 6)
    x = np.sin(turn) + 0.35 * np.sin(2 * turn + 0.7) + 0.2 * rng.normal(size=len(time))
    z = -0.8 * x + 0.3 * rng.normal(size=len(time))
    x += burst * np.exp(-(((time - 2) / 0.2) ** 2))
    return Series(Path("s.csv"), time, np.column_stack([x, z]), ("x", "z"), ("g", "g"))


def turned(curve: Series, *signs: float) -> Series:
    return replace(curve, values=curve.values * signs)


def part(curve: Series) -> Part:
    views = tuple(render_series(curve, ViewBudget()))
    return Part(curve, views)


@pytest.fixture(scope="module")
def known() -> NormalCurves:
    return learn_curves([lopsided(i) for i in range(3)])


@pytest.mark.parametrize(("signs", "named"), [((-1, 1), "of x looks"), ((1, -1), "of z looks"), ((-1, -1), "of x, z")])
def test_turned_channels_are_named(known: NormalCurves, signs: tuple[float, float], named: str) -> None:
    (told,) = known.doubts(turned(lopsided(50), *signs))
    assert named in told
    assert "wired" in told


def test_normal_curves_and_bursts_are_not_turned(known: NormalCurves) -> None:
    curves = [lopsided(60 + i) for i in range(20)] + [lopsided(90, burst=size) for size in (4.0, -4.0)]
    assert [known.doubts(one) for one in curves] == [()] * len(curves)


def test_two_sensors_that_run_against_each_other_are_told_where_neither_shows_a_sign() -> None:
    def pair(seed: int) -> Series:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=2000)
        y = x + 0.2 * rng.normal(size=2000)
        return Series(Path("s.csv"), np.arange(2000) / 500, np.column_stack([x, y]), ("x", "y"), ("g", "g"))

    known = learn_curves([pair(i) for i in range(3)])
    assert known.doubts(pair(5)) == ()
    (told,) = known.doubts(turned(pair(5), 1, -1))
    assert told.startswith("x and y go against each other, and in all references together")


def test_a_course_in_step_that_is_turned_is_told() -> None:
    known = learn_curves([press(i) for i in range(4)])
    assert known.doubts(press(50)) == ()
    (told,) = known.doubts(turned(press(50), -1))
    assert "The sign of force looks turned" in told


@pytest.fixture(scope="module")
def motors() -> list[Series]:
    return [motor(i) for i in range(3)]


@pytest.fixture(scope="module")
def fitted(motors: list[Series]) -> FittedLocalizer:
    return CurveLocalizer().fit(ReferenceSet(tuple(part(one) for one in motors)))


def test_what_looks_alike_both_ways_is_named(motors: list[Series], fitted: FittedLocalizer) -> None:
    """Half a turn of a pure wave is its mirror image; beside it, twice as fast, the other channel shows its sign."""
    assert signless_channels(learn_curves(motors), motors) == ("x",)
    assert any("sign of x is turned cannot be told" in note for note in fitted.localize(part(motor(9))).notes)
    burst = fitted.localize(part(motor(9, burst_s=4.0)))
    assert not any("cannot be told" in note for note in burst.notes)  # it is no OK that needs a caveat


@pytest.mark.parametrize(("factor", "said"), [(1000.0, "1000 times as far apart"), (1e-3, "1000 times as close")])
def test_another_unit_of_time_is_said(fitted: FittedLocalizer, factor: float, said: str) -> None:
    curve = motor(9)
    found = fitted.localize(part(replace(curve, time_s=factor * curve.time_s)))
    assert f"its samples are {said}" in found.mismatch
    assert found.shows == "other clock"


def test_another_rate_is_no_other_unit(fitted: FittedLocalizer) -> None:
    found = fitted.localize(part(motor(9, rate=12000, length_s=10.0)))
    assert "samples a second" in found.mismatch
    assert found.shows == "part"
