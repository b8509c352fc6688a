"""Zones of a surface: what few points show is pooled, and what a whole feature shares is no flaw."""

import numpy as np
import pytest

from vlm_inspect.demo.solids import SOLIDS
from vlm_inspect.registration.comparison import compare, scan_surface, strays
from vlm_inspect.registration.surface import Surface
from vlm_inspect.registration.variation import Variation, learn
from vlm_inspect.registration.zones import Zones, zones_of

NOISE = 0.02


def plate(seed: int, count: int) -> np.ndarray:
    """A plate of 40 x 24 x 3 mm, always of the same size, as points with noise."""
    rng = np.random.default_rng(seed)
    points = SOLIDS["plate"](np.random.default_rng(0)).sample(count, rng)
    return np.asarray(points + rng.normal(scale=NOISE, size=points.shape))


@pytest.fixture(scope="module")
def normal() -> Variation:
    return learn([scan_surface(plate(seed, 8_000)) for seed in (1, 2)])


@pytest.fixture(scope="module")
def zones(normal: Variation) -> Zones:
    return zones_of(normal.anchor)


def test_zones_cover_the_surface_and_like_ones_lie_apart(normal: Variation, zones: Zones) -> None:
    anchor: Surface = normal.anchor
    assert zones.zone.shape == (len(anchor.points),)
    assert 500 < zones.count < 6_000
    middles = np.array([anchor.points[zones.zone == zone].mean(axis=0) for zone in zones.zone[:50]])
    assert np.linalg.norm(middles - anchor.points[:50], axis=1).max() < 2.0
    alike = np.array([anchor.points[zones.zone == zone].mean(axis=0) for zone in zones.alike[zones.zone[0]]])
    assert np.linalg.norm(alike - anchor.points[0], axis=1).min() > 1.5


def test_a_shallow_dent_that_few_points_show_stands_out(normal: Variation) -> None:
    sound, dented = plate(3, 6_000), plate(3, 6_000)
    top = (dented[:, 2] > 2.5) & (np.linalg.norm(dented[:, :2] - [20.0, 12.0], axis=1) < 1.5)
    assert top.sum() < 20
    dented[top, 2] -= 0.15
    scores = [np.exp(normal.judge(scan_surface(one)).log_scores) for one in (sound, dented)]
    assert scores[1][2] > 1.5 * scores[0][2]  # pooled
    assert scores[1][2] / scores[0][2] > scores[1][0] / scores[0][0]  # more than single points do
    zone = int(normal.judge(scan_surface(dented)).zones.argmax())
    middle = normal.anchor.points[zones_of(normal.anchor).zone == zone].mean(axis=0)
    assert np.linalg.norm(middle - [20.0, 12.0, 3.0]) < 2.0


def test_what_like_zones_share_is_taken_off_up_to_a_limit(normal: Variation, zones: Zones) -> None:
    spread, seen, part = np.full(zones.count, 0.01), np.ones(zones.count, dtype=bool), 0.01
    off = np.full(zones.count, 0.04)
    assert zones.beyond_others(off, spread, seen, part).max() == pytest.approx(0.0)
    off[7] = 0.1
    assert zones.beyond_others(off, spread, seen, part)[7] == pytest.approx(6.0)
    off[7] = 0.0  # as the nominal part has it: no flaw
    assert zones.beyond_others(off, spread, seen, part)[7] == pytest.approx(0.0)
    assert zones.beyond_others(np.full(zones.count, -1.0), spread, seen, part).min() == pytest.approx(0.94 / 0.03)
    assert zones.beyond_others(off, spread, ~seen, part).max() == 0.0


def test_a_face_that_lies_elsewhere_as_a_whole_hides_no_dent_in_it(zones: Zones) -> None:
    long_side = (zones.outward[:, 1] > 0.99) & (zones.centres[:, 1] > 20.0)
    spread, seen, part = np.full(zones.count, 0.005), np.ones(zones.count, dtype=bool), 0.01
    off = np.where(long_side, 0.03, 0.0)  # a plate that is 0.03 mm wider: the lot, which two references do not show
    inner = long_side & (np.abs(zones.centres[:, 0] - 20.0) < 12.0)
    assert inner.sum() > 20
    assert zones.beyond_others(off, spread, seen, part)[inner].max() == pytest.approx(0.0)
    dented = int(np.flatnonzero(inner)[0])
    off[dented] = -0.03
    left = zones.beyond_others(off, spread, seen, part)
    assert left[dented] == left.max() > 1.0


def test_parts_that_differ_in_size_all_over_hide_no_dent(normal: Variation) -> None:
    anchor = normal.anchor
    grown = [anchor.points + step * anchor.outward for step in (0.0, 0.05)]
    lot = learn([scan_surface(one) for one in grown])
    assert lot.pooled.part == pytest.approx(0.05, rel=0.5)
    assert np.median(lot.pooled.spread) < 0.4 * lot.pooled.part


def test_a_stray_moves_no_zone_and_a_burr_is_none(normal: Variation) -> None:
    scan = scan_surface(plate(4, 6_000))
    found = compare(scan, normal.anchor)
    raw, usual = found.raw.copy(), found.off[0]
    raw[::200] += 1.0
    assert strays(scan, raw, usual)[::200].mean() > 0.9
    assert strays(scan, raw, usual).mean() < 0.02  # single points of edges are told as strays, too
    burr = np.linalg.norm(scan.points - scan.points[7], axis=1) < 1.0
    raw = found.raw + 1.0 * burr
    assert burr.sum() > 4
    assert not strays(scan, raw, usual)[burr].any()


def test_zones_vary_as_those_that_look_alike_do(normal: Variation) -> None:
    """Edges that differ from part to part leave the faces as quiet as they are."""
    base = SOLIDS["plate"](np.random.default_rng(0)).sample(8_000, np.random.default_rng(1))
    longer = base + [0.2, 0.0, 0.0] * (base[:, :1] > 39.5)
    noise = np.random.default_rng(2).normal(scale=0.003, size=(2, *base.shape))
    lot = learn([scan_surface(one) for one in (base + noise[0], longer + noise[1])])
    zones = lot.pooled.zones
    face = (np.abs(zones.outward[:, 2]) > 0.99) & (zones.centres[:, 0] < 35.0)
    assert np.median(lot.pooled.spread[face]) < 0.1 * lot.pooled.spread[zones.centres[:, 0] > 39.9].max()
