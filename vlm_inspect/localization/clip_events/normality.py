"""What is normal in the clips of a class, by five channels, and how far normal frames go from it.

Each channel scores every normal frame without itself. The highest scores of short segments set its tolerance
(`tolerance.py`), and bring the channels to one scale: 0 is usual for the most unusual moment of a normal segment, 1 the
limit. A frame's height is that of its highest channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn
from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.appearance import AppearanceChannel
from vlm_inspect.localization.clip_events.durations import DurationChannel, StateLengths
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut, frame_scores, smooth
from vlm_inspect.localization.clip_events.motion import MotionChannel
from vlm_inspect.localization.clip_events.paths import REACH, along_paths
from vlm_inspect.localization.clip_events.speed import SpeedChannel
from vlm_inspect.tolerance import tolerance_from_normals

LEAST_FRAMES = 12
"""Normal frames below which nothing is learned."""
_SMOOTHED = 8
"""Frames before and after a frame that smoothing and averages reach to."""
NARROW = _SMOOTHED + REACH
"""Frames before and after a frame that its score may depend on, lengths of states apart."""
_SEGMENT = 10
"""Frames of which the highest score counts once."""
_OVERKILL = 1e-3
"""Share of normal segments that may exceed the limit of a channel."""
_PRIOR_SPREADS = {"motion": 0.2, "speed": 0.1, "appearance": 0.2, "duration": 0.1}
"""Standard deviation of the log score of normal segments before any is seen."""
_LIMIT_DOF = 8.0
"""So many segments the prior counts for where the limit is set, not the unit of the scale: the six of a beginning say
little about how far they spread, and with the usual 4 many a limit was out of reach."""
_CLIP_SPREADS = {"motion": 0.15, "speed": 0.15, "appearance": 0.2, "duration": 0.05}
"""The same of the log score of whole normal clips."""
_LEAST_LIMITS = {"duration": 1.3}
"""A length up to 30 % beyond the range of normal ones is none to speak of: frames count in whole numbers."""
_LEVEL_FLOOR = 8.0
"""Grey levels added before two frames' brightness is compared, so that black places say little."""
_LEAST_SCORE = 1e-3


class Channel(Protocol):
    """One kind of evidence."""

    @property
    def name(self) -> EventKind:
        """Which kind."""
        ...

    @property
    def said(self) -> str:
        """What a high score means, in words."""
        ...

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return how unusual each place of each frame is, (N, gh, gw)."""
        ...


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive frames of a normal clip."""

    features: ClipFeatures
    clip: int
    """Number of the clip among the normal ones."""
    first: int
    """Its first frame in that clip."""


@dataclass(frozen=True)
class Scale:
    """What brings the scores of a channel to the common scale."""

    limit: float
    """Score whose height is 1."""
    unit: float
    """> 0: natural logarithm of the factor from one height to the next."""

    def height(self, score: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the heights of scores."""
        return np.asarray(1.0 + np.log(np.maximum(score, _LEAST_SCORE) / self.limit) / self.unit)


@dataclass(frozen=True, eq=False)
class Heights:
    """How unusual frames are, on the common scale."""

    scores: NDArray[np.float32]
    """(N, C): of each frame by each channel; 1 is the limit of normal."""
    heat: NDArray[np.float32]
    """(N, gh, gw): of each place by its highest channel."""
    moved: NDArray[np.bool_]
    """(N,): whether the camera had moved away, so that the frame was not compared."""
    shift: NDArray[np.float32]
    """(N,), >= 0: pixels by which the camera shook."""

    def __len__(self) -> int:
        return len(self.scores)


class NormalBehaviour:
    """Normal clips of one class, learned."""

    def __init__(self, stretches: Sequence[Stretch], gap: int, ignore: Sequence[BoxXyxyn] = ()) -> None:
        """Learn.

        Args:
            stretches: of normal clips, at least `LEAST_FRAMES` frames together, all of one grid.
            gap: frames around each frame that are left out when a single stretch is judged by itself.
            ignore: boxes of the frame that never count.
        """
        self.stretches = tuple(stretches)
        self._gap = gap
        self._ignored = _places_in(ignore, stretches[0].features.grid_hw)
        every = max(1, sum(len(one.features) for one in stretches) // 200)
        self._typical = np.median(np.concatenate([one.features.grey[::every] for one in stretches]), axis=0)
        levelled = [self._levelled(one.features) for one in stretches]
        lengths = StateLengths(levelled)
        self.odd_frames = lengths.odd_frames
        """Of each stretch (N,): frames that disagree with the rest, and are left out of what is normal."""
        self.mostly_odd = lengths.mostly_odd
        """Whether more than half of the frames disagree with the rest; then none is left out."""
        kept = [~one for one in lengths.odd_frames]
        self.channels: tuple[Channel, ...] = (
            MotionChannel(levelled, kept),
            SpeedChannel(levelled),
            AppearanceChannel(levelled, kept),
            DurationChannel(lengths, longer=True),
            DurationChannel(lengths, longer=False),
        )
        self.margin = max(NARROW, lengths.margin)
        """Frames before and after a frame that its score may depend on."""
        self._left_out = [self._raw(one, 0, len(one), self._hidden(k)) for k, one in enumerate(levelled)]
        self.scales = tuple(self._scale(c) for c in range(len(self.channels)))

    def judge(self, features: ClipFeatures, first: int, end: int) -> Heights:
        """Return the heights of the frames from `first` to before `end`; those around them are context.

        Where the camera has moved nothing can be said: those frames, and those that are smoothed with them, are at the
        limit, and no place of them is hot.
        """
        found = self._heights(*self._raw(self._levelled(features), first, end, None))
        moved = _spread(features.moved, _SMOOTHED)[first:end]
        scores = np.where(moved[:, None], np.float32(1.0), found.scores)
        return Heights(
            scores, np.where(moved[:, None, None], np.float32(0.0), found.heat), moved, features.shift[first:end]
        )

    def left_out(self, stretch: int) -> Heights:
        """Return the heights of a normal stretch, each frame judged without itself and its neighbours."""
        found = self._heights(*self._left_out[stretch])
        odd = self.odd_frames[stretch]
        if odd.any():  # they are not among what they would be judged by
            one = self.stretches[stretch].features
            whole = self._heights(*self._raw(self._levelled(one), 0, len(one), None))
            scores = np.where(odd[:, None], whole.scores, found.scores)
            found = replace(found, scores=scores, heat=np.where(odd[:, None, None], whole.heat, found.heat))
        return replace(found, shift=self.stretches[stretch].features.shift)

    def _levelled(self, features: ClipFeatures) -> ClipFeatures:
        """Return frames as bright as the normal ones (a lamp that ages is no event), without what never counts."""
        ratios = (features.grey + _LEVEL_FLOOR) / (self._typical + _LEVEL_FLOOR)
        gain = np.median(ratios, axis=(1, 2))[:, None, None]
        grey = ((features.grey + _LEVEL_FLOOR) / gain - _LEVEL_FLOOR).astype(np.float32)
        motion = features.motion
        if self._ignored.any():
            motion = motion * ~self._ignored[..., None]
            grey = np.where(_fitted(self._ignored.repeat(2, 0).repeat(2, 1), grey.shape[1:]), self._typical, grey)
        return replace(features, grey=grey, motion=motion)

    def _raw(
        self, features: ClipFeatures, first: int, end: int, left_out: LeftOut | None
    ) -> tuple[NDArray[np.float64], Floats]:
        """Return scores (N, C) and heat (C, N, gh, gw) in the channels' own units."""
        near = max(0, first - NARROW), min(len(features), end + NARROW)
        around, cut = features.part(*near), slice(first - near[0], end - near[0])
        moving = [one.heat(around, left_out) for one in self.channels if not isinstance(one, DurationChannel)]
        lasting = [one.heat(features, left_out) for one in self.channels if isinstance(one, DurationChannel)]
        heats = np.concatenate(
            [
                along_paths(np.stack([smooth(heat) for heat in moving]), around)[:, cut],
                np.stack([smooth(heat[near[0] : near[1]])[cut] for heat in lasting]),
            ]
        )  # in the order of the channels
        return np.stack([frame_scores(one) for one in heats], axis=1), heats

    def _hidden(self, stretch: int) -> LeftOut:
        clips = {one.clip for one in self.stretches}
        own = self.stretches[stretch].clip
        if len(clips) > 1:
            same = frozenset(k for k, one in enumerate(self.stretches) if one.clip == own)
            return LeftOut(same, judged=stretch)
        if len(self.stretches) > 1:
            return LeftOut(frozenset({stretch}), judged=stretch)
        return LeftOut(frozenset(), own=0, gap=min(self._gap, max(1, len(self.stretches[0].features) // 6)))

    def _scale(self, channel: int) -> Scale:
        """Return how far normal segments go, and no less far than the most unusual moments of whole clips say."""
        name = self.channels[channel].name
        alike = [k for k, one in enumerate(self.channels) if one.name == name]  # too long and too short: one tolerance
        segments: list[float] = []
        clips: dict[int, float] = {}
        for one, (scores, _), odd in zip(self.stretches, self._left_out, self.odd_frames, strict=True):
            own = np.maximum(scores[~odd][:, alike].max(axis=1), _LEAST_SCORE)
            if not len(own):
                continue
            starts = range(0, max(1, len(own) - _SEGMENT // 2), _SEGMENT)
            segments += [float(own[start : start + _SEGMENT].max()) for start in starts]
            clips[one.clip] = max(clips.get(one.clip, 0.0), float(own.max()))
        prior = _PRIOR_SPREADS[name]
        found = tolerance_from_normals(segments, overkill=_OVERKILL, prior_spread=prior)
        firm = tolerance_from_normals(segments, overkill=_OVERKILL, prior_spread=prior, prior_dof=_LIMIT_DOF)
        least = _LEAST_LIMITS.get(name, 0.0)
        if len(clips) > 1:  # segments of one clip are alike, so they say little about the next clip
            whole = tolerance_from_normals(list(clips.values()), prior_spread=_CLIP_SPREADS[name])
            least = max(least, whole.limit)
        return Scale(max(firm.limit, least), float(np.log(max(found.limit, least) / found.centre)))

    def _heights(self, scores: NDArray[np.float64], heats: Floats) -> Heights:
        high = np.stack([one.height(scores[:, c]) for c, one in enumerate(self.scales)], axis=1)
        places = np.stack([one.height(heats[c]) for c, one in enumerate(self.scales)])
        count = len(high)
        nowhere = np.zeros(count, bool), np.zeros(count, np.float32)
        return Heights(high.astype(np.float32), places.max(axis=0).astype(np.float32), *nowhere)


def _places_in(boxes: Sequence[BoxXyxyn], grid_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which places of a grid have their middle in one of the boxes, (gh, gw)."""
    rows, columns = ((np.arange(count) + 0.5) / count for count in grid_hw)
    inside = np.zeros(grid_hw, dtype=bool)
    for x0, y0, x1, y1 in boxes:
        inside |= ((rows >= y0) & (rows <= y1))[:, None] & ((columns >= x0) & (columns <= x1))[None]
    return inside


def _fitted(flags: NDArray[np.bool_], shape_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return flags cut, or continued by False, to a shape."""
    made = np.zeros(shape_hw, dtype=bool)
    rows, columns = (min(a, b) for a, b in zip(flags.shape, shape_hw, strict=True))
    made[:rows, :columns] = flags[:rows, :columns]
    return made


def _spread(flags: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return flags that so many frames before and after a flag are set, too."""
    if not flags.any():
        return flags
    return np.convolve(flags, np.ones(2 * reach + 1), mode="same") > 0.5
