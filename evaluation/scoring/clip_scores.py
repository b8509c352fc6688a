"""From the maps of a clip's frame grids to one score a frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.frame_grid import FramesOrigin
from converters.view import View
from evaluation.scoring.item_map import comparable
from vlm_inspect.evidence import AnomalyMap


def frame_scores(views: Sequence[View], maps: Sequence[AnomalyMap]) -> NDArray[np.float32] | None:
    """Return the score of every frame of a clip, (T,), float32 >= 0; None where no map shows any.

    A frame that stands in a grid has the highest value of its cell. One between two of those is interpolated linearly
    by its number, for it was not looked at; before the first and after the last the score runs level. Maps with a
    tolerance are told in its limits, see `comparable`; scores are not stretched clip by clip.
    """
    peaks: dict[int, float] = {}
    count = 0
    for one, values in comparable(maps):
        origin = views[one.view].origin
        if not isinstance(origin, FramesOrigin) or origin.frame_count is None:
            continue
        count = origin.frame_count
        for cell in origin.cells:
            x0, y0, x1, y1 = cell.box_xyxy
            peaks[cell.frame] = max(peaks.get(cell.frame, 0.0), float(values[y0:y1, x0:x1].max(initial=0.0)))
    if not peaks:
        return None
    shown = sorted(peaks)
    return np.interp(np.arange(count), shown, [peaks[frame] for frame in shown]).astype(np.float32)
