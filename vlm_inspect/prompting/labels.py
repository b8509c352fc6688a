"""The labels of views as they are sent: a label that tells a scale tells that of the picture in the request."""

import re
from collections.abc import Sequence

from converters.view import View
from vlm_inspect.prompting.encoding import fit_size

_SCALE = re.compile(r"\bat \d+(?:\.\d+)?%")
_TILES = re.compile(r"tiles at \d+(?:\.\d+)?%")


def sent_labels(views: Sequence[View], max_side: int) -> list[str]:
    """Return the label of each view, with the scale at which it is sent.

    A tile is cut at full resolution, and may be sent smaller: a model that is told 100% takes a hairline at half its
    width for a hairline at its own.

    Args:
        views: those of one sample, whole pages and tiles.
        max_side: longest side of a picture that is sent, in pixels.
    """
    return [_sent_label(view, views, max_side) for view in views]


def _sent_label(view: View, views: Sequence[View], max_side: int) -> str:
    scale = _scale_of(view, max_side)
    if scale is None:
        return view.label
    page = getattr(view.origin, "page", None)
    tiles = [one for one in views if _is_tile(one) and one is not view and getattr(one.origin, "page", None) == page]
    label = view.label
    if tiles and (tile_scale := _scale_of(tiles[0], max_side)) is not None:
        label = _TILES.sub(f"tiles at {tile_scale:.0%}", label)
    before, mark, after = label.partition("tiles at")
    if _SCALE.search(before):
        before = _SCALE.sub(f"at {scale:.0%}", before)
    elif scale < _WHOLE:
        before = f"{before}, shown at {scale:.0%}"
    return before + mark + after


_WHOLE = 0.995


def _scale_of(view: View, max_side: int) -> float | None:
    """Return pixels of the sent picture per pixel of the source; None where the view is no window of an image."""
    window_xyxy = getattr(view.origin, "window_xyxy", None)
    if window_xyxy is None:
        return None
    return float(fit_size(view.size_hw, max_side)[1] / max(1, window_xyxy[2] - window_xyxy[0]))


def _is_tile(view: View) -> bool:
    return view.key.partition("/")[0] == "tile"
