"""What a scan shows is said before it is laid on, where its size and its pieces tell."""

from pathlib import Path

import numpy as np
import pytest

from converters.sample import PointCloud
from converters.view import ViewBudget
from tests.measurement.screw_parts import moved, rigid
from tests.registration.test_identity import bracket
from vlm_inspect.demo.scan_files import write_scan
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.references import Stage, load_references, present, set_stage
from vlm_inspect.registration.alignment import align
from vlm_inspect.registration.arrival import Arrival, arrive, pack_arrival, unpack_arrival

BUDGET = ViewBudget(scan_size=64)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return set_stage([PointCloud(Path("part.ply"), bracket(0))])


def three() -> np.ndarray:
    """Two brackets and a rod, apart."""
    rng = np.random.default_rng(4)
    angle = rng.uniform(0, 2 * np.pi, 3000)
    rod = np.column_stack([rng.uniform(0, 60, 3000), 70 + 3 * np.cos(angle), 3 * np.sin(angle)])
    return np.concatenate([bracket(1), moved(bracket(2), rigid(3)) + np.array([0, -90, 0]), rod])


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (bracket(1) / 25.4, "in inches"),
        (bracket(1) * 1000.0, "in millimetres where the reference is in metres"),
        (three(), "3 separate parts, 2 of them like the reference"),
    ],
    ids=["inches", "metres", "three"],
)
def test_it_is_said_and_drawn_as_it_stands(stage: Stage, points: np.ndarray, said: str) -> None:
    shown = present(PointCloud(Path("scan.ply"), moved(points, rigid(5))), stage, BUDGET)
    assert shown.mismatch is not None
    assert said in shown.mismatch.said
    assert unpack_arrival(pack_arrival(Arrival(np.eye(4), shown.mismatch))).mismatch == shown.mismatch
    assert shown.views[0].mask is not None
    assert shown.views[0].mask.mean() > 0.01  # of a scan a thousand times as large nothing lies in the part's window


def test_the_part_is_laid_on_as_ever(stage: Stage) -> None:
    points = moved(bracket(1), rigid(5))
    arrived = unpack_arrival(pack_arrival(arrive(points, stage.levels)))
    assert arrived.mismatch is None
    np.testing.assert_allclose(arrived.pose, align(points, stage.levels).pose)


def test_a_kept_arrival_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="of shape"):
        unpack_arrival({"pose": np.eye(3)})
    packed = pack_arrival(Arrival(np.eye(4)))
    with pytest.raises(ValueError, match="cannot show 'nothing'"):
        unpack_arrival({**packed, "said": np.frombuffer(b"nothing\nsaid", np.uint8)})


def test_a_reference_in_another_unit_is_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.ply", tmp_path / "b.ply"]
    for path, points in zip(paths, (bracket(0), bracket(1) / 25.4), strict=True):
        write_scan(path, points)
    with pytest.raises(ReferenceSampleError, match=r"b\.ply, held against .*a\.ply: The scan seems to be in inches"):
        load_references(paths, "point_cloud", BUDGET)
