"""Scans laid onto each other: known motions come back, whatever is missing or in the way."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.measurement.screw_parts import cloud, moved, rigid, screw
from vlm_inspect.demo.generated_scans import Scanner, draw
from vlm_inspect.demo.solids import SOLIDS
from vlm_inspect.measurement.scan import deviation_side, max_deviation, rms_deviation
from vlm_inspect.registration.alignment import PosedCloud, align, aligned, common_frame
from vlm_inspect.registration.icp import Pair, refine
from vlm_inspect.registration.levels import levels
from vlm_inspect.registration.pose import apply, inverse, shift, turn_deg
from vlm_inspect.registration.surface import surface
from vlm_inspect.registration.thinning import thinned


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return screw(0, n=12_000)


def bracket(seed: int, n: int = 2500) -> np.ndarray:
    """An L of two plates with different lengths: no symmetry."""
    rng = np.random.default_rng(seed)
    a = rng.uniform([0, 0, 0], [30, 12, 0], (n, 3))
    b = rng.uniform([0, 0, 0], [0, 12, 17], (n // 2, 3))
    pin = rng.uniform([24, 3, 0], [26, 5, 4], (n // 10, 3))
    return np.concatenate([a, b, pin])


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_a_random_motion_is_recovered(seed: int) -> None:
    part, motion = bracket(0), rigid(seed)
    found = align(moved(bracket(seed % 7 + 1), motion), part)
    assert moved(moved(part, motion), found.pose) == pytest.approx(part, abs=0.15)
    assert found.pose[:3, :3] @ found.pose[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(found.pose[:3, :3]) == pytest.approx(1.0)
    assert found.overlap > 0.98


@pytest.mark.parametrize(
    ("defect", "reach"), [("", 0.02), ("thread", 0.02), ("short", 0.03), ("blob", 0.03), ("bent", 0.3)]
)
def test_a_screw_is_laid_onto_its_reference_despite_its_defect(
    reference: np.ndarray, defect: str, reach: float
) -> None:
    motion = rigid(31)
    found = align(moved(screw(5, n=9000, defect=defect), motion), reference)
    axis = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 10.0], [0.0, 0.0, 20.0]])
    assert moved(moved(axis, motion), found.pose)[1:] == pytest.approx(axis[1:], abs=reach)
    turn = (found.pose @ motion)[:3, :3]
    assert np.degrees(np.arctan2(turn[1, 0], turn[0, 0])) == pytest.approx(0.0, abs=6.0)  # the slot shows the turn


def test_the_same_scans_give_the_same_pose() -> None:
    part, other = bracket(0), moved(bracket(2), rigid(2))
    assert np.array_equal(align(other, part).pose, align(other, part).pose)


def test_a_cube_and_a_far_origin() -> None:
    rng = np.random.default_rng(0)
    faces = rng.uniform(-5, 5, (3000, 3))
    faces[np.arange(3000), rng.integers(0, 3, 3000)] = rng.choice([-5.0, 5.0], 3000)
    found = align(moved(faces, rigid(4)) + 1e8, faces)
    assert found.rms_mm < 0.05
    assert found.overlap > 0.99


def test_four_points_and_a_plane_do_not_break_it() -> None:
    four = np.array([[0.0, 0, 0], [4, 0, 0], [0, 2, 0], [0, 0, 1]])
    found = align(moved(four, rigid(1)), four)
    assert np.isfinite(found.pose).all()
    plane = np.column_stack([np.random.default_rng(0).uniform(-5, 5, (800, 2)) * [2, 1], np.zeros(800)])
    assert align(moved(plane, rigid(1)), plane).rms_mm < 0.05


def test_a_real_gear_is_turned_to_its_teeth(shared_data: Path) -> None:
    paths = [shared_data / "gear" / name for name in ("gear.stl", "gear_registered.ply")]
    if not all(path.exists() for path in paths):
        pytest.skip("no gear scans")
    drawing, _ = trimesh.sample.sample_surface(trimesh.load(paths[0]), 12_000, seed=0)
    scanned = np.asarray(trimesh.load(paths[1]).vertices)[::3]
    for seed in (0, 2):
        found = align(moved(scanned, rigid(seed)), np.asarray(drawing))
        assert found.rms_mm < 0.15  # a tooth off is 0.2
        assert found.overlap > 0.99


def test_a_keyway_is_laid_onto_the_keyway_and_no_tooth_off() -> None:
    parts = [
        SOLIDS["gear"](np.random.default_rng(seed)).sample(9_000, np.random.default_rng(seed)) for seed in range(4)
    ]
    first = levels(parts[0])
    assert len(first.repeats) == 36  # eighteen teeth, either face up
    for part, motion in zip(parts[1:], (rigid(3), rigid(4), rigid(5)), strict=True):
        towards = (align(moved(part, motion), first).pose @ motion)[:3, 0]  # where the keyway then lies
        assert towards == pytest.approx([1.0, 0.0, 0.0], abs=0.03)


def test_a_flat_that_is_far_off_turns_a_round_part_where_residuals_are_trusted() -> None:
    moving, fixed = (
        surface(SOLIDS["tube"](np.random.default_rng(seed)).sample(count, np.random.default_rng(seed)))
        for seed, count in ((1, 8_000), (2, 20_000))
    )
    pair = Pair(moving, fixed, np.arange(0, 8_000, 2), np.arange(0, 20_000, 5))
    angle, start = np.deg2rad(5.0), np.eye(4)
    start[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    wary = refine(pair, start, gate=4.0 * pair.spacing, steps=15)
    trusting = refine(pair, wary, gate=6.0 * pair.spacing, steps=15, doubt=3.0)
    found = refine(pair, trusting, gate=4.0 * pair.spacing, steps=15)
    assert turn_deg(found) < 1.0
    assert turn_deg(wary) > 1.5


def test_a_part_that_every_turn_or_none_brings_back_has_no_repeats(reference: np.ndarray) -> None:
    assert len(levels(reference).repeats) == 0
    assert len(levels(bracket(0)).repeats) == 0


def test_a_common_frame_is_that_of_the_first_reference(reference: np.ndarray) -> None:
    references = (cloud(reference), cloud(moved(screw(1, n=6000), rigid(1))))
    query, posed = common_frame(cloud(moved(screw(2, n=6000), rigid(2))), references)
    assert np.array_equal(posed[0].pose, np.eye(4))
    for one in (query, *posed):
        assert one.points.max(axis=0)[2] == pytest.approx(20.0, abs=0.15)
    assert max_deviation(query, posed) < 0.2
    assert rms_deviation(query, posed) < 0.03


def test_deviation_grows_with_the_defect(reference: np.ndarray) -> None:
    first = PosedCloud(cloud(reference), np.eye(4))
    short = aligned(cloud(moved(screw(3, n=9000, defect="short"), rigid(3))), first)
    assert max_deviation(short, [first]) == pytest.approx(1.8, abs=0.15)
    assert deviation_side(short, [first]) == "material is missing there"
    assert deviation_side(first, [short]) == "there is too much material"
    assert max_deviation(short, [first, short]) < 0.05  # the nearest reference counts


def test_poses_are_undone_by_their_inverse() -> None:
    pose, points = rigid(6), screw(0, n=300)
    assert apply(inverse(pose), apply(pose, points)) == pytest.approx(points)


@pytest.mark.slow(5)
@pytest.mark.parametrize(("low", "high"), [(15.0, 20.1), (10.0, 20.1)])
def test_a_piece_of_a_screw_finds_its_place(reference: np.ndarray, low: float, high: float) -> None:
    whole = screw(3, n=30_000)
    piece, motion = whole[(whole[:, 2] > low) & (whole[:, 2] <= high)], rigid(6)
    found = align(moved(piece, motion), reference)
    step = found.pose @ motion
    assert min(turn_deg(step), 180.0 - turn_deg(step)) < 3.0  # half a turn on, slot and head look the same
    assert moved(np.array([[0.0, 0.0, 18.0]]), step)[0] == pytest.approx([0.0, 0.0, 18.0], abs=0.1)
    assert found.moving_overlap > 0.98
    assert found.fixed_overlap < 0.8


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 3000), st.integers(1, 500))
def test_thinning_keeps_real_points_spread_out(n: int, count: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 3))
    kept = thinned(points, count)
    assert 0 < len(kept) <= count or len(kept) == n
    assert len(np.unique(kept)) == len(kept)


def test_distance_to_a_noisy_plane_is_that_to_the_plane() -> None:
    rng = np.random.default_rng(0)
    plane = surface(np.column_stack([rng.uniform(0, 10, (5000, 2)), rng.normal(0, 0.02, 5000)]))
    above = np.column_stack([rng.uniform(2, 8, (200, 2)), np.full(200, 0.5)])
    assert plane.distances(above) == pytest.approx(0.5, abs=0.05)
    beside = np.array([[15.0, 5.0, 0.0]])
    assert plane.distances(beside) == pytest.approx(5.0, abs=0.5)


def test_a_quarter_of_a_plate_lies_where_it_was_cut() -> None:
    scanner = Scanner(points=(3_000, 3_001), noise_mm=(0.01,), partial=0.0, strays=0.0)
    first, whole = (draw("plate", "", np.random.default_rng([77, i]), scanner).cloud.points for i in (0, 5))
    where = align(whole, first, pieces=False).pose
    axes = np.linalg.svd(whole - whole.mean(axis=0), full_matrices=False)[2]
    along, across, _ = ((whole - whole.mean(axis=0)) @ axes.T).T
    piece = whole[(along > 0.0) & (across > 0.0)]
    step = align(piece, first).pose @ inverse(where)
    assert turn_deg(step) < 1.0
    middle = apply(where, piece).mean(axis=0)[None]
    assert np.linalg.norm(apply(step, middle) - middle) < 0.3


def test_strays_of_a_dense_scan_do_not_become_planes() -> None:
    rng = np.random.default_rng(0)
    skin = np.c_[rng.uniform(0.0, 40.0, (80_000, 2)), 0.01 * rng.normal(size=80_000)]
    strays = rng.uniform([0.0, 0.0, 2.0], [40.0, 40.0, 30.0], (160, 3))
    found = levels(np.concatenate([skin, strays]))
    assert np.ptp(found.dense.points[:, 2]) < 0.2
    assert len(found.dense.points) > 20_000


def test_a_flat_turns_a_tube_whose_points_are_spread_at_random() -> None:
    """One point in twenty has no partner within 1.5 spacings; drawn along the surface, these held the tube back."""
    tube = SOLIDS["tube"](np.random.default_rng(0))
    one, other = (levels(tube.sample(12_000, np.random.default_rng(seed))) for seed in (1, 2))
    angle, start = np.deg2rad(1.0), np.eye(4)
    start[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pair = Pair(one.dense, other.dense, one.pick, other.pick)
    start = shift(-other.middle) @ start @ shift(one.middle)
    assert turn_deg(refine(pair, start, gate=4.0 * pair.spacing, steps=25)) < 0.5
