"""What a scan shows of a part: an end that was cut off is missing, one that was not scanned is neither."""

from pathlib import Path

import numpy as np
import pytest

from converters.sample import PointCloud
from vlm_inspect.demo.solids import SOLIDS
from vlm_inspect.planting.scans import plant
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.coverage import seen_again
from vlm_inspect.registration.findings import find
from vlm_inspect.registration.variation import Variation, learn


def screw(seed: int) -> np.ndarray:
    """A screw of 20 mm upright on its tip, always of the same shape, as points with noise."""
    rng = np.random.default_rng(seed)
    points = SOLIDS["screw"](np.random.default_rng(0)).sample(15_000, rng)
    return np.asarray(points + rng.normal(scale=0.005, size=points.shape))


@pytest.fixture(scope="module")
def normal() -> Variation:
    return learn([scan_surface(screw(seed)) for seed in (1, 2)])


@pytest.mark.parametrize("cut_mm", [0.7, 1.4])
def test_a_tip_that_was_cut_off_is_missing_material(normal: Variation, cut_mm: float) -> None:
    points = screw(3)
    points[:, 2] = np.maximum(points[:, 2], cut_mm + np.random.default_rng(4).normal(scale=0.005, size=len(points)))
    scan = scan_surface(points)
    judged = normal.judge(scan)
    coverage = seen_again(normal.anchor, judged)
    assert not coverage.partial
    found = find(scan, normal.anchor, coverage.counted(judged), np.eye(4), limit=4.0, most=4)[0]
    assert found.depth == pytest.approx(-cut_mm, rel=0.35)
    assert found.centre[2] == pytest.approx(cut_mm, abs=0.3)


def test_a_tip_that_was_not_scanned_is_not_compared(normal: Variation) -> None:
    points = screw(3)
    judged = normal.judge(scan_surface(points[points[:, 2] > 1.4]))
    coverage = seen_again(normal.anchor, judged)
    assert coverage.partial
    assert coverage.unscanned[normal.anchor.points[:, 2] < 0.5].all()


@pytest.mark.parametrize("towards", [(0.9, 0.3, 0.3), (-0.2, 0.9, -0.4)])
def test_a_coarse_scan_of_most_of_a_screw_is_a_piece(normal: Variation, towards: tuple[float, float, float]) -> None:
    whole = scan_surface(screw(3)[::5])
    assert not seen_again(normal.anchor, normal.judge(whole)).partial
    sensor = np.array(towards) / np.linalg.norm(towards)
    piece = scan_surface(whole.points[whole.outward @ sensor > -0.45])
    coverage = seen_again(normal.anchor, normal.judge(piece))
    assert 0.6 < len(piece.points) / len(whole.points) < 0.8
    assert coverage.partial


def plate(seed: int, count: int, noise: float) -> np.ndarray:
    """A plate in its own axes, always of the same shape."""
    rng = np.random.default_rng(seed)
    points = SOLIDS["plate"](np.random.default_rng(0)).sample(count, rng)
    return np.asarray(points + rng.normal(scale=noise, size=points.shape))


def test_too_few_points_for_its_density_make_a_scan_a_piece_however_coarse_it_is() -> None:
    normal = learn([scan_surface(plate(seed, 15_000, 0.01)) for seed in (1, 2)])
    end = float(np.quantile(normal.anchor.points[:, 0], 0.999))
    for count, noise, hidden in [(3_000, 0.03, 0.07), (8_000, 0.01, 0.05)]:
        points = plate(3, count, noise)
        assert not seen_again(normal.anchor, normal.judge(scan_surface(points))).partial
        kept = points[points[:, 0] < end - hidden * np.ptp(points[:, 0])]
        coverage = seen_again(normal.anchor, normal.judge(scan_surface(kept)))
        assert coverage.partial
        assert coverage.share == pytest.approx(len(kept) / count, abs=0.06)


def test_what_stands_on_a_thread_counts_where_one_side_alone_was_scanned(normal: Variation) -> None:
    cloud, burr = plant(PointCloud(Path("screw.ply"), screw(3)), "bump", 3.0, np.random.default_rng(1), depth_mm=0.6)
    skin = scan_surface(cloud.points)
    seen = skin.outward @ burr.outward > -0.25
    scan = scan_surface(skin.points[seen])
    judged = normal.judge(scan)
    coverage = seen_again(normal.anchor, judged)
    assert coverage.partial
    off = coverage.counted(judged).off.max(axis=0)
    on_burr = np.linalg.norm(scan.points - burr.centre_mm, axis=1) < 1.0
    assert np.median(off[on_burr]) > 5.0 * np.median(off[~on_burr])
    assert (off[on_burr] > 0.0).all()
