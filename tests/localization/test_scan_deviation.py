"""A scan's deviation: where it is, how far, which side, and how it is painted."""

import numpy as np
import pytest

from converters.pose import ScanFrame
from converters.view import View
from tests.localization.scan_views import depth_views
from tests.measurement.screw_parts import LENGTH, TRUTH, cloud, moved, rigid, screw
from vlm_inspect.localization.scan_deviation import ScanDeviation, scan_deviation
from vlm_inspect.localization.scan_localizer import FittedScans
from vlm_inspect.registration.alignment import PosedCloud, aligned
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.pose import inverse
from vlm_inspect.registration.variation import Variation, learn

SIZE = 256
# The references lie in the common frame with the tip at 0 and the head at 20 along z; the views show it lying.
LYING = np.array([[0.0, 0, 1, -LENGTH / 2], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
FRAME = ScanFrame(LYING, 0.55 * LENGTH)


@pytest.fixture(scope="module")
def references() -> list[PosedCloud]:
    return [PosedCloud(cloud(screw(i, n=10_000)), np.eye(4)) for i in range(3)]


def normal_of(references: list[PosedCloud]) -> Variation:
    return learn([scan_surface(one.points) for one in references])


@pytest.fixture(scope="module")
def ready(references: list[PosedCloud]) -> Variation:
    return normal_of(references)


def inspected(ready: Variation, first: PosedCloud, seed: int, defect: str = "", n: int = 8500) -> tuple:
    """A fresh screw that lies anyhow: its deviation, its views, and its motion."""
    motion = rigid(seed)
    part = aligned(cloud(moved(screw(seed, n=n, defect=defect), motion)), first)
    views = depth_views(part.cloud, SIZE, ScanFrame(LYING @ part.pose, FRAME.half_extent_mm))
    tolerance = FittedScans(ready, "mm").tolerance
    return scan_deviation(part, ready, views, tolerance=tolerance), views, motion


def peak(found: ScanDeviation, views: list[View], motion: np.ndarray) -> np.ndarray:
    """Where the hottest pixel of the hottest view lies, in the part's own frame, mm."""
    best = max(found.maps, key=lambda one: one.score)
    y, x = np.unravel_index(best.values.argmax(), best.values.shape)
    place = views[best.view].origin.locate((x / SIZE, y / SIZE, (x + 1) / SIZE, (y + 1) / SIZE))
    return moved(np.array([place.point_mm]), inverse(motion))[0]


@pytest.mark.parametrize("defect", TRUTH)
def test_a_defect_exceeds_the_tolerance_at_its_place(
    ready: Variation, references: list[PosedCloud], defect: str
) -> None:
    found, views, motion = inspected(ready, references[0], 40, defect)
    assert max(one.probability for one in found.maps) > 0.9
    at = peak(found, views, motion)
    if defect == "thread":  # gone all the way round: any side of the shaft is right
        assert np.hypot(at[0], at[1]) < 2.2
        assert at[2] == pytest.approx(TRUTH[defect][2], abs=1.4)
    else:
        assert np.linalg.norm(at - TRUTH[defect]) < 2.0


@pytest.mark.parametrize(("seed", "n"), [(60, 3000), (61, 6000), (62, 14_000)])
def test_a_fresh_normal_screw_stays_inside(ready: Variation, references: list[PosedCloud], seed: int, n: int) -> None:
    found, views, _ = inspected(ready, references[0], seed, n=n)
    assert len(found.maps) == len(views) == 6
    assert max(one.probability for one in found.maps) < 0.5
    assert np.sqrt((found.signed**2).mean()) < 0.04
    assert not found.coverage.partial


def test_maps_fit_their_views_and_pictures_are_views(ready: Variation, references: list[PosedCloud]) -> None:
    found, views, _ = inspected(ready, references[0], 41, "short")
    for one in found.maps:
        view = views[one.view]
        assert one.values.shape == view.size_hw
        assert one.values.dtype == np.float32
        assert one.values.min() >= 0.0
        assert (one.source, one.unit) == ("deviation", "mm")
    deepest = min(float(layer.signed.min()) for layer in found.layers.values())
    assert deepest == pytest.approx(-1.8, abs=0.15)
    whole = [picture for picture in found.views if picture.key.startswith("deviation/")]
    assert 1 <= len(whole) <= 3
    assert [picture.key for picture in found.views[len(whole) :]] == ["closer/1"]  # one flaw, one finding
    for picture in whole:
        assert picture.kind == "deviation"
        assert picture.size_hw == (SIZE, SIZE)
        assert "mm below" in picture.label


def test_a_missing_tip_is_painted_beside_the_outline(ready: Variation, references: list[PosedCloud]) -> None:
    found, views, _ = inspected(ready, references[0], 42, "short")
    front = next(one for one in found.maps if views[one.view].key == "depth/front")
    beside = -found.layers[front.view].signed * ~views[front.view].mask
    assert (beside > 0.3).sum() > 100
    columns = np.flatnonzero((beside > 0.3).any(axis=0))
    tip_mm = columns.mean() * 2 * FRAME.half_extent_mm / SIZE - FRAME.half_extent_mm + LENGTH / 2
    assert tip_mm == pytest.approx(0.9, abs=0.5)


@pytest.mark.parametrize(("defect", "word"), [("dent", "below"), ("blob", "above")])
def test_a_dent_and_a_blob_are_told_apart_and_placed(
    ready: Variation, references: list[PosedCloud], defect: str, word: str
) -> None:
    found, _, motion = inspected(ready, references[0], 43, defect)
    first = found.findings[0]
    assert f"mm {word} the reference over" in first.told("mm")
    centre = moved(np.array([first.centre]), inverse(motion))[0]
    assert np.linalg.norm(centre - TRUTH[defect]) < 1.0
    assert (first.depth < 0) == (word == "below")
    best = max(found.maps, key=lambda one: float(one.values.max()))
    y, x = np.unravel_index(best.values.argmax(), best.values.shape)
    box = ((x - 20) / SIZE, (y - 20) / SIZE, (x + 21) / SIZE, (y + 21) / SIZE)
    assert found.note(best.view, box) == first.told("mm")
    place = found.place(best.view, box)
    assert place is not None
    assert (place.point_mm, place.size_mm, place.depth_mm) == (first.centre, first.size, first.depth)
    assert (place.area_mm2, place.box_mm) == (first.area, first.box)
    assert place.volume_mm3 is not None
    assert (place.volume_mm3 < 0) == (word == "below")
    low, high = np.array(place.box_mm)
    assert (low <= first.centre).all()
    assert (first.centre <= high).all()
    corner = (0.0, 0.0, 0.02, 0.02)
    assert found.place(best.view, corner) is None


def test_the_blue_of_the_picture_is_where_the_dent_is(ready: Variation, references: list[PosedCloud]) -> None:
    found, views, _ = inspected(ready, references[0], 44, "dent")
    best = max(found.maps, key=lambda one: float(one.values.max()))
    signed = found.layers[best.view].signed
    hot = signed < 0.6 * signed.min()
    calm = views[best.view].mask & (best.values < best.tolerance.limit)
    direction = views[best.view].key.partition("/")[2]
    image = next(one.image for one in found.views if one.key == f"deviation/{direction}").astype(int)
    blueness = image[..., 2] - image[..., 0]
    assert blueness[hot].mean() > 60
    assert abs(blueness[calm].mean()) < 25


def test_what_one_reference_has_is_normal(references: list[PosedCloud]) -> None:
    """A blob on one of the references: neither a part with it nor one without stands out as a blob on a sound class."""
    odd = PosedCloud(cloud(screw(9, n=8000, defect="blob")), np.eye(4))
    mixed = normal_of([references[0], odd, references[1]])
    sound = normal_of(references)
    for defect in ("", "blob"):
        part = PosedCloud(cloud(screw(70, n=8000, defect=defect)), np.eye(4))
        views = depth_views(part.cloud, SIZE, FRAME)
        scores = [np.exp(scan_deviation(part, normal, views).log_scores).max() for normal in (mixed, sound)]
        assert scores[0] < (0.25 * scores[1] if defect else 8.0)


def test_one_reference_sets_no_tolerance_and_none_is_refused(references: list[PosedCloud]) -> None:
    alone = normal_of(references[:1])
    assert FittedScans(alone, "mm").tolerance is None
    found = scan_deviation(references[1], alone, depth_views(references[1].cloud, SIZE, FRAME))
    assert {one.probability for one in found.maps} == {None}
    with pytest.raises(ValueError, match="at least one reference"):
        normal_of([])


def test_a_scan_from_one_side_is_compared_there_and_says_so(ready: Variation, references: list[PosedCloud]) -> None:
    whole = screw(80, n=16_000, defect="dent")
    side = PosedCloud(cloud(whole[whole[:, 0] > -0.2]), np.eye(4))
    found = scan_deviation(side, ready, depth_views(side.cloud, SIZE, FRAME))
    assert found.coverage.partial
    assert 0.3 < found.coverage.share < 0.75
    assert "of the part; the rest was not compared" in found.notes[0]
    assert np.linalg.norm(np.array(found.findings[0].centre) - TRUTH["dent"]) < 1.0
