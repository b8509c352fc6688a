"""Distances to a drawing: exact beside edges, with the side told, however its triangles are turned."""

from pathlib import Path

import numpy as np
import pytest

from converters.sample import Mesh, PointCloud
from vlm_inspect.measurement.scan import deviation_side, max_deviation, rms_deviation
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.drawn_surface import drawn_surface, triangles_of

_SIDES = np.array([20.0, 12.0, 6.0])
_CORNERS = _SIDES * [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip
"""A block of twelve triangles, its faces outward."""


def on_block(count: int, seed: int) -> np.ndarray:
    """Points spread evenly over the block."""
    rng = np.random.default_rng(seed)
    areas = np.array([_SIDES[1] * _SIDES[2], _SIDES[0] * _SIDES[2], _SIDES[0] * _SIDES[1]])
    axis = rng.choice(3, count, p=areas / areas.sum())
    points = rng.uniform(size=(count, 3)) * _SIDES
    points[np.arange(count), axis] = rng.integers(0, 2, count) * _SIDES[axis]
    return points


def to_block(points: np.ndarray) -> np.ndarray:
    """The signed distance to the block, by its formula."""
    beyond = np.abs(points - _SIDES / 2) - _SIDES / 2
    return np.linalg.norm(np.maximum(beyond, 0.0), axis=1) + np.minimum(beyond.max(axis=1), 0.0)


def posed(points: np.ndarray, mesh: Mesh | None = None) -> PosedCloud:
    return PosedCloud(PointCloud(Path("part.stl"), points, mesh=mesh), np.eye(4))


@pytest.mark.parametrize("turned", ["outward", "inside out", "one triangle wrong"])
def test_distances_are_exact_and_tell_the_side(turned: str) -> None:
    faces = _FACES.copy()
    if turned == "inside out":
        faces = faces[:, ::-1]
    elif turned == "one triangle wrong":
        faces[3] = faces[3, ::-1]
    drawing = posed(on_block(20_000, 1), Mesh(_CORNERS, faces))
    drawn = drawn_surface(drawing, scan_surface(drawing.points))
    asked = np.random.default_rng(2).uniform(-1.0, 1.0, (3000, 3)) + on_block(3000, 3)
    found = drawn.gaps(asked)
    assert found.across == pytest.approx(to_block(asked), abs=1e-9)
    assert not found.beside.any()
    assert drawn.distances(asked) == pytest.approx(np.abs(to_block(asked)), abs=1e-9)


def test_triangles_without_area_play_no_part() -> None:
    faces = np.vstack([_FACES, [[0, 0, 1]]])
    assert set(triangles_of(Mesh(_CORNERS, faces)).triangle) == set(range(len(_FACES)))


def test_a_scan_without_a_mesh_keeps_its_planes() -> None:
    scan = posed(on_block(2000, 1))
    planes = scan_surface(scan.points)
    assert drawn_surface(scan, planes) is planes


def test_a_part_with_sharp_edges_lies_on_its_drawing() -> None:
    drawing = posed(on_block(30_000, 1), Mesh(_CORNERS, _FACES))
    coarse = on_block(6000, 4) + np.random.default_rng(5).normal(scale=0.004, size=(6000, 3))
    assert max_deviation(posed(coarse), [drawing]) < 0.01  # 0.4 mm against planes, which cut edges off
    assert rms_deviation(posed(coarse), [drawing]) < 0.003
    near = np.linalg.norm(coarse - [20.0, 6.0, 3.0], axis=1) < 1.5  # on an end face
    dented = coarse - 0.3 * near[:, None] * [1.0, 0.0, 0.0]
    assert max_deviation(posed(dented), [drawing]) == pytest.approx(0.3, abs=0.01)
    assert deviation_side(posed(dented), [drawing]) == "material is missing there"
    gone = coarse[np.linalg.norm(coarse - [10.0, 6.0, 6.0], axis=1) > 3.0]  # a hole in the top
    assert max_deviation(posed(gone), [drawing]) > 1.5
