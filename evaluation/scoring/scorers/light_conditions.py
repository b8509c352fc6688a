"""MVTec AD 2 by light: the condition stands in the name of each test picture ("003_overexposed.png").

Source: Heckler-Kram et al., arXiv 2503.21622, section 3: regular light, under- and overexposed, and shifted lights.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from evaluation.metrics import image_auroc
from evaluation.metrics.pixel import PixelMetrics
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import read_map
from evaluation.scoring.outcomes import counted_scores, heatmap_scores
from evaluation.scoring.registry import ClassMaps, ClassRecords, scores_items, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores
from evaluation.scoring.scorers.pixels import map_name
from vlm_inspect.datasets.masks import ClipMask, PointMask, read_at_size

_CONDITION = re.compile(r"_(regular|underexposed|overexposed|shift_\d+)\.[^./]+$")


def light_of(item_id: str) -> str | None:
    """Return the light condition in the name of an item; None where it has none."""
    found = _CONDITION.search(item_id)
    return None if found is None else found.group(1)


@scores_items(order=60)
def score_lights(one: ClassRecords) -> dict[str, Any]:
    """Return the image AUROC of the inspection and of the heatmap by light condition; empty without conditions."""
    told = {name: _ranked(own) for name, own in _by_light(one.records)}
    return {"lights": told} if told else {}


@scores_places(order=61)
def score_light_pixels(one: ClassMaps) -> PlaceScores:
    """Return pixel AUROC and AUPRO by light condition, of the items that have a map.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
    """
    if one.mask_kinds in ({PointMask}, {ClipMask}):
        return NO_SCORES
    found: dict[str, PixelMetrics] = {}
    for task in one.tasks:
        light, path = light_of(task.id), one.folder / map_name(one.records[task.id])
        if light is None or not path.is_file() or (task.item.anomalous and task.item.mask is None):
            continue
        values = read_map(path).values()
        found.setdefault(light, PixelMetrics()).add(
            values, read_at_size(task.item.mask, (values.shape[0], values.shape[1]))
        )
    told = {name: {"pixel_auroc": pixels.auroc(), "aupro": pixels.aupro()} for name, pixels in sorted(found.items())}
    return PlaceScores({"light_pixels": told}, {}) if told else NO_SCORES


def _by_light(records: Sequence[ItemRecord]) -> Iterator[tuple[str, list[ItemRecord]]]:
    lights = {one.id: light for one in records if (light := light_of(one.id)) is not None}
    for name in sorted(set(lights.values())):
        yield name, [one for one in records if lights.get(one.id) == name]


def _ranked(records: Sequence[ItemRecord]) -> dict[str, Any]:
    labels, heat = [one.anomalous for one in records], heatmap_scores(records)
    return {
        "n": len(records),
        "image_auroc": image_auroc(labels, counted_scores(records)),
        "heatmap_auroc": None if heat is None else image_auroc(labels, heat),
    }
