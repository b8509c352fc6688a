"""A known scan with some points moved compares as it would if it were measured from nothing."""

import numpy as np
import pytest

from tests.measurement.screw_parts import cloud, screw
from vlm_inspect.planting.scans import SCAN_DEFECTS, plant
from vlm_inspect.registration import comparison, known_scan
from vlm_inspect.registration.comparison import compare, scan_surface
from vlm_inspect.registration.coverage import seen_again
from vlm_inspect.registration.judged import combined
from vlm_inspect.registration.known_scan import Change, know
from vlm_inspect.registration.variation import Variation, learn

STRAY = np.array([[30.0, 0.0, 0.0]])


@pytest.fixture(scope="module")
def scans() -> list[np.ndarray]:
    return [np.concatenate([screw(seed, n=7000), STRAY]) for seed in range(3)]


@pytest.fixture(scope="module")
def normal(scans: list[np.ndarray]) -> Variation:
    return learn([scan_surface(points) for points in scans])


def log_scores(normal: Variation, scan, found) -> np.ndarray:
    judged = normal.judge(scan, found)
    return seen_again(normal.anchor, judged).counted(judged).log_scores


@pytest.mark.parametrize("kind", SCAN_DEFECTS)
@pytest.mark.parametrize("size", [1.5, 4.0])
def test_a_planted_scan_scores_as_one_measured_anew(kind, size: float, scans, normal: Variation) -> None:
    left, known = normal.without(1), know(scans[1], normal.anchor, normal.references[1])
    planted, truth = plant(cloud(scans[1]), kind, size, np.random.default_rng(3))
    scan, found = known.changed(planted.points, truth.change)
    anew = scan_surface(planted.points)
    whole = compare(anew, normal.anchor)
    assert found.lacking.shape == whole.lacking.shape
    assert np.mean(np.abs(found.lacking - whole.lacking) < 1e-3) > 0.995
    assert log_scores(left, scan, found) == pytest.approx(log_scores(left, anew, whole), abs=0.01)
    sound = log_scores(left, known.scan, known.comparison)
    assert log_scores(left, scan, found).max() > sound.max() + 0.2


def test_a_dense_scan_moves_by_the_cells_that_it_was_averaged_in(
    scans, normal: Variation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (comparison, known_scan):
        monkeypatch.setattr(module, "MOST_PLANES", 3000)
    known = know(scans[1], normal.anchor)
    assert len(known.scan.points) < 3001
    for seed in (3, 4, 5):
        planted, truth = plant(cloud(scans[1]), "dent", 3.0, np.random.default_rng(seed))
        scan, found = known.changed(planted.points, truth.change)
        anew = scan_surface(planted.points)
        off = np.linalg.norm(anew.points - truth.centre_mm, axis=1)
        assert scan.tree.query(anew.points[off > 3.0])[0].max() < 1e-9  # the same cells away from the dent
        expected = combined(log_scores(normal, anew, compare(anew, normal.anchor)))
        assert combined(log_scores(normal, scan, found)) == pytest.approx(expected, abs=0.15)  # at it, they are others


def test_points_that_are_gone_leave_a_place_unseen(scans, normal: Variation) -> None:
    known = know(scans[0], normal.anchor)
    kept = ~((scans[0][:, 2] < 3.0) & (scans[0][:, 0] > 0.0))
    change = Change(scans[0], kept, np.zeros(len(kept), dtype=bool))
    scan, found = known.changed(scans[0][kept], change)
    assert len(scan.points) == kept.sum()
    whole = compare(scan_surface(scans[0][kept]), normal.anchor)
    assert found.unseen.sum() > 20
    assert np.mean(found.unseen == whole.unseen) > 0.99


def test_what_moved_away_from_any_surface_is_a_stray(scans, normal: Variation) -> None:
    known = know(scans[0], normal.anchor)
    moved = np.arange(len(scans[0])) == 100
    points = np.where(moved[:, None], [-30.0, 0.0, 5.0], scans[0])
    scan, found = known.changed(points, Change(scans[0], np.ones(len(moved), dtype=bool), moved))
    assert len(scan.points) == len(known.scan.points) - 1
    assert np.abs(found.off).max() < 5.0


def test_a_point_that_is_left_alone_in_a_hole_is_a_stray(scans, normal: Variation) -> None:
    known = know(scans[0], normal.anchor)
    away = np.linalg.norm(scans[0] - scans[0][100], axis=1)
    kept = (away > 2.0) | (away == 0.0)
    scan, found = known.changed(scans[0][kept], Change(scans[0], kept, np.zeros(len(kept), dtype=bool)))
    anew = scan_surface(scans[0][kept])
    assert len(scan.points) == len(anew.points) < kept.sum()
    assert np.mean(found.unseen == compare(anew, normal.anchor).unseen) > 0.999


def test_without_a_change_the_comparison_is_the_one_that_is_known(scans, normal: Variation) -> None:
    known = know(scans[2], normal.anchor, normal.references[2])
    assert known.changed(scans[2], Change.nothing(scans[2])) == (known.scan, known.comparison)
    assert known.comparison.off == pytest.approx(compare(normal.references[2], normal.anchor).off)


def test_of_a_scan_that_is_nearly_gone_the_rest_is_measured_anew(scans, normal: Variation) -> None:
    known = know(scans[0], normal.anchor)
    kept = np.arange(len(scans[0])) < 12
    scan, found = known.changed(scans[0][kept], Change(scans[0], kept, np.zeros(len(kept), dtype=bool)))
    assert len(scan.points) == 12
    assert found.lacking == pytest.approx(compare(scan_surface(scans[0][kept]), normal.anchor).lacking)
