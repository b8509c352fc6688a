"""The last steps onto a drawing: sides that are nearly alike are told apart, and a defect moves nothing."""

from pathlib import Path

import numpy as np
import pytest

from converters.sample import Mesh, PointCloud
from vlm_inspect.demo.scan_files import Pose, grid_surface, random_pose, scan_surface
from vlm_inspect.references import Stage
from vlm_inspect.registration.drawn_pose import settled_on
from vlm_inspect.registration.drawn_surface import triangles_of
from vlm_inspect.registration.pose import apply, turn_deg


def drawn_nut(lower: float) -> PointCloud:
    """A drawing: a disc with twelve flat sides, one of them lower than the others."""
    angles = np.linspace(0.0, 2 * np.pi, 360, endpoint=False)
    side = (angles + np.pi / 12) % (np.pi / 6) - np.pi / 12
    radius = (10.0 - lower * (np.abs((angles + np.pi) % (2 * np.pi) - np.pi) < np.pi / 12)) / np.cos(side)
    around = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    rings = [(0.0, 0.0), (1.0, 0.0), (1.0, 4.0), (0.0, 4.0)]
    surface = grid_surface(np.array([np.column_stack([share * around, np.full(360, z)]) for share, z in rings]))
    points = scan_surface(surface, np.random.default_rng(0), count=30_000, noise_mm=0.0)
    return PointCloud(Path("nut.stl"), points, mesh=Mesh(surface.vertices, surface.faces))


def turned(degrees: float) -> Pose:
    pose = np.eye(4)
    angle = np.deg2rad(degrees)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return pose


def test_another_side_is_tried_and_a_dent_moves_nothing() -> None:
    nut = drawn_nut(0.1)
    assert nut.mesh is not None
    rng = np.random.default_rng(1)
    points = nut.points[::4] + rng.normal(scale=0.003, size=(7500, 3))
    near = np.linalg.norm(points - [3.0, 3.0, 4.0], axis=1) < 2.0
    points = points - 0.4 * near[:, None] * [0.0, 0.0, 1.0]
    turns = np.stack([turned(30.0 * k) for k in range(12)])
    found = settled_on(points, turned(30.4), triangles_of(nut.mesh), turns, 0.3)
    assert turn_deg(found) < 0.02
    assert np.abs(found[:3, 3]).max() < 0.002


def test_a_scan_arrives_on_a_drawing_to_a_share_of_its_noise() -> None:
    nut = drawn_nut(2.0)
    assert nut.mesh is not None
    rng = np.random.default_rng(2)
    scan = random_pose(rng).move(nut.points[::5]) + rng.normal(scale=0.005, size=(6000, 3))
    arrived = Stage(anchor=nut).arrival_of(PointCloud(Path("scan.ply"), scan))
    off = triangles_of(nut.mesh).signed(apply(arrived.pose, scan))
    assert np.sqrt((off**2).mean()) == pytest.approx(0.005, rel=0.1)
