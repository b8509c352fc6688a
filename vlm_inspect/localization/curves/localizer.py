"""`CurveLocalizer`: the measured deviation of a curve from its references, as a localizer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.sample import SampleKind, Series
from converters.view import BoxXyxyn, View
from vlm_inspect.array_cache import content_of
from vlm_inspect.localization.curves.deviation import curve_deviation, deviation_maps, rarity_maps
from vlm_inspect.localization.curves.events import curve_events
from vlm_inspect.localization.curves.normality import NormalCurves, learn_curves, position, with_channels
from vlm_inspect.localization.curves.picture import draw_events
from vlm_inspect.localization.localizer import FittedLocalizer, Localization
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.sample_curve import SampleCurve, SampleEvent
from vlm_inspect.sensitivity.learning import ChannelPrior

NAME: Final = "deviation"
VERSION: Final = "2"
"""Changes whenever remembered scores would no longer be what this code computes."""
_SPREAD = 0.12
"""Standard deviation of the log score among normal curves of one class, before any is seen."""
_TOLD = 8
_MOST_LENGTHS = 100
"""A curve so many times as long as its references is in another unit of time."""
_LEAST_LENGTH = 0.75
"""Share of the shortest reference's length below which a curve that is not in step may lack its end."""
_ONE = "One reference curve does not tell how far normal curves differ, so no events are set; give two at least."


class CurveLocalizer:
    """Compares windows with windows; without reference curves it says how rare a window is in its own curve."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"series"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> FittedLocalizer:
        """Cut the references into windows, and learn which of them compare and how far they differ."""
        curves = [sample for sample in references.samples if isinstance(sample, Series)]
        normal = learn_curves(curves) if curves else None
        fitted = FittedCurves(normal, tuple(curves))
        comparable = normal is not None and all(
            with_channels(one, normal.names) is not None and one.time_is_index == curves[0].time_is_index
            for one in curves
        )
        if normal is None or len(normal.curves) < 2 or not comparable or len(curves) != len(references.parts):
            return fitted
        return ScoredCurves(fitted, normal, tuple(curves))


class FittedCurves:
    """Knows the windows of the references."""

    name = NAME

    def __init__(self, normal: NormalCurves | None, references: Sequence[Series]) -> None:
        """Compare with these; None: with the windows of the part itself."""
        self._normal, self._references = normal, references

    def localize(self, part: Part) -> Localization:
        """Return a map of every plot, and the events; what lacks a channel's comparison is never called normal."""
        series = part.sample
        if not isinstance(series, Series):
            return Localization()
        if self._normal is None:
            return Localization(tuple(rarity_maps(series, part.views)))
        if clocks := self._other_clock(series):
            return Localization(notes=(clocks,))
        unknown = (*self._unknown_channels(series, self._normal), *self._doubts(series, self._normal))
        found = curve_deviation(series, self._normal)
        if found is None:
            return Localization(notes=unknown or ("The curve lacks a channel of its references: not compared.",))
        maps = tuple(deviation_maps(series, found, part.views))
        curve = curve_events(series, found)
        if unknown:  # what was not compared cannot be within its tolerance; what exceeds it elsewhere still does
            maps = tuple(one if (one.probability or 0.0) >= 0.5 else replace(one, tolerance=None) for one in maps)
        events = () if curve is None else curve.events
        # At another phase the two lines beside each other would only be a tangle.
        reference = self._references[found.nearest] if self._normal.measure.in_step else None
        picture = draw_events(series, events, reference, found.channels, part.views) if events else ()
        complete = curve is not None and not unknown
        return Localization(
            maps,
            pictures=tuple(picture),
            notes=(*unknown, *_notes(curve)),
            log_scores=np.array([found.log_score]) if complete else None,
            describe=lambda view, box_xyxyn: _described(part.views[view], box_xyxyn, events),
            sample_curve=curve,
        )

    def _other_clock(self, series: Series) -> str | None:
        """Say why the times of a curve are not those of its references; samples taken for seconds would never end."""
        mine = "The curve has {} clock and its references have {}: not compared; {}."
        if series.time_is_index != self._references[0].time_is_index:
            fix = "give it a column of time" if series.time_is_index else "give references with a column of time"
            return mine.format(*(("no", "one", fix) if series.time_is_index else ("a", "none", fix)))
        lasts, longest = _length(series), max(_length(one) for one in self._references)
        if lasts > _MOST_LENGTHS * longest > 0.0:
            times = f"{lasts / longest:.0f} times"
            return f"The curve is {times} as long as its references: not compared; is its time in another unit?"
        return None

    def _doubts(self, series: Series, normal: NormalCurves) -> tuple[str, ...]:
        """Say what keeps a comparison from being trusted: another unit, or an end before that of every reference."""
        told = []
        for k, name in enumerate(normal.names):
            at = position(series, name, k if len(normal.names) == len(series.names) else -1)
            unit = self._references[0].units[k]
            if at >= 0 and unit and series.units[at] and series.units[at] != unit:
                told.append(f"Channel {series.names[at]} is in {series.units[at]}, that of the references in {unit}.")
        shortest = min(_length(one) for one in self._references)
        if not normal.measure.in_step and _length(series) < _LEAST_LENGTH * shortest:
            told.append(f"The curve has {_length(series) / shortest:.0%} of the length of the shortest reference.")
        return tuple(told)

    def _unknown_channels(self, series: Series, normal: NormalCurves) -> tuple[str, ...]:
        """Say which channels no reference has; same number of channels: they are matched by position."""
        if len(normal.names) == len(series.names):
            return ()
        missing = [name for name in series.names if name not in normal.names]
        return (f"The references have no channel {', '.join(missing)}: not compared.",) if missing else ()


class ScoredCurves:
    """The same, where at least two references tell how they score without themselves; see `ScoredLocalizer`."""

    name = NAME

    def __init__(self, fitted: FittedCurves, normal: NormalCurves, references: Sequence[Series]) -> None:
        """Judge by what the references say."""
        self._fitted, self._normal, self._references = fitted, normal, references

    def localize(self, part: Part) -> Localization:
        """See `FittedCurves.localize`."""
        return self._fitted.localize(part)

    @property
    def identity(self) -> str:
        """Name, version, and how the references score."""
        return f"{NAME}/{VERSION}/{content_of(self.level)}"

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """One channel: the most unusual window decides, by whichever evidence."""
        return (ChannelPrior(NAME, _SPREAD),)

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """(n, 1): every reference judged by the others."""
        return np.array([[self._log_score(one, index)] for index, one in enumerate(self._references)])

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """See `ScoredLocalizer.score`."""
        rows = []
        for part in parts:
            if not isinstance(part.sample, Series):
                raise ValueError("a part without its curve cannot be held against others")
            rows.append([self._log_score(part.sample, without)])
        return np.array(rows).reshape(-1, 1)

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> "ScoredCurves":
        """Return itself: there is one channel."""
        return self

    def _log_score(self, series: Series, without: int | None) -> float:
        kept = self._normal.kept
        found = curve_deviation(series, self._normal, without=kept.index(without) if without in kept else None)
        if found is None:
            raise ValueError("a part that lacks a channel cannot be held against others")
        return found.log_score


def _described(view: View, box_xyxyn: BoxXyxyn, events: Sequence[SampleEvent]) -> str:
    place = view.origin.locate(box_xyxyn)
    for event in events:
        at, first, last = place.time_s, event.first_s, event.last_s
        if at is None or first is None or last is None:
            at, first, last = place.sample, event.first, event.last
        if at is not None and first <= at <= last:
            return f"{event.span}, {', '.join(event.channels)}: {event.note}"
    return ""


def _notes(curve: SampleCurve | None) -> tuple[str, ...]:
    if curve is None:
        return (_ONE,)
    told = [
        f"Event {number}: {event.span}, {', '.join(event.channels)}: {event.note}."
        for number, event in enumerate(curve.events[:_TOLD], 1)
    ]
    more = [f"{len(curve.events) - _TOLD} further events."] if len(curve.events) > _TOLD else []
    return (*told, *more)


def _length(series: Series) -> float:
    """Return how long a curve lasts, in its unit of time."""
    return float(series.time_s[-1] - series.time_s[0])
