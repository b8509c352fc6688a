import numpy as np
import pytest

from vlm_inspect.localization.patch_memory.channels import ChannelWeights, log_of


def test_a_normal_part_scores_one_whatever_the_weights():
    level = np.array([-0.3, 1.7])
    for share in (0.0, 0.3, 1.0):
        weights = ChannelWeights(level, np.array([share, 1 - share]))
        assert weights.score(level) == pytest.approx(0.0)
        maps = np.exp(level)[:, None, None] * np.ones((2, 4, 5))
        assert np.allclose(weights.map(maps.astype(np.float32)), 1.0, atol=1e-5)


def test_a_channel_without_weight_has_no_say():
    weights = ChannelWeights(np.zeros(2), np.array([1.0, 0.0]))
    assert weights.score(np.array([0.5, 9.0])) == pytest.approx(0.5)
    maps = np.stack([np.full((2, 2), 2.0), np.zeros((2, 2))]).astype(np.float32)
    assert np.allclose(weights.map(maps), 2.0)


def test_scores_of_many_pictures_keep_their_shape():
    weights = ChannelWeights(np.zeros(3), np.full(3, 1 / 3))
    assert weights.score(np.zeros((7, 3))).shape == (7,)


def test_what_nothing_counts_stays_zero():
    weights = ChannelWeights(np.zeros(1), np.ones(1))
    assert weights.map(np.array([[[0.0, 1.0]]], np.float32)).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("weights", [[0.5, 0.6], [-0.5, 1.5]])
def test_weights_that_are_no_shares_are_refused(weights):
    with pytest.raises(ValueError, match="sum to 1"):
        ChannelWeights(np.zeros(2), np.array(weights))


def test_a_score_of_zero_has_a_logarithm():
    assert np.isfinite(log_of(0.0))
