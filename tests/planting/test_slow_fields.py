"""Large pictures are blurred small: the same blur, at another price."""

import cv2
import numpy as np
import pytest

from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.slow_fields import blurred, slow_noise


def test_a_large_picture_is_blurred_as_if_it_had_not_been_shrunk():
    picture = np.random.default_rng(0).uniform(0, 255, (900, 2048, 3)).astype(np.float32)
    picture[300:600, 500:1500] += 80
    exact = cv2.GaussianBlur(picture, (0, 0), 30, borderType=cv2.BORDER_REFLECT)
    difference = np.abs(blurred(picture, 30.0) - exact)
    assert difference.mean() < 0.5
    assert difference.max() < 4.0


@pytest.mark.parametrize("size_hw", [(300, 400), (700, 2048)])
def test_a_small_picture_and_a_narrow_blur_are_worked_on_as_they_are(size_hw):
    picture = np.random.default_rng(0).uniform(0, 255, size_hw).astype(np.float32)
    assert np.array_equal(blurred(picture, 2.0), cv2.GaussianBlur(picture, (0, 0), 2.0, borderType=cv2.BORDER_REFLECT))


def test_noise_of_a_large_picture_has_the_grain_that_was_asked_for():
    small = noise_of_grain((500, 1000), 50.0, np.random.default_rng(1))
    large = slow_noise((1024, 2048), 100.0, np.random.default_rng(1))
    steps = [float(np.abs(np.diff(noise, axis=1)).mean() / noise.std()) for noise in (small, large)]
    assert large.shape == (1024, 2048)
    assert steps[1] == pytest.approx(steps[0] / 2, rel=0.25)
