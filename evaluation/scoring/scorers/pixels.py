"""The pixel metrics of one class, from its kept maps and its masks, one image after the other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics.pixel import LOCO_FPR_LIMIT, PixelMetrics
from evaluation.metrics.pixel_bootstrap import choose_levels
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import read_map
from evaluation.scoring.registry import ClassMaps, Metric, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores, Scored, resample
from vlm_inspect.datasets.masks import ClipMask, PointMask, RegionMask, read_at_size


@scores_places(
    Metric("pixel_auroc", "pixel AUROC", shown=True),
    Metric("pixel_ap", "pixel AP"),
    Metric("pixel_f1_max", "pixel F1-max"),
    Metric("pixel_accuracy", "pixel accuracy at F1-max", share=True),
    Metric("aupro", "AUPRO", shown=True),
    Metric("aupro_200_thresholds", "AUPRO by 200 thresholds (for papers only)"),
    Metric("spro_at_0.05", "sPRO, FPR ≤ 0.05"),
    order=40,
)
def score_class_pixels(one: ClassMaps) -> PlaceScores:
    """Return the pixel metrics of a class whose masks are pictures; see `score_pixels`."""
    if one.mask_kinds in ({PointMask}, {ClipMask}):
        return NO_SCORES
    return score_pixels(one.tasks, one.records, one.folder, aupro_200=one.aupro_200)


def score_pixels(
    tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path, *, aupro_200: bool = False
) -> PlaceScores:
    """Return the pixel metrics of a class; none where no item has a map, or an anomalous one has no mask.

    An item without a map (unreadable, no map of its whole image) is as wrong as can be: its anomalous pixels score
    below all others, its normal ones above all. An unreadable normal item counts at the size of the class's first map.
    What the model answered plays no part here: a map stays when a reply cannot be read.

    Args:
        tasks: the tasks of one class.
        records: what became of them, by id.
        folder: where the maps are.
        aupro_200: whether AUPRO by 200 thresholds is computed, too.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
    """
    found = PixelMetrics()
    for one in _scored(tasks, records, folder):
        found.add(one.values, one.mask, one.regions)
    if not found.images:
        return NO_SCORES
    at_best = found.accuracy_at_f1_max()
    saturated = any(isinstance(task.item.mask, RegionMask) for task in tasks)
    metrics = {
        "pixel_auroc": found.auroc(),
        "pixel_ap": found.ap(),
        "pixel_f1_max": found.f1_max(),
        "pixel_f1_threshold": None if at_best is None else at_best[0],
        "pixel_accuracy": None if at_best is None else at_best[1],
        "aupro": found.aupro(),
        **({"spro_at_0.05": found.aupro(fpr_limit=LOCO_FPR_LIMIT)} if saturated else {}),
        **({"aupro_200_thresholds": found.aupro_of_200_thresholds()} if aupro_200 else {}),
        "pixel_images": found.images,
        "pixel_images_without_map": len(tasks) - len(_with_map(tasks, records, folder)),
    }
    levels = choose_levels(found)
    del found  # as large as all maps
    return resample(levels, _scored(tasks, records, folder), tasks, metrics)


def map_name(record: ItemRecord) -> str:
    """Return the name of an item's map."""
    return f"{record.preview}.npz"


def _scored(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> Iterator[Scored]:
    """Yield every image of a class; none where its pixels cannot be scored."""
    with_map = _with_map(tasks, records, folder)
    odd = [task for task in tasks if task.item.anomalous]
    if not with_map or not odd or any(task.item.mask is None for task in odd):
        return
    low, high = np.inf, -np.inf
    first_hw: tuple[int, int] | None = None
    for task in with_map:
        values = read_map(folder / map_name(records[task.id])).values()
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        first_hw = first_hw or (values.shape[0], values.shape[1])
        yield _masked(task, values)
    there = {task.id for task in with_map}
    for task in tasks:
        if task.id not in there and first_hw is not None:
            yield _masked(task, _wrong_map(task, first_hw, low, high))


def _with_map(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> list[Task]:
    return [task for task in tasks if (folder / map_name(records[task.id])).is_file()]


def _masked(task: Task, values: NDArray[np.float32]) -> Scored:
    mask = task.item.mask
    flags = read_at_size(mask, (values.shape[0], values.shape[1]))
    regions = mask.regions() if isinstance(mask, RegionMask) else None
    if regions is not None and any(region.mask.shape != values.shape for region in regions):
        regions = None
    return Scored(task.id, values, flags, regions)


def _wrong_map(task: Task, size_hw: tuple[int, int], low: float, high: float) -> NDArray[np.float32]:
    flags = np.zeros(size_hw, bool) if task.item.mask is None else task.item.mask.read()
    step = max(high - low, 1.0)
    return np.where(flags, low - step, high + step).astype(np.float32)
