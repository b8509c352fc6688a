"""Scans that one sensor saw: a flat part is not laid on turned over, and a dent is no bump."""

from pathlib import Path

import numpy as np
import pytest

from converters.sample import PointCloud
from vlm_inspect.registration.alignment import PosedCloud, aligned
from vlm_inspect.registration.comparison import compare, scan_surface
from vlm_inspect.registration.pose import apply


def top(seed: int, *, dent_mm: float = 0.0, turn_deg: float = 0.0, sensor_mm: float = 300.0) -> PointCloud:
    """The upper side of a block of 60 x 40 mm with a hole on its long axis, seen from above, dented or raised."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform([-30.0, -20.0], [30.0, 20.0], size=(6_000, 2))
    xy = xy[np.linalg.norm(xy - [12.0, 0.0], axis=1) > 5.0]
    near = np.exp(-((xy - [-12.0, 5.0]) ** 2).sum(axis=1) / 12.5)
    points = np.column_stack([xy, rng.normal(scale=0.02, size=len(xy)) - dent_mm * near])
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    return PointCloud(Path("top.tiff"), points @ turn.T, viewpoint=(0.0, 0.0, sensor_mm))


@pytest.mark.parametrize("turn_deg", [0.0, 170.0])
def test_what_faced_the_sensor_faces_it_again(turn_deg: float) -> None:
    raised = top(2, dent_mm=-0.6, turn_deg=turn_deg)  # without its sensor, this one lies turned over
    posed = aligned(raised, PosedCloud(top(1), np.eye(4)))
    assert posed.pose[2, 2] > 0.99
    hole = apply(
        posed.pose, top(3, turn_deg=turn_deg).points
    )  # another draw of the same scan: its hole lies there, too
    assert (np.linalg.norm(hole[:, :2] - [12.0, 0.0], axis=1) > 4.7).all()


@pytest.mark.parametrize("sensor_mm", [300.0, -300.0])
def test_what_lies_farther_from_the_sensor_is_missing(sensor_mm: float) -> None:
    reference = PosedCloud(top(1, sensor_mm=sensor_mm), np.eye(4)).surface()
    part = top(2, dent_mm=0.5, sensor_mm=sensor_mm)
    off = compare(scan_surface(part.points), reference).off[1]
    at_dent = off[np.linalg.norm(part.points[:, :2] - [-12.0, 5.0], axis=1) < 2.0]
    assert np.sign(at_dent).mean() == (-1.0 if sensor_mm > 0.0 else 1.0)
