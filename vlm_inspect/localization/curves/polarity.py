"""Whether a channel is turned in sign against its references, as by a sensor that is wired the wrong way round.

A channel's sign shows in what changes with it: its level, the skewness of its values and of their steps, and how it
goes with other channels. Each is taken in blocks, and the median counts, so that a burst in one of them says nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from vlm_inspect.localization.curves.names import channel_columns, listed

_BLOCKS = 16
_LEAST_IN_BLOCK = 32
_CERTAIN = 5.0
"""A sign shows where its measure lies so many standard errors from 0 in all references together."""
_LEAST = 0.05
"""Measures nearer to 0 tell no sign, however little they spread."""
_TURNED, _AGAINST = -0.5, -0.2
"""A channel is turned where one of its measures is at most -0.5 times that of its references, and all of them at most
-0.2 times."""

Floats = NDArray[np.float64]
Traits = Mapping[tuple[int, ...], Floats]
"""Measures that change their sign with a channel, or with one of a pair of channels, by their columns."""


@dataclass(frozen=True, eq=False)
class Polarity:
    """Which signs the references show.

    Attributes:
        names: of the channels.
        usual: (M,) measures of the references by channel, and by pair of channels; 0 where one tells no sign.
    """

    names: tuple[str, ...]
    usual: Traits

    @classmethod
    def of(cls, curves: Sequence[Series]) -> "Polarity":
        """Return what references (at least one, with the same channels in the same order) show."""
        found = [_measures(one.values) for one in curves]
        usual = {}
        for key in found[0]:
            medians = np.array([one[key][0] for one in found])
            errors = np.array([one[key][1] for one in found])
            between = medians.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros_like(medians[0])
            mean = medians.mean(axis=0)
            shows = np.abs(mean) > np.maximum(_CERTAIN * np.hypot(between, errors.mean(axis=0)), _LEAST)
            shows &= (np.sign(medians) == np.sign(mean)).all(axis=0)
            usual[key] = np.where(shows, mean, 0.0)
        return cls(curves[0].names, usual)

    def shows(self, column: int) -> bool:
        """Return whether a turned channel would be told."""
        return any(column in key and np.any(usual) for key, usual in self.usual.items())

    def doubts(self, series: Series, against: Sequence[int] = ()) -> tuple[str, ...]:
        """Say which channels of a curve look turned in sign.

        Args:
            series: the curve.
            against: channels of the references whose course it runs against, where they are in step.
        """
        columns = channel_columns(series.names, self.names)
        if columns is None:
            return ()
        turned = list(self._turned(series.values[:, columns]))
        single = sorted({*against, *(key[0] for key in turned if len(key) == 1)})
        told = []
        if single:
            names = [self.names[k] or f"channel {k + 1}" for k in single]
            told.append(
                f"The sign of {listed(names)} looks turned: the curve is like its references times -1; check how the "
                "sensor is wired."
            )
        for one, two in (key for key in turned if len(key) == 2 and not set(key) & set(single)):
            names = [self.names[k] or f"channel {k + 1}" for k in (one, two)]
            told.append(
                f"{names[0]} and {names[1]} go against each other, and in all references together: the sign of one of "
                "them looks turned; check how the sensors are wired."
                if self.usual[one, two][0] > 0
                else f"{names[0]} and {names[1]} go together, and in all references against each other: the sign of "
                "one of them looks turned; check how the sensors are wired."
            )
        return tuple(told)

    def _turned(self, values: Floats) -> Iterator[tuple[int, ...]]:
        found = _measures(values)
        for key, usual in self.usual.items():
            telling = usual != 0.0
            if not telling.any():
                continue
            ratios = found[key][0][telling] / usual[telling]
            if ratios.max() <= _AGAINST and ratios.min() <= _TURNED:
                yield key


def _measures(values: Floats) -> dict[tuple[int, ...], tuple[Floats, Floats]]:
    """Return medians over blocks and their standard errors, (M,) each, of channels (N, C) and pairs of them."""
    count = max(1, min(_BLOCKS, len(values) // _LEAST_IN_BLOCK))
    blocks = np.array_split(values, count)
    found: dict[tuple[int, ...], tuple[Floats, Floats]] = {}
    for k in range(values.shape[1]):
        size = np.sqrt(np.nanmean(values[:, k] ** 2)) if np.isfinite(values[:, k]).any() else 0.0
        found[(k,)] = _median(np.array([_odd_measures(block[:, k], float(size)) for block in blocks]))
    for pair in combinations(range(min(values.shape[1], _BLOCKS)), 2):
        found[pair] = _median(np.array([[_correlation(*block[:, pair].T)] for block in blocks]))
    return found


def _odd_measures(block: Floats, size: float) -> tuple[float, float, float]:
    """Return level, skewness and skewness of the steps of a stretch (N,) of a channel of a given effective value."""
    known = block[np.isfinite(block)]
    if len(known) < 2 or size <= 0.0:
        return 0.0, 0.0, 0.0
    return float(known.mean()) / size, _skewness(known), _skewness(np.diff(known))


def _skewness(values: Floats) -> float:
    spread = float(values.std())
    if spread <= 1e-12 * (1.0 + float(np.abs(values).max(initial=0.0))):
        return 0.0
    return float((((values - values.mean()) / spread) ** 3).mean())


def _correlation(one: Floats, two: Floats) -> float:
    known = np.isfinite(one) & np.isfinite(two)
    one, two = one[known], two[known]
    if len(one) < 3:
        return 0.0
    one, two = one - one.mean(), two - two.mean()
    size = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / size if size > 0.0 else 0.0


def _median(values: Floats) -> tuple[Floats, Floats]:
    """Return the median of each column (B, M) and its standard error, both (M,)."""
    middle = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - middle), axis=0)
    return middle, 1.2533 * spread / np.sqrt(len(values))
