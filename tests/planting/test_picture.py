import math

import numpy as np
import pytest

from vlm_inspect.planting.design import UNEVEN, WHOLE_KINDS
from vlm_inspect.planting.picture import KINDS, OUTLINE_KINDS, SURFACE_KINDS, kinds_for, plant
from vlm_inspect.planting.surface import see_surface


def plate(size=(160, 200), *, color=True):
    """A grey plate with grain and printed bars on a light ground, and where it is."""
    rng = np.random.default_rng(3)
    picture = np.full((*size, 3), 170, np.float32)
    part = np.zeros(size, bool)
    part[30:130, 25:175] = True
    picture[part] = (120, 110, 90) if color else (110, 110, 110)
    for left in range(40, 160, 16):
        picture[40:120, left : left + 8] = (30, 40, 100) if color else (40, 40, 40)
    picture += rng.normal(0, 3, (*size, 1))
    return np.clip(picture, 0, 255).astype(np.uint8), part


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {*WHOLE_KINDS}))
@pytest.mark.parametrize("size", [0.02, 0.06, 0.15])
def test_the_mask_is_where_the_picture_changed_and_about_the_size_asked_for(kind, size):
    picture, part = plate()
    for seed in range(3):
        planted = plant(see_surface(picture, part), kind, size, 0.6, np.random.default_rng(seed))
        change = np.abs(planted.picture.astype(int) - picture).max(axis=2)
        assert (change[planted.mask] >= 6).all()
        assert (change[~planted.mask] < 6).all()
        assert planted.mask.sum() >= 3
        assert 0.5 * size < planted.size < 1.7 * size + 0.02  # a line has a soft edge of a pixel
        assert planted.size_px == pytest.approx(2 * math.sqrt(planted.mask.sum() / math.pi))
        assert planted.size == pytest.approx(planted.size_px / 150)


def test_equal_seeds_give_equal_defects_and_others_others():
    surface = see_surface(*plate())
    one, same, other = (plant(surface, "stain", 0.1, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.picture, same.picture)
    assert not np.array_equal(one.picture, other.picture)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"burr"}))
def test_defects_lie_on_the_part(kind):
    picture, part = plate()
    for seed in range(4):
        planted = plant(see_surface(picture, part), kind, 0.12, 0.8, np.random.default_rng(seed))
        assert not (planted.mask & ~part).any()


def test_a_burr_lies_beside_the_part():
    picture, part = plate()
    planted = plant(see_surface(picture, part), "burr", 0.1, 0.8, np.random.default_rng(0))
    assert not (planted.mask & part).any()


def test_what_is_not_counted_stays_untouched():
    picture, part = plate()
    counted = np.ones_like(part)
    counted[:, :100] = False
    for kind in (*SURFACE_KINDS, UNEVEN):
        planted = plant(see_surface(picture, part, counted=counted), kind, 0.1, 0.8, np.random.default_rng(0))
        assert not planted.mask[:, :100].any()


def test_a_surface_without_outline_has_no_burrs():
    picture, part = plate()
    assert set(kinds_for(see_surface(picture[40:120, 40:160]))) == {*SURFACE_KINDS, *WHOLE_KINDS}
    assert set(kinds_for(see_surface(picture, part))) == {*SURFACE_KINDS, *OUTLINE_KINDS, *WHOLE_KINDS}


def test_a_plain_surface_has_no_components_to_miss():
    plain = np.random.default_rng(0).normal(120, 4, (100, 120, 1)).clip(0, 255).astype(np.uint8)
    kinds = kinds_for(see_surface(np.repeat(plain, 3, axis=2)))
    assert not set(kinds) & {"missing component", "displaced component"}
    assert "stain" in kinds


@pytest.mark.parametrize("kind", list(SURFACE_KINDS))
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_defect_shows_even_on_a_plain_picture(kind, value):
    picture = np.full((60, 80, 3), value, np.uint8)
    planted = plant(see_surface(picture), kind, 0.1, 0.15, np.random.default_rng(0))
    assert planted.mask.any()


@pytest.mark.parametrize("kind", list(SURFACE_KINDS))
def test_a_grey_picture_stays_grey(kind):
    picture, part = plate(color=False)
    planted = plant(see_surface(picture, part), kind, 0.1, 0.8, np.random.default_rng(1)).picture.astype(int)
    assert np.abs(planted - planted.mean(axis=2, keepdims=True)).max() <= 1


def test_a_stronger_contrast_changes_more():
    picture, part = plate()
    surface = see_surface(picture, part)

    def change(contrast):
        planted = [plant(surface, "stain", 0.1, contrast, np.random.default_rng(seed)) for seed in range(5)]
        return np.mean([np.abs(one.picture.astype(int) - picture)[one.mask].mean() for one in planted])

    assert change(0.9) > 1.5 * change(0.3)


def test_what_cannot_be_planted_is_refused():
    surface = see_surface(*plate())
    for kind, size, contrast in (("rust", 0.1, 0.5), ("stain", 0.0, 0.5), ("stain", 0.1, 1.5)):
        with pytest.raises(ValueError, match="cannot plant"):
            plant(surface, kind, size, contrast, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no pixel"):
        see_surface(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool))
