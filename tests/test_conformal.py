"""The stated overkill is met whatever the distribution, and too few parts are said to be too few."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_inspect.calibration.conformal import conformal_bound, parts_for_width, parts_needed, realised_interval
from vlm_inspect.calibration.weights import learn_weights
from vlm_inspect.errors import CalibrationError


@pytest.mark.parametrize(("n", "overkill"), [(19, 0.05), (50, 0.05), (9, 0.1), (30, 0.2)])
@pytest.mark.parametrize("shape", ["normal", "heavy", "ties"])
def test_new_parts_exceed_the_bound_at_most_at_the_stated_rate(n: int, overkill: float, shape: str) -> None:
    rng = np.random.default_rng(n)
    draws = {"normal": rng.normal, "heavy": rng.standard_cauchy, "ties": lambda size: rng.integers(0, 5, size)}[shape]
    rates = []
    for _ in range(1500):
        seen, new = draws(size=n), draws(size=200)
        rates.append((new > conformal_bound(seen.tolist(), overkill).score).mean())
    assert np.mean(rates) <= overkill + 0.01
    if shape == "normal":
        bound = conformal_bound(seen.tolist(), overkill)
        low, high = bound.realised_ci95
        assert np.mean(rates) == pytest.approx(bound.rate, abs=0.01)
        assert (
            np.mean([low <= rate <= high for rate in rates]) > 0.85
        )  # of 200 new parts each, so a little less than 95 %


@given(st.integers(1, 300), st.floats(0.005, 0.5))
def test_a_bound_exists_exactly_from_the_needed_number_on(n: int, overkill: float) -> None:
    scores = list(np.linspace(0, 1, n))
    if n < parts_needed(overkill):
        with pytest.raises(CalibrationError, match=rf"give {parts_needed(overkill) - n} more, or ask for \d"):
            conformal_bound(scores, overkill)
    else:
        assert conformal_bound(scores, overkill).rate <= overkill + 1e-9


def test_worked_by_hand() -> None:
    bound = conformal_bound([0.1 * i for i in range(1, 20)], 0.05)  # n = 19: k = 19, the highest
    assert (bound.score, bound.rate, bound.n) == (pytest.approx(1.9), pytest.approx(0.05), 19)
    assert conformal_bound([0.1 * i for i in range(1, 40)], 0.05).score == pytest.approx(3.8)
    assert parts_needed(0.01) == 99


def test_more_parts_narrow_the_interval() -> None:
    few, many = realised_interval(19, 19), realised_interval(1999, 1900)
    assert few[1] - few[0] > 0.1 > many[1] - many[0]
    n = parts_for_width(0.05, 0.05)
    assert 200 < n < 400
    low, high = realised_interval(n, int(np.ceil((n + 1) * 0.95)))
    assert high - low <= 0.05


def test_nan_is_no_score() -> None:
    with pytest.raises(ValueError, match="numbers"):
        conformal_bound([0.1] * 50 + [float("nan")], 0.05)


def test_the_better_opinion_weighs_more_and_neither_counts_against_itself() -> None:
    rng = np.random.default_rng(0)
    odd = np.arange(80) % 2 == 0
    good = np.where(odd, 2.0, -2.0) + rng.normal(0, 1, 80)
    noise, wrong = rng.normal(0, 2, 80), -good
    model, heatmap = learn_weights(list(zip(good, noise, strict=True)), odd.tolist())
    assert model > 0.8
    assert model + heatmap == pytest.approx(1.0)
    assert learn_weights(list(zip(wrong, good, strict=True)), odd.tolist()) == pytest.approx((0.0, 1.0))


def test_weights_need_parts_of_both_kinds() -> None:
    with pytest.raises(CalibrationError, match="at least 5"):
        learn_weights([(0.0, 0.0)] * 20, [True] * 3 + [False] * 17)


def test_without_parts_no_rate_is_offered() -> None:
    with pytest.raises(CalibrationError, match=r"there are 0: give 19 more$"):
        conformal_bound([], 0.05)
