"""All that is kept of where an item looks anomalous, until its class is scored.

An image, and a scan whose points are pixels, become a picture. Any other scan becomes a list, one score a point of the
scan or of its ground truth; a clip a list, one score a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import View
from evaluation.scoring.clip_scores import frame_scores
from evaluation.scoring.item_map import StoredMap, join_maps
from evaluation.scoring.scan_map import Scores, grid_map, point_scores, scan_origin, scores_at
from evaluation.scoring.type_map import StoredTypes, find_types
from vlm_inspect.datasets.item import Item
from vlm_inspect.datasets.masks import PointMask
from vlm_inspect.errors import DatasetError
from vlm_inspect.evidence import AnomalyMap


@dataclass(frozen=True, eq=False)
class ItemPlaces:
    """Scores by place, as they are kept; all None where there are no maps."""

    picture: StoredMap | None = None
    """(H, W), on the pixels of the image or of the organised scan."""
    listed: StoredMap | None = None
    """(N,), one score a point or a frame."""
    types: StoredTypes | None = None
    """The defect words by place of an image."""


def find_places(item: Item, views: Sequence[View], maps: Sequence[AnomalyMap]) -> ItemPlaces:
    """Return the scores by place of one item, from the maps of its views."""
    if not maps:
        return ItemPlaces()
    origin = scan_origin(views)
    if origin is not None:
        return _scan_places(item, origin, point_scores(views, maps))
    if views[0].kind == "frames":
        return ItemPlaces(listed=_stored(frame_scores(views, maps)))
    joined = join_maps(views, maps)
    if joined is None:
        return ItemPlaces()
    return ItemPlaces(StoredMap.of(joined), types=find_types(views, maps, (joined.shape[0], joined.shape[1])))


def _scan_places(item: Item, origin: ScanOrigin, scores: Scores | None) -> ItemPlaces:
    if scores is None:
        return ItemPlaces()
    if isinstance(item.mask, PointMask):
        try:
            return ItemPlaces(listed=_stored(scores_at(item.mask.points(), origin.points, scores)))
        except DatasetError:  # said where the class is scored, which reads the same file
            return ItemPlaces()
    if origin.grid is None:
        return ItemPlaces(listed=_stored(scores))
    return ItemPlaces(picture=_stored(grid_map(scores, origin.grid)))


def _stored(values: NDArray[np.float32] | None) -> StoredMap | None:
    return None if values is None else StoredMap.of(values)
