"""The overlay sheet and its colours: the limit looks the same on every view, marks lie where the boxes are."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from converters.view import Pane
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.report.heat import blend, colour_levels, heat_of_view
from vlm_inspect.report.marks import marks_of_view, rank_views
from vlm_inspect.report.overlay import WIDTH, render_overlay
from vlm_inspect.report.pictures import data_url, encode_png
from vlm_inspect.tolerance import Tolerance

LEVELS = hnp.arrays(np.float32, (4, 5), elements=st.floats(0, 1e6, width=32))


def amap(values: np.ndarray, limit: float | None, view: int = 0) -> AnomalyMap:
    tolerance = None if limit is None else Tolerance(limit=limit, centre=limit / 2, n=5, overkill=0.01)
    return AnomalyMap(view, values.astype(np.float32), float(values.max()), "memory", tolerance=tolerance)


def test_the_limit_has_one_colour_whatever_its_value(case) -> None:
    values = np.tile(np.array([[0.0, 0.5, 1.0, 2.0, 9.0]]), (3, 1))
    small, large = (heat_of_view(Evidence(maps=(amap(values * limit, limit),)), 0) for limit in (0.02, 70.0))
    assert small is not None
    assert large is not None
    assert np.allclose(small.level, large.level)
    rgba = colour_levels(small.level, calibrated=True)[0].astype(int)
    assert rgba[0, 3] == 0, "nothing is drawn where nothing is hot"
    assert rgba[2, 0] > 200, "the limit is yellow"
    assert rgba[2, 1] > 130
    assert rgba[2, 2] < 90
    assert rgba[3, 0] > 2 * rgba[3, 1], "twice the limit is red"
    assert np.array_equal(rgba[3], rgba[4]), "hotter than the bar's end looks like its end"


def test_an_uncalibrated_map_says_so_and_spans_its_own_range() -> None:
    heat = heat_of_view(Evidence(maps=(amap(np.array([[2.0, 3.0, 4.0]]), None),)), 0)
    assert heat is not None
    assert np.allclose(heat.level, [[0, 0.5, 1]])
    assert "uncalibrated" in heat.caption
    assert "2 to 4" in heat.caption


def test_of_two_maps_the_one_farther_above_its_limit_is_drawn() -> None:
    hot, cold = amap(np.full((2, 2), 3.0), 1.0), amap(np.full((2, 2), 30.0), 20.0)
    heat = heat_of_view(Evidence(maps=(cold, hot)), 0)
    assert heat is not None
    assert heat.source is hot
    assert heat_of_view(Evidence(maps=(cold, hot)), 1) is None


@given(LEVELS, st.booleans())
def test_hotter_is_never_more_transparent(level: np.ndarray, calibrated: bool) -> None:
    alpha = colour_levels(level, calibrated=calibrated)[..., 3].astype(int).ravel()
    order = np.argsort(level.ravel(), kind="stable")
    assert np.all(np.diff(alpha[order]) >= 0)


def test_nan_and_a_flat_map_are_drawn_as_nothing() -> None:
    for values in (np.full((3, 3), np.nan, np.float32), np.zeros((3, 3), np.float32)):
        for limit in (None, 1.0):
            heat = heat_of_view(Evidence(maps=(amap(values, limit),)), 0)
            assert heat is not None
            image = np.full((3, 3, 3), 90, np.uint8)
            assert np.array_equal(blend(image, heat), image)


def test_views_with_defects_come_first_then_the_hottest(case) -> None:
    assert rank_views(case.inspection, case.views, case.evidence) == [1, 0, 2]
    calm = case.inspection.model_copy(update={"defects": ()})
    assert rank_views(calm, case.views, case.evidence) == [1, 0, 2]


def test_marks_are_numbered_as_the_defects_and_covered_regions_left_out(case) -> None:
    marks = marks_of_view(case.inspection, case.evidence, 1)
    assert [(mark.number, mark.box_xyxyn) for mark in marks] == [
        (1, (0.3, 0.3, 0.5, 0.6)),
        (None, (0.8, 0.7, 0.95, 0.9)),
    ]
    assert marks_of_view(case.inspection, case.evidence, 0) == []


def test_the_sheet_shows_view_heat_and_box(case) -> None:
    sheet = render_overlay(case.inspection, case.views, case.evidence)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (WIDTH, 3)
    red = (sheet[..., 0].astype(int) - sheet[..., 2] > 90) & (sheet[..., 1] < 120)
    assert red[120:].sum() > 500, "the hot spot is red"
    without = render_overlay(
        case.inspection.model_copy(update={"defects": ()}), case.views, Evidence(maps=case.evidence.maps)
    )
    assert without.shape[0] < sheet.shape[0]
    white = (sheet == 255).all(axis=2)
    assert white[120:].sum() > (without == 255).all(axis=2)[120:].sum() + 300, "the box is white"


@pytest.mark.parametrize("size_hw", [(40, 400), (400, 40), (1, 1), (64, 64)])
@pytest.mark.parametrize("box", [(0.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0)])
def test_any_shape_of_view_and_box_fits(case, size_hw: tuple[int, int], box: tuple[float, ...]) -> None:
    image = np.zeros((*size_hw, 3), np.uint8)
    view = replace(case.views[0], image=image)
    defect = case.inspection.defects[0].model_copy(update={"view": 0, "box_xyxyn": box})
    inspection = case.inspection.model_copy(update={"defects": (defect,)})
    sheet = render_overlay(inspection, [view], Evidence(maps=(amap(np.ones(size_hw), 0.5),)))
    assert sheet.shape[1] == WIDTH


def test_a_part_without_maps_or_views_still_gets_a_sheet(case) -> None:
    bare = render_overlay(case.inspection, case.views, Evidence())
    assert bare.shape[1] == WIDTH
    none = render_overlay(case.inspection.model_copy(update={"defects": (), "views": ()}), (), Evidence())
    assert none.shape[1] == WIDTH


def test_pictures_say_what_they_are() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    flat = np.zeros((40, 40, 3), np.uint8)
    import base64

    for image, mime, magic in ((noise, "image/jpeg", b"\xff\xd8"), (flat, "image/png", b"\x89PNG")):
        url = data_url(image)
        assert url.startswith(f"data:{mime};base64,")
        assert base64.b64decode(url.split(",", 1)[1]).startswith(magic)
    with Image.open(io.BytesIO(encode_png(noise))) as back:
        assert np.array_equal(np.asarray(back), noise)


def test_a_scans_places_beside_references_follow_its_worst_defect(case) -> None:
    pane = Pane((0, 0, 4, 4), "this part")
    picture = np.zeros((8, 8, 3), np.uint8)
    plain = replace(case.views[0], image=picture, kind="deviation", label="deviation, front; blue up to 1 mm below")
    more = [replace(plain, key="a"), replace(plain, key="b"), replace(plain, panes=(pane,), key="c")]
    views, count = [*case.views, *more], len(case.views)
    assert rank_views(case.inspection, views, case.evidence)[:3] == [1, count + 2, count]
    assert render_overlay(case.inspection, views, case.evidence).shape[1] == WIDTH
    calm = case.inspection.model_copy(update={"defects": ()})
    assert rank_views(calm, views, case.evidence)[0] == 1
