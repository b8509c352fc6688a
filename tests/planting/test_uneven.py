"""A slow change of the surface: no place of its own, four looks, strong and faint."""

import cv2
import numpy as np
import pytest

from vlm_inspect.planting.design import UNEVEN
from vlm_inspect.planting.picture import plant
from vlm_inspect.planting.surface import Spot, see_surface
from vlm_inspect.planting.uneven import cloudy, glossy, graded, smeared


def brushed(color=False):
    """A brushed plate, 120 x 160."""
    rng = np.random.default_rng(1)
    lines = cv2.GaussianBlur(rng.normal(0, 1, (120, 160)), (0, 0), sigmaX=9, sigmaY=0.8)
    grey = 120 + 18 * lines[..., None] / lines.std()
    return (grey * ((1.0, 0.85, 0.6) if color else (1.0, 1.0, 1.0))).clip(0, 255).astype(np.uint8)


def spot(contrast):
    surface = see_surface(brushed())
    pixels = surface.picture.astype(np.float32)
    return Spot(pixels, surface.part, (60.0, 80.0), 156.0, contrast * surface.range, surface)


@pytest.mark.parametrize("color", [False, True])
def test_it_changes_much_of_the_part_and_stays_where_the_part_is(color):
    picture = brushed(color)
    part = np.zeros(picture.shape[:2], bool)
    part[10:110, 20:140] = True
    surface = see_surface(picture, part)
    shares = [plant(surface, UNEVEN, 1.0, 0.9, np.random.default_rng(seed)).mask for seed in range(12)]
    assert not any((mask & ~part).any() for mask in shares)
    assert min(mask.sum() for mask in shares) > 0.25 * part.sum()
    assert np.median([mask.sum() for mask in shares]) > 0.5 * part.sum()


def test_a_smaller_one_leaves_more_of_the_part_as_it_was():
    surface = see_surface(brushed())
    small, large = (
        np.mean([plant(surface, UNEVEN, size, 0.9, np.random.default_rng(seed)).mask.mean() for seed in range(12)])
        for size in (0.45, 1.0)
    )
    assert small < 0.7 * large


@pytest.mark.parametrize("shade", [cloudy, graded])
def test_a_shade_is_slow_and_as_strong_as_asked_for(shade):
    one = spot(0.5)
    change = (shade(one, np.random.default_rng(0)) - one.pixels)[..., 0]
    assert change.std() == pytest.approx(0.3 * one.amplitude, rel=0.02)
    assert np.abs(np.diff(change, axis=1)).max() < 0.1 * np.ptp(change)
    assert change.mean() == pytest.approx(0.0, abs=0.5)


def test_gloss_and_smears_change_the_texture_and_not_the_shade():
    one = spot(0.9)
    fine = one.pixels - cv2.GaussianBlur(one.pixels, (0, 0), 3)
    for change in (glossy, smeared):
        ratios = []
        for seed in range(8):
            changed = change(one, np.random.default_rng(seed))
            assert changed.mean() == pytest.approx(one.pixels.mean(), abs=1.5)
            ratios.append((changed - cv2.GaussianBlur(changed, (0, 0), 3)).std() / fine.std())
        assert min(ratios) < 0.75
        assert bool(max(ratios) > 1.3) is (change is glossy)
