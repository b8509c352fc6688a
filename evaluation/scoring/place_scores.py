"""The metrics by place of one class, whatever its ground truth is: pixels, points or frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.runs.plan import Task
from evaluation.runs.record import ItemRecord
from evaluation.scoring.list_scores import list_name, score_frames, score_points
from evaluation.scoring.pixel_scores import map_name, score_pixels
from evaluation.scoring.pixel_types import score_pixel_types, types_name
from evaluation.scoring.resampling import PlaceScores
from vlm_inspect.datasets.defect_words import NO_WORDS
from vlm_inspect.datasets.masks import ClipMask, PointMask


def score_places(
    tasks: Sequence[Task],
    records: Mapping[str, ItemRecord],
    folder: Path,
    *,
    aupro_200: bool = False,
    folder_words: Mapping[str, str] = NO_WORDS,
) -> PlaceScores:
    """Return the metrics by place of a class; none where there are no maps, or an anomalous item has no mask.

    Args:
        tasks: the tasks of one class.
        records: what became of them, by id.
        folder: where the maps are.
        aupro_200: whether AUPRO by 200 thresholds is computed, too.
        folder_words: see `words_of_types`.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
    """
    kinds = {type(task.item.mask) for task in tasks if task.item.anomalous}
    if kinds == {PointMask}:
        return score_points(tasks, records, folder)
    if kinds == {ClipMask}:
        return score_frames(tasks, records, folder)
    pixels = score_pixels(tasks, records, folder, aupro_200=aupro_200)
    return PlaceScores({**pixels.metrics, **score_pixel_types(tasks, records, folder, folder_words)}, pixels.draws)


def place_names(record: ItemRecord) -> tuple[str, ...]:
    """Return the names of the files of an item's picture, list and types, in this order; not every item has each."""
    return map_name(record), list_name(record), types_name(record)
