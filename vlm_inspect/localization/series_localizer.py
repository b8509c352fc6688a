"""`SeriesLocalizer`: the measured deviation of a curve from its references, as a localizer."""

from dataclasses import replace
from typing import Final

from converters.sample import SampleKind, Series
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.series_deviation import ReferenceWindows, prepare_curves, series_deviation
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet

NAME: Final = "deviation"


class SeriesLocalizer:
    """Compares windows with windows; without reference curves it says how rare a window is in its own curve."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"series"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedSeries":
        """Cut the references into windows, and learn which of them compare and how far they differ."""
        curves = [sample for sample in references.samples if isinstance(sample, Series)]
        return FittedSeries(prepare_curves(curves) if curves else None)


class FittedSeries:
    """Knows the windows of the references."""

    name = NAME

    def __init__(self, windows: ReferenceWindows | None) -> None:
        """Compare with these windows; None: with those of the part itself."""
        self._windows = windows

    def localize(self, part: Part) -> Localization:
        """Return a map of every plot; one that lacks a channel's comparison is never called normal."""
        if not isinstance(part.sample, Series):
            return Localization()
        maps = series_deviation(part.sample, self._windows or (), part.views)
        unknown = self._unknown_channels(part.sample)
        if not unknown:
            return Localization(tuple(maps))
        # What was not compared cannot be within its tolerance; what exceeds it elsewhere still does.
        kept = tuple(one if (one.probability or 0.0) >= 0.5 else replace(one, tolerance=None) for one in maps)
        return Localization(kept, notes=(f"The references have no channel {', '.join(unknown)}: not compared.",))

    def _unknown_channels(self, series: Series) -> list[str]:
        """Return the channels that no reference has; same number of channels: they are matched by position."""
        if self._windows is None or len(self._windows.names) == len(series.names):
            return []
        return [name for name in series.names if name not in self._windows.names]
