"""The anomaly map of a whole image, put together from its views, and as it is kept on disk until pixels are scored."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.image import ImageOrigin
from converters.view import View
from evaluation.errors import RunError
from vlm_inspect.evidence import AnomalyMap

LARGEST_SIDE = 2048
"""Longer images are scored at this size."""
_STEPS = 65_535


@dataclass(frozen=True, eq=False)
class StoredMap:
    """A map in 16 bits: `low + step / 65535 * (high - low)`, wrong by at most 1/131070 of its own range."""

    steps: NDArray[np.uint16]
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> "StoredMap":
        """Return a map (H, W), float32, finite, as it is kept."""
        low, high = float(values.min()), float(values.max())
        scale = _STEPS / (high - low) if high > low else 0.0
        return cls(np.round((values.astype(np.float64) - low) * scale).astype(np.uint16), low, high)

    def values(self) -> NDArray[np.float32]:
        """Return (H, W), float32."""
        return (self.low + self.steps.astype(np.float64) * ((self.high - self.low) / _STEPS)).astype(np.float32)

    def pack(self) -> bytes:
        """Return it as the bytes of a compressed .npz."""
        stream = io.BytesIO()
        np.savez_compressed(stream, steps=self.steps, low=np.float64(self.low), high=np.float64(self.high))
        return stream.getvalue()


def read_map(path: Path) -> StoredMap:
    """Return a map from disk.

    Raises:
        RunError: it is missing or damaged.
    """
    import zipfile

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
            return StoredMap(entry["steps"], float(entry["low"]), float(entry["high"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read ({error}); start the run again with another --out") from error


def join_maps(views: Sequence[View], maps: Sequence[AnomalyMap]) -> NDArray[np.float32] | None:
    """Return the map of the whole image (H, W), float32 >= 0, at the image's own size; None where there is none.

    A map with a tolerance is told in limits, so that the whole view's and those of the tiles, which show the same
    places enlarged, compare: the higher one counts. Without tolerances the whole view's map stands alone. Only the
    first page of an image has one; for scans see `scan_map.py`, for clips `clip_scores.py`; a curve has none.
    """
    import cv2

    whole = next((one for one in maps if one.view == 0), None)
    if whole is None or (origin := _origin(views[0])) is None:
        return None
    x0, y0, x1, y1 = origin.window_xyxy
    scale = min(1.0, LARGEST_SIDE / max(x1 - x0, y1 - y0))
    width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    joined = cv2.resize(_told(whole), (width, height), interpolation=cv2.INTER_LINEAR)
    for one in maps:
        tile = _origin(views[one.view])
        if one.view == 0 or tile is None or tile.page != origin.page or not (_known(one) and _known(whole)):
            continue
        left, top, right, bottom = (round(side * scale) for side in tile.window_xyxy)
        if right <= left or bottom <= top:
            continue
        fine = cv2.resize(_told(one), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        place = joined[top:bottom, left:right]
        np.maximum(place, fine[: place.shape[0], : place.shape[1]], out=place)
    found: NDArray[np.float32] = np.nan_to_num(np.maximum(joined, 0.0)).astype(np.float32)
    return found


def comparable(maps: Sequence[AnomalyMap]) -> list[tuple[AnomalyMap, NDArray[np.float32]]]:
    """Return the maps whose values compare across views, each with those values, (H, W), float32 >= 0.

    They are the maps with a tolerance, told in limits. Where none has one, units differ from method to method (mm,
    distances of features), so only the maps of the first source count: the measured deviation, where there is one.
    """
    known = [one for one in maps if _known(one)]
    chosen = known or [one for one in maps if one.source == maps[0].source]
    return [(one, np.nan_to_num(np.maximum(_told(one), 0.0)).astype(np.float32)) for one in chosen]


def heatmap_score(maps: Sequence[AnomalyMap]) -> float | None:
    """Return the score of the hottest view, in limits where it has a tolerance, else raw; None without a map."""
    scores = [one.score / one.tolerance.limit if one.tolerance else one.score for one in maps]
    return max(scores, default=None)


def _origin(view: View) -> ImageOrigin | None:
    return view.origin if view.kind == "image" and isinstance(view.origin, ImageOrigin) else None


def _known(one: AnomalyMap) -> bool:
    return one.tolerance_of_places is not None


def _told(one: AnomalyMap) -> NDArray[np.float32]:
    tolerance = one.tolerance_of_places
    return one.values if tolerance is None else one.values / np.float32(tolerance.limit)
