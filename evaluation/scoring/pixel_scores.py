"""The pixel metrics of one class, from its kept maps and its masks, one image after the other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.bench.plan import Task
from evaluation.bench.record import ItemRecord
from evaluation.datasets.masks import RegionMask, read_at_size
from evaluation.metrics.pixel import PixelMetrics
from evaluation.scoring.item_map import read_map

LOCO_FPR_LIMIT = 0.05
"""Where MVTec LOCO's sPRO ends (IJCV 130, 2022, section 5.2)."""


def score_pixels(tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path) -> dict[str, Any]:
    """Return the pixel metrics of a class; empty where no item has a map, or an anomalous one has no mask.

    An item without a map (unreadable, no map of its whole image) is as wrong as can be: its anomalous pixels score
    below all others, its normal ones above all. An unreadable normal item counts at the size of the class's first map.
    What the model answered plays no part here: a map stays when a reply cannot be read.

    Args:
        tasks: the tasks of one class.
        records: what became of them, by id.
        folder: where the maps are.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
    """
    with_map = [task for task in tasks if (folder / map_name(records[task.id])).is_file()]
    odd = [task for task in tasks if task.item.anomalous]
    if not with_map or not odd or any(task.item.mask is None for task in odd):
        return {}
    found = PixelMetrics()
    low, high = np.inf, -np.inf
    first_hw: tuple[int, int] | None = None
    saturated = any(isinstance(task.item.mask, RegionMask) for task in odd)
    for task in with_map:
        values = read_map(folder / map_name(records[task.id])).values()
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        first_hw = first_hw or (values.shape[0], values.shape[1])
        _add(found, task, values)
    for task in tasks:
        if task not in with_map and first_hw is not None:
            _add(found, task, _wrong_map(task, first_hw, low, high))
    summary = found.summary()
    metrics = {
        "pixel_auroc": summary.auroc,
        "pixel_ap": summary.ap,
        "pixel_f1_max": summary.f1_max,
        "aupro": summary.aupro,
        "pixel_images": summary.images,
        "pixel_images_without_map": len(tasks) - len(with_map),
    }
    return metrics | ({"spro_at_0.05": found.aupro(fpr_limit=LOCO_FPR_LIMIT)} if saturated else {})


def map_name(record: ItemRecord) -> str:
    """Return the name of an item's map."""
    return f"{record.preview}.npz"


def _add(found: PixelMetrics, task: Task, values: NDArray[np.float32]) -> None:
    mask = task.item.mask
    flags = read_at_size(mask, (values.shape[0], values.shape[1]))
    if isinstance(mask, RegionMask):
        regions = mask.regions()
        if all(region.mask.shape == values.shape for region in regions):
            found.add(values, flags, regions)
            return
    found.add(values, flags)


def _wrong_map(task: Task, size_hw: tuple[int, int], low: float, high: float) -> NDArray[np.float32]:
    flags = np.zeros(size_hw, bool) if task.item.mask is None else task.item.mask.read()
    step = max(high - low, 1.0)
    return np.where(flags, low - step, high + step).astype(np.float32)
