"""Variations: ways back that lead back, and samples whose mask goes with the picture."""

import numpy as np
import pytest
import torch

from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION
from vlm_inspect.localization.promptad.losses import consistency_loss
from vlm_inspect.localization.promptad.settings import Variation
from vlm_inspect.training.method import TrainingSample
from vlm_inspect.training.methods.promptad_variation import Warp, jitter_pixels, random_warp, vary_sample


def smooth_maps(count=4, size=64):
    y, x = torch.meshgrid(torch.linspace(0, 3, size), torch.linspace(0, 2, size), indexing="ij")
    return torch.stack([torch.sin(y + k) * torch.cos(2 * x - k) for k in range(count)]) / 2 + 0.5


def test_flips_lead_back_exactly():
    maps = torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(0))
    warp = Warp((False, True, False, True), (False, False, True, True), (0.0,) * 4)
    flipped = warp.apply(maps[:, None])[:, 0]
    assert torch.equal(flipped[1], maps[1].flip(0))
    assert torch.equal(flipped[2], maps[2].flip(1))
    returned, known = warp.invert(flipped)
    assert torch.equal(returned, maps)
    assert known.all()
    assert consistency_loss(maps, returned, known).item() == 0.0


def test_a_constant_map_is_consistent_under_any_warp():
    warp = random_warp(6, Variation(rotation_deg=40.0), np.random.default_rng(0))
    maps = torch.full((6, 32, 32), 0.7)
    returned, known = warp.invert(maps)
    assert consistency_loss(maps, returned, known).item() == pytest.approx(0.0, abs=1e-5)


def test_turns_lead_back_inside_and_say_where_they_do_not():
    maps = smooth_maps()
    warp = Warp((True, False, False, True), (False, True, False, True), (25.0, -12.0, 0.0, 40.0))
    returned, known = warp.invert(warp.apply(maps[:, None])[:, 0])
    assert consistency_loss(maps, returned, known).item() < 2e-3
    assert not known[0, 0, 0], "a corner leaves the picture when it turns by 25 degrees"
    assert known[:, 32, 32].all()
    assert 0.5 < known[0].float().mean() < 0.95
    assert known[2].float().mean() > 0.9


def test_flip_and_turn_come_in_one_order():
    """A mark near the top right goes bottom right by the flip, then the turn by 30 degrees moves it on."""
    maps = torch.zeros(1, 65, 65)
    maps[0, 10:15, 50:55] = 1.0
    warp = Warp((True,), (False,), (30.0,))
    moved = warp.apply(maps[:, None])[:, 0]
    returned, _ = warp.invert(moved)
    places = torch.nonzero(returned[0] > 0.5).float().mean(dim=0)
    assert places.tolist() == pytest.approx([12.0, 52.0], abs=0.6)
    assert not torch.allclose(moved, maps)


def test_equal_generators_draw_equal_warps_and_switches_are_obeyed():
    first, second = (random_warp(8, Variation(), np.random.default_rng(1)) for _ in range(2))
    assert first == second
    assert any(first.mirrored)
    assert max(map(abs, first.angles_deg)) <= 10
    still = random_warp(8, Variation(flips=False, rotation_deg=0.0), np.random.default_rng(1))
    assert still == Warp((False,) * 8, (False,) * 8, (0.0,) * 8)


def test_jitter_changes_colours_within_the_range_of_pixels():
    generator = torch.Generator().manual_seed(0)
    mean, std = (torch.tensor(v)[:, None, None] for v in (CLIP_NORMALISATION.mean, CLIP_NORMALISATION.std))
    pixels = (torch.rand(3, 3, 8, 8, generator=generator) - mean) / std
    jittered = jitter_pixels(pixels, CLIP_NORMALISATION, 0.2, np.random.default_rng(0))
    colours = jittered * std + mean
    assert colours.min() >= -1e-6
    assert colours.max() <= 1 + 1e-6
    assert (jittered - pixels).abs().mean() > 0.02
    same = jitter_pixels(pixels, CLIP_NORMALISATION, 0.0, np.random.default_rng(0))
    assert torch.allclose(same, pixels, atol=1e-5)


def marked_sample(size=48):
    picture = np.full((size, size, 3), 60, np.uint8)
    mask = np.zeros((size, size), bool)
    mask[8:16, 30:40] = True
    picture[mask] = 220
    types = mask.astype(np.uint8)
    return TrainingSample(picture, mask, "scratch", "plate", "x.png", types, ("scratch",))


def test_masks_go_with_their_pictures():
    for seed in range(12):
        varied = vary_sample(marked_sample(), Variation(jitter=0.05), np.random.default_rng(seed))
        assert varied.picture.shape == (48, 48, 3)
        assert varied.picture.dtype == np.uint8
        bright = varied.picture.mean(axis=2) > 140
        assert (bright == varied.mask).mean() > 0.98
        assert varied.type_map is None


def test_a_turn_never_loses_the_only_defect():
    sample = marked_sample()
    mask = np.zeros_like(sample.mask)
    mask[0, 0] = True  # any turn takes the corner out of the picture
    corner = TrainingSample(sample.picture, mask, "chip", "plate", "x.png")
    for seed in range(6):
        assert vary_sample(corner, Variation(rotation_deg=30), np.random.default_rng(seed)).mask.any()


def test_without_variation_a_sample_stays_as_it_is():
    sample = marked_sample()
    same = vary_sample(sample, Variation(flips=False, rotation_deg=0, jitter=0), np.random.default_rng(0))
    assert np.array_equal(same.picture, sample.picture)
    assert np.array_equal(same.mask, sample.mask)
