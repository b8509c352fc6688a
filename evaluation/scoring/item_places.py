"""All that is kept of where an item looks anomalous, until its class is scored.

An image, and a scan whose points are pixels, become a picture. Any other scan becomes a list, one score a point of the
scan or of its ground truth; a clip a list, one score a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import View
from evaluation.scoring.clip_scores import frame_scores
from evaluation.scoring.item_map import StoredMap, join_maps
from evaluation.scoring.scan_map import Scores, grid_map, point_scores, scan_origin
from evaluation.scoring.type_map import StoredTypes, find_types
from vlm_inspect.datasets.item import Item
from vlm_inspect.datasets.masks import PointMask
from vlm_inspect.errors import DatasetError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.frame_curve import FrameCurve
from vlm_inspect.fused_map import LOWEST, heat_log_odds
from vlm_inspect.point_values import values_nearby
from vlm_inspect.tolerance import Tolerance


@dataclass(frozen=True, eq=False)
class ItemPlaces:
    """Scores by place, as they are kept; all None where there are no maps."""

    picture: StoredMap | None = None
    """(H, W), on the pixels of the image or of the organised scan."""
    listed: StoredMap | None = None
    """(N,), one score a point or a frame."""
    odds: StoredMap | None = None
    """(H, W), of an image that a model judged: log-odds of its heat, less `LOWEST`; the model's boxes join it when the
    class is scored (`scorers/fused_pixels.py`)."""
    types: StoredTypes | None = None
    """The defect words by place of an image."""
    fused: StoredMap | None = None
    """Heat and the model's boxes together, of a scan that a model judged: as `picture` or `listed`."""


def find_places(
    item: Item, views: Sequence[View], maps: Sequence[AnomalyMap], curve: FrameCurve | None = None
) -> ItemPlaces:
    """Return the scores by place of one item, from the maps of its views, or the curve of a clip."""
    if views and views[0].kind == "frames":
        return ItemPlaces(listed=_stored(frame_scores(curve)))
    if not maps:
        return ItemPlaces()
    origin = scan_origin(views)
    if origin is not None:
        return _scan_places(item, origin, point_scores(views, maps))
    joined = join_maps(views, maps)
    if joined is None:
        return ItemPlaces()
    return ItemPlaces(StoredMap.of(joined), types=find_types(views, maps, (joined.shape[0], joined.shape[1])))


def fused_scan(item: Item, views: Sequence[View], fused: Sequence[AnomalyMap]) -> StoredMap | None:
    """Return the fused maps of a scan's views as one picture or list of its points; None of what is no scan."""
    origin = scan_origin(views) if views and fused else None
    if origin is None:
        return None
    places = _scan_places(item, origin, point_scores(views, fused))
    return places.picture or places.listed


def heat_picture(views: Sequence[View], maps: Sequence[AnomalyMap]) -> StoredMap | None:
    """Return the log-odds of the heat of a whole image, less `LOWEST` and so >= 0; None where it has no map."""
    told = [replace(one, values=grid - np.float32(LOWEST)) for one, grid in _with_log_odds(maps)]
    unit = Tolerance(limit=1.0, centre=0.5, n=1, overkill=0.5)  # of views with a tolerance: their log-odds compare
    told = [replace(one, tolerance=one.tolerance and unit, peak_tolerance=None) for one in told]
    joined = join_maps(views, told)
    return None if joined is None else StoredMap.of(joined)


def _with_log_odds(maps: Sequence[AnomalyMap]) -> list[tuple[AnomalyMap, NDArray[np.float32]]]:
    """Return one map a view with the log-odds of all of that view."""
    first = {one.view: one for one in reversed(maps)}
    return [(first[view], grid) for view, grid in heat_log_odds(maps).items()]


def _scan_places(item: Item, origin: ScanOrigin, scores: Scores | None) -> ItemPlaces:
    if scores is None:
        return ItemPlaces()
    if isinstance(item.mask, PointMask):
        try:
            return ItemPlaces(listed=_stored(values_nearby(item.mask.points(), origin.points, scores)))
        except DatasetError:  # said where the class is scored, which reads the same file
            return ItemPlaces()
    if origin.grid is None:
        return ItemPlaces(listed=_stored(scores))
    return ItemPlaces(picture=_stored(grid_map(scores, origin.grid)))


def _stored(values: NDArray[np.float32] | None) -> StoredMap | None:
    return None if values is None else StoredMap.of(values)
