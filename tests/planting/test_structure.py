"""Another structure: all over the part, its shade as it was, no seam, six looks."""

import cv2
import numpy as np
import pytest

from vlm_inspect.planting.design import STRUCTURE
from vlm_inspect.planting.picture import kinds_for, plant
from vlm_inspect.planting.structure import drawn_out, has_grain, out_of_step, rescaled, stretched, turned, warped
from vlm_inspect.planting.surface import Spot, see_surface


def woven(shade=0.0):
    """A cloth of upright and level threads on a slope of shade, 160 x 160."""
    y, x = np.mgrid[:160, :160]
    threads = 25 * np.sin(2 * np.pi * x / 9) + 25 * np.sin(2 * np.pi * y / 12)
    return np.repeat((120 + threads + shade * (x - 80))[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def spot(contrast, picture=None, part=None):
    surface = see_surface(woven() if picture is None else picture, part)
    return Spot(
        surface.picture.astype(np.float32), surface.part, (80.0, 80.0), 160.0, contrast * surface.range, surface
    )


def slow(picture):
    return cv2.GaussianBlur(np.asarray(picture, np.float32)[..., 0], (0, 0), 14)


def pitch(picture):
    """Strongest frequency along the rows of the middle, in periods a pixel."""
    rows = np.asarray(picture, np.float32)[48:112, 32:128, 0]
    spectrum = np.abs(np.fft.rfft((rows - rows.mean(axis=1, keepdims=True)) * np.hanning(96), 960, axis=1)).mean(axis=0)
    return spectrum.argmax() / 960


@pytest.mark.parametrize("change", [rescaled, turned, stretched, drawn_out, warped, out_of_step])
def test_the_grain_changes_and_the_shade_stays(change):
    one = spot(1.0, woven(shade=0.4))
    changed = change(one, np.random.default_rng(3))
    assert np.abs(changed - one.pixels)[40:120, 40:120].mean() > 2
    assert np.abs(slow(changed) - slow(one.pixels))[40:120, 40:120].max() < 6


def test_coarser_grain_has_the_pitch_that_was_asked_for():
    made = {round(pitch(rescaled(spot(1.0), np.random.default_rng(seed))) * 9, 1) for seed in range(6)}
    assert made == {0.6, 1.6}
    assert pitch(rescaled(spot(0.4), np.random.default_rng(0))) * 9 == pytest.approx(1.0, abs=0.12)


def test_it_is_all_over_the_part_and_nowhere_else():
    part = np.zeros((160, 160), bool)
    part[20:140, 30:130] = True
    surface = see_surface(woven(), part)
    masks = [plant(surface, STRUCTURE, 1.0, 0.8, np.random.default_rng(seed)).mask for seed in range(8)]
    assert not any((mask & ~part).any() for mask in masks)
    assert np.median([mask.sum() for mask in masks]) > 0.4 * part.sum()


def test_grain_that_would_come_from_beyond_the_part_fades_into_what_was_there():
    one = spot(1.0)
    changed = turned(one, np.random.default_rng(0))
    steps = np.abs(np.diff(changed[..., 0], axis=1)).max(), np.abs(np.diff(one.pixels[..., 0], axis=1)).max()
    assert steps[0] < 1.5 * steps[1]  # threads that have turned add up
    assert np.abs(changed - one.pixels)[:6, :6].max() < 1.0


def test_equal_generators_make_equal_defects():
    surface = see_surface(woven())
    made = [plant(surface, STRUCTURE, 0.8, 0.5, np.random.default_rng(seed)).picture for seed in (1, 1, 2)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_a_smooth_surface_has_no_structure_that_could_be_another():
    smooth = np.full((160, 160, 3), 128, np.uint8)
    assert has_grain(see_surface(woven()))
    assert not has_grain(see_surface(smooth))
    assert STRUCTURE not in kinds_for(see_surface(smooth))


def test_another_structure_of_a_large_picture_is_that_of_a_smaller_one_enlarged():
    rng = np.random.default_rng(2)
    small = cv2.GaussianBlur(rng.normal(0, 1, (400, 512)), (0, 0), 2)
    small = (120 + 25 * small / small.std()).clip(0, 255).astype(np.uint8)
    picture = np.repeat(cv2.resize(small, (2048, 1600), interpolation=cv2.INTER_CUBIC)[..., None], 3, axis=2)
    part = np.zeros(picture.shape[:2], bool)
    part[200:1400, 300:1800] = True
    surface = see_surface(picture, part)
    assert surface.small.picture.shape == (800, 1024, 3)
    assert surface.small.small is surface.small
    made = plant(surface, STRUCTURE, 1.0, 0.9, np.random.default_rng(0))
    of_small = plant(surface.small, STRUCTURE, 1.0, 0.9, np.random.default_rng(0))
    change = (made.picture.astype(int) - picture)[..., 0]
    assert not change[~part].any()
    assert not made.mask[~part].any()
    assert made.size == pytest.approx(of_small.size, rel=0.05)
    halved = cv2.resize(change.astype(np.float32), (1024, 800), interpolation=cv2.INTER_AREA)
    wanted = (of_small.picture.astype(int) - surface.small.picture)[..., 0]
    assert np.abs(halved - wanted)[surface.small.part].mean() < 0.3 * np.abs(wanted).mean()
