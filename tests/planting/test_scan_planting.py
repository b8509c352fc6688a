"""Defects planted into scans are where they say, as deep as they say, and the rest of the scan stays as it was."""

import numpy as np
import pytest

from tests.measurement.screw_parts import cloud, moved, rigid, screw
from vlm_inspect.planting.scans import SCAN_DEFECTS, plant
from vlm_inspect.registration.surface import surface


@pytest.mark.parametrize("kind", SCAN_DEFECTS)
def test_a_planted_defect_is_where_it_says_and_the_rest_untouched(kind: str) -> None:
    part = cloud(moved(screw(0, n=20_000, noise=0.005), rigid(3)))
    planted, truth = plant(part, kind, 2.0, np.random.default_rng(4))
    again, _ = plant(part, kind, 2.0, np.random.default_rng(4))
    assert np.array_equal(planted.points, again.points)
    assert truth.points.shape == (len(planted.points),)
    assert truth.points.sum() > 20
    assert np.linalg.norm(planted.points[truth.points] - truth.centre_mm, axis=1).max() < 2.0
    sound = surface(part.points).distances(planted.points[~truth.points])
    assert np.quantile(sound, 0.99) < 0.2 * truth.depth_mm
    off = surface(part.points).distances(planted.points[truth.points])
    assert off.max() == pytest.approx(truth.depth_mm, rel=0.35)


@pytest.mark.parametrize(("kind", "sign"), [("dent", -1.0), ("bump", 1.0)])
def test_a_dent_goes_in_and_a_bump_out(kind: str, sign: float) -> None:
    part = cloud(screw(0, n=20_000, noise=0.005))
    for seed in range(5):
        planted, truth = plant(part, kind, 2.0, np.random.default_rng(seed), depth_mm=0.3)
        step = (planted.points - part.points) @ truth.outward
        assert np.abs(step).max() == pytest.approx(0.3, rel=0.1)
        assert (sign * step >= 0.0).all()
        radius = np.linalg.norm(part.points[:, :2], axis=1)
        shaft = (part.points[:, 2] > 1.0) & (part.points[:, 2] < 16.0) & (np.abs(step) > 0.2)
        if shaft.sum() > 20:  # on the shaft, out is away from the axis
            grown = np.linalg.norm(planted.points[:, :2], axis=1) - radius
            assert np.sign(grown[shaft].mean()) == sign


def test_a_chip_deeper_than_the_wall_leaves_a_hole() -> None:
    rng = np.random.default_rng(0)
    sheet = rng.uniform(-10, 10, (40_000, 3)) * [1, 1, 0]
    sheet[::2, 2] = 0.5
    along, up = rng.uniform(-10, 10, 4000), rng.uniform(0, 0.5, 4000)
    walls = [np.column_stack([along, np.full(4000, side), up]) for side in (-10.0, 10.0)]
    walls += [wall[:, [1, 0, 2]] for wall in walls]
    plate = cloud(np.concatenate([sheet, *walls]))
    planted, truth = plant(plate, "missing", 3.0, np.random.default_rng(1))
    assert abs(truth.outward[2]) > 0.9
    aside = np.linalg.norm((planted.points - truth.centre_mm)[:, :2], axis=1)
    assert (aside < 1.0).sum() < 30
    assert len(planted.points) < len(plate.points) - 500


def test_a_defect_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        plant(cloud(screw(0, n=500)), "dent", 0.0, np.random.default_rng(0))
