"""Extremes, peaks and frequencies of curves with known formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_inspect.errors import MeasurementError
from vlm_inspect.measurement import series

TIME = np.arange(0.0, 10.0, 0.01)


def sine(hz: float, *, amplitude: float = 1.0, mean: float = 0.0, time: np.ndarray = TIME) -> np.ndarray:
    return mean + amplitude * np.sin(2 * np.pi * hz * time)


@given(st.floats(0.5, 45.0), st.floats(-100, 100))
def test_the_frequency_of_a_sine_is_found_whatever_its_mean(hz: float, mean: float) -> None:
    assert series.dominant_frequency(TIME, sine(hz, mean=mean)) == pytest.approx(hz, abs=0.02)


def test_the_stronger_of_two_frequencies_wins_under_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, len(TIME))
    values = sine(12.0) + sine(31.0, amplitude=0.6) + noise
    assert series.dominant_frequency(TIME, values) == pytest.approx(12.0, abs=0.05)


def test_uneven_sampling_and_missing_values_are_bridged() -> None:
    rng = np.random.default_rng(1)
    time = np.sort(TIME + rng.uniform(-0.004, 0.004, len(TIME)))
    values = sine(5.0, time=time)
    values[rng.integers(0, len(time), 40)] = np.nan
    assert series.dominant_frequency(time, values) == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize(
    ("time", "values", "words"),
    [
        (TIME[:5], sine(1.0)[:5], "too few"),
        (TIME, np.full(len(TIME), 3.0), "does not change"),
        (np.concatenate([TIME[:500], TIME[500:] + 3.0]), sine(1.0), "a gap of 3.01 s"),
        (TIME, np.full(len(TIME), np.nan), "holds no value"),
    ],
)
def test_what_has_no_frequency_says_why(time: np.ndarray, values: np.ndarray, words: str) -> None:
    with pytest.raises(MeasurementError, match=words):
        series.dominant_frequency(time, values)


def test_extremes_and_rms_skip_missing_values() -> None:
    values = np.array([np.nan, -3.0, 4.0, np.nan, 0.0])
    time = np.arange(5.0)
    assert series.minimum(time, values) == -3.0
    assert series.maximum(time, values) == 4.0
    assert series.rms(time, values) == pytest.approx(np.sqrt(25 / 3))
    assert series.rms(TIME, sine(5.0)) == pytest.approx(np.sqrt(0.5), rel=1e-3)


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_peaks_are_counted_over_noise_and_beside_a_spike(count: int) -> None:
    noise = 0.02 * np.random.default_rng(2).normal(size=len(TIME))
    strokes = sum((np.exp(-(((TIME - 0.7 - k) / 0.1) ** 2)) for k in range(count)), np.zeros(len(TIME)))
    if count:
        assert series.peak_count(TIME, strokes + noise) == count
    else:
        assert series.peak_count(TIME, np.full(len(TIME), 2.0)) == 0
