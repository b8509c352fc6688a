"""One pass over a clip: how many frames, when each is shown, and how much the picture changes from one to the next."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.sample import Frame, FrameReader
from converters.video_source import FrameSource

_COMPARED = 2000
"""About so many frames of a clip are compared; each costs a colour conversion at full size."""
_THUMBNAIL_WH = (48, 32)
_SIGMAS = 8.0
_LEAST_CHANGE = 4.0
"""Grey levels (of 255) below which no difference counts as a change of scene, however still the clip is."""


@dataclass(frozen=True, eq=False)
class FrameScan:
    """What one pass over a clip keeps: a few numbers a frame, no picture."""

    size_hw: tuple[int, int]
    times_s: NDArray[np.float64]
    """(N,), N >= 1, from 0, never falling."""
    compared: NDArray[np.int64]
    """(K,) indices of the frames that were compared with the one before them in this list."""
    changes: NDArray[np.float64]
    """(K,) root mean square difference of two thumbnails, in grey levels; the first is 0."""
    time_is_index: bool = False

    @property
    def frame_count(self) -> int:
        """Frames that could be decoded."""
        return len(self.times_s)

    @property
    def fps(self) -> float:
        """Mean frames a second; 1.0 where the clip keeps no time."""
        last = float(self.times_s[-1])
        return (self.frame_count - 1) / last if last > 0 else 1.0


@dataclass(frozen=True, eq=False)
class ScannedFrames:
    """The `FrameReader` of a clip that was scanned."""

    source: FrameSource
    scan: FrameScan

    def __call__(self, wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        """Yield the wanted frames (all when None) in order.

        Raises:
            ConversionError: the file changed or broke since it was scanned.
        """
        last = self.scan.frame_count - 1 if wanted is None else min(max(wanted, default=-1), self.scan.frame_count - 1)
        if last < 0:
            return
        index = -1
        for index, (_, image) in enumerate(self.source.walk(lambda k: wanted is None or k in wanted)):
            if image is not None:
                yield Frame(index, float(self.scan.times_s[index]), image)
            if index == last:
                return
        raise ConversionError(f"{self.source.path}: ends at frame {index} now; it changed while it was being read")


def scan_frames(source: FrameSource) -> FrameScan:
    """Decode a clip once.

    Raises:
        ConversionError: it has no frame, or cannot be decoded to its end.
    """
    stride = max(1, round(source.expected / _COMPARED))
    times: list[float | None] = []
    comparison = _Comparison()
    for index, (time_s, image) in enumerate(source.walk(lambda k: k % stride == 0)):
        times.append(time_s)
        if image is not None:
            comparison.add(index, image)
    if not times:
        raise ConversionError(f"{source.path}: no frame in it; record it again")
    return comparison.scan(*_clean_times(times, source.fps))


def scan_reader(frames: FrameReader) -> FrameScan:
    """Scan a clip of which only the reader is known."""
    times: list[float | None] = []
    comparison = _Comparison()
    for frame in frames():
        times.append(frame.time_s)
        comparison.add(frame.index, frame.image)
    return comparison.scan(*_clean_times(times, 0.0))


class _Comparison:
    """Compares each frame with the last one it was given, by small grey thumbnails."""

    def __init__(self) -> None:
        self._size_hw = (0, 0)
        self._last: NDArray[np.float32] | None = None
        self._indices: list[int] = []
        self._changes: list[float] = []

    def add(self, index: int, image: NDArray[np.uint8]) -> None:
        import cv2

        small = cv2.resize(image, _THUMBNAIL_WH, interpolation=cv2.INTER_AREA)
        grey: NDArray[np.float32] = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        change = 0.0 if self._last is None else float(np.sqrt(np.mean((grey - self._last) ** 2)))
        self._size_hw = self._size_hw if self._indices else (image.shape[0], image.shape[1])
        self._last = grey
        self._indices.append(index)
        self._changes.append(change)

    def scan(self, times_s: NDArray[np.float64], time_is_index: bool) -> FrameScan:
        return FrameScan(self._size_hw, times_s, np.array(self._indices), np.array(self._changes), time_is_index)


def _clean_times(times: list[float | None], fps: float) -> tuple[NDArray[np.float64], bool]:
    """Times from 0; from the announced rate where the container has none, or they run backwards."""
    count = len(times)
    found = np.array([np.nan if time is None else time for time in times], dtype=np.float64)
    found -= found[0]
    if count > 1 and np.isfinite(found).all() and (np.diff(found) >= 0).all() and found[-1] > 0:
        return found, False
    return np.arange(count) / (fps or 1.0), not fps


def find_changes(scan: FrameScan, most: int) -> NDArray[np.int64]:
    """Return the indices of at most `most` frames that begin a new scene, in order.

    A change stands out where it exceeds the median of all changes by 8 standard deviations, estimated from the median
    absolute deviation, so that the changes themselves do not raise the bar. Of changes close together (a cross-fade)
    the largest counts.
    """
    changes = scan.changes
    median = float(np.median(changes))
    spread = 1.4826 * float(np.median(np.abs(changes - median)))
    bar = max(median + _SIGMAS * spread, _LEAST_CHANGE)
    apart = max(1, scan.frame_count // 100)
    chosen: list[int] = []
    for k in np.argsort(-changes, kind="stable"):
        index = int(scan.compared[k])
        if len(chosen) == most or changes[k] <= bar:
            break
        if all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
    return np.array(sorted(chosen), dtype=np.int64)


def choose_frames(scan: FrameScan, most: int) -> tuple[int, ...]:
    """Choose at most `most` frames: all of a short clip, else evenly spaced in time and up to a third at changes."""
    if scan.frame_count <= most:
        return tuple(range(scan.frame_count))
    changes: set[int] = set(find_changes(scan, most // 3).tolist())
    counts = range(most - len(changes), most + 1)
    unions: list[set[int]] = [changes | set(_evenly(scan.times_s, count).tolist()) for count in counts]
    # even frames that fall on a change leave room for others: the fullest choice that the budget allows
    fullest = max((union for union in unions if len(union) <= most), key=len)
    return tuple(sorted(fullest))


def _evenly(times_s: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Indices of the frames nearest to `count` evenly spaced times, first and last included."""
    wanted = np.linspace(times_s[0], times_s[-1], count)
    after = np.clip(np.searchsorted(times_s, wanted), 1, len(times_s) - 1)
    nearer = wanted - times_s[after - 1] <= times_s[after] - wanted
    return np.unique(np.where(nearer, after - 1, after))
