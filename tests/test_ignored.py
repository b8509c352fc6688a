"""Areas that never count, on whole pictures, tiles and maps."""

from pathlib import Path

import numpy as np
import pytest

from converters.image import ImageOrigin, render_image
from converters.sample import ImageSample
from converters.view import ViewBudget
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.ignored import ignored_boxes, without_ignored

TOP = (0.0, 0.0, 1.0, 0.1)


def test_a_tile_ignores_only_its_piece_of_a_box(tmp_path: Path) -> None:
    page = np.zeros((400, 400, 3), np.uint8)
    views = render_image(ImageSample(tmp_path / "p.png", (page,)), ViewBudget(max_side=256, max_tiles=4))
    assert len(views) == 5
    assert ignored_boxes(0, views, (TOP,)) == (TOP,)
    for index, view in enumerate(views[1:], start=1):
        assert isinstance(view.origin, ImageOrigin)
        _, y0, _, y1 = view.origin.window_xyxy
        found = ignored_boxes(index, views, (TOP,))
        if y0 >= 40:
            assert found == ()
        else:
            assert found[0] == pytest.approx((0.0, 0.0, 1.0, (40 - y0) / (y1 - y0)))


def test_a_map_loses_what_is_ignored_and_the_score_with_it() -> None:
    values = np.full((100, 50), 0.5, np.float32)
    values[:5] = 2.0
    kept = without_ignored(AnomalyMap(0, values, 1.8, "memory"), (TOP,))
    assert kept.values[:10].max() == 0.0
    assert kept.values[10:].min() == 0.5
    assert kept.score == pytest.approx(1.8 * 0.25)


def test_a_map_that_is_all_ignored_scores_nothing() -> None:
    kept = without_ignored(AnomalyMap(0, np.ones((8, 8), np.float32), 1.0, "memory"), ((0.0, 0.0, 1.0, 1.0),))
    assert kept.score == 0.0
    assert not kept.values.any()


def test_without_boxes_a_map_stays_itself() -> None:
    one = AnomalyMap(0, np.ones((8, 8), np.float32), 1.0, "memory")
    assert without_ignored(one, ()) is one
