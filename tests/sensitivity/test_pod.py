import numpy as np
import pytest

from vlm_inspect.sensitivity.pod import fit_pod


def drawn(n, a90, slope, seed):
    """Hits and misses of a known curve."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(0.01), np.log(0.2), n))
    odds = np.log(9) + slope * (np.log(sizes) - np.log(a90))
    return sizes, rng.random(n) < 1 / (1 + np.exp(-odds))


def test_many_defects_give_back_the_curve_they_were_drawn_from():
    curve = fit_pod(*drawn(2000, 0.06, 3.0, 0))
    assert curve is not None
    assert curve.a90 == pytest.approx(0.06, rel=0.1)
    assert 0.06 < curve.a90_95 < 0.075
    assert curve.at(0.06)[0] == pytest.approx(0.9, abs=0.03)


def test_the_bound_holds_in_about_95_of_100_draws():
    held = [fit_pod(*drawn(80, 0.06, 3.0, seed)) for seed in range(60)]
    covered = np.mean([curve.a90_95 is None or curve.a90_95 >= 0.06 for curve in held])
    assert covered >= 0.88


def test_the_band_encloses_the_curve_and_is_wider_with_fewer_defects():
    many, few = fit_pod(*drawn(400, 0.06, 3.0, 1)), fit_pod(*drawn(40, 0.06, 3.0, 1))
    for curve in (many, few):
        assert (curve.lower <= curve.curve + 1e-9).all()
        assert (curve.curve <= curve.upper + 1e-9).all()
    assert (few.upper - few.lower).mean() > 1.5 * (many.upper - many.lower).mean()


def test_sizes_that_separate_hits_from_misses_give_a_bound():
    sizes = np.geomspace(0.01, 0.2, 40)
    curve = fit_pod(sizes, sizes > 0.05)
    assert 0.045 < curve.a90 < 0.08
    assert 0.05 < curve.a90_95 < 0.1


def test_hits_alone_are_bounded_by_the_smallest_sizes():
    sizes = np.geomspace(0.01, 0.2, 40)
    curve = fit_pod(sizes, np.ones(40, bool))
    assert curve.a90_95 < 0.03
    assert curve.reason == ""


def test_misses_alone_have_no_size():
    curve = fit_pod(np.geomspace(0.01, 0.2, 20), np.zeros(20, bool))
    assert (curve.a90, curve.a90_95) == (None, None)
    assert curve.reason == "none of 20 was found"


def test_what_is_found_too_seldom_at_any_size_says_so():
    sizes = np.geomspace(0.01, 0.2, 40)
    curve = fit_pod(sizes, np.arange(40) % 2 == 0)
    assert curve.a90 is None
    assert "20 of 40 were found" in curve.reason


def test_three_defects_make_no_curve():
    assert fit_pod([0.1, 0.1, 0.2], [True, False, True]) is None
