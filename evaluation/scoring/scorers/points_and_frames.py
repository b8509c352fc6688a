"""The metrics of a class whose ground truth is a list: a flag a point of a scan, or a mask a frame of a clip.

AUROC and AP of all points, or all frames, of the class pooled; of clips also clip by clip. There is no AUPRO: points in
no order have no connected regions. An item without scores (unreadable, no map) is as wrong as can be, as in
`pixels.py`, and so is a frame that was not looked at. Frames that were taken as normal references, and those of which
nothing says whether they are anomalous, are not scored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.image import image_auroc
from evaluation.metrics.pixel import PixelMetrics
from evaluation.metrics.pixel_bootstrap import choose_levels
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.clip_scores import scored_frames
from evaluation.scoring.item_map import read_map
from evaluation.scoring.registry import ClassMaps, Metric, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores, Scored, resample
from vlm_inspect.datasets.masks import ClipMask, FrameMask, Mask, PointMask, read_frames
from vlm_inspect.errors import DatasetError

_FRAMES_OFF = 2
"""By how many frames a clip and its masks may differ: decoders disagree about the last ones."""


def list_name(record: ItemRecord) -> str:
    """Return the name of the file of an item's list of scores."""
    return f"{record.preview}.list.npz"


@scores_places(Metric("point_auroc", "point AUROC", shown=True), Metric("point_ap", "point AP"), order=50)
def score_class_points(one: ClassMaps) -> PlaceScores:
    """Return the metrics of a class of scans whose ground truth is a flag a point; see `score_points`."""
    return score_points(one.tasks, one.records, one.folder) if one.mask_kinds == {PointMask} else NO_SCORES


@scores_places(
    Metric("frame_auroc", "frame AUROC", shown=True),
    Metric("frame_ap", "frame AP"),
    Metric("frame_auroc_mean_of_clips", "frame AUROC, mean of clips"),
    order=60,
)
def score_class_frames(one: ClassMaps) -> PlaceScores:
    """Return the metrics of a class of clips; see `score_frames`."""
    of_clips = bool(one.mask_kinds) and one.mask_kinds <= {ClipMask, FrameMask}
    return score_frames(one.tasks, one.records, one.folder) if of_clips else NO_SCORES


def score_points(
    tasks: Sequence[Task],
    records: Mapping[str, ItemRecord],
    folder: Path,
    names: tuple[str, str, str] = ("point_auroc", "point_ap", "scans_without_points"),
    file_name: Callable[[ItemRecord], str] = list_name,
) -> PlaceScores:
    """Return the metrics of a class of scans with `PointMask`; empty where no item has scores.

    The points are those of the ground truth's text, of a normal scan its own (Liu et al., NeurIPS 2023; dataset_pc.py
    of github.com/M-3LAB/Real3D-AD).

    Args:
        tasks: the tasks of one class; every anomalous one has a mask.
        records: what became of them, by id.
        folder: where the lists are.
        names: what AUROC, AP and the number of scans without scores are called.
        file_name: which file of an item the list is.

    Raises:
        RunError: a list is damaged.
        DatasetError: a mask cannot be read.
    """
    return _score(tasks, records, folder, names, file_name)


def score_frames(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> PlaceScores:
    """Return the metrics of a class of clips with `ClipMask` or `FrameMask`; a frame is anomalous where a pixel is.

    All frames together, and `clips`: of each its scored frames, how many of them are anomalous, and its own AUROC (None
    where it has frames of one label alone). See `score_points` for arguments and errors; a mask of another number of
    frames is a DatasetError, too.
    """
    pooled = _score(tasks, records, folder, ("frame_auroc", "frame_ap", "clips_without_frames"))
    if not pooled.metrics:
        return pooled
    clips = [_of_clip(one) for one in _scored(tasks, records, folder)]
    known = [one["frame_auroc"] for one in clips if one["frame_auroc"] is not None]
    mean = float(np.mean(known)) if known else None
    return replace(pooled, metrics={**pooled.metrics, "frame_auroc_mean_of_clips": mean, "clips": clips})


def _of_clip(one: Scored) -> dict[str, Any]:
    scores, flags = one.values[0], one.mask[0]
    both = flags.any() and not flags.all()
    return {
        "id": one.item,
        "frames": len(flags),
        "anomalous_frames": int(flags.sum()),
        "frame_auroc": image_auroc(flags, scores) if both else None,
    }


def _score(
    tasks: Sequence[Task],
    records: Mapping[str, ItemRecord],
    folder: Path,
    names: tuple[str, str, str],
    file_name: Callable[[ItemRecord], str] = list_name,
) -> PlaceScores:
    """Return AUROC, AP and the number of items without scores, under these names."""
    found = PixelMetrics()
    for one in _scored(tasks, records, folder, file_name):
        found.add(one.values, one.mask, one.regions)
    if not found.images:
        return NO_SCORES
    lost = sum(not (folder / file_name(records[task.id])).is_file() for task in tasks)
    metrics = dict(zip(names, (found.auroc(), found.ap(), lost), strict=True))
    levels = choose_levels(found)
    del found  # as large as all lists
    return resample(levels, _scored(tasks, records, folder, file_name), tasks, metrics)


def _scored(
    tasks: Sequence[Task],
    records: Mapping[str, ItemRecord],
    folder: Path,
    file_name: Callable[[ItemRecord], str] = list_name,
) -> Iterator[Scored]:
    """Yield every item of a class; none where no item has scores."""
    lost: list[Task] = []
    low, high, usual = np.inf, -np.inf, 0
    for task in tasks:
        path = folder / file_name(records[task.id])
        if not path.is_file():
            lost.append(task)
            continue
        scores = read_map(path).values()
        usual = usual or len(scores)
        scores, flags = _of_one_length(task, scores, *_truth(task.item.mask, len(scores)))
        if len(scores):
            low, high = min(low, float(scores.min())), max(high, float(scores.max()))
            yield Scored(task.id, scores[None], flags[None], ())
    step = max(high - low, 1.0)
    for task in lost if np.isfinite(low) else ():
        flags, known = _truth(task.item.mask, usual)
        scores = np.where(flags, low - step, high + step).astype(np.float32)
        yield Scored(task.id, scores[known][None], flags[known][None], ())


def _truth(mask: Mask | None, count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a flag a point (N,), or a frame (T,), and of which it is known; `count` flags of a normal item."""
    if mask is None:
        return np.zeros(count, bool), np.ones(count, bool)
    if isinstance(mask, ClipMask | FrameMask):
        return read_frames(mask)
    flags = mask.read()
    flags = np.asarray(flags.reshape(len(flags), -1).any(axis=1))
    return flags, np.ones(len(flags), bool)


def _of_one_length(
    task: Task, scores: NDArray[np.float32], flags: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores and flags at the length of the shorter one; of a clip those of the frames that count.

    Raises:
        DatasetError: they differ by more than a clip's last frames.
    """
    if abs(len(scores) - len(flags)) > _FRAMES_OFF:
        raise DatasetError(
            f"{task.id} has {len(scores)} scores but its mask {len(flags)} flags; mend the mask's file, or remove it"
        )
    length = min(len(scores), len(flags))
    return scored_frames(scores[:length], flags[:length], known[:length])  # scores of points are >= 0: all count
