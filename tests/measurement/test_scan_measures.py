"""Sizes, holes, flatness and spacing of shapes whose values are known."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.sample import Mesh, PointCloud
from tests.measurement.screw_parts import cloud, moved, rigid, screw
from vlm_inspect.errors import MeasurementError
from vlm_inspect.measurement import mesh, scan


def sampled(shape: trimesh.Trimesh, *, n: int = 6000, pose_seed: int = 3) -> PointCloud:
    """A shape after a random rigid motion, with the points a reader would sample."""
    vertices = moved(np.asarray(shape.vertices), rigid(pose_seed))
    turned = trimesh.Trimesh(vertices, shape.faces, process=False)
    points, _ = trimesh.sample.sample_surface(turned, n, seed=1)
    return PointCloud(
        Path("shape.stl"), np.asarray(points), mesh=Mesh(vertices, np.asarray(shape.faces, dtype=np.int64))
    )


SHAPES = {
    "box": (trimesh.creation.box((10, 6, 3)), (10.0, 6.0, 3.0), 180.0, 216.0, 0),
    "cylinder": (trimesh.creation.cylinder(2, 12, sections=96), (12.0, 4.0, 4.0), 48 * np.pi, 56 * np.pi, 0),
    "torus": (trimesh.creation.torus(5, 1.2, 96, 48), (12.4, 12.4, 2.4), 14.4 * np.pi**2, 24 * np.pi**2, 1),
    "ring": (trimesh.creation.annulus(2, 4, 3, sections=96), (8.0, 8.0, 3.0), 36 * np.pi, 60 * np.pi, 1),
    "sphere": (trimesh.creation.icosphere(3, 2), (4.0, 4.0, 4.0), 32 / 3 * np.pi, 16 * np.pi, 0),
}


@pytest.mark.parametrize(("shape", "sides", "volume", "area", "holes"), SHAPES.values(), ids=SHAPES)
def test_known_shapes_as_mesh_and_as_points(
    shape: trimesh.Trimesh, sides: tuple[float, ...], volume: float, area: float, holes: int
) -> None:
    whole = sampled(shape)
    points = cloud(whole.points)
    for one in (whole, points):
        assert (scan.length(one), scan.width(one), scan.height(one)) == pytest.approx(sides, rel=0.02)
        assert scan.hole_count(one) == holes
    assert mesh.volume(whole) == pytest.approx(volume, rel=0.02)
    assert mesh.area(whole) == pytest.approx(area, rel=0.02)


def test_box_sides_of_a_mesh_are_exact_and_those_of_its_points_nearly() -> None:
    box = sampled(trimesh.creation.box((10, 6, 3)))
    assert scan.box_sides(box) == pytest.approx([10, 6, 3], abs=1e-9)
    assert scan.box_sides(cloud(box.points)) == pytest.approx([10, 6, 3], abs=0.02)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_sides_do_not_change_when_the_part_is_turned(seed: int) -> None:
    part = screw(1, n=4000)
    assert scan.box_sides(cloud(moved(part, rigid(seed)))) == pytest.approx(scan.box_sides(cloud(part)), abs=0.05)


def test_the_length_of_a_noisy_screw_and_of_a_short_one() -> None:
    assert scan.length(cloud(screw(1))) == pytest.approx(20.0, abs=0.08)
    assert scan.length(cloud(screw(1, defect="short"))) == pytest.approx(18.2, abs=0.12)


def test_stray_points_do_not_stretch_the_box() -> None:
    strays = np.array([[0.0, 0.0, 60.0], [40.0, 0.0, 0.0]])
    assert scan.length(cloud(np.vstack([screw(1), strays]))) == pytest.approx(20.0, abs=0.1)


def test_flat_straight_and_tiny_clouds_have_sides() -> None:
    plane = np.stack([*np.meshgrid(np.arange(5.0), np.arange(3.0)), np.zeros((3, 5))], axis=-1).reshape(-1, 3)
    assert scan.box_sides(cloud(plane)) == pytest.approx([4, 2, 0], abs=1e-9)
    line = np.outer(np.arange(4.0), [1.0, 2.0, 2.0])
    assert scan.box_sides(cloud(line)) == pytest.approx([9, 0, 0], abs=1e-9)


@pytest.mark.parametrize("rows_columns", [(48, 64), (20, 400), (300, 30)])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_sides_of_a_grid_are_those_of_its_hull_however_it_is_sampled(
    rows_columns: tuple[int, int], noise: float
) -> None:
    y, x = np.meshgrid(
        *(np.linspace(-half, half, n) for half, n in zip((5, 10), rows_columns, strict=True)), indexing="ij"
    )
    z = np.random.default_rng(0).normal(0.0, noise, x.shape) if noise else np.zeros(x.shape)
    sides = scan.box_sides(cloud(np.stack([x, y, z], axis=-1).reshape(-1, 3)))
    assert sides == pytest.approx([20.0, 10.0, 0.0], abs=0.02 + 6 * noise)
    assert sides[:2] == pytest.approx([20.0, 10.0], abs=0.02)


def test_a_far_origin_costs_no_digits_that_matter() -> None:
    far = cloud(moved(screw(1, n=4000), rigid(0)) + 1e8)
    assert scan.length(far) == pytest.approx(20.0, abs=0.1)


def test_holes_of_a_plate_are_counted_from_points_alone() -> None:
    grid = np.stack([*np.meshgrid(np.arange(0, 30, 0.2), np.arange(0, 20, 0.2))], axis=-1).reshape(-1, 2)
    for centre in ((6, 6), (15, 10), (24, 14)):
        grid = grid[np.hypot(*(grid - centre).T) > 2.0]
    plate = np.vstack([np.column_stack([grid, np.full(len(grid), z)]) for z in (0.0, 1.0)])
    assert scan.hole_count(cloud(moved(plate, rigid(8)))) == 3


def test_flatness_is_the_peak_to_valley_from_the_plane() -> None:
    rng = np.random.default_rng(0)
    xy = rng.uniform(-3 * np.pi, 3 * np.pi, (4000, 2))
    wave = 0.25 * np.cos(xy[:, 0])
    assert scan.flatness(cloud(moved(np.column_stack([xy, wave]), rigid(2)))) == pytest.approx(0.5, rel=0.05)
    assert scan.flatness(cloud(moved(np.column_stack([xy, 0 * wave]), rigid(2)))) == pytest.approx(0.0, abs=1e-9)


def test_point_spacing_of_a_grid_ignores_duplicates() -> None:
    grid = np.stack(np.meshgrid(np.arange(20) * 0.5, np.arange(20) * 0.5, [0.0]), axis=-1).reshape(-1, 3)
    assert scan.point_spacing(cloud(np.vstack([grid, grid]))) == pytest.approx(0.5)
    with pytest.raises(MeasurementError, match="one and the same"):
        scan.point_spacing(cloud(np.ones((9, 3))))


def test_stl_style_triangles_enclose_a_volume_and_open_ones_do_not() -> None:
    box = trimesh.creation.box((2, 3, 4))
    soup = Mesh(np.asarray(box.vertices)[box.faces].reshape(-1, 3), np.arange(36, dtype=np.int64).reshape(-1, 3))
    part = PointCloud(Path("box.stl"), soup.vertices, mesh=soup)
    assert mesh.is_closed(soup)
    assert mesh.volume(part) == pytest.approx(24.0)
    lid_off = Mesh(soup.vertices, soup.faces[2:])
    with pytest.raises(MeasurementError, match="open: 4 edges"):
        mesh.volume(PointCloud(Path("box.stl"), soup.vertices, mesh=lid_off))
    with pytest.raises(MeasurementError, match="points without triangles"):
        mesh.area(cloud(soup.vertices))


def test_triangles_turned_inside_out_keep_their_volume() -> None:
    box = trimesh.creation.box((2, 3, 4))
    faces = np.asarray(box.faces, dtype=np.int64).copy()
    faces[::2] = faces[::2, ::-1]
    part = PointCloud(Path("box.stl"), np.asarray(box.vertices), mesh=Mesh(np.asarray(box.vertices), faces))
    assert mesh.volume(part) == pytest.approx(24.0)


def test_real_gear_has_one_bore(shared_data: Path) -> None:
    path = shared_data / "gear" / "gear.stl"
    if not path.exists():
        pytest.skip(f"no {path}")
    gear = trimesh.load(path)
    whole = PointCloud(path, np.asarray(gear.vertices), mesh=Mesh(np.asarray(gear.vertices), np.asarray(gear.faces)))
    points, _ = trimesh.sample.sample_surface(gear, 30_000, seed=1)
    assert scan.hole_count(whole) == scan.hole_count(cloud(points)) == 1
    assert scan.height(whole) == pytest.approx(scan.height(cloud(points)), abs=0.1)
