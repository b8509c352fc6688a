"""The map of heat and the model's boxes together, scored beside the heat alone, where a model judged images.

How far the model's boxes are to be trusted is learnt from all boxes of the class, by their agreement with the heat; no
label plays a part (`vlm_inspect/fused_map.py`).

Hits are of anomalous images: the highest place of a map lies in a defect (the pointing game of Zhang et al., IJCV 126,
2018), or one of the model's boxes means the same place as a defect does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn
from evaluation.metrics.pixel import PixelMetrics
from evaluation.runs.record import ItemRecord
from evaluation.scoring.item_map import StoredMap, read_map
from evaluation.scoring.registry import ClassMaps, Metric, scores_places
from evaluation.scoring.resampling import NO_SCORES, PlaceScores
from vlm_inspect.datasets.masks import ClipMask, PointMask, read_at_size
from vlm_inspect.decision.spots import points_at
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.fused_map import LOWEST, agreements_of, box_evidence, in_nats, learn_trust


@dataclass(frozen=True, eq=False)
class _Judged:
    """One image that a model judged."""

    record: ItemRecord
    log_odds: NDArray[np.float32]
    """(H, W), by the heat."""
    mask: NDArray[np.bool_]
    """(H, W): the defect."""

    @property
    def part(self) -> NDArray[np.bool_]:
        """(H, W): where there is heat at all."""
        return np.asarray(self.log_odds > LOWEST + 1e-3)

    @property
    def boxes(self) -> list[tuple[BoxXyxyn, float]]:
        """The model's boxes with their probabilities."""
        return [(one.box_xyxyn, one.p) for one in self.record.boxes or ()]

    @property
    def agreements(self) -> list[float]:
        """How the heat bears each box out."""
        return agreements_of(self.log_odds, self.part, [box for box, _ in self.boxes])


def odds_name(record: ItemRecord) -> str:
    """Return the name of the file of an item's log-odds."""
    return f"{record.preview}.odds.npz"


def fused_name(record: ItemRecord) -> str:
    """Return the name of the file of an item's fused map."""
    return f"{record.preview}.fused.npz"


@scores_places(
    Metric("fused_pixel_auroc", "pixel AUROC of heat and boxes"),
    Metric("fused_aupro", "AUPRO of heat and boxes"),
    Metric("map_hit_rate", "highest place in a defect, heat", share=True),
    Metric("fused_hit_rate", "highest place in a defect, heat and boxes", share=True),
    Metric("box_hit_rate", "a box of the model on a defect", share=True),
    order=45,
)
def score_fused_pixels(one: ClassMaps) -> PlaceScores:
    """Return the metrics of the fused maps of a class, and keep those maps beside the others.

    Items without heat are left out here; `pixel_auroc` counts them as wrong.

    Raises:
        RunError: a map is damaged.
        DatasetError: a mask cannot be read.
        OutputError: a map cannot be kept.
    """
    if one.mask_kinds in ({PointMask}, {ClipMask}):
        return NO_SCORES
    if any(task.item.anomalous and task.item.mask is None for task in one.tasks):
        return NO_SCORES
    agreements = [q for item in _judged(one) for q in item.agreements]
    trust = learn_trust(agreements)
    right, sure = 0, 0.0
    pixels = PixelMetrics()
    hits: dict[str, list[bool]] = {"map_hit_rate": [], "fused_hit_rate": [], "box_hit_rate": []}
    for item in _judged(one):
        fused = in_nats(item.log_odds + box_evidence(item.log_odds, item.part, item.boxes, trust=trust))
        pixels.add(fused, item.mask)
        write_atomically(one.folder / fused_name(item.record), StoredMap.of(fused).pack())
        sure += sum(p for _, p in item.boxes)
        if item.mask.any():
            right += sum(_is_on(box, item.mask) for box, _ in item.boxes)
            hits["map_hit_rate"].append(_highest_in(item.log_odds, item.mask))
            hits["fused_hit_rate"].append(_highest_in(fused, item.mask))
            hits["box_hit_rate"].append(any(_is_on(box, item.mask) for box, _ in item.boxes))
    if not hits["map_hit_rate"]:
        return NO_SCORES
    rates = {name: float(np.mean(told)) for name, told in hits.items()}
    told: Mapping[str, Any] = {"fused_pixel_auroc": pixels.auroc(), "fused_aupro": pixels.aupro(), **rates}
    boxes = {"box_trust": trust, "model_boxes": len(agreements), "boxes_right": right, "boxes_sure": sure}
    return PlaceScores({**told, **boxes}, {})


def _judged(one: ClassMaps) -> Iterator[_Judged]:
    for task in one.tasks:
        record = one.records[task.id]
        path = one.folder / odds_name(record)
        if record.boxes is None or not path.is_file():
            continue
        log_odds = (read_map(path).values() + LOWEST).astype(np.float32)
        yield _Judged(record, log_odds, read_at_size(task.item.mask, (log_odds.shape[0], log_odds.shape[1])))


def _highest_in(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> bool:
    return bool(mask.flat[int(values.argmax())])


def _is_on(box: BoxXyxyn, mask: NDArray[np.bool_]) -> bool:
    """Return whether a box means the same place as one of the connected areas of a mask."""
    import cv2

    height, width = mask.shape
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return any(
        points_at(box, (x / width, y / height, (x + w) / width, (y + h) / height)) for x, y, w, h, _ in stats[1:]
    )
