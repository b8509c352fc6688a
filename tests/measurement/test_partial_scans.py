"""Checks of a scan that shows a piece of the part: along the sides of the whole, or not at all."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.measurement.screw_parts import cloud, screw
from vlm_inspect.evidence import Measurement
from vlm_inspect.measured_checks import measure
from vlm_inspect.measurement.partial import SeenPart
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.surface import Surface, surface
from vlm_inspect.rules import Check, Rule

Shown = Callable[[np.ndarray], np.ndarray]
LENGTH = Check(measure="length", min=19.7, max=20.3)


@pytest.fixture(scope="module")
def whole() -> Surface:
    return surface(screw(0, n=6000))


def measured(whole: Surface, points: np.ndarray, shown: Shown, check: Check) -> Measurement:
    """Return a check of the points (N, 3) that are shown."""
    scan = PosedCloud(cloud(points[shown(points)]), np.eye(4))
    scanned = shown(whole.points)
    seen = SeenPart(whole, scanned, float(scanned.mean()))
    reference = PosedCloud(cloud(whole.points), np.eye(4))
    rule = Rule(id="size", text="As drawn.", check=check)
    return measure(rule, scan.cloud, (reference.cloud,), posed=(scan, (reference,)), seen=seen)


def no_flank(points: np.ndarray) -> np.ndarray:
    return np.asarray(~((points[:, 0] > 0.3) & (points[:, 2] > 2.5) & (points[:, 2] < 15)))


@pytest.mark.parametrize(
    ("defect", "shown", "passed", "said"),
    [
        ("", no_flank, True, "within 19.7 to 20.3"),
        ("", lambda p: p[:, 0] > -0.2, True, "within 19.7 to 20.3"),
        ("", lambda p: p[:, 2] > 1.5, None, "mm, one end of it was not scanned: scan all of it"),
        ("", lambda p: (p[:, 2] > 1.5) & (p[:, 2] < 17), None, "mm, neither end of it was scanned: scan all of it"),
        ("short", no_flank, False, "< 19.7 mm"),
        ("short", lambda p: p[:, 0] > -0.2, False, "< 19.7 mm"),
    ],
    ids=["flank", "one side", "no tip", "middle", "short", "short, one side"],
)
def test_a_length_holds_where_both_ends_were_seen(
    whole: Surface, defect: str, shown: Shown, passed: bool | None, said: str
) -> None:
    found = measured(whole, screw(7, n=6000, defect=defect), shown, LENGTH)
    assert (found.passed, found.value is None) == (passed, passed is None)
    assert said in found.reason


def test_what_is_seen_may_be_too_much_already(whole: Surface) -> None:
    found = measured(whole, screw(7, n=6000), lambda p: p[:, 2] > 1.5, Check(measure="length", max=18.0))
    assert found.passed is False
    assert found.reason.startswith("at least 18.5")


def test_the_width_across_a_side_that_was_not_scanned_is_not_told(whole: Surface) -> None:
    one_side = measured(whole, screw(7, n=6000), lambda p: p[:, 0] > -0.2, Check(measure="height", min=6.5))
    assert one_side.passed is None
    assert one_side.reason.startswith("at least ")
    assert measured(whole, screw(7, n=6000), no_flank, Check(measure="height", min=6.5)).passed


def test_deviations_of_what_is_seen_count_and_holes_do_not(whole: Surface) -> None:
    limit = Check(measure="max_deviation", max=0.3)
    assert measured(whole, screw(7, n=6000, defect="dent"), no_flank, limit).passed is False
    sound = measured(whole, screw(7, n=6000), no_flank, limit)
    assert sound.passed is None
    assert "the rest was not scanned" in sound.reason
    holes = measured(whole, screw(7, n=6000), no_flank, Check(measure="hole_count", max=0))
    assert holes.passed is None
    assert "% of the part: scan all of it" in holes.reason
