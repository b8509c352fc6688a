"""Figures of items: one name each, below their class and type; picture, mask and heat side by side."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from converters.image import ImageOrigin
from converters.view import View
from evaluation.engine.item_figures import draw_figure, figure_names
from vlm_inspect.datasets.item import Item
from vlm_inspect.evidence import AnomalyMap, Evidence, Phrases


def item(id_: str, *defects: str, category: str = "bottle", anomalous: bool = True) -> Item:
    return Item(id_, category, (Path(id_),), "test", anomalous, defects)


def test_no_two_items_share_a_name_and_none_leaves_the_folder() -> None:
    items = [
        item("bottle/test/broken_large/000.png", "broken_large"),
        item("bottle/test/good/000.png", anomalous=False),
        item("a/7.png", "bent", "cut"),
        item("b/7.png", "bent", "cut"),
        item("c/..png", "../../up", category="../x/y"),
        item("c/1.png"),
    ]
    named = figure_names(items)
    names = [named[one.id] for one in items]
    assert [str(name) for name in names[:3]] == [
        "bottle/broken_large/000.png", "bottle/good/000.png", "bottle/bent+cut/7.png",
    ]  # fmt: skip
    assert len(set(names)) == len(items)
    assert str(names[5]) == "bottle/anomalous/1.png"
    for name in names:
        assert len(name.parts) == 3
        assert not any(part.startswith(".") for part in name.parts)


def test_picture_mask_and_heat_stand_side_by_side() -> None:
    view = View(np.full((60, 90, 3), 120, np.uint8), "image", "whole", ImageOrigin(window_xyxy=(0, 0, 90, 60), page=0))
    heat = np.zeros((60, 90), np.float32)
    heat[20:30, 30:60] = 2.0
    found = AnomalyMap(0, heat, 2.0, "alfa")

    def drawn(mask: np.ndarray | None, one: AnomalyMap = found, *, anomalous: bool = True) -> np.ndarray:
        with Image.open(io.BytesIO(draw_figure([view], Evidence(maps=(one,)), mask, anomalous=anomalous))) as picture:
            return np.asarray(picture.convert("RGB"))

    whole = drawn(heat > 0)
    assert whole.shape == (26 + 60, 3 * 90 + 2 * 8, 3)
    assert (whole[26:, 98:188].min(axis=2) > 127).sum() == 10 * 30
    assert (whole[26:, :90] == 120).all()
    assert (whole[26:, 196:] != 120).any()
    assert (drawn(None, anomalous=False)[26:, 98:188] == 0).all(), "a normal item has an empty mask"
    assert drawn(None).shape[1] == 2 * 90 + 8, "where the mask is not known, none is drawn"
    phrases = Phrases((("a broken bottle", 0.3),), 0.2)
    told = AnomalyMap(0, heat, 2.0, "alfa", phrases=phrases)
    assert drawn(heat > 0, told).shape[0] > whole.shape[0] + 60
