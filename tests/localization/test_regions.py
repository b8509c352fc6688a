"""Regions: tight boxes, hottest first, nothing where nothing stands out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.view import BoxXyxyn, Place, View
from vlm_inspect.evidence import AnomalyMap, TypeMap
from vlm_inspect.localization.regions import find_regions
from vlm_inspect.tolerance import tolerance_from_normals

TOLERANCE = tolerance_from_normals([1.0, 1.05, 0.95, 1.02])


class Pixels:
    """An origin whose place is the box in pixels of a 200 x 100 picture."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        x0, y0, x1, y1 = box_xyxyn
        return Place(source_xyxy=(x0 * 200, y0 * 100, x1 * 200, y1 * 100))


def view(mask: NDArray[np.bool_] | None = None) -> View:
    return View(np.zeros((100, 200, 3), np.uint8), "image", "image", Pixels(), key="image", mask=mask)


def blob(values: NDArray[np.float32], center_xy: tuple[float, float], height: float, sigma: float = 4.0) -> None:
    y, x = np.mgrid[0 : values.shape[0], 0 : values.shape[1]]
    bump = height * np.exp(-((x - center_xy[0]) ** 2 + (y - center_xy[1]) ** 2) / (2 * sigma**2))
    np.maximum(values, bump.astype(np.float32), out=values)


def anomaly_map(values: NDArray[np.float32], *, calibrated: bool = True, **more: object) -> AnomalyMap:
    tolerance = TOLERANCE if calibrated else None
    return AnomalyMap(0, values, float(values.max()), "memory", tolerance=tolerance, **more)  # type: ignore[arg-type]  # test shorthand


def normal_values(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0.5, 0.9, (100, 200)).astype(np.float32)


def test_a_normal_map_has_no_region() -> None:
    assert find_regions(anomaly_map(normal_values()), view()) == []


def test_box_is_tight_and_place_comes_from_the_origin() -> None:
    values = normal_values()
    blob(values, (150, 40), 4.0)
    (region,) = find_regions(anomaly_map(values), view())
    x0, y0, x1, y1 = region.box_xyxyn
    assert x0 * 200 <= 150 <= x1 * 200
    assert y0 * 100 <= 40 <= y1 * 100
    assert (x1 - x0) * 200 < 20
    assert region.peak_xyn == pytest.approx((150.5 / 200, 40.5 / 100))
    assert region.place.source_xyxy == pytest.approx((x0 * 200, y0 * 100, x1 * 200, y1 * 100))
    assert region.calibrated
    assert region.score == pytest.approx(TOLERANCE.probability(4.0), abs=1e-6)
    assert 0 < region.area < 0.02


def test_hottest_first_and_no_more_than_asked() -> None:
    values = normal_values()
    for center, height in (((30, 30), 2.5), ((100, 70), 5.0), ((170, 20), 3.5)):
        blob(values, center, height)
    found = find_regions(anomaly_map(values), view())
    assert [round(r.peak_xyn[0] * 200 - 0.5) for r in found] == [100, 170, 30]
    assert len(find_regions(anomaly_map(values), view(), max_regions=2)) == 2


def test_specks_a_small_gap_apart_are_one_region() -> None:
    values = normal_values()
    values[50, 60:70:3] = 4.0
    assert len(find_regions(anomaly_map(values), view())) == 1


def test_ignored_boxes_never_count() -> None:
    values = normal_values()
    blob(values, (150, 40), 4.0)
    assert find_regions(anomaly_map(values), view(), ignore=[(0.6, 0.0, 0.9, 1.0)]) == []


def test_uncalibrated_maps_give_the_peaks_that_stand_out() -> None:
    values = normal_values()
    blob(values, (20, 80), 3.0)
    (region,) = find_regions(anomaly_map(values, calibrated=False), view())
    assert not region.calibrated
    assert region.score == pytest.approx(1.0)
    assert abs(region.peak_xyn[0] * 200 - 20) < 2


def test_an_empty_map_or_mask_has_no_region() -> None:
    zeros = np.zeros((100, 200), np.float32)
    assert find_regions(anomaly_map(zeros, calibrated=False), view()) == []
    assert find_regions(anomaly_map(zeros, calibrated=False), view(np.zeros((100, 200), bool))) == []
    assert find_regions(anomaly_map(zeros), view()) == []


def test_match_is_the_same_place_of_the_reference() -> None:
    values = normal_values()
    blob(values, (150, 40), 4.0)
    matches = np.full((10, 20, 4), np.nan, np.float32)
    matches[4, 15] = (2, 1, 0.5, 0.5)
    (region,) = find_regions(anomaly_map(values, matches=matches), view())
    assert region.match is not None
    assert (region.match.reference, region.match.view) == (2, 1)
    x0, y0, x1, y1 = region.match.box_xyxyn
    assert x0 < 0.5 < x1
    assert y0 < 0.5 < y1
    assert x1 - x0 == pytest.approx(region.box_xyxyn[2] - region.box_xyxyn[0])
    matches[:] = np.nan
    (alone,) = find_regions(anomaly_map(values, matches=matches), view())
    assert alone.match is None


def test_one_wide_defect_is_one_region() -> None:
    values = normal_values()
    blob(values, (90, 50), 6.0, sigma=15.0)
    assert len(find_regions(anomaly_map(values), view())) == 1


@pytest.mark.parametrize(
    ("scratch", "word", "note"),
    [
        (0.60, "scratch", "of all words scratch 75 % and dent 25 %"),
        (0.24, None, "no word stands out: of all words scratch 55 % and dent 45 %"),
    ],
)
def test_an_area_is_named_only_where_one_word_stands_out(scratch: float, word: str | None, note: str) -> None:
    values = normal_values()
    blob(values, (60, 40), 3.0)
    types = TypeMap(("dent", "scratch"), np.full((2, 5, 10), 0.2, np.float32))
    types.values[1] = scratch
    (region,) = find_regions(anomaly_map(values, types=types), view())
    assert region.defect_type == word
    assert region.note == note
