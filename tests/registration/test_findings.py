"""Where a scan deviates: how wide a flaw is told to be, and one flaw through a wall told as one."""

from dataclasses import replace

import numpy as np
import pytest

from vlm_inspect.demo.solids import SOLIDS
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.findings import Finding, find
from vlm_inspect.registration.flaw_extent import bent_with
from vlm_inspect.registration.longest import longest_extent
from vlm_inspect.registration.places import places_of
from vlm_inspect.registration.variation import Variation, learn


def plate(seed: int, *, flaw: str = "") -> np.ndarray:
    """A plate of 40 x 24 x 3 mm as points with noise; "missing hole" leaves out the one at (8, 17), 4 mm wide."""
    rng = np.random.default_rng(seed)
    points = SOLIDS["plate"](np.random.default_rng(0), flaw=flaw).sample(15_000, rng)
    return np.asarray(points + rng.normal(scale=0.005, size=points.shape))


def tube(seed: int) -> np.ndarray:
    """A tube, 12 mm wide, with a wall of 1.2 mm and a flange, 30 mm long."""
    rng = np.random.default_rng(seed)
    points = SOLIDS["tube"](np.random.default_rng(0)).sample(14_000, rng)
    return np.asarray(points + rng.normal(scale=0.005, size=points.shape))


def strongest(normal: Variation, points: np.ndarray) -> Finding:
    scan = scan_surface(points)
    return find(scan, normal.anchor, normal.judge(scan), np.eye(4), limit=4.0, most=4)[0]


@pytest.fixture(scope="module")
def normal() -> Variation:
    return learn([scan_surface(plate(seed)) for seed in (1, 2)])


@pytest.fixture(scope="module")
def tubes() -> Variation:
    return learn([scan_surface(tube(seed)) for seed in (1, 2)])


def test_a_dent_is_told_as_wide_as_it_is(normal: Variation) -> None:
    dented = plate(3)
    aside = np.linalg.norm(dented[:, :2] - [20.0, 5.0], axis=1) / 2.0
    inside = (aside < 1.0) & (dented[:, 2] > 2.5)
    dented[inside, 2] -= 0.5 * (1.0 - aside[inside] ** 2) ** 2
    found = strongest(normal, dented)
    assert np.linalg.norm(np.array(found.centre) - [20.0, 5.0, 3.0]) < 0.6
    assert found.size == pytest.approx(3.1, rel=0.2)  # where it is deeper than 15 % of its depth
    assert found.depth == pytest.approx(-0.5, abs=0.15)


def test_a_missing_hole_is_one_finding_on_both_faces(normal: Variation) -> None:
    shapes = [SOLIDS["plate"](np.random.default_rng(0), flaw=flaw) for flaw in ("", "missing hole")]
    assert len({shape.high for shape in shapes}) == 1  # the same plate
    found = strongest(normal, plate(3, flaw="missing hole"))
    x, y, z = found.centre
    assert min(np.hypot(x - 8.0, y - 7.0), np.hypot(x - 8.0, y - 17.0)) < 0.5
    assert z == pytest.approx(1.5, abs=0.4)
    assert found.box[1][2] - found.box[0][2] > 2.5
    assert not found.both_sides


def test_a_bent_end_is_one_finding_on_both_sides(normal: Variation) -> None:
    bent = plate(3)
    bent[:, 2] += 0.8 * (np.clip(bent[:, 0] - 27.0, 0.0, None) / 13.0) ** 2
    found = strongest(normal, bent)
    assert found.both_sides
    assert found.told("mm").endswith((", the other side below", ", the other side above"))
    assert found.centre[2] == pytest.approx(1.7, abs=0.6)  # neither face alone
    assert found.volume * found.depth > 0.0
    assert found.size == pytest.approx(25.0, abs=3.0)


def test_a_small_dent_on_a_coarse_scan_is_told_as_wide_and_as_deep_as_it_is(normal: Variation) -> None:
    """Medians over nine points, 0.5 mm apart, would tell 1.6 mm as 2.5 mm, and half of the depth."""
    dented = plate(3)[::2]
    aside = np.linalg.norm(dented[:, :2] - [20.0, 5.0], axis=1)
    inside = (aside < 1.0) & (dented[:, 2] > 2.5)
    dented[inside, 2] -= 0.4 * (1.0 - aside[inside] ** 2) ** 2
    shows = dented[inside & (aside < 0.783)]  # deeper than 15 % of its depth
    found = strongest(normal, dented)
    assert found.size == pytest.approx(longest_extent(shows), rel=0.2)
    deepest = 0.4 * (1.0 - aside[inside].min() ** 2) ** 2
    assert -deepest - 0.02 < found.depth < -0.6 * deepest  # the mean of the deepest three of some ten points
    assert found.volume == pytest.approx(-0.4 * np.pi / 3.0, rel=0.4)


def test_a_bump_is_told_apart_from_the_face_that_lies_further_out(normal: Variation) -> None:
    wide = plate(3)
    wide[:, 2] += 0.03 * (wide[:, 2] > 2.99)
    aside = np.linalg.norm(wide[:, :2] - [20.0, 5.0], axis=1) / 2.0
    inside = (aside < 1.0) & (wide[:, 2] > 2.5)
    wide[inside, 2] += 0.3 * (1.0 - aside[inside] ** 2) ** 2
    found = strongest(normal, wide)
    assert np.linalg.norm(np.array(found.centre) - [20.0, 5.0, 3.2]) < 0.6
    assert found.size == pytest.approx(3.1, rel=0.2)


def test_a_bent_tube_is_told_with_both_of_its_halves(tubes: Variation) -> None:
    """Where it faces aside it slides along itself: what deviates are two pieces, 1 mm apart, and one may be found."""
    bent = tube(3)
    bent[:, 0] += 0.8 * (np.clip(bent[:, 2] - 20.0, 0.0, None) / 10.0) ** 2
    shows = (bent[:, 2] > 20.0) & (tubes.anchor.distances(bent) > 0.05)
    scan = scan_surface(bent)
    places = places_of(scan, tubes.anchor, tubes.judge(scan))
    half = np.flatnonzero((np.abs(places.raw) > 0.3) & (scan.points[:, 0] > 0.0) & (scan.points[:, 2] > 22.0))
    shown = places.points[bent_with(places, half)]
    assert np.linalg.norm(shown.mean(axis=0) - bent[shows].mean(axis=0)) < 0.6  # 3.5 mm with one half alone
    assert longest_extent(shown) == pytest.approx(longest_extent(bent[shows]), rel=0.05)


def test_what_planes_show_comes_before_what_zones_alone_do(normal: Variation) -> None:
    risen = plate(3)
    risen[(risen[:, 2] > 2.5) & (np.linalg.norm(risen[:, :2] - [20.0, 5.0], axis=1) < 2.5), 2] += 0.02
    risen[(risen[:, 2] > 2.5) & (np.linalg.norm(risen[:, :2] - [35.0, 20.0], axis=1) < 0.8), 2] += 0.3
    scan = scan_surface(risen)
    judged = normal.judge(scan)
    wide = np.linalg.norm(scan.points[:, :2] - [20.0, 5.0], axis=1) < 4.0
    off = judged.off * np.where(wide, np.array([[0.3], [0.3], [100.0]]), 1.0)
    found = find(scan, normal.anchor, replace(judged, off=off), np.eye(4), limit=4.0, most=4)
    assert np.linalg.norm(np.array(found[0].centre) - [35.0, 20.0, 3.3]) < 0.5
    doubtful = [one.strength < 3.0 for one in found]
    assert not doubtful[0]
    assert doubtful == sorted(doubtful)
    assert min(np.linalg.norm(np.array(one.centre) - [20.0, 5.0, 3.0]) for one in found[doubtful.index(True) :]) < 1.0


def test_a_thin_walled_end_that_was_cut_off_is_one_finding_all_around(tubes: Variation) -> None:
    """Points of the new end lie at most half a wall off the reference, in pieces."""
    cut = tube(3)
    cut[:, 2] = np.minimum(cut[:, 2], 29.4)
    found = strongest(tubes, cut)
    assert np.linalg.norm(np.array(found.centre) - [0.0, 0.0, 29.4]) < 2.0  # a piece of it lies 5 mm off
    assert found.size == pytest.approx(12.0, rel=0.05)


def test_what_zones_alone_show_is_placed(normal: Variation) -> None:
    """A wide, shallow rise that no single plane shows."""
    risen = plate(3)
    above = (risen[:, 2] > 2.5) & (np.linalg.norm(risen[:, :2] - [20.0, 5.0], axis=1) < 1.6)
    risen[above, 2] += 0.02
    scan = scan_surface(risen)
    judged = normal.judge(scan)
    weak = replace(judged, off=judged.off * np.array([[0.3], [0.3], [1.0]]), lacking=0.0 * judged.lacking)
    found = find(scan, normal.anchor, weak, np.eye(4), limit=4.0, most=4)[0]
    assert np.linalg.norm(np.array(found.centre) - [20.0, 5.0, 3.0]) < 0.8
    assert 1.5 < found.size < 5.0


def test_the_longest_extent_is_that_of_any_direction() -> None:
    corner = np.array([[x, y, z] for x in (0.0, 3.0) for y in (0.0, 3.0) for z in (0.0, 3.0)])
    assert longest_extent(corner) == pytest.approx(3.0 * np.sqrt(3.0), rel=0.01)
