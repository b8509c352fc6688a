"""`measure`: values against bounds, in words; what cannot be measured is never a pass."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.sample import ImageSample, PointCloud, Sample, Series
from tests.measurement.screw_parts import cloud, moved, rigid, screw
from vlm_inspect.evidence import Measurement
from vlm_inspect.measured_checks import measure
from vlm_inspect.measurement.registry import MEASURES, known_measures
from vlm_inspect.rules import Check, Rule

TIME = np.arange(0.0, 4.0, 0.01)


def check(name: str, sample: Sample, references: list[Sample] | None = None, **bounds: object) -> Measurement:
    rule = Rule(id="r", text="t", check=Check(measure=name, **bounds))
    return measure(rule, sample, references or [], unit="mm")


def box(length: float) -> PointCloud:
    """A box's corners and face points; its length is exact."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (900, 3))
    points[np.arange(900), rng.integers(0, 3, 900)] = rng.integers(0, 2, 900)
    return cloud(points * [length, 5, 2])


def curve(*channels: np.ndarray, is_index: bool = False) -> Series:
    names = tuple("xyz"[: len(channels)])
    return Series(Path("a.csv"), TIME, np.column_stack(channels), names, ("g",) * len(names), time_is_index=is_index)


def picture(level: int) -> np.ndarray:
    return np.full((20, 30, 3), level, dtype=np.uint8)


@pytest.mark.parametrize(
    ("length", "passed", "words"),
    [
        (18.2, False, "18.2 mm < 19.7 mm"),
        (20.01, True, "20.01 mm within 19.7 to 20.3 mm"),
        (20.5, False, "20.5 mm > 20.3 mm"),
        (19.69996, False, "19.69996 mm < 19.7 mm"),
    ],
)
def test_a_length_against_two_bounds(length: float, passed: bool, words: str) -> None:
    found = check("length", box(length), min=19.7, max=20.3)
    assert (found.passed, found.reason, found.unit) == (passed, words, "mm")
    assert found.value == pytest.approx(length)
    assert (found.rule_id, found.measure) == ("r", "length")


def test_one_bound_and_a_plain_number() -> None:
    assert check("length", box(20), max=30).reason == "20 mm <= 30 mm"
    assert check("hole_count", box(20), min=1).reason == "0 < 1"
    assert check("brightness", ImageSample(Path("a.png"), (picture(80),)), min=50).reason == "80 >= 50"


def test_the_unit_of_a_rule_book_is_the_unit_of_the_scan() -> None:
    rule = Rule(id="r", text="t", check=Check(measure="length", min=1))
    assert measure(rule, box(20), unit="inch").reason == "20 inch >= 1 inch"
    volume = measure(rule.model_copy(update={"check": Check(measure="volume", min=1)}), box(20), unit="inch")
    assert (volume.passed, volume.value, volume.unit) == (None, None, "inch^3")
    assert "without triangles" in volume.reason


def test_the_wrong_kind_of_input_cannot_be_measured() -> None:
    found = check("length", curve(TIME), min=1)
    assert (found.passed, found.value) == (None, None)
    assert found.reason == "length is measured on scans, not on this kind of input"


def test_the_worst_channel_counts_unless_one_is_named() -> None:
    two = curve(np.sin(9 * TIME), 3 * np.sin(9 * TIME))
    assert check("max", two, max=2).reason.startswith("y: 3 g > 2 g")
    assert check("max", two, max=2, channel="x").passed
    assert check("max", two, max=2, channel=" X ").passed  # whatever its case
    named = check("max", two, max=2, channel="w")
    assert (named.passed, named.reason) == (None, "the curve has no channel 'w'; it has x, y")


def test_a_channel_that_cannot_be_measured_is_named() -> None:
    found = check("dominant_frequency", curve(np.sin(9 * TIME), np.ones(len(TIME))), min=1)
    assert found.passed is None
    assert found.reason.startswith("y: the curve does not change")
    index = check("dominant_frequency", curve(np.sin(9 * TIME), is_index=True), min=1)
    assert (index.passed, "no time column" in index.reason) == (None, True)


def test_the_worst_page_counts() -> None:
    pages = ImageSample(Path("a.tif"), (picture(80), picture(20)))
    assert check("brightness", pages, min=50).reason == "page 2: 20 < 50"


def test_what_compares_needs_a_reference_of_its_kind() -> None:
    red = ImageSample(Path("a.png"), (picture(80),))
    for references in ([], [curve(TIME)]):
        found = check("color_distance", red, references, max=5)
        assert (found.passed, "needs a reference" in found.reason) == (None, True)
    assert check("color_distance", red, [red], max=5).passed


def test_deviation_from_references_that_lie_elsewhere() -> None:
    references: list[Sample] = [cloud(moved(screw(i, n=3500), rigid(i))) for i in range(2)]
    normal = cloud(moved(screw(7, n=3500), rigid(7)))
    short = cloud(moved(screw(8, n=3500, defect="short"), rigid(8)))
    assert check("max_deviation", normal, references, max=0.5).passed
    found = check("max_deviation", short, references, max=0.5)
    assert found.passed is False
    assert found.value == pytest.approx(1.8, abs=0.25)


def test_a_value_that_is_not_finite_is_no_pass() -> None:
    huge = curve(np.full(len(TIME), 1e200))
    with np.errstate(over="ignore"):
        found = check("rms", huge, max=1e308)
    assert (found.passed, found.value) == (None, None)
    assert "finite" in found.reason


def test_every_measure_is_listed_with_its_kind_and_what_it_is() -> None:
    listed = known_measures()
    for name, one in MEASURES.items():
        assert name in listed
        assert one.name == name
        assert one.description
        assert one.function.__doc__.splitlines()[0].endswith((".", ","))


_NUMBERS = st.integers(-(10**9), 10**9).map(lambda n: n / 1000)


@settings(max_examples=60)
@given(_NUMBERS, _NUMBERS, _NUMBERS)
def test_words_and_verdict_agree(value: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    flat = Series(Path("a.csv"), np.arange(4.0), np.full((4, 1), value), ("x",), ("V",))
    found = check("max", flat, min=low, max=high)
    assert found.passed == (low <= value <= high)
    assert ("within" in found.reason) == found.passed
    shown = float(found.reason.split()[0])
    assert (shown < low) == (value < low)
    assert (shown > high) == (value > high)
