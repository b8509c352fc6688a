"""Reliability, calibration error and Brier score: by hand, by law, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from evaluation.metrics.calibration_error import Binning, brier_score, expected_calibration_error, reliability_curve

BINNINGS: list[Binning] = ["equal-width", "equal-mass"]
ITEMS = st.lists(st.tuples(st.booleans(), st.integers(0, 20).map(lambda at: at / 20)), min_size=1, max_size=40)


def test_by_hand() -> None:
    y, p = [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.6]
    two = reliability_curve(y, p, bins=2, binning="equal-width")
    assert [(one.items, one.anomalous) for one in two] == [(2, 0.0), (2, 1.0)]
    assert [one.probability for one in two] == pytest.approx([0.15, 0.7])
    assert expected_calibration_error(y, p, bins=2, binning="equal-width") == pytest.approx((0.15 + 0.3) / 2)
    assert brier_score(y, p) == pytest.approx(brier_score_loss(y, p))


def test_equal_width_bins_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = rng.random(500) < p**2
    shares, means = calibration_curve(y, p, n_bins=10, strategy="uniform")
    found = reliability_curve(y, p, binning="equal-width")
    assert [one.anomalous for one in found] == pytest.approx(list(shares))
    assert [one.probability for one in found] == pytest.approx(list(means))


def test_equal_mass_bins_hold_equally_many_and_keep_equals_together() -> None:
    p = np.linspace(0, 1, 100)
    assert [one.items for one in reliability_curve(p > 0.5, p)] == [10] * 10
    assert [one.items for one in reliability_curve([0, 1, 0, 1], [0.3] * 4)] == [4]


def test_a_true_probability_is_calibrated_and_a_bold_one_is_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    y = rng.random(20_000) < p
    for binning in BINNINGS:
        assert expected_calibration_error(y, p, binning=binning) < 0.02
        assert expected_calibration_error(y, (p > 0.5) * 1.0, binning=binning) > 0.2


@given(ITEMS, st.sampled_from(BINNINGS), st.integers(1, 12), st.randoms())
@settings(deadline=None)
def test_laws(items: list[tuple[bool, float]], binning: Binning, bins: int, random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    values = []
    for told in (items, shuffled, items + items):
        y, p = [a for a, _ in told], [b for _, b in told]
        values.append((expected_calibration_error(y, p, bins=bins, binning=binning), brier_score(y, p)))
        assert sum(one.items for one in reliability_curve(y, p, bins=bins, binning=binning)) == len(told)
    assert values[0] == pytest.approx(values[1])
    assert values[0] == pytest.approx(values[2])
    assert 0.0 <= values[0][0] <= 1.0


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="outside"):
        brier_score([0, 1], [0.5, 1.2])
    with pytest.raises(ValueError, match="at least one bin"):
        reliability_curve([0], [0.5], bins=0)
