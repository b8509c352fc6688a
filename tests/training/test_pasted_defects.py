"""Synthetic defects: exact masks, the same from the same generator, on the part, and visible on any picture."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_inspect.training.method import TrainingSample
from vlm_inspect.training.pasted_defects import KINDS, LEAST_CHANGE, paste_defect, perlin_noise


def make_sample(picture):
    return TrainingSample(picture, np.zeros(picture.shape[:2], bool), None, "plate", "train/000.png")


def noisy_picture(seed, height=72, width=96):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def part_on_white(size=128):
    """A textured grey disc on a white background."""
    y, x = np.mgrid[:size, :size]
    disc = (y - size / 2) ** 2 + (x - size / 2) ** 2 < (0.3 * size) ** 2
    picture = np.full((size, size, 3), 245, np.uint8)
    picture[disc] = np.random.default_rng(5).integers(40, 140, (int(disc.sum()), 3))
    return picture, disc


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(8, 90),
    width=st.integers(8, 90),
    level=st.sampled_from([0, 127, 255, None]),
    donated=st.booleans(),
)
def test_mask_is_exactly_what_changed_visibly(seed, height, width, level, donated):
    picture = noisy_picture(seed, height, width)
    if level is not None:
        picture[:] = level
    before = picture.copy()
    pasted = paste_defect(make_sample(picture), np.random.default_rng(seed), [noisy_picture(1)] if donated else [])
    change = np.abs(pasted.picture.astype(int) - before).max(axis=2)
    assert pasted.mask.any()
    assert pasted.mask.shape == picture.shape[:2]
    assert pasted.picture.dtype == np.uint8
    assert (change[pasted.mask] >= LEAST_CHANGE).all()
    assert (change[~pasted.mask] == 0).all()
    assert pasted.word in {*KINDS, "mark"}
    assert np.array_equal(picture, before), "the normal picture itself was written to"


def test_equal_generators_give_equal_defects():
    sample = make_sample(noisy_picture(0))
    first, second = (paste_defect(sample, np.random.default_rng(3), [noisy_picture(1)]) for _ in range(2))
    other = paste_defect(sample, np.random.default_rng(4), [noisy_picture(1)])
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.mask, other.mask)


def test_all_kinds_occur_and_are_small():
    picture, _ = part_on_white()
    pasted = [paste_defect(make_sample(picture), np.random.default_rng(i)) for i in range(40)]
    assert {one.word for one in pasted} == set(KINDS)
    assert max(one.mask.mean() for one in pasted) < 0.2
    assert len({one.mask.tobytes() for one in pasted}) == 40


def test_defects_lie_on_the_part_where_the_background_is_plain():
    picture, disc = part_on_white()
    for seed in range(20):
        mask = paste_defect(make_sample(picture), np.random.default_rng(seed)).mask
        assert (mask & disc).sum() > 0.9 * mask.sum()


def test_a_uniform_picture_gets_a_defect_too():
    black = np.zeros((40, 40, 3), np.uint8)
    words = {paste_defect(make_sample(black), np.random.default_rng(seed)).word for seed in range(8)}
    assert "texture" in words  # a black patch on black would be no defect


def test_foreign_textures_come_from_the_donors():
    picture, donor = np.full((64, 64, 3), 100, np.uint8), np.zeros((64, 64, 3), np.uint8)
    donor[..., 0] = 255
    reds = []
    for seed in range(40):
        pasted = paste_defect(make_sample(picture), np.random.default_rng(seed), [donor])
        colour = pasted.picture[pasted.mask].mean(axis=0)
        reds.append(colour[0] - colour[1:].max())
    assert max(reds) > 60


def test_an_anomalous_or_a_tiny_picture_is_refused():
    sample = make_sample(noisy_picture(0))
    pasted = paste_defect(sample, np.random.default_rng(0))
    with pytest.raises(ValueError, match="anomalous already"):
        paste_defect(pasted, np.random.default_rng(0))
    with pytest.raises(ValueError, match="7 x 64 px"):
        paste_defect(make_sample(noisy_picture(0, 64, 7)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="anomalous already"):
        paste_defect(replace(sample, word="scratch"), np.random.default_rng(0))


def test_perlin_noise_is_smooth_zero_on_its_lattice_and_bounded():
    noise = perlin_noise((64, 96), (4, 8), np.random.default_rng(0))
    assert noise.shape == (64, 96)
    assert noise.dtype == np.float32
    assert np.abs(noise[::16, ::12]).max() < 1e-6
    assert 0.3 < np.abs(noise).max() <= 1.0
    assert np.abs(np.diff(noise, axis=0)).max() < 0.25
