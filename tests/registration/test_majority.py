"""A part that is bent is laid on where most of it agrees, so that the bend shows where it is."""

import numpy as np
import pytest

from vlm_inspect.demo.solids import SOLIDS
from vlm_inspect.registration.alignment import align
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.levels import levels
from vlm_inspect.registration.majority import majority_pose
from vlm_inspect.registration.pose import apply, turn_deg
from vlm_inspect.registration.variation import Variation, learn


def plate(seed: int, *, bend: float = 0.0) -> np.ndarray:
    """A plate of 40 x 24 x 3 mm with noise; its last third bent up by so much at its end."""
    rng = np.random.default_rng(seed)
    points = SOLIDS["plate"](np.random.default_rng(0)).sample(6_000, rng)
    points[:, 2] += bend * np.clip((points[:, 0] - 27.0) / 13.0, 0.0, None) ** 2
    return np.asarray(points + rng.normal(scale=0.01, size=points.shape))


@pytest.fixture(scope="module")
def normal() -> Variation:
    return learn([scan_surface(plate(seed)) for seed in (1, 2)])


def test_a_bent_plate_is_laid_on_by_the_part_that_is_straight(normal: Variation) -> None:
    bent = plate(3, bend=0.8)
    shared = apply(align(bent, levels(plate(1)), pieces=False).pose, bent)
    first = normal.judge(scan_surface(shared))
    step = majority_pose(first)
    assert step is not None
    assert 0.1 < turn_deg(step) < 3.0
    laid = apply(step, shared)
    straight = bent[:, 0] < 25.0
    assert np.abs(laid[straight, 2] - bent[straight, 2]).mean() < 0.5 * np.abs(shared - bent)[straight, 2].mean()
    again = normal.judge(scan_surface(laid))
    assert again.log_scores[2] > first.log_scores[2]
    assert majority_pose(again) is None


def test_a_sound_plate_stays_where_it_was_laid(normal: Variation) -> None:
    assert majority_pose(normal.judge(scan_surface(plate(4)))) is None
