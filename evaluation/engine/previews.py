"""Small pictures of the worst mistakes, for the report: the part, and beside it its heatmap with the mask outlined.

Which mistakes are the worst is known only at the end, so the worst so far are kept: of each class the anomalous items
of lowest and the normal ones of highest score, failed ones first.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from evaluation.runs.record import ItemRecord
from vlm_inspect.evidence import Evidence
from vlm_inspect.report.heat import blend, heat_of_view

WORST = 8
"""Previews of each class and label."""
_SIDE = 320
_OUTLINE_RGB = (255, 0, 255)


def draw_preview(views: Sequence[View], evidence: Evidence, mask: NDArray[np.bool_] | None) -> bytes:
    """Return a JPEG of two panels: the view that is hottest, plain, and with its heatmap and the mask's outline.

    Args:
        views: the views of the part.
        evidence: with the maps of those views.
        mask: (H, W) of the whole image; drawn where the whole image is the view that is shown.
    """
    index = hottest_view(views, evidence)
    view, heat = views[index], heat_of_view(evidence, index)
    plain = _fit(view.image)
    hot = plain if heat is None else _fit(blend(view.image, heat))
    if mask is not None and mask.ndim == 2 and view.kind == "image" and index == 0:
        hot = _outlined(hot, mask)
    gap = np.full((plain.shape[0], 4, 3), 255, np.uint8)
    return _jpeg(np.concatenate([plain, gap, hot], axis=1))


def hottest_view(views: Sequence[View], evidence: Evidence) -> int:
    """Return which view shows an item best: of an image the whole, else the one whose heatmap is hottest."""
    if views[0].kind == "image":
        return 0
    heats = [heat_of_view(evidence, index) for index in range(len(views))]
    return max(range(len(views)), key=lambda at: (heats[at] is not None, getattr(heats[at], "peak", 0.0)))


def worst_of(records: Iterable[ItemRecord], count: int = WORST) -> list[ItemRecord]:
    """Return the worst misses, then the worst overkills, of one class; the worst first."""
    known = list(records)
    odd = sorted((one for one in known if one.anomalous), key=lambda one: (_rank(one, failed=-1.0), one.id))
    normal = sorted((one for one in known if not one.anomalous), key=lambda one: (-_rank(one, failed=2.0), one.id))
    return odd[:count] + normal[:count]


def prune_previews(folder: Path, kept: Iterable[ItemRecord]) -> None:
    """Remove the previews of all but these items."""
    names = {f"{one.preview}.jpg" for one in kept if one.preview}
    for path in folder.glob("*.jpg"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _rank(record: ItemRecord, failed: float) -> float:
    score = record.counted_score
    return failed if score is None else score


def _fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    scale = _SIDE / max(image.shape[:2])
    if scale >= 1.0:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), np.uint8)


def _outlined(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    import cv2

    size = picture.shape[1], picture.shape[0]
    small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 0
    edges, _ = cv2.findContours(small.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    drawn = np.array(picture)  # one that may be drawn on
    cv2.drawContours(drawn, edges, -1, _OUTLINE_RGB, 1)
    return drawn


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=82)
    return stream.getvalue()
