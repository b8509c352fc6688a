"""The strongest deviation is shown straight on: from an oblique side, closer, and beside references."""

from pathlib import Path

import numpy as np
import pytest

from converters.pose import ScanFrame
from converters.sample import PointCloud
from converters.view import View
from tests.localization.scan_views import depth_views
from vlm_inspect.localization.scan_deviation import ScanDeviation, scan_deviation
from vlm_inspect.localization.sight import Sight, said, turn_towards
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.variation import learn

DENT = np.array([0.0, 2.0, 2.0])
FLANK = np.array([0.0, 1.0, 1.0]) / np.sqrt(2.0)


def roof(seed: int, *, dented: bool = False) -> PointCloud:
    """A prism of 20 x 8 x 4 mm that lies on its widest side; its dent is in the middle of a flank of 45 degrees."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.linspace(-10.0, 10.0, 120), np.linspace(-4.0, 4.0, 50)), axis=-1).reshape(-1, 2)
    upper, lower = (grid + rng.uniform(-0.08, 0.08, grid.shape) for _ in range(2))
    points = np.concatenate([np.c_[upper, 4.0 - np.abs(upper[:, 1])], np.c_[lower, 0.0 * lower[:, 0]]])
    if dented:
        share = np.clip(1.0 - (np.linalg.norm(points - DENT, axis=1) / 1.2) ** 2, 0.0, None)
        points -= 0.5 * (share**2)[:, None] * FLANK
    return PointCloud(Path("roof.ply"), points + rng.normal(scale=0.01, size=points.shape))


@pytest.fixture(scope="module")
def found() -> ScanDeviation:
    normal = learn([scan_surface(roof(seed).points) for seed in (1, 2)])
    part = roof(3, dented=True)
    frame = ScanFrame(np.eye(4), 11.0)
    return scan_deviation(PosedCloud(part, np.eye(4)), normal, depth_views(part, 128, frame))


def by_key(found: ScanDeviation, start: str) -> View:
    return next(view for view in found.views if view.key.startswith(start))


def test_a_dent_on_a_flank_is_seen_from_that_side(found: ScanDeviation) -> None:
    oblique = by_key(found, "deviation/oblique")
    assert "oblique, from front, top" in oblique.label or "oblique, from top, front" in oblique.label
    assert oblique.origin.pose[2, :3] == pytest.approx(FLANK, abs=0.1), "the viewer stands over the flank"
    blue = oblique.image[..., 2].astype(int) - oblique.image[..., 0]
    blue[96:] = 0  # the scale
    y, x = np.unravel_index(blue.argmax(), blue.shape)
    side = oblique.size_hw[0]
    at = oblique.origin.locate((x / side, y / side, (x + 1) / side, (y + 1) / side)).point_mm
    assert np.linalg.norm(np.array(at) - DENT) < 1.0


def test_it_is_shown_closer_beside_two_references_and_every_panel_tells_the_place(found: ScanDeviation) -> None:
    closer = by_key(found, "closer/1")
    assert [pane.name for pane in closer.panes] == ["this part", "its deviation", "reference 1", "reference 2"]
    assert "below the reference" in closer.label
    height, width = closer.size_hw
    for left, top, right, bottom in (pane.box_xyxy for pane in closer.panes):
        x, y = (left + right) / 2, (top + bottom) / 2
        place = closer.origin.locate(((x - 8) / width, (y - 8) / height, (x + 8) / width, (y + 8) / height))
        assert np.linalg.norm(np.array(place.point_mm) - DENT) < 0.7
    part, _, one, two = (closer.image[t:b, r0:r1, 0].astype(int) for r0, t, r1, b in (p.box_xyxy for p in closer.panes))
    assert np.abs(part - one)[100:300, 100:300].mean() > 2.0 * np.abs(one - two)[100:300, 100:300].mean()


def test_a_place_in_a_bore_is_seen_only_where_the_part_is_cut() -> None:
    rng = np.random.default_rng(0)
    angle, height = rng.uniform(0.0, 2.0 * np.pi, 8_000), rng.uniform(-20.0, 20.0, 8_000)
    round_about = np.c_[np.cos(angle), np.sin(angle)]
    tube = np.concatenate([np.c_[radius * round_about, height] for radius in (3.0, 4.0)])
    here = (np.abs(height) < 1.0) & (np.cos(angle) > 0.9)
    inside = Sight(tube[:8_000][here], np.c_[-round_about, 0.0 * height][here], tube, 0.3)
    direction, seen = inside.best()
    assert not seen
    assert direction[0] < -0.9
    assert inside.cut_at(direction) < 0.0, "the wall between the viewer and the place is nearer"
    outside = Sight(tube[8_000:][here], np.c_[round_about, 0.0 * height][here], tube, 0.3)
    assert outside.best()[1]


def test_a_camera_keeps_what_is_up_upright() -> None:
    turn = turn_towards(FLANK, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    assert (turn @ [0.0, 1.0, 0.0])[1] > 0.0
    assert said(np.array([0.0, 0.0, -1.0]), np.eye(4)) == "back"
    assert np.linalg.det(turn_towards(np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0]))) == pytest.approx(1.0)
