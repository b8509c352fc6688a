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
from vlm_inspect.localization.curves.deviation import (
    curve_deviation,
    deviation_maps,
    rarity_maps,
    signless_channels,
)
from vlm_inspect.localization.curves.events import curve_events
from vlm_inspect.localization.curves.matching import NotComparable, with_channels
from vlm_inspect.localization.curves.names import listed
from vlm_inspect.localization.curves.normality import NormalCurves, learn_curves
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
_ONE = "One reference curve does not tell how far normal curves differ, so no events are set; give two at least."


class CurveLocalizer:
    """Compares windows with windows; without reference curves it says how rare a window is in its own curve."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"series"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> FittedLocalizer:
        """Cut the references into windows, and learn which of them compare and how far they differ.

        Raises:
            ReferenceSampleError: one has other channels than the first, or another clock.
        """
        curves = [sample for sample in references.samples if isinstance(sample, Series)]
        normal = learn_curves(curves) if curves else None
        fitted = FittedCurves(normal, tuple(curves))
        if normal is None or len(normal.curves) < 2 or len(curves) != len(references.parts):
            return fitted
        return ScoredCurves(fitted, normal, tuple(curves))


class FittedCurves:
    """Knows the windows of the references."""

    name = NAME

    def __init__(self, normal: NormalCurves | None, references: Sequence[Series]) -> None:
        """Compare with these; None: with the windows of the part itself."""
        self._normal, self._references = normal, references

    @property
    def judged_by(self) -> str:
        """See `FittedLocalizer.judged_by`."""
        return f"{NAME} {VERSION}"

    def localize(self, part: Part) -> Localization:
        """Return a map of every plot, and the events; what lacks a channel's comparison is never called normal."""
        series = part.sample
        if not isinstance(series, Series):
            return Localization()
        if self._normal is None:
            return Localization(tuple(rarity_maps(series, part.views)))
        found = curve_deviation(series, self._normal)
        if isinstance(found, NotComparable):
            return Localization(mismatch=found.reason, shows="other clock" if found.other_clock else "part")
        unknown = self._normal.doubts(series)
        maps = tuple(deviation_maps(series, found, part.views))
        curve = curve_events(series, found, self._usual)
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
            notes=(*_notes(curve), *self._sign_notes(found.log_score)),
            mismatch=" ".join(unknown),
            log_scores=np.array([found.log_score]) if complete else None,
            describe=lambda view, box_xyxyn: _described(part.views[view], box_xyxyn, events),
            sample_curve=curve,
        )

    @cached_property
    def _usual(self) -> list[Series]:
        """The references with the channels of their class, in its order."""
        names = () if self._normal is None else self._normal.names
        return [one for reference in self._references if (one := with_channels(reference, names)) is not None]

    @cached_property
    def signless(self) -> tuple[str, ...]:
        """Channels of which nobody would see that they are turned in sign."""
        return () if self._normal is None else signless_channels(self._normal, self._references)

    def _sign_notes(self, log_score: float) -> tuple[str, ...]:
        """Say of a curve that is like its references which signs that does not vouch for."""
        tolerance = None if self._normal is None else self._normal.tolerance
        if tolerance is None or log_score > np.log(tolerance.limit) or not self.signless:
            return ()
        names = listed(self.signless)
        return (f"Whether the sign of {names} is turned cannot be told: its references look alike both ways.",)


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
    def judged_by(self) -> str:
        """See `FittedLocalizer.judged_by`."""
        return self._fitted.judged_by

    @property
    def signless(self) -> tuple[str, ...]:
        """See `FittedCurves.signless`."""
        return self._fitted.signless

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
        if isinstance(found, NotComparable):
            raise ValueError(found.reason)
        return found.log_score


def _described(view: View, box_xyxyn: BoxXyxyn, events: Sequence[SampleEvent]) -> str:
    place = view.origin.locate(box_xyxyn)
    for event in events:
        at, first, last = place.time_s, event.first_s, event.last_s
        if at is None or first is None or last is None:
            at, first, last = place.sample, event.first, event.last
        own = place.channel is None or place.channel in event.channels
        if own and at is not None and first <= at <= last:
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
