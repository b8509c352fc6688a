"""Maps of whole images from those of their views, and as they are kept."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from converters.image import render_image
from converters.sample import ImageSample
from converters.view import View, ViewBudget
from evaluation.errors import RunError
from evaluation.scoring.item_map import StoredMap, heatmap_score, join_maps, read_map
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.tolerance import Tolerance


def views_of(height: int, width: int) -> list[View]:
    """The whole picture, and its tiles where it is longer than 64 pixels."""
    page = np.zeros((height, width, 3), np.uint8)
    return render_image(ImageSample(path=Path("a.png"), pages=(page,)), ViewBudget(max_side=64, max_tiles=6))


def flat(view: int, size_hw: tuple[int, int], value: float, limit: float | None = None) -> AnomalyMap:
    tolerance = None if limit is None else Tolerance(limit=limit, centre=limit / 2, n=4, overkill=0.01)
    return AnomalyMap(view, np.full(size_hw, value, np.float32), value, "memory", tolerance=tolerance)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float32, (5, 7), elements=st.floats(0, 1e4, width=32)))
def test_a_stored_map_keeps_order_and_values(values: np.ndarray) -> None:
    restored = StoredMap.of(values).values()
    span = float(values.max() - values.min())
    assert np.abs(restored - values).max() <= span / 131_000 + 1e-3 * span * 1e-3 + 1e-12
    order = np.argsort(values.ravel(), kind="stable")
    assert (np.diff(restored.ravel()[order]) >= 0).all()


def test_it_comes_back_from_disk(tmp_path: Path) -> None:
    kept = StoredMap.of(np.arange(12, dtype=np.float32).reshape(3, 4))
    (tmp_path / "a.npz").write_bytes(kept.pack())
    found = read_map(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.steps, kept.steps)
    np.testing.assert_allclose(found.values(), kept.values())
    (tmp_path / "a.npz").write_bytes(kept.pack()[:-20])
    with pytest.raises(RunError, match="cannot be read"):
        read_map(tmp_path / "a.npz")


def test_the_whole_view_is_brought_to_the_size_of_the_image() -> None:
    views = views_of(100, 130)
    assert len(views) > 2
    joined = join_maps(views, [flat(0, views[0].size_hw, 3.0)])
    assert joined is not None
    assert joined.shape == (100, 130)
    np.testing.assert_allclose(joined, 3.0)


def test_tiles_count_where_they_are_higher_and_all_are_calibrated() -> None:
    views = views_of(100, 130)
    last = len(views) - 1
    whole = flat(0, views[0].size_hw, 1.0, limit=2.0)
    tile = flat(last, views[last].size_hw, 12.0, limit=4.0)
    joined = join_maps(views, [whole, tile])
    assert joined is not None
    x0, y0, x1, y1 = (round(side) for side in views[last].origin.locate((0, 0, 1, 1)).source_xyxy or ())
    inside = np.zeros(joined.shape, bool)
    inside[y0:y1, x0:x1] = True
    np.testing.assert_allclose(joined[inside], 3.0)
    np.testing.assert_allclose(joined[~inside], 0.5)
    raw = join_maps(views, [flat(0, views[0].size_hw, 1.0), flat(last, views[last].size_hw, 12.0)])
    assert raw is not None
    np.testing.assert_allclose(raw, 1.0)


def test_without_the_whole_view_there_is_none() -> None:
    views = views_of(100, 130)
    assert join_maps(views, []) is None
    assert join_maps(views, [flat(1, views[1].size_hw, 1.0)]) is None
    assert heatmap_score([]) is None
    assert heatmap_score([flat(0, (2, 2), 1.0, limit=4.0), flat(1, (2, 2), 1.0, limit=2.0)]) == 0.5
    assert heatmap_score([flat(0, (2, 2), 7.0)]) == 7.0
