"""The area that planes stand for, on a closed surface and on a patch that ends all around."""

import numpy as np
import pytest

from vlm_inspect.registration.surface import surface


def test_a_closed_surface_has_its_area() -> None:
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(4000, 3))
    sphere *= 5.0 / np.linalg.norm(sphere, axis=1, keepdims=True)
    assert surface(sphere).areas.sum() == pytest.approx(4 * np.pi * 25, rel=0.15)
    cube = rng.uniform(0, 10, (6000, 3))
    face = rng.integers(0, 6, 6000)
    cube[np.arange(6000), face % 3] = np.where(face < 3, 0.0, 10.0)
    assert surface(cube).areas.sum() == pytest.approx(600.0, rel=0.16)


def test_a_small_patch_is_no_larger_than_it_is() -> None:
    """The floor of a chip 4 mm wide, seen by 8 x 8 pixels: whole discs around each point would make 43 % more of it."""
    grid = np.stack(np.meshgrid(np.arange(8) * 0.5, np.arange(8) * 0.5), axis=-1).reshape(-1, 2)
    patch = surface(np.c_[grid, np.zeros(64)])
    assert patch.areas.sum() == pytest.approx(16.0, rel=0.15)
