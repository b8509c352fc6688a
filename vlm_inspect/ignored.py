"""Areas that never count: where the rule book's `ignore` boxes lie on a view, and a map without them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converters.image import ImageOrigin
from converters.view import BoxXyxyn, View
from vlm_inspect.evidence import AnomalyMap

_LEAST_SHARE = 1e-6
"""A score falls by no more than this where what is ignored held all of it."""


def ignored_boxes(index: int, views: Sequence[View], ignore: Sequence[BoxXyxyn]) -> tuple[BoxXyxyn, ...]:
    """Return the ignored boxes of one view, relative to it.

    A box is meant on the whole picture. A tile shows a part of it, so there it is only the piece that the tile shows.
    """
    origin = views[index].origin
    if not isinstance(origin, ImageOrigin):
        return tuple(ignore)
    pages = [v.origin.window_xyxy for v in views if isinstance(v.origin, ImageOrigin) and v.origin.page == origin.page]
    width, height = max(page[2] for page in pages), max(page[3] for page in pages)
    x0, y0, x1, y1 = origin.window_xyxy
    pieces = [
        (
            _unit((box[0] * width - x0) / (x1 - x0)),
            _unit((box[1] * height - y0) / (y1 - y0)),
            _unit((box[2] * width - x0) / (x1 - x0)),
            _unit((box[3] * height - y0) / (y1 - y0)),
        )
        for box in ignore
    ]
    return tuple(piece for piece in pieces if piece[0] < piece[2] and piece[1] < piece[3])


def blanked(views: Sequence[View], ignore: Sequence[BoxXyxyn]) -> tuple[View, ...]:
    """Return the views with the ignored boxes in the colour of their border: what lies there changes nothing elsewhere.

    A network sees a place in its surroundings, so a mark in an ignored area would reach beyond it.
    """
    if not ignore:
        return tuple(views)
    return tuple(_blank(view, ignored_boxes(index, views, ignore)) for index, view in enumerate(views))


def score_shift(before: Sequence[AnomalyMap], after: Sequence[AnomalyMap]) -> float:
    """Return by how much the log score of a part changes where its maps lost what is ignored; 0 at most."""
    was, now = (max((one.score for one in maps), default=0.0) for maps in (before, after))
    return math.log(max(now / was, _LEAST_SHARE)) if 0.0 <= now < was else 0.0


def _blank(view: View, boxes: Sequence[BoxXyxyn]) -> View:
    if not boxes:
        return view
    height, width = view.size_hw
    ignored = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        ignored[math.floor(y0 * height) : math.ceil(y1 * height), math.floor(x0 * width) : math.ceil(x1 * width)] = True
    rim = np.ones((height, width), bool)
    rim[2:-2, 2:-2] = False
    seen = view.image[rim & ~ignored]
    image = view.image.copy()
    image[ignored] = np.median(seen, axis=0).astype(np.uint8) if len(seen) else 128
    return replace(view, image=image)


def without_ignored(anomaly_map: AnomalyMap, boxes: Sequence[BoxXyxyn]) -> AnomalyMap:
    """Return the map with zeros in the boxes, and its score lowered in the proportion in which its peak fell."""
    if not boxes:
        return anomaly_map
    height, width = anomaly_map.values.shape
    values = anomaly_map.values.copy()
    for x0, y0, x1, y1 in boxes:
        rows = slice(math.floor(y0 * height), math.ceil(y1 * height))
        values[rows, math.floor(x0 * width) : math.ceil(x1 * width)] = 0.0
    peak = float(anomaly_map.values.max(initial=0.0))
    left = float(values.max(initial=0.0)) / peak if peak > 0.0 else 0.0
    return replace(anomaly_map, values=values, score=anomaly_map.score * left)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
