import numpy as np
import pytest
from scipy.stats import norm

from vlm_inspect.sensitivity.bounds import MISSED, defects_bound, set_bounds, share_bound
from vlm_inspect.sensitivity.normal_scores import NormalScores, normal_scores

CLASS = normal_scores(np.random.default_rng(0).normal(0, 0.1, 4).tolist(), prior_spread=0.1)


def test_the_next_normal_part_exceeds_the_upper_bound_as_often_as_said():
    rng = np.random.default_rng(1)
    exceeded = []
    for _ in range(1500):
        spread = 0.1 * np.sqrt(4 / rng.chisquare(4))  # what the prior expects of classes
        seen, following = rng.normal(0, spread, 4), rng.normal(0, spread)
        exceeded.append(following > normal_scores(seen.tolist(), prior_spread=0.1).upper_bound(0.05))
    assert 0.035 < np.mean(exceeded) < 0.065


def test_at_most_the_stated_share_of_normal_parts_lies_under_the_usual_score():
    rng = np.random.default_rng(2)
    for n in (1, 2, 4, 16, 64):
        over = []
        for _ in range(400):
            bound = normal_scores(rng.normal(0, 0.1, n).tolist(), prior_spread=0.1).lower_tolerance(0.9, 0.95)
            over.append(norm.cdf(bound / 0.1) > 0.9)
        assert np.mean(over) < 0.09, n


def test_a_level_that_is_off_lowers_the_usual_score_where_it_is_asked_to_count():
    sure, unsure = NormalScores(0, 0.1, 7, 4), NormalScores(0, 0.1, 7, 4, level_spread=0.1)
    assert unsure.lower_tolerance(0.9, 0.8) == sure.lower_tolerance(0.9, 0.8)
    assert (
        unsure.lower_tolerance(0.9, 0.8, level_counts=True) < sure.lower_tolerance(0.9, 0.8, level_counts=True) - 0.02
    )


def test_more_references_earn_more_oks():
    share = [norm.cdf(NormalScores(0, 0.1, n + 3, n).lower_tolerance(0.9, 0.95) / 0.1) for n in (1, 2, 4, 16, 64)]
    assert share == sorted(share)
    assert share[0] < 0.4
    assert share[2] > 0.55
    assert share[3] > 0.7
    assert share[4] > 0.8


def test_defects_that_stand_far_out_do_not_bind():
    bounds = set_bounds(CLASS, np.full(60, 5.0))
    assert bounds.ok_below == bounds.usual_below
    assert bounds.ok_below < bounds.ng_above


def test_defects_that_cannot_be_seen_leave_no_ok():
    bounds = set_bounds(CLASS, np.full(60, -5.0))
    assert 0.05 < CLASS.below(bounds.defects_above) < MISSED
    assert not bounds.earns_ok
    assert not set_bounds(CLASS, []).earns_ok


def test_a_part_with_a_defect_comes_out_ok_at_most_as_often_as_said():
    rng = np.random.default_rng(3)
    passed = []
    for _ in range(150):
        responses = rng.normal(0.15, 0.2, 64)
        bounds = set_bounds(CLASS, responses)
        part = CLASS.mean + CLASS.spread * rng.standard_t(CLASS.dof, 5000)
        defect = rng.normal(0.15, 0.2, 5000)
        passed.append((np.maximum(part, defect) <= bounds.ok_below).mean())
    assert np.mean(np.array(passed) <= 0.1) >= 0.93


def test_a_level_that_is_off_moves_parts_and_defects_alike_and_the_bound_allows_for_it():
    unsure = NormalScores(0.0, 0.1, 1000, 4, level_spread=0.15)
    rng = np.random.default_rng(5)
    responses = rng.normal(0.1, 0.15, 400)
    bound = defects_bound(unsure, np.sort(responses), 0.1)
    error = np.sort(rng.normal(0, unsure.mean_error, 20_000))[:17_500]  # the luckiest eighth of draws does not count
    part, defect = error + rng.normal(0, 0.1, 17_500), error + rng.choice(responses, 17_500)
    assert 0.07 < (np.maximum(part, defect) <= bound).mean() <= 0.1
    assert bound < defects_bound(NormalScores(0.0, np.hypot(0.1, 0.15), 1000, 10_000), np.sort(responses), 0.1)


def test_the_bound_of_defects_falls_as_they_get_fainter():
    at = [defects_bound(CLASS, np.sort(np.random.default_rng(4).normal(mean, 0.1, 64)), 0.1) for mean in (0.3, 0.1, 0)]
    assert at[0] > at[1] > at[2]


def test_the_share_bound_is_that_of_clopper_and_pearson():
    assert share_bound(0, 29, 0.95) == pytest.approx(1 - 0.05 ** (1 / 29))  # 29 of 29 found: a90/95
    assert share_bound(5, 5, 0.95) == 1.0


def test_references_that_happen_to_be_alike_do_not_make_the_bound_of_ng_narrow() -> None:
    alike = normal_scores([0.0, 0.001, -0.001, 0.0] * 4, prior_spread=0.1)
    responses = np.full(60, 1.0)
    free = set_bounds(alike, responses)
    held = set_bounds(alike, responses, least_spread=0.1)
    assert held.ng_above > alike.mean + 0.2 > free.ng_above
    assert held.ok_below >= free.ok_below  # what an OK asks for does not depend on it
