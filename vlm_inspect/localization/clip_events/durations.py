"""How long a place stays in one state, against how long it normally does.

In a cyclic process (a belt with parts, a press, a robot) most places change between two looks, bright and dark, and the
lengths of both repeat. A part that is missing, doubled or late, a belt that runs slowly or stands, states in another
order: each shows as a state that lasts longer than it ever did, or less long. Places whose lengths do not repeat in the
normal clips, which is every place where people walk, play no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import EventKind
from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import LeftOut, box_mean
from vlm_inspect.localization.clip_events.odd_lengths import MOST_ODD, find_odd_frames, find_odd_lengths

_LEAST_CONTRAST = 20.0
"""Grey levels between the two looks of a place."""
_LEAST_SPLIT = 0.6
"""Share of a place's variance that lies between its two looks."""
_HYSTERESIS = 0.1
"""A look has changed when grey passes the middle by this share of the contrast."""
_LEAST_COUNT = 4
_MOST_SPREAD = 0.35
"""Standard deviation of the logarithm of lengths that still repeat."""
_MOST_LEFT_OUT = 1.6
"""A place whose own normal lengths, each left out, exceed the others by such a factor is no clock."""
_AROUND = 5
"""Places a side of the surroundings that are asked whether they say the same."""
_TELLS = 1.15
"""A factor beyond which a place says so."""
_FEW, _MANY = 0.3, 0.6
"""Share of the clocks around a place: at the first its factor counts for nothing, from the second on in full."""
LONGEST = 600
"""Frames beyond which a normal length is not told from an endless one."""


@dataclass(frozen=True, eq=False)
class _Runs:
    """Stretches of one state at one place; R of them."""

    place: NDArray[np.int64]
    state: NDArray[np.int64]
    """0 dark, 1 bright."""
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    whole: NDArray[np.bool_]
    """False of the first and last of each place, whose length is not known."""
    odd: NDArray[np.bool_]
    """Which are no normal ones, although they were given as such."""
    stretch: int = 0

    @property
    def key(self) -> NDArray[np.int64]:
        return 2 * self.place + self.state

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Whose length says what is normal."""
        return self.whole & ~self.odd


@dataclass(frozen=True, eq=False)
class _Usual:
    """Of each place and state, (2 P,): count and range of its lengths, and the range without the extremes."""

    count: NDArray[np.int64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    second_least: NDArray[np.float64]
    second_most: NDArray[np.float64]
    spread: NDArray[np.float64]


class StateLengths:
    """Normal lengths of states, place by place."""

    def __init__(self, stretches: Sequence[ClipFeatures]) -> None:
        """Learn from stretches of normal clips, all of one grid."""
        grey = [_place_grey(one) for one in stretches]
        self._low, self._high, split = _two_looks(np.concatenate(grey))
        split_well = (self._high - self._low > _LEAST_CONTRAST) & (split > _LEAST_SPLIT)
        plain = [replace(self._runs_of(values), stretch=k) for k, values in enumerate(grey)]
        self._settle(_with_odd(plain), split_well)
        counts = [len(values) for values in grey]
        self.odd_frames = [self._odd_frames(one, count) for one, count in zip(self._runs, counts, strict=True)]
        """Of each stretch (N,): frames that disagree with the rest of what is normal."""
        self.mostly_odd = sum(int(one.sum()) for one in self.odd_frames) > MOST_ODD * sum(counts)
        """Whether more than half of all frames disagree with the rest, so that none is left out."""
        if self.mostly_odd:
            self.odd_frames = [np.zeros(count, bool) for count in counts]
        if not any(one.any() for one in self.odd_frames):
            self._settle(plain, split_well)
        lengths = [float(one.length[one.counted].max(initial=0)) for one in self._runs]
        self.margin = int(min(LONGEST, 3 * max(lengths))) if self._clocks.any() else 0
        """Frames before and after a frame that its score may depend on."""

    def _settle(self, runs: list[_Runs], split_well: NDArray[np.bool_]) -> None:
        """Learn from runs which places are clocks, and what is usual there."""
        self._runs, self._clocks = runs, split_well.copy()
        self._usual = self._learn(frozenset())
        worst = np.ones(len(self._clocks))
        for k, one in enumerate(runs):
            left_out = LeftOut(frozenset({k})) if len(runs) > 1 else LeftOut(frozenset(), own=k)
            np.maximum.at(worst, one.place[~one.odd], self._excess(one, left_out)[~one.odd])
        self._clocks &= worst < _MOST_LEFT_OUT

    def _odd_frames(self, runs: _Runs, count: int) -> NDArray[np.bool_]:
        odd = runs.odd & self._clocks[runs.place]
        return find_odd_frames(count, int(self._clocks.sum()), (runs.first[odd], runs.length[odd]))

    def heat(self, features: ClipFeatures, left_out: LeftOut | None, *, longer: bool) -> Floats:
        """Return by which factor the state of each place lasts too long, or too short, (N, gh, gw), >= 1.

        Of a normal stretch, which is judged without itself, what was left out of what is normal tells nothing.
        """
        grey = _place_grey(features)
        heat = np.ones(grey.shape, np.float32)
        if self._clocks.any():
            runs = self._runs_of(grey) if left_out is None else self._runs[left_out.judged]
            self._paint(heat, runs, left_out, longer=longer)
            heat[:, ~self._clocks] = 1.0
            return _agreed(heat.reshape(len(heat), *features.grid_hw), self._clocks.reshape(features.grid_hw))
        return heat.reshape(len(heat), *features.grid_hw)

    def _runs_of(self, grey: Floats) -> _Runs:
        return _find_runs(_states(grey, self._low, self._high))

    def _learn(self, without: frozenset[int]) -> _Usual:
        used = [one for one in self._runs if one.stretch not in without]
        keys = [one.key[one.counted] for one in used]
        lengths = [one.length[one.counted] for one in used]
        size = 2 * len(self._clocks)
        if not keys:
            return _usual_of(np.zeros(0, np.int64), np.zeros(0, np.int64), size)
        return _usual_of(np.concatenate(keys), np.concatenate(lengths), size)

    def _limits(self, runs: _Runs, left_out: LeftOut | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return least and greatest usual length of each run; 0 and infinite where lengths do not repeat."""
        usual = self._usual
        if left_out is not None and left_out.stretches:
            usual = self._learn(left_out.stretches)
        key, length = runs.key, runs.length
        least, most = usual.least[key], usual.most[key]
        if left_out is not None and left_out.own >= 0:  # each run is hidden from itself
            least = np.where(runs.whole & (length == least), usual.second_least[key], least)
            most = np.where(runs.whole & (length == most), usual.second_most[key], most)
        repeats = (usual.count[key] >= _LEAST_COUNT) & (usual.spread[key] <= _MOST_SPREAD)
        return np.where(repeats, least, 0.0), np.where(repeats, most, np.inf)

    def _excess(self, runs: _Runs, left_out: LeftOut) -> NDArray[np.float64]:
        """Return the factor of each run, >= 1."""
        least, most = self._limits(runs, left_out)
        long = (runs.length + 0.5) / (most + 0.5)
        short = np.where(runs.whole, (least + 0.5) / (runs.length + 0.5), 1.0)
        return np.maximum(1.0, np.maximum(long, short))

    def _paint(self, heat: Floats, runs: _Runs, left_out: LeftOut | None, *, longer: bool) -> None:
        """Write the factor of each run over its frames. In place: a long one grows, a short one is known at its end."""
        least, most = self._limits(runs, left_out)
        odd = ~runs.odd & (runs.length > most if longer else runs.whole & (runs.length < least))
        limits = most if longer else least
        for place, first, length, limit in zip(
            runs.place[odd], runs.first[odd], runs.length[odd], limits[odd], strict=True
        ):
            if longer:
                factors = np.maximum(1.0, (np.arange(1, length + 1) + 0.5) / (limit + 0.5))
            else:
                factors = np.full(length, (limit + 0.5) / (length + 0.5))
            heat[first : first + length, place] = factors


class DurationChannel:
    """States that last too long, or too short."""

    name: EventKind = "duration"

    def __init__(self, lengths: StateLengths, *, longer: bool) -> None:
        """Judge by the lengths of normal clips, in one direction."""
        self._lengths, self._longer = lengths, longer

    @property
    def said(self) -> str:
        """What a high score means, in words."""
        if self._longer:
            return "it stays the same there for longer than it normally does"
        return "it changes there sooner than it normally does"

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        """Return by which factor the state of each place lasts too long or too short, (N, gh, gw), >= 1."""
        return self._lengths.heat(features, left_out, longer=self._longer)


def _agreed(heat: Floats, clocks: NDArray[np.bool_]) -> Floats:
    """Return factors as far as the clocks around a place bear them out, (N, gh, gw), >= 1.

    The edge of a label that is a little darker than those of the normal clips is no longer a change of state at the
    few places where it was barely one; a part that is missing or late shows at all places that it covers.
    """
    around = np.maximum(box_mean(clocks[None].astype(np.float32), _AROUND), 1e-6)
    share = box_mean((heat > _TELLS).astype(np.float32), _AROUND) / around
    weight = np.clip((share - _FEW) / (_MANY - _FEW), 0.0, 1.0)
    return np.asarray(np.exp(weight * np.log(heat)), np.float32)


def _place_grey(features: ClipFeatures) -> Floats:
    """Return the mean grey of every place, (N, P)."""
    rows, columns = features.grid_hw
    grey = features.grey[:, : 2 * rows, : 2 * columns]
    means = grey.reshape(len(grey), rows, 2, columns, 2).mean(axis=(2, 4))
    return box_mean(means, 2).reshape(len(grey), -1)


def _two_looks(grey: Floats) -> tuple[Floats, Floats, Floats]:
    """Split the grey values of each place where the variance between both halves is greatest (Otsu, IEEE Trans. SMC
    9(1), 1979, eq. 18).

    Returns:
        Means of both halves and the share of variance between them, (P,) each.
    """
    ordered = np.sort(grey, axis=0).astype(np.float64)
    count = len(ordered)
    if count < 2:
        return ordered[0].astype(np.float32), ordered[0].astype(np.float32), np.zeros(grey.shape[1], np.float32)
    total = np.cumsum(ordered, axis=0)
    below = np.arange(1, count)[:, None]
    low, high = total[:-1] / below, (total[-1] - total[:-1]) / (count - below)
    between = below * (count - below) / count**2 * (high - low) ** 2
    best = between.argmax(axis=0), np.arange(grey.shape[1])
    split = between[best] / np.maximum(ordered.var(axis=0), 1e-9)
    return low[best].astype(np.float32), high[best].astype(np.float32), split.astype(np.float32)


def _states(grey: Floats, low: Floats, high: Floats) -> NDArray[np.int8]:
    """Return 1 where a place looks bright, 0 where dark, (N, P)."""
    middle, margin = (low + high) / 2, _HYSTERESIS * (high - low)
    state = grey[0] > middle
    states = np.empty(grey.shape, np.int8)
    for index, values in enumerate(grey):
        state = np.where(values > middle + margin, True, np.where(values < middle - margin, False, state))
        states[index] = state
    return states


def _find_runs(states: NDArray[np.int8]) -> _Runs:
    count = len(states)
    flat = states.T.ravel()
    begins = np.flatnonzero(np.r_[True, (np.diff(flat) != 0) | (np.arange(1, len(flat)) % count == 0)])
    length = np.diff(np.r_[begins, len(flat)])
    place, first = begins // count, begins % count
    whole = (first > 0) & (first + length < count)
    return _Runs(place, flat[begins].astype(np.int64), first, length, whole, np.zeros(len(place), bool))


def _with_odd(runs: Sequence[_Runs]) -> list[_Runs]:
    """Return the runs of all stretches, knowing which of them are odd."""
    key, length, whole = (np.concatenate([getattr(one, name) for one in runs]) for name in ("key", "length", "whole"))
    ends = np.cumsum([len(one.place) for one in runs])[:-1]
    return [
        replace(one, odd=odd)
        for one, odd in zip(runs, np.split(find_odd_lengths(key, length, whole), ends), strict=True)
    ]


def _usual_of(key: NDArray[np.int64], length: NDArray[np.int64], size: int) -> _Usual:
    order = np.lexsort((length, key))
    key, length = key[order], length[order].astype(np.float64)
    count = np.bincount(key, minlength=size)
    end = np.cumsum(count)
    begin = end - count
    known = count > 0

    def at(index: NDArray[np.int64], otherwise: float) -> NDArray[np.float64]:
        values = np.full(size, otherwise)
        values[known] = length[index[known]]
        return values

    logs = np.log(np.maximum(length, 1.0))
    mean = np.bincount(key, logs, size) / np.maximum(count, 1)
    square = np.bincount(key, logs**2, size) / np.maximum(count, 1)
    return _Usual(
        count,
        at(begin, 0.0),
        at(end - 1, np.inf),
        at(np.minimum(begin + 1, np.maximum(end - 1, 0)), 0.0),
        at(np.maximum(end - 2, np.minimum(begin, np.maximum(end - 1, 0))), np.inf),
        np.sqrt(np.maximum(square - mean**2, 0.0)),
    )
