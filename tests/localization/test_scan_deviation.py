"""A screw against its references: defects are found at their place, fresh normal ones stay inside the tolerance."""

import numpy as np
import pytest

from converters.projection import ScanFrame
from converters.view import View
from tests.localization.scan_views import depth_views
from tests.measurement.screw_parts import LENGTH, TRUTH, cloud, moved, rigid, screw
from vlm_inspect.localization.scan_deviation import ReferenceSurfaces, ScanDeviation, prepare_references, scan_deviation
from vlm_inspect.registration.alignment import PosedCloud, aligned
from vlm_inspect.registration.pose import inverse

SIZE = 256
# The references lie in the common frame with the tip at 0 and the head at 20 along z; the views show it lying.
LYING = np.array([[0.0, 0, 1, -LENGTH / 2], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]])
FRAME = ScanFrame(LYING, 0.55 * LENGTH)


@pytest.fixture(scope="module")
def references() -> list[PosedCloud]:
    return [PosedCloud(cloud(screw(i, n=10_000)), np.eye(4)) for i in range(3)]


@pytest.fixture(scope="module")
def ready(references: list[PosedCloud]) -> ReferenceSurfaces:
    return prepare_references(references)


def inspected(ready: ReferenceSurfaces, first: PosedCloud, seed: int, defect: str = "", n: int = 8500) -> tuple:
    """A fresh screw that lies anyhow: its deviation, its views, and its motion."""
    motion = rigid(seed)
    part = aligned(cloud(moved(screw(seed, n=n, defect=defect), motion)), first)
    views = depth_views(part.cloud, SIZE, ScanFrame(LYING @ part.pose, FRAME.half_extent_mm))
    return scan_deviation(part, ready, views), views, motion


def peak(found: ScanDeviation, views: list[View], motion: np.ndarray) -> np.ndarray:
    """Where the hottest pixel of the hottest view lies, in the part's own frame, mm."""
    best = max(found.maps, key=lambda one: one.score)
    y, x = np.unravel_index(best.values.argmax(), best.values.shape)
    place = views[best.view].origin.locate((x / SIZE, y / SIZE, (x + 1) / SIZE, (y + 1) / SIZE))
    return moved(np.array([place.point_mm]), inverse(motion))[0]


@pytest.mark.parametrize("defect", TRUTH)
def test_a_defect_exceeds_the_tolerance_at_its_place(
    ready: ReferenceSurfaces, references: list[PosedCloud], defect: str
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
def test_a_fresh_normal_screw_stays_inside(
    ready: ReferenceSurfaces, references: list[PosedCloud], seed: int, n: int
) -> None:
    found, views, _ = inspected(ready, references[0], seed, n=n)
    assert len(found.maps) == len(views) == 6
    assert max(one.probability for one in found.maps) < 0.5
    assert found.rms_mm < 0.04
    assert found.tolerance is ready.tolerance or found.tolerance.limit > ready.tolerance.limit


def test_maps_fit_their_views_and_pictures_are_views(ready: ReferenceSurfaces, references: list[PosedCloud]) -> None:
    found, views, _ = inspected(ready, references[0], 41, "short")
    for one in found.maps:
        view = views[one.view]
        assert one.values.shape == view.size_hw
        assert one.values.dtype == np.float32
        assert one.values.min() >= 0.0
        assert (one.source, one.unit, one.tolerance) == ("deviation", "mm", ready.tolerance)
        assert one.nearest_reference in range(3)
        layers = found.layers[one.view]
        assert not layers.off[~view.mask].any()
        assert np.array_equal(one.values, np.maximum(layers.off, layers.missing))
    assert found.max_mm == pytest.approx(1.8, abs=0.15)
    assert 1 <= len(found.views) <= 3
    for picture in found.views:
        assert picture.kind == "deviation"
        assert picture.key.startswith("deviation/")
        assert picture.size_hw == (SIZE, SIZE)
        assert "mm" in picture.label


def test_a_missing_tip_is_painted_beside_the_outline(ready: ReferenceSurfaces, references: list[PosedCloud]) -> None:
    found, views, _ = inspected(ready, references[0], 42, "short")
    front = next(one for one in found.maps if views[one.view].key == "depth/front")
    beside = front.values * ~views[front.view].mask
    assert (beside > 0.3).sum() > 100
    columns = np.flatnonzero((beside > 0.3).any(axis=0))
    tip_mm = columns.mean() * 2 * FRAME.half_extent_mm / SIZE - FRAME.half_extent_mm + LENGTH / 2
    assert tip_mm == pytest.approx(0.9, abs=0.5)
    box = (columns[0] / SIZE, 0.3, (columns[-1] + 1) / SIZE, 0.7)
    assert found.note(front.view, box).startswith("material missing, up to")


def test_notes_tell_a_dent_from_a_blob(ready: ReferenceSurfaces, references: list[PosedCloud]) -> None:
    for defect, word in (("dent", "below"), ("blob", "away from")):
        found, _, _ = inspected(ready, references[0], 43, defect)
        best = max(found.maps, key=lambda one: one.score)
        y, x = np.unravel_index(best.values.argmax(), best.values.shape)
        box = ((x - 3) / SIZE, (y - 3) / SIZE, (x + 4) / SIZE, (y + 4) / SIZE)
        assert f"mm {word} the reference" in found.note(best.view, box)


def test_the_red_of_the_picture_is_where_the_dent_is(ready: ReferenceSurfaces, references: list[PosedCloud]) -> None:
    found, views, _ = inspected(ready, references[0], 44, "dent")
    best = max(found.maps, key=lambda one: one.score)
    hot = best.values > 0.7 * best.values.max()
    calm = views[best.view].mask & (best.values < ready.tolerance.limit)
    image = found.views[0].image.astype(int)
    redness = image[..., 0] - image[..., 2]
    assert redness[hot].mean() > 60
    assert redness[calm].mean() < -40


def test_what_one_reference_has_is_normal(references: list[PosedCloud]) -> None:
    """A blob on one of the references: neither a part with it nor one without deviates."""
    odd = PosedCloud(cloud(screw(9, n=8000, defect="blob")), np.eye(4))
    ready = prepare_references([odd, *references[:2]])
    for defect in ("", "blob"):
        part = PosedCloud(cloud(screw(70, n=8000, defect=defect)), np.eye(4))
        found = scan_deviation(part, ready, depth_views(part.cloud, SIZE, FRAME))
        assert found.max_mm < 0.15


def test_one_reference_sets_no_tolerance_and_none_is_refused(references: list[PosedCloud]) -> None:
    found = scan_deviation(references[1], references[:1], depth_views(references[1].cloud, SIZE, FRAME))
    assert found.tolerance is None
    assert {one.probability for one in found.maps} == {None}
    assert found.max_mm < 0.2
    with pytest.raises(ValueError, match="at least one reference"):
        scan_deviation(references[0], [], [])
