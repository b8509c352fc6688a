"""A picture of an item: the part, its mask and its heatmap side by side, and the phrases that spoke for an anomaly.

They are kept by class and type of defect, as the papers show theirs: `visualization_results/CLASS/DEFECT/NAME.png`.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from evaluation.engine.previews import hottest_view
from vlm_inspect.datasets.item import Item
from vlm_inspect.evidence import Evidence
from vlm_inspect.report.drawing import FAINT, blank_sheet, font, shorten
from vlm_inspect.report.heat import blend, heat_of_view
from vlm_inspect.report.phrases import paint_phrases, told_map

if TYPE_CHECKING:
    from PIL.Image import Image

FIGURES = "visualization_results"
NORMAL = "good"
"""Folder of the normal items, as MVTec AD calls it."""
_UNTYPED = "anomalous"
_SIDE, _GAP, _HEAD = 400, 8, 26
_NARROW = 800
"""Least width of a figure with phrases, in pixels."""


def figure_names(items: Iterable[Item]) -> dict[str, PurePosixPath]:
    """Return where the figure of each item lies, by id; no two of them share a name."""
    found: dict[str, PurePosixPath] = {}
    taken: set[PurePosixPath] = set()
    for item in items:
        defect = NORMAL if not item.anomalous else item.defect or _UNTYPED
        folder = PurePosixPath(_plain(item.category), _plain(defect))
        stem = _plain(PurePosixPath(item.id).stem)
        path = folder / f"{stem}.png"
        if path in taken:
            path = folder / f"{stem}-{hashlib.sha256(item.id.encode()).hexdigest()[:8]}.png"
        taken.add(path)
        found[item.id] = path
    return found


def draw_figure(views: Sequence[View], evidence: Evidence, mask: NDArray[np.bool_] | None, *, anomalous: bool) -> bytes:
    """Return a PNG: the view that is hottest, the mask, and the view with its heatmap.

    Args:
        views: of the part, at least one.
        evidence: with the maps of those views.
        mask: (H, W) of the whole image; None: not known, or of an item whose defects are no area of a picture.
        anomalous: by the label: a normal item without a mask has an empty one.
    """
    index = hottest_view(views, evidence)
    view, heat = views[index], heat_of_view(evidence, index)
    panels = [("picture", view.image)]
    if view.kind == "image" and index == 0 and (mask is not None or not anomalous):
        there = np.zeros(view.size_hw, bool) if mask is None else mask
        panels.append(("mask", np.repeat((there[..., None] * 255).astype(np.uint8), 3, axis=2)))
    panels.append((heat.caption, blend(view.image, heat)) if heat else ("no heatmap", view.image))
    told = told_map(evidence)
    row = _row(panels, view.size_hw)
    if told is None or told.phrases is None:
        return _png(row)
    bars = paint_phrases(told.phrases, max(_NARROW, row.width))
    whole, _ = blank_sheet(bars.width, row.height + _GAP + bars.height)
    whole.paste(row, (0, 0))
    whole.paste(bars, (0, row.height + _GAP))
    return _png(whole)


def _row(panels: Sequence[tuple[str, NDArray[np.uint8]]], size_hw: tuple[int, int]) -> "Image":
    from PIL import Image

    scale = min(1.0, _SIDE / max(size_hw))
    size = max(1, round(size_hw[1] * scale)), max(1, round(size_hw[0] * scale))
    sheet, draw = blank_sheet(len(panels) * size[0] + (len(panels) - 1) * _GAP, _HEAD + size[1])
    for number, (name, picture) in enumerate(panels):
        left = number * (size[0] + _GAP)
        draw.text((left, 4), shorten(name, draw, font(14), size[0]), font=font(14), fill=FAINT)
        shown = Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BOX)
        sheet.paste(shown, (left, _HEAD))
    return sheet


def _plain(name: str) -> str:
    """Return a name that is one folder or file on every system, and never leads out of its folder."""
    return re.sub(r"[^\w.+ -]+", "_", name).strip(". ") or "_"


def _png(picture: "Image") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
