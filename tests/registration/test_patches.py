"""Patches of a surface against what is around them: a small dent stands out where a part differs as a whole."""

import numpy as np
import pytest

from tests.registration.test_zones import NOISE, plate
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.patches import patches_of
from vlm_inspect.registration.variation import Variation, learn


@pytest.fixture(scope="module")
def normal() -> Variation:
    return learn([scan_surface(plate(seed, 20_000)) for seed in (1, 2)])


def dented(points: np.ndarray, depth: float) -> np.ndarray:
    """The plate with a dent 2 mm wide in the middle of its top."""
    top = (points[:, 2] > 2.5) & (np.linalg.norm(points[:, :2] - [20.0, 12.0], axis=1) < 1.0)
    assert top.sum() < 25
    return np.asarray(np.where(top[:, None], points - [0.0, 0.0, depth], points))


def test_patches_cover_the_surface_and_rings_leave_them_out(normal: Variation) -> None:
    patches = patches_of(normal.anchor)
    assert patches.cell.shape == (len(normal.anchor.points),)
    assert set(np.unique(patches.cell)) <= set(range(patches.count))
    for disc, ring in zip(patches.discs, patches.rings, strict=True):
        assert disc.diagonal().max() == ring.diagonal().max() == 0.0
        assert disc.multiply(disc.T).nnz == ring.multiply(ring.T).nnz == 0  # each pair once
        assert disc.multiply(ring).nnz == 0


def test_a_dent_of_few_points_stands_out_where_it_is(normal: Variation) -> None:
    sound, flawed = plate(3, 15_000), dented(plate(3, 15_000), 0.15)
    before, after = (normal.judge(scan_surface(one)) for one in (sound, flawed))
    assert np.sort(after.patches)[-6:].mean() > 1.5 * np.sort(before.patches)[-6:].mean()
    assert after.log_scores[2] > before.log_scores[2] + np.log(1.5)
    cell = int(after.patches.argmax())
    middle = normal.anchor.points[patches_of(normal.anchor).cell == cell].mean(axis=0)
    assert np.linalg.norm(middle - [20.0, 12.0, 3.0]) < 2.0


def test_a_face_that_lies_elsewhere_neither_stands_out_nor_hides_a_dent(normal: Variation) -> None:
    thicker = plate(4, 15_000)
    thicker[:, 2] += np.where(thicker[:, 2] > 2.5, 0.03, 0.0)  # the whole top, by more than the noise of a patch
    local = normal.local
    moved = normal.judge(scan_surface(thicker))
    inner = np.isin(local.patches.cell, np.unique(local.patches.cell[on_top(normal)]))
    usual = normal.judge(scan_surface(plate(4, 15_000)))
    at = local.patches.cell[inner]
    assert moved.patches[at].max() < 1.3 * usual.patches.max()
    assert normal.judge(scan_surface(dented(thicker, 0.15))).patches.max() > 1.5 * moved.patches[at].max()


def on_top(normal: Variation) -> np.ndarray:
    """Which planes of the anchor lie on its top, away from edges."""
    points = normal.anchor.points
    middle = np.abs(points[:, :2] - [20.0, 12.0]).max(axis=1) < 6.0
    return np.asarray(middle & (points[:, 2] > 2.5))


def test_patches_of_few_points_and_of_a_piece_without_its_ring_say_nothing(normal: Variation) -> None:
    half = scan_surface(half_of(plate(5, 15_000)))
    found = normal.judge(half)
    counted = np.ones(len(found.comparison.plane), dtype=bool)
    of_piece = found.counting(counted, np.zeros(len(normal.anchor.points), dtype=bool))
    beyond = normal.anchor.points[:, 0] > 24.0
    assert of_piece.patches[normal.local.patches.cell[beyond]].max() == 0.0
    assert of_piece.patches.max() <= found.patches.max() + 1e-9


def half_of(points: np.ndarray) -> np.ndarray:
    """The points of one end."""
    return np.asarray(points[points[:, 0] < 20.0])


def test_noise_of_the_scan_is_counted_whatever_the_references_say(normal: Variation) -> None:
    rng = np.random.default_rng(6)
    quiet = plate(6, 15_000)
    noisy = quiet + rng.normal(scale=2.0 * NOISE, size=quiet.shape)
    tops = [np.sort(normal.judge(scan_surface(one)).patches)[-6:].mean() for one in (quiet, noisy)]
    assert tops[1] < 1.5 * tops[0]
