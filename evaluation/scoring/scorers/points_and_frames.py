"""The metrics of a class whose ground truth is a list: a flag a point of a scan, or a mask a frame of a clip.

AUROC and AP of all points, or all frames, of the class pooled. There is no AUPRO: points in no order have no connected
regions. An item without scores (unreadable, no map) is as wrong as can be, as in `pixels.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.pixel import PixelMetrics
from evaluation.metrics.pixel_bootstrap import choose_levels
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import read_map
from evaluation.scoring.registry import ClassMaps, Metric, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores, Scored, resample
from vlm_inspect.datasets.masks import ClipMask, Mask, PointMask
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


@scores_places(Metric("frame_auroc", "frame AUROC", shown=True), Metric("frame_ap", "frame AP"), order=60)
def score_class_frames(one: ClassMaps) -> PlaceScores:
    """Return the metrics of a class of clips; see `score_frames`."""
    return score_frames(one.tasks, one.records, one.folder) if one.mask_kinds == {ClipMask} else NO_SCORES


def score_points(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> PlaceScores:
    """Return the metrics of a class of scans with `PointMask`; empty where no item has scores.

    The points are those of the ground truth's text, of a normal scan its own (Liu et al., NeurIPS 2023; dataset_pc.py
    of github.com/M-3LAB/Real3D-AD).

    Args:
        tasks: the tasks of one class; every anomalous one has a mask.
        records: what became of them, by id.
        folder: where the lists are.

    Raises:
        RunError: a list is damaged.
        DatasetError: a mask cannot be read.
    """
    return _score(tasks, records, folder, ("point_auroc", "point_ap", "scans_without_points"))


def score_frames(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> PlaceScores:
    """Return the metrics of a class of clips with `ClipMask`; a frame is anomalous where any of its pixels is.

    See `score_points` for arguments and errors; a mask of another number of frames is a DatasetError, too.
    """
    return _score(tasks, records, folder, ("frame_auroc", "frame_ap", "clips_without_frames"))


def _score(
    tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path, names: tuple[str, str, str]
) -> PlaceScores:
    """Return AUROC, AP and the number of items without scores, under these names."""
    found = PixelMetrics()
    for one in _scored(tasks, records, folder):
        found.add(one.values, one.mask, one.regions)
    if not found.images:
        return NO_SCORES
    lost = sum(not (folder / list_name(records[task.id])).is_file() for task in tasks)
    metrics = dict(zip(names, (found.auroc(), found.ap(), lost), strict=True))
    levels = choose_levels(found)
    del found  # as large as all lists
    return resample(levels, _scored(tasks, records, folder), tasks, metrics)


def _scored(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> Iterator[Scored]:
    """Yield every item of a class; none where no item has scores."""
    lost: list[Task] = []
    low, high, usual = np.inf, -np.inf, 0
    for task in tasks:
        path = folder / list_name(records[task.id])
        if not path.is_file():
            lost.append(task)
            continue
        scores = read_map(path).values()
        low, high, usual = min(low, float(scores.min())), max(high, float(scores.max())), usual or len(scores)
        flags = np.zeros(len(scores), bool) if task.item.mask is None else _flags_of(task.item.mask)
        scores, flags = _of_one_length(task, scores, flags)
        yield Scored(task.id, scores[None], flags[None], ())
    step = max(high - low, 1.0)
    for task in lost if usual else ():
        flags = np.zeros(usual, bool) if task.item.mask is None else _flags_of(task.item.mask)
        yield Scored(task.id, np.where(flags, low - step, high + step).astype(np.float32)[None], flags[None], ())


def _flags_of(mask: Mask) -> NDArray[np.bool_]:
    """Return a flag a point (N,), or a frame (T,)."""
    flags = mask.read()
    return np.asarray(flags.reshape(len(flags), -1).any(axis=1))


def _of_one_length(
    task: Task, scores: NDArray[np.float32], flags: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return both at the length of the shorter one.

    Raises:
        DatasetError: they differ by more than a clip's last frames.
    """
    if abs(len(scores) - len(flags)) > _FRAMES_OFF:
        raise DatasetError(
            f"{task.id} has {len(scores)} scores but its mask {len(flags)} flags; mend the mask's file, or remove it"
        )
    length = min(len(scores), len(flags))
    return scores[:length], flags[:length]
