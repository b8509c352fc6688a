"""The z-buffer, the closing of surfaces, the canonical pose and the way back from a pixel to a point."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from converters.point_cloud import render_point_cloud
from converters.pose import ScanFrame, canonical_frame, rotate
from converters.projection import DIRECTIONS, Camera, DepthMap, Direction, ScanOrigin, project, zbuffer, zbuffer_pair
from converters.sample import PointCloud
from converters.shading import depth_image, normals_image, surface_normals
from converters.surface import close_surface, nearest_true, surface_density
from converters.view import Origin, ViewBudget

SIZE = 64
directions = st.sampled_from(DIRECTIONS)
seeds = st.integers(0, 2**32 - 1)


def plate(spacing: float = 0.25, depth: float = 0.0) -> NDArray[np.float64]:
    """(N, 3): a square of 16 x 16 mm that faces the front, points strewn at random with that mean spacing."""
    random = np.random.default_rng(4)
    count = int((16 / spacing) ** 2)
    return np.column_stack([random.uniform(-8, 8, (count, 2)), np.full(count, -depth)])


def front(half: float = 10.0, size: int = SIZE) -> Camera:
    return Camera.facing("front", half, size)


def closed(points: NDArray[np.float64], camera: Camera) -> DepthMap:
    return close_surface(zbuffer(points, camera), surface_density(points))


def random_turn(seed: int) -> NDArray[np.float64]:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return turn * np.linalg.det(turn)


# --- z-buffer --------------------------------------------------------------------------------------------------------


def test_plane_has_one_depth() -> None:
    seen = closed(plate(depth=2.0), front())
    np.testing.assert_allclose(seen.depth_hw[seen.mask], 2.0, atol=1e-6)
    assert seen.mask[10:54, 10:54].all()
    assert not seen.mask[:5].any()
    assert np.isnan(seen.depth_hw[~seen.mask]).all()
    assert (seen.index_hw[~seen.mask] == -1).all()
    assert seen.depth_hw.dtype == np.float32
    assert seen.index_hw.dtype == np.int32


@given(seed=seeds, direction=directions, count=st.integers(4, 300))
@settings(max_examples=60, deadline=None)
def test_every_pixel_holds_its_nearest_point(seed: int, direction: Direction, count: int) -> None:
    points = np.random.default_rng(seed).normal(scale=4.0, size=(count, 3))
    camera = Camera.facing(direction, 6.0, 16)
    seen = zbuffer(points, camera)
    xy, depth = camera.pixels(points)
    cell = np.floor(xy).astype(int)
    inside = ((cell >= 0) & (cell < 16)).all(axis=1)
    assert seen.outside == count - inside.sum()
    for row in range(16):
        for column in range(16):
            here = np.flatnonzero(inside & (cell[:, 0] == column) & (cell[:, 1] == row))
            if len(here):
                assert seen.index_hw[row, column] == here[np.argmin(depth[here])]
                assert seen.depth_hw[row, column] == pytest.approx(depth[here].min(), abs=1e-5)
            else:
                assert seen.index_hw[row, column] == -1


@given(seed=seeds, direction=directions)
@settings(max_examples=30, deadline=None)
def test_opposite_side_is_the_mirrored_view(seed: int, direction: Direction) -> None:
    points = np.random.default_rng(seed).normal(scale=3.0, size=(500, 3))
    camera = Camera.facing(direction, 8.0, 32)
    here, there = zbuffer_pair(points, camera)
    alone = zbuffer(points, camera.opposite())
    assert there.camera.direction == alone.camera.direction != direction
    np.testing.assert_array_equal(there.index_hw, alone.index_hw)
    np.testing.assert_array_equal(there.depth_hw, alone.depth_hw)
    flip = np.flipud if direction in {"top", "bottom"} else np.fliplr
    np.testing.assert_array_equal(here.mask, flip(there.mask))
    assert (here.depth_hw[here.mask] <= -flip(there.depth_hw)[here.mask]).all()
    assert np.array_equal(camera.opposite().opposite().rotation, camera.rotation)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_cameras_are_right_handed_and_look_at_their_side(direction: Direction) -> None:
    camera = Camera.facing(direction, 1.0, 100)
    assert np.linalg.det(camera.rotation) == pytest.approx(1.0)
    side = {"front": (0, 0, 1), "back": (0, 0, -1), "left": (-1, 0, 0), "right": (1, 0, 0), "top": (0, 1, 0)}
    towards = np.array(side.get(direction, (0, -1, 0)), dtype=float)
    xy, depth = camera.pixels(np.stack([towards, -towards]) * 0.5)
    np.testing.assert_allclose(xy, 50.0)
    assert depth[0] < 0.0 < depth[1]


def test_views_are_the_right_way_round() -> None:
    """x runs to the right and y up on the front; on the right side the front is at the left; on the top it is below."""
    marks = {"front": (0.5, 0.8, 0.0), "right": (0.0, 0.8, 0.5), "top": (0.5, 0.0, -0.8), "back": (-0.5, 0.8, 0.0)}
    expected = {"front": (75, 10), "right": (25, 10), "top": (75, 10), "back": (75, 10)}
    for direction in DIRECTIONS:
        if direction in marks:
            xy, _ = Camera.facing(direction, 1.0, 100).pixels(np.array([marks[direction]]))
            np.testing.assert_allclose(xy[0], expected[direction])


def test_near_hides_far_even_through_gaps() -> None:
    points = np.vstack([plate(spacing=0.8, depth=-3.0), plate(spacing=0.2, depth=3.0)])
    camera = front(size=128)
    raw = zbuffer(points, camera)
    assert (raw.depth_hw[40:88, 40:88] > 0).mean() > 0.3  # the far plate shows between the points
    seen = close_surface(raw, surface_density(plate(spacing=0.8)))
    assert (seen.depth_hw[40:88, 40:88] < 0).all()
    assert (seen.index_hw[40:88, 40:88] < len(plate(spacing=0.8))).all()


def test_depths_that_float32_can_tell_apart_are_told_apart() -> None:
    near, far = np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0))
    points = np.array([[0.1, 0.1, -far], [0.1, 0.1, -near], [0.1, 0.1, 5.0], [0.1, -9.0, 0.0]], dtype=np.float32)
    assert zbuffer(points[[0, 1]], front(size=4)).index_hw.max() == 1
    assert zbuffer(points[[1, 0]], front(size=4)).index_hw.max() == 0
    assert zbuffer(points, front(size=4)).index_hw[1, 2] == 2


def test_nothing_in_the_picture() -> None:
    seen = zbuffer(plate() + np.array([100.0, 0.0, 0.0]), front())
    assert not seen.mask.any()
    assert seen.outside == len(plate())
    assert not close_surface(seen, 1.0).mask.any()


# --- closing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [0.15, 0.3, 0.6])
def test_drilled_hole_stays_and_gaps_close(spacing: float) -> None:
    import cv2

    points = plate(spacing)
    hole = np.hypot(points[:, 0] - 2.0, points[:, 1] - 1.0) < 2.5
    seen = closed(points[~hole], front(size=256))
    count, _, stats, centres = cv2.connectedComponentsWithStats((~seen.mask).astype(np.uint8), connectivity=4)
    assert count == 3  # the plate (label 0), the outside and the hole
    at = 1 + int(np.argmin(stats[1:, cv2.CC_STAT_AREA]))
    diameter = np.sqrt(stats[at, cv2.CC_STAT_AREA] * 4 / np.pi) * seen.camera.mm_per_px
    assert diameter == pytest.approx(5.0, abs=2 * spacing)
    assert np.hypot(*(centres[at] - np.array([12.0, 9.0]) / 20 * 256)) < 4


@pytest.mark.parametrize("spacing", [0.15, 0.6])
def test_outline_keeps_its_size(spacing: float) -> None:
    seen = closed(plate(spacing), front(size=256))
    side_mm = np.sqrt(seen.mask.sum()) * seen.camera.mm_per_px
    assert side_mm == pytest.approx(16.0, abs=2 * spacing)


def test_filled_pixels_take_a_point_nearby() -> None:
    points = plate(0.6)
    seen = closed(points, front(size=256))
    rows, columns = np.nonzero(seen.mask)
    xy, depth = seen.camera.pixels(points[seen.index_hw[rows, columns]])
    away = np.hypot(xy[:, 0] - columns - 0.5, xy[:, 1] - rows - 0.5) * seen.camera.mm_per_px
    assert away.max() < 4 * 0.6
    np.testing.assert_allclose(seen.depth_hw[rows, columns], depth, atol=1e-5)
    raw = zbuffer(points, front(size=256))
    np.testing.assert_array_equal(seen.index_hw[raw.mask], raw.index_hw[raw.mask])


def test_steep_wall_is_not_taken_for_a_gap() -> None:
    """A groove 2 mm wide and 3 mm deep keeps its floor."""
    points = plate(0.15)
    groove = np.abs(points[:, 0]) < 1.0
    points[groove, 2] -= 3.0
    seen = closed(points, front(size=256))
    np.testing.assert_allclose(seen.depth_hw[64:192, 122:134], 3.0, atol=1e-5)
    np.testing.assert_allclose(seen.depth_hw[64:192, 60:100], 0.0, atol=1e-5)


def test_density_counts_points_on_the_surface() -> None:
    assert surface_density(plate(0.2)) == pytest.approx(25.0, rel=0.5)
    two_layers = np.vstack([plate(0.2), plate(0.2, depth=6.0)])
    assert surface_density(two_layers) == pytest.approx(25.0, rel=0.5)
    many = np.random.default_rng(1).uniform(-8, 8, (200_000, 3)) * [1.0, 1.0, 0.0]
    assert surface_density(many) == pytest.approx(200_000 / 256, rel=0.5)
    assert surface_density(np.repeat(np.eye(4, 3), 20, axis=0)) > 0.0


@given(seed=seeds, share=st.floats(0.001, 0.5))
@settings(max_examples=20, deadline=None)
def test_nearest_true_is_nearest(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((23, 31)) < share
    mask[5, 7] = True
    found = nearest_true(mask)
    assert mask.ravel()[found].all()
    rows, columns = np.nonzero(mask)
    row, column = np.indices(mask.shape)
    exact = np.hypot(row[..., None] - rows, column[..., None] - columns).min(axis=2)
    ours = np.hypot(row - found // 31, column - found % 31)
    assert (ours <= exact * 1.1 + 0.5).all()
    np.testing.assert_array_equal(found[mask], np.flatnonzero(mask))


# --- pose ------------------------------------------------------------------------------------------------------------


@given(seed=seeds, pca=st.booleans(), far=st.sampled_from([0.0, 1e3, 1e8]))
@settings(max_examples=40, deadline=None)
def test_pose_is_rigid_and_centres(seed: int, pca: bool, far: float) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(200, 3)) * random.uniform(0.1, 30.0, 3) @ random_turn(seed).T + far
    frame = canonical_frame(PointCloud(Path("a"), points), pca)
    rotation = frame.pose[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_array_equal(frame.pose[3], [0, 0, 0, 1])
    posed = frame.posed(points)
    assert np.linalg.norm(posed[7] - posed[90]) == pytest.approx(np.linalg.norm(points[7] - points[90]), rel=1e-6)
    middle = (posed.min(axis=0) + posed.max(axis=0)) / 2
    assert np.abs(middle).max() < 0.3 * frame.half_extent_mm
    if not pca:
        np.testing.assert_array_equal(rotation, np.eye(3))
    else:
        spread = posed.std(axis=0)
        assert spread[0] >= spread[1] * (1 - 1e-6) >= spread[2] * (1 - 1e-6) ** 2


def test_pose_does_not_depend_on_how_the_part_lies() -> None:
    random = np.random.default_rng(3)
    points = random.gamma(2.0, size=(3000, 3)) * [9.0, 4.0, 1.5]
    here = canonical_frame(PointCloud(Path("a"), points))
    for seed in range(5):
        turn = random_turn(seed)
        there = canonical_frame(PointCloud(Path("b"), points @ turn.T + 50.0))
        np.testing.assert_allclose(there.pose[:3, :3] @ turn, here.pose[:3, :3], atol=1e-6)
        assert there.half_extent_mm == pytest.approx(here.half_extent_mm)


def test_stray_points_do_not_shrink_the_part() -> None:
    points = np.vstack([plate(), [[900.0, 0.0, 0.0]]])
    frame = canonical_frame(PointCloud(Path("a"), points), pca=False)
    assert frame.half_extent_mm < 14.0
    view = render_point_cloud(PointCloud(Path("a"), points), ViewBudget(scan_size=64), frame)[0]
    assert view.label == f"depth, front (1 of {len(points)} points outside the picture)"


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_rotate_is_the_matrix_product(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(30, 3))
    np.testing.assert_allclose(rotate(points, random_turn(seed)), points @ random_turn(seed).T, atol=1e-12)


# --- from a box to a point -------------------------------------------------------------------------------------------


@given(seed=seeds, direction=directions, offset=st.sampled_from([0.0, 250.0, 1e6]))
@settings(max_examples=40, deadline=None)
def test_pixel_to_point_and_back_within_a_pixel(seed: int, direction: Direction, offset: float) -> None:
    """A box around one point's pixel gives a point of the scan that falls into that pixel."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(400, 3)) * [6.0, 4.0, 2.0] @ random_turn(seed).T + offset
    frame = canonical_frame(PointCloud(Path("a"), points))
    camera = Camera.facing(direction, frame.half_extent_mm, 48)
    seen = zbuffer(frame.posed(points), camera)
    origin = ScanOrigin(seen.index_hw, points, camera, frame.pose)
    assert isinstance(origin, Origin)
    rows, columns = np.nonzero(seen.mask)
    for at in random.integers(0, len(rows), 10):
        row, column = rows[at], columns[at]
        place = origin.locate((column / 48, row / 48, (column + 1) / 48, (row + 1) / 48))
        assert place.point_mm is not None
        assert (points == np.array(place.point_mm)).all(axis=1).any()
        xy, _ = camera.pixels(frame.posed(np.array([place.point_mm])))
        assert np.abs(xy[0] - [column + 0.5, row + 0.5]).max() <= 0.5 + 1e-3
        assert place.size_mm == pytest.approx(origin.mm_per_px)


def corner_origin() -> ScanOrigin:
    """A plate at depth 0 whose right half lies 5 mm deeper."""
    points = plate(0.2)
    points[points[:, 0] > 0.0, 2] -= 5.0
    frame = ScanFrame(np.eye(4), 10.0)
    seen = project(PointCloud(Path("a"), points), frame, SIZE)["front"]
    return ScanOrigin(seen.index_hw, points, seen.camera, frame.pose)


def test_box_is_located_at_its_middle_and_measured() -> None:
    place = corner_origin().locate((0.2, 0.4, 0.4, 0.5))
    assert place.point_mm is not None
    np.testing.assert_allclose(place.point_mm, [-4.0, 1.0, 0.0], atol=0.4)
    assert place.size_mm == pytest.approx(4.0)
    assert place.source_xyxy is None
    assert place.time_s is None


def test_few_pixels_past_an_edge_do_not_decide() -> None:
    """Three quarters of the box lie on the upper half, and its middle just beyond the edge of it."""
    place = corner_origin().locate((0.30, 0.3, 0.72, 0.7))
    assert place.point_mm is not None
    assert place.point_mm[2] == pytest.approx(0.0 if place.point_mm[0] < 0 else -5.0)
    point = corner_origin().locate((0.25, 0.3, 0.65, 0.7)).point_mm
    assert point is not None
    assert point[2] == 0.0


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.02, 0.02), (0.98, 0.5, 1.0, 0.5), (1.0, 1.0, 1.0, 1.0)])
def test_background_gives_the_nearest_point(box: tuple[float, float, float, float]) -> None:
    origin = corner_origin()
    place = origin.locate(box)
    assert place.point_mm is not None
    middle = np.array([(box[0] + box[2]) - 1, 1 - (box[1] + box[3])]) * 10.0
    nearest = np.clip(middle, -8.0, 8.0)
    assert np.hypot(*(np.array(place.point_mm[:2]) - nearest)) < 1.2


# --- pictures --------------------------------------------------------------------------------------------------------


def test_grey_falls_with_depth_and_background_is_black() -> None:
    origin = corner_origin()
    seen = project(PointCloud(Path("a"), origin.points), ScanFrame(np.eye(4), 10.0), SIZE)["front"]
    image = depth_image(seen, 5.0)
    assert image.shape == (SIZE, SIZE, 3)
    assert (image[~seen.mask] == 0).all()
    assert image[32, 16, 0] == round(70 + 0.5 * 185)
    assert image[32, 48, 0] == 70


def test_normals_of_a_slope() -> None:
    """A roof that falls by 3 mm over 4 mm to the right has the normal (3, 0, 4) / 5: red up, green half, blue up."""
    points = plate(0.1)
    points[:, 2] = -0.75 * points[:, 0]
    seen = closed(points, front())
    normals = surface_normals(seen)
    inner = normals[20:44, 20:44]
    np.testing.assert_allclose(inner.mean(axis=(0, 1)), [0.6, 0.0, -0.8], atol=0.03)
    np.testing.assert_allclose(np.linalg.norm(inner, axis=2), 1.0, atol=1e-5)
    assert not normals[~seen.mask].any()
    red, green, blue = normals_image(normals)[20:44, 20:44].reshape(-1, 3).mean(axis=0)
    assert red == pytest.approx(127.5 * 1.6, abs=4)
    assert green == pytest.approx(127.5, abs=4)
    assert blue == pytest.approx(127.5 * 1.8, abs=4)


def test_few_points_far_apart_are_drawn_without_delay() -> None:
    sparse = PointCloud(Path("sparse.ply"), np.random.default_rng(0).uniform(-1, 1, (26, 3)) * [5.0, 4.0, 1.5])
    began = time.process_time()
    views = render_point_cloud(sparse, ViewBudget())
    assert time.process_time() - began < 10.0  # the cost of a disc as large as the picture was minutes
    assert views
