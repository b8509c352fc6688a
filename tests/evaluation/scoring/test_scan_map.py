"""Scores of a scan's points, carried back from maps of its views that are made by hand."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.point_cloud import read_point_cloud, render_point_cloud
from converters.projection import ScanOrigin
from converters.sample import PointCloud
from converters.view import View, ViewBudget
from evaluation.scoring.item_map import comparable
from evaluation.scoring.item_places import find_places
from evaluation.scoring.scan_map import point_scores
from vlm_inspect.datasets.item import Item
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.point_values import values_nearby
from vlm_inspect.tolerance import Tolerance

SIZE_HW = (40, 50)


def scan_of(path: Path) -> PointCloud:
    """Return an organised scan: a bent sheet 0.4 m away, three rows of which the sensor did not see."""
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    x, y = columns * 1e-3, rows * 1e-3
    grid = np.stack([x, y, 0.4 + 3 * (x - 0.02) ** 2 + y**2], axis=2).astype(np.float32)
    grid[10:13] = 0.0
    np.save(path, grid)
    return read_point_cloud(path)


def painted(
    view: View, index: int, marked: NDArray[np.bool_], height: float = 1.0, limit: float | None = None
) -> AnomalyMap:
    """Return a map of a view that is as high as told where one of the marked points (N,) is seen."""
    assert isinstance(view.origin, ScanOrigin)
    seen = view.origin.index_hw
    values = np.where((seen >= 0) & marked[seen], height, 0.0).astype(np.float32)
    tolerance = None if limit is None else Tolerance(limit=limit, centre=limit / 2, n=4, overkill=0.01)
    return AnomalyMap(index, values, height, "memory", tolerance=tolerance)


def test_a_marked_place_comes_back_to_its_own_pixels(tmp_path: Path) -> None:
    cloud = scan_of(tmp_path / "a.npy")
    views = render_point_cloud(cloud, ViewBudget(scan_size=256))  # about five pixels a point
    marked = np.zeros(SIZE_HW, bool)
    marked[20:28, 14:30] = True
    assert cloud.grid is not None
    flags = marked.ravel()[cloud.grid.pixels]
    item = Item("a", "a", (cloud.path,), "test", True)
    found = find_places(item, views, [painted(views[0], 0, flags)])
    assert found.listed is None
    assert found.picture is not None
    np.testing.assert_array_equal(found.picture.values(), marked.astype(np.float32))


def test_far_from_the_origin_nothing_moves(tmp_path: Path) -> None:
    near = scan_of(tmp_path / "a.npy")
    far = PointCloud(near.path, near.points * 1000 + [4e7, -3e7, 1e6], grid=near.grid)
    views = render_point_cloud(far, ViewBudget(scan_size=256))
    flags = near.points[:, 0] > 0.025
    scores = point_scores(views, [painted(views[0], 0, flags)])
    assert scores is not None
    np.testing.assert_array_equal(scores > 0.5, flags)


def box(count: int) -> PointCloud:
    """Return points on all sides of a box of 20 x 12 x 6, and one inside, which no view sees."""
    generator = np.random.default_rng(1)
    points = generator.uniform(-1, 1, (count, 3))
    side = generator.integers(0, 3, count)
    points[np.arange(count), side] = generator.choice([-1.0, 1.0], count)
    points[0] = [0.0, 0.0, 0.3]
    return PointCloud(Path("box.ply"), points * [10.0, 6.0, 3.0])


def test_each_side_takes_the_map_of_the_view_that_sees_it() -> None:
    cloud = box(30_000)
    views = render_point_cloud(cloud, ViewBudget(scan_size=128))
    top = cloud.points[:, 2] > 2.999
    maps = [painted(view, number, top) for number, view in enumerate(views) if view.kind == "depth"]
    scores = point_scores(views, maps)
    assert scores is not None
    inner = (np.abs(cloud.points[:, :2]) < [9.0, 5.0]).all(axis=1)  # an edge shows both its sides in one pixel
    np.testing.assert_array_equal(scores[inner & top], 1.0)
    np.testing.assert_array_equal(scores[inner & (cloud.points[:, 2] < -2.999)], 0.0)
    assert scores[0] == 1.0, "nobody sees it; the nearest seen point is hot, so it is no normal one"


def test_limits_compare_and_maps_without_one_do_not_count_beside_them() -> None:
    cloud = box(3000)
    views = render_point_cloud(cloud, ViewBudget(scan_size=96))
    every = np.ones(len(cloud.points), bool)
    known = [painted(views[0], 0, every, 6.0, limit=4.0), painted(views[0], 0, every, 2.0, limit=1.0)]
    scores = point_scores(views, [*known, painted(views[0], 0, every, 90.0)])
    assert scores is not None
    assert scores.max() == pytest.approx(2.0)
    raw = [AnomalyMap(0, np.full((96, 96), h, np.float32), h, who) for h, who in ((1.0, "deviation"), (50.0, "memory"))]
    assert [one.source for one, _ in comparable(raw)] == ["deviation"]
    assert comparable([]) == []
    assert point_scores(views, []) is None


def test_other_places_take_the_nearest_point() -> None:
    points = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]]) + 1e8
    found = values_nearby(points + np.array([0.4, 0.2, 0.0]), points[::-1], np.array([5.0, 7.0], np.float32))
    assert found.tolist() == [7.0, 5.0]
