"""How well the kinds of defects are told apart pixel by pixel, where the heatmap's words fit the data set's.

Per class, all pixels pooled: one-vs-rest macro AUROC and AP, and F1 of the argmax, as DAPO's evaluation has it
(arXiv 2512.09446). The score of a type is that of its word (`words_of_types`), 0 where none has it; that of normal is
what all words leave over, 1 - their sum, for they compete. An image without types (unreadable, no map) is wrong
everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import DefectTypeMetrics
from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.registry import ClassMaps, Metric, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores
from evaluation.scoring.scorers.defect_types import columns_of, shown_name
from evaluation.scoring.type_map import StoredTypes, read_types
from vlm_inspect.datasets.defect_words import NO_WORDS, plain_word, words_of_types
from vlm_inspect.datasets.masks import ClipMask, PointMask, read_at_size

_MOST_SCORES = 1 << 26
"""About so many scores, of pixels times types, are held of one class; of more, every k-th pixel counts."""


def types_name(record: ItemRecord) -> str:
    """Return the name of the file of an item's types by place."""
    return f"{record.preview}.types.npz"


@scores_places(
    Metric("pixel_type_auroc", "types by pixel, AUROC", shown=True),
    Metric("pixel_type_ap", "types by pixel, AP"),
    Metric("pixel_type_f1", "types by pixel, F1"),
    order=80,
)
def score_class_pixel_types(one: ClassMaps) -> PlaceScores:
    """Return how well the pixels of a class tell its defect types apart; see `score_pixel_types`."""
    if one.mask_kinds in ({PointMask}, {ClipMask}):
        return NO_SCORES
    return PlaceScores(score_pixel_types(one.tasks, one.records, one.folder, one.folder_words), {})


def score_pixel_types(
    tasks: Sequence[Task], records: Mapping[str, ItemRecord], folder: Path, folder_words: Mapping[str, str] = NO_WORDS
) -> dict[str, Any]:
    """Return the metrics of defect types by pixel of one class.

    Empty where an anomalous item has no mask or not exactly one type, and where no word is a type of the class.

    Args:
        tasks: the tasks of one class.
        records: what became of them, by id.
        folder: where the types are.
        folder_words: see `words_of_types`.

    Raises:
        RunError: a file of types is damaged.
        DatasetError: a mask cannot be read.
    """
    odd = [task for task in tasks if task.item.anomalous]
    if not odd or any(task.item.mask is None or len(task.item.defects) != 1 for task in odd):
        return {}
    paths = {task.id: folder / types_name(records[task.id]) for task in tasks}
    stored = {name: read_types(path) for name, path in paths.items() if path.is_file()}
    said = {plain_word(word) for one in stored.values() for word in one.words}
    word_of = words_of_types(tasks[0].category, sorted({task.item.defect for task in odd}), said, folder_words)
    types = sorted(set(word_of.values()))
    if not said & set(types):
        return {}
    every = _stride([one.size_hw for one in stored.values()], len(types) + 1)
    found = DefectTypeMetrics(columns_of([shown_name(word_of, word) for word in types]), every=every)
    usual = next(iter(stored.values())).size_hw
    for task in tasks:
        number = types.index(word_of[task.item.defect]) + 1 if task.item.anomalous else 0
        truth = _truth(task, number, stored[task.id].size_hw if task.id in stored else usual)
        found.add(_columns(stored[task.id], types) if task.id in stored else _all_wrong(truth, len(types)), truth)
    summary = found.summary()
    return {
        "pixel_type_auroc": summary.auroc,
        "pixel_type_ap": summary.ap,
        "pixel_type_f1": summary.f1,
        "pixel_types": [vars(one) for one in summary.types],
        "pixel_types_skipped": list(summary.skipped),
        "pixel_types_every": every,
        "pixel_types_images_without": len(tasks) - len(stored),
    }


def _stride(sizes_hw: Sequence[tuple[int, int]], columns: int) -> int:
    """Return k such that every k-th pixel fits the memory, and runs through all columns of every picture."""
    every = max(1, math.ceil(sum(height * width for height, width in sizes_hw) * columns / _MOST_SCORES))
    while any(math.gcd(every, width) > 1 for _, width in sizes_hw):
        every += 1
    return every


def _truth(task: Task, number: int, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Return the type of each pixel, (H, W): 0 is normal, and `number` that of the item."""
    return np.where(read_at_size(task.item.mask, size_hw), number, 0).astype(np.int64)


def _columns(stored: StoredTypes, types: Sequence[str]) -> NDArray[np.float32]:
    """Return (1 + types, H, W): normal, then the score of each type."""
    by_word = stored.at_size()
    columns = [np.clip(1.0 - by_word.sum(axis=0), 0.0, 1.0)]
    for name in types:
        own = [one for word, one in zip(stored.words, by_word, strict=True) if plain_word(word) == name]
        columns.append(np.max(own, axis=0) if own else np.zeros(stored.size_hw, np.float32))
    return np.asarray(np.stack(columns), np.float32)


def _all_wrong(truth: NDArray[np.int64], types: int) -> NDArray[np.float32]:
    return np.asarray(truth[None] != np.arange(types + 1)[:, None, None], np.float32)
