"""What a scan shows instead of its reference is said: another unit, a mirror image, two parts, another part."""

import numpy as np
import pytest

from tests.measurement.screw_parts import moved, rigid
from vlm_inspect.demo.solids import gear
from vlm_inspect.registration.alignment import align
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.identity import looks_mirrored, mismatch
from vlm_inspect.registration.pose import apply
from vlm_inspect.registration.surface import Surface


@pytest.fixture(scope="module")
def reference() -> Surface:
    return scan_surface(bracket(0))


def bracket(seed: int, n: int = 2500) -> np.ndarray:
    """An L of two plates with a pin on one side: no mirror symmetry."""
    rng = np.random.default_rng(seed)
    a = rng.uniform([0, 0, 0], [30, 12, 0], (n, 3))
    b = rng.uniform([0, 0, 0], [0, 12, 17], (n // 2, 3))
    angle = rng.uniform(0, 2 * np.pi, n // 5)
    pin = np.column_stack([24 + 2 * np.cos(angle), 3 + 2 * np.sin(angle), rng.uniform(0, 6, len(angle))])
    return np.concatenate([a, b, pin]) + rng.normal(scale=0.01, size=(n + n // 2 + len(angle), 3))


def laid_on(reference: Surface, points: np.ndarray, *, pieces: bool = False) -> Surface:
    return scan_surface(apply(align(points, reference.points, pieces=pieces).pose, points))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (bracket(1) / 25.4, "in inches"),
        (bracket(1) * [1, -1, 1], "mirror image"),
        (np.concatenate([bracket(1), bracket(2) + np.array([0, 40, 0])]), "2 separate parts"),
        (gear(np.random.default_rng(0)).sample(4_000, np.random.default_rng(0)), "not seem to be the part"),
    ],
    ids=["inches", "mirrored", "two", "gear"],
)
def test_what_is_not_the_part_is_said_to_be(reference: Surface, points: np.ndarray, said: str) -> None:
    found = mismatch(laid_on(reference, moved(points, rigid(5))), reference)
    assert said in found.said
    assert (found.shows == "other part") == ("to be the part" in said)


@pytest.mark.slow(8)
def test_a_quarter_is_a_piece_and_the_part_itself_is_no_mismatch(reference: Surface) -> None:
    whole = bracket(3, n=8000)
    quarter = whole[(whole[:, 0] > 12) & (whole[:, 1] < 8)]
    assert (
        "a piece of the reference"
        in mismatch(laid_on(reference, moved(quarter, rigid(6)), pieces=True), reference).said
    )
    assert mismatch(laid_on(reference, moved(bracket(4), rigid(7))), reference) is None


def test_what_stands_beside_the_part_is_said() -> None:
    whole, other = bracket(8, n=700), bracket(9, n=700)
    reference = scan_surface(bracket(7, n=700))
    near = np.concatenate([whole, other + np.array([0.0, 12.8, 0.0])])
    assert "the part of the reference twice" in mismatch(scan_surface(near), reference).said
    table = np.random.default_rng(0).uniform([-10, -10, -6], [40, 22, -5.9], (400, 3))
    assert "something beside it" in mismatch(scan_surface(np.concatenate([whole, table])), reference).said


def test_a_piece_that_lies_off_by_little_is_no_other_part() -> None:
    rng = np.random.default_rng(3)
    sheet = scan_surface(np.c_[rng.uniform(0, 60, (12000, 2)), 0.01 * rng.normal(size=12000)])
    piece = np.c_[rng.uniform(12, 50, (4000, 2)), 1.5 + 0.01 * rng.normal(size=4000)]
    assert "a piece of the part, or another part" in mismatch(scan_surface(piece), sheet).said


def test_a_part_that_is_its_own_mirror_image_is_known_as_one(reference: Surface) -> None:
    rng = np.random.default_rng(1)
    bars = [
        scan_surface(rng.uniform(-1, 1, (3000, 3)) * [20, 6, 0] + rng.normal(scale=0.01, size=(3000, 3))) for _ in "ab"
    ]
    assert looks_mirrored(bars)
    assert looks_mirrored(bars[:1])
    brackets = [reference, scan_surface(bracket(1))]
    assert not looks_mirrored(brackets)
    assert not looks_mirrored(brackets[:1])
