import numpy as np
import pytest

from vlm_inspect.sensitivity.weights import learn_weights

RNG = np.random.default_rng(0)


def test_a_blind_channel_does_not_vote():
    level = RNG.normal(0, [0.07, 0.29], (4, 2))
    rises = np.column_stack([RNG.uniform(0.1, 0.5, 60), np.zeros(60)])
    weights = learn_weights(level, rises, [0.09, 0.2], ["a", "b"])
    assert weights[1] == 0.0


def test_a_channel_with_a_wide_spread_counts_for_less_at_equal_rises():
    level = np.array([[-0.05, -0.4], [0.05, 0.4], [0.0, -0.3], [0.0, 0.3]])
    weights = learn_weights(level, np.full((60, 2), 0.15), [0.09, 0.2], ["a", "b"])
    assert weights[0] > 2 * weights[1]


def test_two_that_see_alike_share_the_say():
    weights = learn_weights(np.zeros((4, 2)), np.full((60, 2), 0.2), [0.1, 0.1], ["a", "b"])
    assert weights == pytest.approx([0.5, 0.5])


def test_weights_are_shares_even_where_nothing_rises_or_nothing_was_planted():
    for rises in (np.zeros((20, 3)), np.zeros((0, 3)), np.full((20, 3), -0.1)):
        weights = learn_weights(np.zeros((1, 3)), rises, [0.1, 0.2, 0.2], ["a", "b", "b"])
        assert weights.sum() == pytest.approx(1)
        assert weights[0] > weights[1]


def test_defects_that_nobody_misses_do_not_decide():
    rises = np.zeros((60, 2))
    rises[:6, 0] = 10.0  # a few enormous
    rises[:, 1] = 0.12
    weights = learn_weights(np.zeros((4, 2)), rises, [0.1, 0.1], ["a", "b"])
    assert weights[1] > 0.6


def test_defects_that_some_channel_is_sure_of_do_not_choose() -> None:
    level = np.random.default_rng(0).normal(0.0, 0.1, (8, 2))
    large = np.tile([0.6, 3.0], (40, 1))
    small = np.tile([0.2, 0.0], (20, 1))
    weights = learn_weights(level, np.concatenate([large, small]), [0.1, 0.1], ["a", "b"])
    assert weights[0] > 0.9


def test_a_network_that_planted_defects_favour_does_not_have_all_the_say() -> None:
    level = np.random.default_rng(1).normal(0.0, 0.1, (8, 2))
    rises = np.tile([0.28, 0.14], (60, 1))  # both rise by more than their spread, one by twice as much
    weights = learn_weights(level, rises, [0.1, 0.1], ["a", "b"])
    assert weights[1] >= 0.25
    assert weights[0] > weights[1]


def test_with_a_single_reference_a_level_foretold_too_high_blinds_no_channel() -> None:
    rises = np.column_stack([np.full(60, -0.1), np.full(60, 0.4)])
    weights = learn_weights(np.zeros((1, 2)), rises, [0.1, 0.2], ["a", "b"])
    assert weights == pytest.approx([2 / 3, 1 / 3])


def test_a_channel_with_half_a_vote_counts_for_half_as_much() -> None:
    alone = learn_weights(np.zeros((1, 2)), np.zeros((0, 2)), [0.1, 0.1], ["a", "b"], [0.5, 1.0])
    assert alone == pytest.approx([1 / 3, 2 / 3])
    rises = np.full((60, 2), 0.2)
    equal = learn_weights(np.zeros((4, 2)), rises, [0.1, 0.1], ["a", "b"])
    less = learn_weights(np.zeros((4, 2)), rises, [0.1, 0.1], ["a", "b"], [0.5, 1.0])
    assert 0.3 < less[0] < equal[0] - 0.1
