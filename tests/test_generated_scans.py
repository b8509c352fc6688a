"""Generated scans: the same seed gives the same scan, sound parts show no flaw, and a flaw's points are off."""

import numpy as np
import pytest

from vlm_inspect.demo.generated_scans import FLAWS, Scanner, draw, generate

FEW = Scanner(points=(15_000, 16_000), noise_mm=(0.005,), partial=0.0, strays=0.0)


@pytest.mark.parametrize("name", FLAWS)
def test_every_flaw_of_a_class_has_a_place_and_a_size(name: str) -> None:
    scans = list(generate(name, 3, normal=1, anomalous=len(FLAWS[name]), scanner=FEW))
    assert [scan.flaw for scan in scans] == ["", *FLAWS[name]]
    assert not scans[0].shows.any()
    for scan in scans[1:]:
        assert scan.shows.shape == (len(scan.cloud.points),)
        assert 3 <= scan.shows.sum() < 0.5 * len(scan.shows)
        assert 0.0 < scan.size_mm < 45.0
        flawed = scan.cloud.points[scan.shows]
        assert np.linalg.norm(flawed - scan.centre_mm, axis=1).max() <= 1.05 * scan.size_mm


def test_a_seed_decides_everything() -> None:
    one, again, other = (
        draw("gear", "dent", np.random.default_rng(seed), Scanner(points=(5_000, 9_000))) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.cloud.points, again.cloud.points)
    assert one.cloud.points.shape != other.cloud.points.shape


def test_a_scan_from_one_side_is_smaller_and_strays_show_no_flaw() -> None:
    scanner = Scanner(points=(20_000, 20_001), partial=1.0, strays=0.01)
    scan = draw("tube", "dent", np.random.default_rng(5), scanner)
    assert scan.partial
    assert len(scan.cloud.points) < 18_000
    assert scan.shows.any()


def test_what_a_flaw_shows_lies_off_the_sound_surface_and_nowhere_else() -> None:
    scan = draw("plate", "missing hole", np.random.default_rng(2), Scanner(points=(60_000, 60_001), partial=0.0))
    assert 3.5 < scan.size_mm < 6.0  # the hole, and no corner of the plate


def test_a_gear_that_is_too_thin_has_lost_either_face() -> None:
    scan = draw("gear", "wrong length", np.random.default_rng(3), FEW)
    assert scan.or_shows is not None
    faces = [scan.cloud.points[one].mean(axis=0) for one in (scan.shows, scan.or_shows)]
    assert 6.0 < np.linalg.norm(faces[0] - faces[1]) < 8.0
    assert not (scan.shows & scan.or_shows).any()
