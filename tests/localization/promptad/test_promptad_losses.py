"""The six losses against values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from vlm_inspect.localization.promptad import losses


def unit(*values):
    return F.normalize(torch.tensor(values, dtype=torch.float32), dim=-1)


def test_pooling_takes_mean_highest_or_the_highest_hundredth():
    maps = torch.zeros(1, 20, 20)
    maps[0, 0, :4] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert losses.pool_map(maps, "mean").item() == pytest.approx(10 / 400)
    assert losses.pool_map(maps, "max").item() == 4.0
    assert losses.pool_map(maps, "top").item() == pytest.approx(2.5)  # 4 of 400 pixels
    assert losses.pool_map(torch.full((1, 2, 2), 0.3), "top").item() == pytest.approx(0.3)


def test_image_loss_is_the_cross_entropy_of_the_mean_logit():
    logits = torch.stack([torch.full((4, 4), 2.0), torch.full((4, 4), -1.0)])
    logits[0, 0, 0], logits[0, 0, 1] = 12.0, -8.0  # the mean stays 2
    expected = (math.log(1 + math.exp(-2.0)) + math.log(1 + math.exp(-1.0))) / 2
    assert losses.image_loss(logits, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_image_loss_stays_finite_in_half_precision():
    logits = torch.full((1, 8, 8), 60000.0, dtype=torch.float16)
    assert losses.image_loss(logits, torch.tensor([0])).isfinite()


def test_dice_of_hand_made_maps():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, :2, :2] = True
    half = torch.zeros(1, 4, 4)
    half[0, :2, 0] = 1.0  # 2 of 4 marked pixels found, nothing else
    assert losses.dice_loss(half, mask, torch.tensor([1])).item() == pytest.approx(1 - 5 / 7)
    assert losses.dice_loss(mask.float(), mask, torch.tensor([1])).item() == pytest.approx(0.0)


def test_dice_of_normal_pictures_is_the_mean_of_the_map_and_lost_masks_do_not_count():
    maps = torch.stack([torch.full((4, 4), 0.25), torch.full((4, 4), 0.9)])
    nothing = torch.zeros(2, 4, 4, dtype=torch.bool)
    assert losses.dice_loss(maps, nothing, torch.tensor([0, 0])).item() == pytest.approx((0.25 + 0.9) / 2)
    assert losses.dice_loss(maps, nothing, torch.tensor([0, 1])).item() == pytest.approx(0.25)
    assert losses.dice_loss(maps, nothing, torch.tensor([1, 1])).item() == 0.0


def test_contrastive_loss_draws_each_picture_to_its_prompt():
    prompts = torch.stack([unit(1, 0), unit(0, 1)])[None].repeat(2, 1, 1)
    pictures = torch.stack([unit(1, 0), unit(0, 1)])
    right = losses.contrastive_loss(pictures, prompts, torch.tensor([0, 1]), temperature=0.5)
    wrong = losses.contrastive_loss(pictures, prompts, torch.tensor([1, 0]), temperature=0.5)
    assert right.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)
    assert wrong.item() == pytest.approx(2 + math.log(1 + math.exp(-2)), rel=1e-5)
    longer = losses.contrastive_loss(pictures, 7 * prompts, torch.tensor([0, 1]), temperature=0.5)
    assert longer.item() == pytest.approx(right.item(), rel=1e-5)


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 0.3, 0.5])
def test_margin_loss_is_zero_where_the_prompts_are_apart(cosine):
    prompts = torch.stack([unit(1, 0), torch.tensor([cosine, math.sqrt(1 - cosine**2)])])[None]
    assert losses.margin_loss(prompts, margin=0.5).item() == pytest.approx(0.0, abs=1e-6)


def test_margin_loss_grows_beyond_the_margin():
    prompts = torch.stack([unit(1, 0), torch.tensor([0.8, 0.6])])[None]
    assert losses.margin_loss(prompts, margin=0.5).item() == pytest.approx(0.3, abs=1e-6)
    assert losses.margin_loss(prompts, margin=0.1).item() == 0.0
    both = torch.cat([prompts, torch.stack([unit(1, 0), unit(0, 1)])[None]])
    assert losses.margin_loss(both, margin=0.5).item() == pytest.approx(0.15, abs=1e-6)


def test_triplet_loss_looks_at_normal_pictures_alone():
    prompts = torch.stack([unit(1, 0), unit(0, 1)])[None].repeat(3, 1, 1)
    pictures = torch.stack([unit(1, 0), unit(0, 1), unit(0, 1)])
    # distances squared: 0 and 2 for the first, 2 and 0 for the others
    assert losses.triplet_loss(pictures, prompts, torch.tensor([0, 1, 1])).item() == 0.0
    assert losses.triplet_loss(pictures, prompts, torch.tensor([0, 0, 1])).item() == pytest.approx(1.0)
    assert losses.triplet_loss(pictures, prompts, torch.tensor([0, 1, 1]), margin=2.5).item() == pytest.approx(0.5)
    assert losses.triplet_loss(pictures, prompts, torch.tensor([1, 1, 1])).item() == 0.0


def test_alignment_losses_are_squared_distances_from_the_written_prompts():
    anchors = torch.zeros(2, 2, 3)
    prompts = anchors.clone()
    prompts[0, 0, 0], prompts[0, 1, 1], prompts[1, 1, 2] = 2.0, 1.0, 3.0
    assert losses.alignment_loss(prompts, anchors).item() == pytest.approx((4 + 1 + 9) / 2)
    assert losses.anomaly_alignment_loss(prompts, anchors).item() == pytest.approx((1 + 9) / 2)
    assert losses.alignment_loss(anchors, anchors).item() == 0.0


def test_consistency_counts_valid_places_only():
    maps, returned = torch.zeros(1, 2, 2), torch.tensor([[[0.4, 0.2], [9.0, 0.0]]])
    valid = torch.tensor([[[True, True], [False, True]]])
    assert losses.consistency_loss(maps, returned, valid).item() == pytest.approx(0.2)
    assert losses.consistency_loss(maps, returned, torch.zeros_like(valid)).item() == 0.0
