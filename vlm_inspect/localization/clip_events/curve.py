"""The score of every frame of a clip: piece by piece in constant memory, each piece kept, so that a run that broke off
goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from converters.sample import VideoClip
from converters.video_scan import ScannedFrames
from vlm_inspect.array_cache import ArrayCache, Arrays, key_of
from vlm_inspect.localization.clip_events.camera import Anchor
from vlm_inspect.localization.clip_events.features import ClipFeatures, FeatureReader
from vlm_inspect.localization.clip_events.normality import Heights, NormalBehaviour

PIECE = 512
"""Frames that are judged at once."""
_READ = 128
"""Frames that are decoded before something is judged."""
_HEAT_STEP = 0.04
_LEAST_HEAT = -1.0
"""Heat is kept in bytes: from here up, in steps of this."""
_KEPT_PIECES = 4


@dataclass(frozen=True, eq=False)
class Piece:
    """Scores of consecutive frames."""

    scores: NDArray[np.float32]
    """(N, C); see `Heights`."""
    heat: NDArray[np.uint8]
    """(N, gh, gw), coded."""
    moved: NDArray[np.bool_]
    """(N,); see `Heights`, likewise `shift`."""
    shift: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipCurve:
    """The height of every frame: 0 is usual for the most unusual moment of a normal segment, 1 the limit."""

    times_s: NDArray[np.float64] | None
    """(N,); None where the clip keeps no time."""
    scores: NDArray[np.float32]
    """(N, C): by each channel."""
    heat_at: Callable[[int], NDArray[np.float32]]
    """Heat (gh, gw) of a frame on the same scale; computed again where it is not kept."""
    moved: NDArray[np.bool_]
    """(N,): whether the camera had moved away, so that the frame was not compared; its height is 1."""
    shift: NDArray[np.float32]
    """(N,): pixels by which the camera shook, at the size that is analysed."""
    calibrated: bool = True
    """False where the clip was compared with itself for want of a normal one."""

    @property
    def heights(self) -> NDArray[np.float64]:
        """(N,): of the highest channel."""
        return np.asarray(self.scores.max(axis=1), dtype=np.float64)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(N,): P(anomalous) in (0, 1); 0.5 at the limit, 0.02 where the height is 0."""
        return probability_of(self.heights)

    def __len__(self) -> int:
        return len(self.scores)


def probability_of(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(anomalous) of heights; see `ClipCurve.probabilities`."""
    slope = float(np.log(0.98 / 0.02))
    return np.asarray(1.0 / (1.0 + np.exp(-slope * (heights - 1.0))))


def without_beginning(curve: ClipCurve, count: int) -> ClipCurve:
    """Return a curve whose first frames are usual, whatever they are among each other: they are taken as normal."""
    if not count:
        return curve
    scores = curve.scores.copy()
    scores[:count] = np.minimum(scores[:count], 0.0)

    def heat_at(frame: int) -> NDArray[np.float32]:
        heat = curve.heat_at(frame)
        return np.minimum(heat, np.float32(0.0)) if frame < count else heat

    return replace(curve, scores=scores, heat_at=heat_at)


@dataclass(frozen=True, eq=False)
class OwnStretch:
    """Frames of the judged clip that the normal behaviour was learned from: each is judged without itself."""

    first: int
    heights: Heights


def frame_times(clip: VideoClip) -> NDArray[np.float64] | None:
    """Return the second of every frame, (N,); None where the clip keeps no time."""
    if clip.time_is_index:
        return None
    if isinstance(clip.frames, ScannedFrames):
        return clip.frames.scan.times_s
    return np.arange(clip.frame_count) / clip.fps


def score_clip(
    clip: VideoClip,
    normal: NormalBehaviour,
    size_wh: tuple[int, int],
    *,
    own: Sequence[OwnStretch] = (),
    anchor: Anchor | None = None,
    kept: tuple[ArrayCache, str] | None = None,
) -> ClipCurve:
    """Judge every frame.

    Args:
        clip: any length; it is decoded once, and not at all where its pieces are kept.
        normal: what it is held against.
        size_wh: at which its frames are analysed, that of the normal clips.
        own: its own frames among the normal ones.
        anchor: the normal scene, which the camera is followed against; None: it is not.
        kept: where pieces are kept, and under the hash of all that they rest on; None: they are not.
    """
    cursor = _Cursor(clip, size_wh, anchor)

    def compute(number: int) -> Piece:
        first = number * PIECE
        end = min(first + PIECE, clip.frame_count)
        start, context = cursor.around(max(0, first - normal.margin), min(clip.frame_count, end + normal.margin))
        heights = normal.judge(context, first - start, end - start)
        return _encode(_with_own(heights, first, own))

    def piece(number: int) -> Piece:
        if kept is None:
            return compute(number)
        cache, key = kept
        shape = (min(PIECE, clip.frame_count - number * PIECE), len(normal.channels))
        return cache.value(
            "clips",
            key_of(key, number),
            lambda: compute(number),
            _pack,
            lambda arrays: _unpack(arrays, shape),
            in_memory=cache.home is None,  # else it would be a kilobyte a frame; `recent` has the last ones
        )

    count = -(-clip.frame_count // PIECE)
    recent = lru_cache(maxsize=_KEPT_PIECES)(piece)
    pieces = [(one.scores, one.moved, one.shift) for one in map(recent, range(count))]
    scores, moved, shift = (np.concatenate(one) for one in zip(*pieces, strict=True))

    def heat_at(frame: int) -> NDArray[np.float32]:
        return _decode(recent(frame // PIECE).heat[frame % PIECE])

    return ClipCurve(frame_times(clip), scores, heat_at, moved, shift)


class _Cursor:
    """Features of any stretch of a clip; one after the other costs one pass."""

    def __init__(self, clip: VideoClip, size_wh: tuple[int, int], anchor: Anchor | None) -> None:
        self._clip, self._size_wh, self._anchor = clip, size_wh, anchor
        self._images: Iterator[NDArray[np.uint8]] = iter(())
        self._reader = FeatureReader(size_wh, anchor)
        self._start = self._end = 0
        self._features: ClipFeatures | None = None

    def around(self, first: int, end: int) -> tuple[int, ClipFeatures]:
        """Return the number of the first frame and the features of the frames from `first` to before `end`."""
        if self._features is None or first < self._start or first > self._end:
            self._open(first)
        while self._end < end:
            more = self._reader.read(self._images, min(_READ, end - self._end))
            if more is None:
                break
            self._features = more if self._features is None else self._features.then(more)
            self._end += len(more)
        assert self._features is not None
        self._features = self._features.part(first - self._start, len(self._features))
        self._start = first
        return first, self._features.part(0, end - first)

    def _open(self, first: int) -> None:
        """Begin to decode one frame earlier, which the motion of the first is measured from."""
        begin = max(0, first - 1)
        wanted = None if begin == 0 else frozenset(range(begin, self._clip.frame_count))
        self._images = (frame.image for frame in self._clip.frames(wanted))
        self._reader, self._features = FeatureReader(self._size_wh, self._anchor), None
        self._start = self._end = begin
        if begin < first:
            self._reader.read(self._images, 1)
            self._start = self._end = first


def _with_own(heights: Heights, first: int, own: Sequence[OwnStretch]) -> Heights:
    """Return the heights with those of normal frames as they are without themselves."""
    scores, heat, moved = heights.scores.copy(), heights.heat.copy(), heights.moved.copy()
    for one in own:
        begin, end = max(first, one.first), min(first + len(scores), one.first + len(one.heights))
        if begin < end:
            scores[begin - first : end - first] = one.heights.scores[begin - one.first : end - one.first]
            heat[begin - first : end - first] = one.heights.heat[begin - one.first : end - one.first]
            moved[begin - first : end - first] = False
    return replace(heights, scores=scores, heat=heat, moved=moved)


def _encode(heights: Heights) -> Piece:
    coded = np.clip(np.rint((heights.heat - _LEAST_HEAT) / _HEAT_STEP), 0, 255).astype(np.uint8)
    return Piece(heights.scores, coded, heights.moved, heights.shift)


def _decode(coded: NDArray[np.uint8]) -> NDArray[np.float32]:
    return coded.astype(np.float32) * np.float32(_HEAT_STEP) + np.float32(_LEAST_HEAT)


def _pack(piece: Piece) -> Arrays:
    return {"scores": piece.scores, "heat": piece.heat, "moved": piece.moved, "shift": piece.shift}


def _unpack(arrays: Arrays, shape: tuple[int, int]) -> Piece:
    scores, heat, moved, shift = (arrays[name] for name in ("scores", "heat", "moved", "shift"))
    told = heat.ndim == 3 and heat.dtype == np.uint8 and moved.dtype == np.bool_
    if scores.shape != shape or not told or not len(heat) == len(moved) == len(shift) == shape[0]:
        raise ValueError("the arrays of a remembered piece are not those of this clip")
    return Piece(np.asarray(scores, np.float32), heat, moved, np.asarray(shift, np.float32))
