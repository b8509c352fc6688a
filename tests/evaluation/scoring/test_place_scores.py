"""Classes whose ground truth is a flag a point or a mask a frame, from small folders as they are published."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.point_cloud import read_point_cloud, render_point_cloud
from converters.projection import ScanOrigin
from converters.video import read_video, render_video
from converters.view import View, ViewBudget
from evaluation.engine.examiner import Result, failed
from evaluation.engine.item_files import ItemFiles
from evaluation.runs.plan import RunPlan, Task, make_plan
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import StoredMap
from evaluation.scoring.item_places import find_places
from evaluation.scoring.scorers.points_and_frames import list_name, score_frames
from vlm_inspect.datasets.masks import ClipMask
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.errors import DatasetError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.frame_curve import FrameCurve

Floats = NDArray[np.float64]
SMALL = ViewBudget(max_side=128, scan_size=64, max_frames=6, grid=3)
Look = Callable[
    [Task], tuple[Sequence[View], Sequence[AnomalyMap]] | tuple[Sequence[View], Sequence[AnomalyMap], FrameCurve]
]


def run(plan: RunPlan, folder: Path, look: Look, unreadable: str = "") -> tuple[ItemFiles, dict[str, ItemRecord]]:
    """Keep the places of every item as a run does; the one that ends in `unreadable` fails."""
    files, records = ItemFiles(folder, plan.categories), {}
    for task in plan.tasks:
        result = failed(task, "unreadable", ValueError("broken"))
        if not unreadable or not task.id.endswith(unreadable):
            result = Result(result.record, places=find_places(task.item, *look(task)))
        files.save_map(result)
        records[task.id] = result.record
    return files, records


def solid(seed: int, *, bulge: bool) -> tuple[Floats, NDArray[np.bool_]]:
    """Return points of an egg 40 mm long, and which of them are on a bulge."""
    unit = np.random.default_rng(seed).normal(size=(3000, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    odd = (np.linalg.norm(unit - [-0.6, 0.0, 0.8], axis=1) < 0.3) & bulge
    return unit * [20.0, 13.0, 9.0] * np.where(odd, 1.12, 1.0)[:, None], odd


@pytest.fixture
def ducks(tmp_path: Path) -> RunPlan:
    """A class like Real3D-AD's: one whole scan, one with a bulge; the flags are of other points, in another order."""
    from pypcd4 import PointCloud

    part = tmp_path / "data" / "duck"
    (part / "train").mkdir(parents=True)
    (part / "test").mkdir()
    (part / "gt").mkdir()
    for path, seed in (("train/0_template", 0), ("test/1_good", 1), ("test/2_bulge", 2)):
        points, odd = solid(seed, bulge=seed == 2)
        PointCloud.from_xyz_points(points.astype(np.float32)).save(part / f"{path}.pcd")
        order = np.random.default_rng(0).permutation(len(points))[:2500]
        if odd.any():
            np.savetxt(part / "gt" / "2_bulge.txt", np.column_stack([points, odd])[order], fmt="%.4f")
    return make_plan(read_dataset(tmp_path / "data"), shots=0)


def off_the_egg(task: Task) -> tuple[list[View], list[AnomalyMap]]:
    """Return depth views with how far each visible point is from the egg, as a share of its radius."""
    views = render_point_cloud(read_point_cloud(task.item.path), SMALL)
    maps = []
    for number, view in enumerate(views):
        assert isinstance(view.origin, ScanOrigin)
        off = np.abs(np.linalg.norm(view.origin.points / [20.0, 13.0, 9.0], axis=1) - 1.0)
        values = np.where(view.origin.index_hw >= 0, off[view.origin.index_hw], 0.0)
        maps.append(AnomalyMap(number, values.astype(np.float32), float(values.max()), "deviation", "mm"))
    return views, maps


def test_flags_of_points_are_scored_at_those_points(ducks: RunPlan, tmp_path: Path) -> None:
    files, records = run(ducks, tmp_path, off_the_egg)
    found = files.score_pixels(ducks.tasks, records).metrics
    assert found["point_auroc"] > 0.99
    assert found["point_ap"] > 0.9
    assert found["scans_without_points"] == 0
    kept = {path.stat().st_size for path in (tmp_path / "maps").iterdir()}
    assert max(kept) < 3 * 3000, "about two bytes a point"
    files.drop_maps(ducks.tasks, records)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("lost", ["1_good.pcd", "2_bulge.pcd"])
def test_a_scan_that_cannot_be_read_is_as_wrong_as_can_be(ducks: RunPlan, tmp_path: Path, lost: str) -> None:
    files, records = run(ducks, tmp_path, off_the_egg, unreadable=lost)
    found = files.score_pixels(ducks.tasks, records).metrics
    assert found["scans_without_points"] == 1
    assert found["point_auroc"] < 0.6


def test_a_damaged_list_of_points_is_said(ducks: RunPlan, tmp_path: Path) -> None:
    (tmp_path / "data" / "duck" / "gt" / "2_bulge.txt").write_text("1 2 3\n")
    files, records = run(ducks, tmp_path, off_the_egg)
    assert "needs x, y, z and 0 or 1" in files.score_pixels(ducks.tasks, records).metrics["pixel_note"]


def clips(root: Path, events: dict[int, range]) -> RunPlan:
    """Write clips of 30 dark frames, bright in one corner during their event, as CUHK Avenue has them."""
    import cv2
    from scipy.io import savemat

    own = {f"testing_videos/0{number}": event for number, event in events.items()}
    for path, event in {"training_videos/01": range(0), **own}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(root / f"{path}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
        for frame in range(30):
            image = np.full((24, 32, 3), 20, np.uint8)
            image[:12, :12] += np.uint8(200 if frame in event else 0)
            writer.write(image)
        writer.release()
    (root / "testing_label_mask").mkdir()
    for number, event in events.items():
        frames = np.empty((1, 30), object)
        frames[0] = [np.full((24, 32), frame in event, np.uint8) for frame in range(30)]
        savemat(root / "testing_label_mask" / f"{number}_label.mat", {"volLabel": frames})
    return make_plan(read_dataset(root), shots=0)


def brightness(task: Task) -> tuple[list[View], list[AnomalyMap], FrameCurve]:
    """Return how bright every frame is; the first four are taken as normal, the fifth was not looked at."""
    clip = read_video(task.item.path)
    scores = np.array([frame.image.mean() / 255 for frame in clip.frames()])
    scores[4] = np.nan
    return render_video(clip, SMALL), [], FrameCurve(None, scores, (), normal_frames=4)


def test_frames_are_pooled_over_all_clips_of_the_class(tmp_path: Path) -> None:
    plan = clips(tmp_path / "data", {1: range(12, 24), 2: range(4), 3: range(0)})
    files, records = run(plan, tmp_path, brightness)
    found = files.score_pixels(plan.tasks, records).metrics
    assert 0.9 < found["frame_auroc"] < 1.0  # wrong of the frames that were not looked at, right of all others
    assert found["clips_without_frames"] == 0
    first, second, third = found["clips"]
    assert (first["frames"], first["anomalous_frames"]) == (26, 12)
    assert first["frame_auroc"] == pytest.approx(13 / 14)
    assert found["frame_auroc_mean_of_clips"] == first["frame_auroc"]
    assert (second["anomalous_frames"], second["frame_auroc"]) == (0, None)  # its event is among the given frames
    assert third["id"].endswith("03.avi")
    (again := tmp_path / "again").mkdir()
    files, records = run(plan, again, brightness, unreadable="03.avi")
    assert files.score_pixels(plan.tasks, records).metrics["frame_auroc"] < 0.7


def test_a_clip_that_was_not_compared_frame_by_frame_has_no_scores(tmp_path: Path) -> None:
    plan = clips(tmp_path / "data", {1: range(12, 24)})
    views, _, _ = brightness(plan.tasks[0])
    assert find_places(plan.tasks[0].item, views, [*bright_maps(views)]).listed is None


def bright_maps(views: Sequence[View]) -> Iterator[AnomalyMap]:
    for number, view in enumerate(views):
        values = view.image.mean(axis=2).astype(np.float32)
        yield AnomalyMap(number, values, float(values.max()), "memory")


def test_a_mask_of_another_number_of_frames_is_refused(tmp_path: Path) -> None:
    plan = clips(tmp_path / "data", {1: range(5)})
    assert isinstance(plan.tasks[0].item.mask, ClipMask)
    _, records = run(plan, tmp_path, brightness)
    name = list_name(next(iter(records.values())))
    for length, fits in ((29, True), (20, False)):
        (tmp_path / "maps" / name).write_bytes(StoredMap.of(np.arange(length, dtype=np.float32)).pack())
        if fits:
            assert "frame_auroc" in score_frames(plan.tasks, records, tmp_path / "maps").metrics
        else:
            with pytest.raises(DatasetError, match="20 scores but its mask 30 flags"):
                score_frames(plan.tasks, records, tmp_path / "maps")


def test_without_any_map_there_is_nothing_to_say(ducks: RunPlan, tmp_path: Path) -> None:
    files, records = run(ducks, tmp_path, lambda task: (off_the_egg(task)[0], []))
    assert files.score_pixels(ducks.tasks, records).metrics == {}
    assert not (tmp_path / "maps").exists()
