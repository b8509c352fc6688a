"""Which channel of a curve is which of its references, and why a curve cannot be compared with them, or not in full."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from converters.sample import Series
from vlm_inspect.localization.curves.gaps import Gap, gaps_of, longest_gap_s
from vlm_inspect.localization.curves.names import channel_columns, listed, same_names
from vlm_inspect.localization.curves.states import KnownStates, known_states, state_doubts, word_columns
from vlm_inspect.measurement.channel_names import plain_name
from vlm_inspect.significant_digits import rounded

_MOST_LENGTHS = 100
"""A curve so many times as long as its references is not compared with them; if its samples are as many times as far
apart, its time is in another unit."""
_LEAST_LENGTH = 0.75
"""Share of the shortest reference's length below which a curve that is not in step may lack its end."""
_MORE_IN_STEP = 0.05
_MORE = 0.25
"""Share of the longest reference's length by which a curve may last longer, in step with them and not; more where the
references themselves differ by more."""
_FACTORS = (60.0, 3600.0, 1e3, 1e6, 1e9, 1 / 60, 1 / 3600, 1e-3, 1e-6, 1e-9)
"""Between units of time."""
_OTHER_COUNT = 4.0
"""Factor within which the number of samples is alike, so that a curve at another rate is no curve in another unit."""
_SAME_RATE = 1.25
"""Factor by which the rates of curves that are compared may differ: noise looks otherwise at another."""
_LONGER_GAP = 1.5
"""Gaps up to so many times the longest one of the references are as usual."""


@dataclass(frozen=True)
class NotComparable:
    """Why a curve is held against none of its references."""

    reason: str
    """A sentence."""
    other_clock: bool = False
    """Whether its time is in another unit: then what is measured along it means nothing either."""


@dataclass(frozen=True)
class ReferenceTraits:
    """What a curve must have in common with its references."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    """(C,) each; "" where the file does not say."""
    has_clock: bool
    shortest_s: float
    longest_s: float
    """Lengths, in seconds, or samples where there is no clock."""
    gaps_s: tuple[float, ...]
    """(C,): the longest stretch without a sample in any reference; infinite where none has one at all."""
    steps_s: tuple[float, float]
    """The shortest and the longest of their usual times from one sample to the next."""
    in_step: bool = False
    states: tuple[KnownStates, ...] = ()
    word_columns: frozenset[str] = frozenset()
    """Plain names of their columns of words, those that tell no state among them."""

    @classmethod
    def of(cls, curves: Sequence[Series], *, in_step: bool) -> "ReferenceTraits":
        """Return the traits of references (at least one) with the same channels and clock."""
        first, lengths = curves[0], [length_s(one) for one in curves]
        gaps = np.array([[longest_gap_s(one, k) for k in range(len(first.names))] for one in curves])
        gaps = np.where(np.isfinite(gaps) | np.isinf(gaps).all(axis=0), gaps, 0.0).max(axis=0)
        return cls(
            first.names,
            first.units,
            not first.time_is_index,
            min(lengths),
            max(lengths),
            tuple(float(gap) for gap in gaps),
            (min(map(step_s, curves)), max(map(step_s, curves))),
            in_step,
            known_states(curves),
            word_columns(curves),
        )

    def unlike(self, other: Series) -> str | None:
        """Say why another reference cannot stand beside these."""
        if channel_columns(other.names, self.names) is None:
            own, first = (listed([name or "one without a name" for name in one]) for one in (other.names, self.names))
            return f"it has the channels {own}, and the other {first}"
        if other.time_is_index == self.has_clock:
            return "one of them has a clock, and the other has none"
        if empty := self._empty(other):
            return f"it has not one value of {listed(empty)}"
        return None

    def refusal(self, series: Series) -> NotComparable | None:
        """Say why a curve cannot be compared: other channels, another clock, or times in another unit."""
        if channel_columns(series.names, self.names) is None:
            return NotComparable(_other_channels(series.names, self.names))
        if series.time_is_index == self.has_clock:
            who, fix = (
                ("The curve has no clock and its references have one", "give it a column of time")
                if self.has_clock
                else ("The curve has a clock and its references have none", "give references with a column of time")
            )
            return NotComparable(f"{who}: not compared; {fix}.")
        if empty := self._empty(series):
            return NotComparable(f"The curve has not one value of {listed(empty)}: not compared.")
        if (other_unit := self._other_unit_of_time(series)) is not None:
            return NotComparable(other_unit, other_clock=True)
        if length_s(series) > _MOST_LENGTHS * self.longest_s > 0.0:
            # Samples of one taken for seconds of the other would never end.
            told = f"The curve is {length_s(series) / self.longest_s:.0f} times as long as its references: not compared"
            if step_s(series) > _MOST_LENGTHS * self.steps_s[1]:  # a long record has samples as near as theirs
                return NotComparable(f"{told}; is its time in another unit?", other_clock=True)
            return NotComparable(f"{told}; give a part of it.")
        shortest, longest = self.steps_s
        if self.has_clock and not shortest / _SAME_RATE <= step_s(series) <= longest * _SAME_RATE:
            return NotComparable(
                f"The curve has {rounded(1 / step_s(series), 3)} samples a second and its references "
                f"{rounded(1 / shortest, 3)}: not compared; record it at the same rate, or give references of its own."
            )
        return None

    def _other_unit_of_time(self, series: Series) -> str | None:
        """Say that the samples of a curve are so much farther apart or closer together, and their number alike, as in
        another unit of time."""
        if not self.has_clock or self.longest_s <= 0.0:
            return None
        apart = step_s(series) / float(np.sqrt(self.steps_s[0] * self.steps_s[1]))
        longer = length_s(series) / float(np.sqrt(max(self.shortest_s, 1e-12) * self.longest_s))
        for factor in _FACTORS:
            if max(apart / factor, factor / apart) < _SAME_RATE and 1 / _OTHER_COUNT < longer / factor < _OTHER_COUNT:
                said = f"{factor:g} times as far apart" if factor > 1 else f"{1 / factor:g} times as close together"
                return (
                    f"The curve's time is in another unit than that of its references: its samples are {said} as "
                    "theirs: not compared; convert its time, or name the unit in its column, as in time (ms)."
                )
        return None

    def doubts(self, series: Series) -> tuple[str, ...]:
        """Say what keeps a curve that is compared from being normal: what of it is not known, or was not compared."""
        columns = channel_columns(series.names, self.names)
        if columns is None:
            return ()
        left = [name or f"column {k + 1}" for k, name in enumerate(series.names) if k not in columns]
        told = [f"The references have no channel {listed(left)}: not compared."] if left else []
        if len(columns) > 1 and not same_names(series.names, self.names, columns):
            without = "The curve's" if not any(series.names) else "The references'"
            told.append(f"{without} channels have no names: matched by their order; name the columns.")
        for k, column in enumerate(columns):
            unit, own = self.units[k], series.units[column]
            if unit and own and own != unit:
                told.append(f"Channel {series.names[column]} is in {own}, that of the references in {unit}.")
        if not self.in_step and length_s(series) < _LEAST_LENGTH * self.shortest_s:
            told.append(
                f"The curve has {length_s(series) / self.shortest_s:.0%} of the length of the shortest reference."
            )
        told += self._longer(series)
        return (*told, *state_doubts(series, self.states, self.word_columns), *self._missing(series, columns))

    def _longer(self, series: Series) -> list[str]:
        """Say that a curve lasts longer than any reference by more than they differ."""
        share = _MORE_IN_STEP if self.in_step else _MORE
        if length_s(series) <= self.longest_s + max(self.longest_s - self.shortest_s, share * self.longest_s):
            return []
        unit, more = ("s", 0) if self.has_clock else ("samples", 1)  # from the first sample to the last, both counted
        own, longest = (rounded(one + more, 4) for one in (length_s(series), self.longest_s))
        return [
            f"The curve lasts {own} {unit} and no reference more than {longest} {unit}: a course of that length was "
            "not compared, so not normal."
        ]

    def _empty(self, series: Series) -> list[str]:
        """Return the channels that have values in the references and none in the curve."""
        columns = channel_columns(series.names, self.names) or ()
        known = [bool(np.isfinite(column).any()) for column in series.values.T]
        return [
            self.names[k] or f"channel {k + 1}"
            for k, c in enumerate(columns)
            if not known[c] and np.isfinite(self.gaps_s[k])
        ]

    def unseen(self, series: Series) -> tuple[tuple[Gap, ...], ...]:
        """Return the gaps of each channel (C,) that are longer than those of the references."""
        columns = channel_columns(series.names, self.names) or ()
        return tuple(
            tuple(gap for gap in gaps_of(series, column) if gap.lasts_s > _LONGER_GAP * self.gaps_s[k])
            for k, column in enumerate(columns)
        )

    def _missing(self, series: Series, columns: Sequence[int]) -> list[str]:
        told = []
        every = self.unseen(series)
        jumps = [gap for gap in every[0] if gap.last < gap.first] if every else []
        if jumps:
            first = max(jumps, key=lambda gap: gap.lasts_s)
            told.append(
                f"The curve has no sample for {rounded(first.lasts_s, 3)} s after {_moment(series, first.last)}, "
                "longer than in any reference: not known, so not normal."
            )
        for column, gaps in zip(columns, [[g for g in one if g.first <= g.last] for one in every], strict=True):
            if gaps:
                count = sum(gap.last - gap.first + 1 for gap in gaps)
                name = series.names[column] or f"channel {column + 1}"
                are = f"samples of {name} are" if count > 1 else f"sample of {name} is"
                told.append(
                    f"{count} {are} missing, more in a row than in any reference, first at "
                    f"{_moment(series, gaps[0].first)}: not known, so not normal."
                )
        return told


def with_channels(series: Series, names: tuple[str, ...]) -> Series | None:
    """Return the series with just these channels, in this order; None: it lacks one. See `channel_columns`."""
    columns = channel_columns(series.names, names)
    if columns is None:
        return None
    units = tuple(series.units[k] for k in columns)
    return replace(series, values=series.values[:, columns], names=names, units=units)


def length_s(series: Series) -> float:
    """Return how long a curve lasts, in seconds, or samples where it has no clock."""
    return float(series.time_s[-1] - series.time_s[0])


def step_s(series: Series) -> float:
    """Return the usual time from one sample to the next."""
    return float(np.median(np.diff(series.time_s)))


def _other_channels(names: Sequence[str], wanted: Sequence[str]) -> str:
    own, theirs = {plain_name(one) for one in names}, {plain_name(one) for one in wanted}
    lacking = [one or f"column {k + 1}" for k, one in enumerate(wanted) if plain_name(one) not in own]
    extra = [one or f"column {k + 1}" for k, one in enumerate(names) if plain_name(one) not in theirs]
    if not lacking:  # names that occur more than once
        return f"The curve has {len(names)} channels and its references {len(wanted)}: not compared."
    has = f"; it has {listed(extra)}, which they have not" if extra else ""
    return f"The curve lacks {listed(lacking)} of its references{has}: not compared."


def _moment(series: Series, sample: int) -> str:
    return f"sample {sample}" if series.time_is_index else f"{rounded(float(series.time_s[sample]), 6)} s"
