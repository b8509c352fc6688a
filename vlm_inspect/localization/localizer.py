"""The seam for everything that makes anomaly maps: fit to the normal samples of a class once, then localize any part.

A `Localizer` holds weights and settings; what it learns from references is the `FittedLocalizer`'s. Fitting may be slow
and is done once for a class; localizing a part costs that part alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from converters.sample import SampleKind
from converters.view import BoxXyxyn, Place, View
from vlm_inspect.evidence import AnomalyMap, SurfaceDeviation
from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.measurement.partial import SeenPart
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.registration.identity import Shown
from vlm_inspect.sample_curve import SampleCurve
from vlm_inspect.sensitivity.learning import ChannelPrior

PICTURES: Final[frozenset[SampleKind]] = frozenset({"image", "point_cloud", "video"})
"""Kinds whose views say what the sample is. The plot of a curve does not: comparing it is worse than comparing the
numbers that it was drawn from."""


def _nothing(view: int, box_xyxyn: BoxXyxyn) -> str:
    return ""


def _nowhere(view: int, box_xyxyn: BoxXyxyn) -> Place | None:
    return None


@dataclass(frozen=True, eq=False)
class Localization:
    """What one fitted localizer finds on a part."""

    maps: tuple[AnomalyMap, ...] = ()
    """At most one for each view of the part, in their order; `view` is the index among the part's views."""
    pictures: tuple[View, ...] = ()
    """Pictures of the finding, to be shown after the part's own views."""
    notes: tuple[str, ...] = ()
    """What an engineer should know of the comparison as a whole; what concerns one view stands in its map."""
    mismatch: str = ""
    """What a scan or a clip shows instead of the part or the scene of its references, or why a curve is not compared
    with them, or not in full, in sentences; "" where nothing is amiss."""
    shows: Shown = "part"
    """What a scan shows, where it is not the whole part: of a piece no check of the whole means anything, nor how
    unlike its pictures are; of several parts, or in another unit, nothing does."""
    seen: SeenPart | None = None
    """What of the part a scan shows, where that is not all of it."""
    log_scores: NDArray[np.float64] | None = None
    """(C,): of a `ScoredLocalizer`, natural logarithm of the score of the whole part by each of its channels; None
    where not every view could be compared."""
    describe: Callable[[int, BoxXyxyn], str] = _nothing
    """Says what was measured in a box of a view: "0.82 mm above the reference"; "" where there is nothing to say."""
    locate: Callable[[int, BoxXyxyn], Place | None] = _nowhere
    """Says where on the part the finding in a box of a view lies, where that is known better than from the box."""
    surface: SurfaceDeviation | None = None
    """Of a scan: how far each of its points is off."""
    curve: FrameCurve | None = None
    """Of a clip: how unusual each of its frames is."""
    sample_curve: SampleCurve | None = None
    """Of a sensor curve: how unusual each of its samples is, and when."""


class FittedLocalizer(Protocol):
    """A localizer that has learned what is normal for one class; it is never changed by the parts that it judges."""

    @property
    def name(self) -> str:
        """As of the localizer."""
        ...

    @property
    def judged_by(self) -> str:
        """Which method, weights, settings and version give the scores, for people to read: a calibration holds for
        these alone. The references are not named, nor what changes scores by rounding only."""
        ...

    def localize(self, part: Part) -> Localization:
        """Return what is found on a part; it has no map of a view that the references do not compare with.

        Raises:
            LocalizerError: the weights, or a word, cannot be used.
        """
        ...


@runtime_checkable
class FrameChooser(Protocol):
    """A fitted localizer that looks at every frame of a clip, and so knows which of them tell most."""

    def frames_to_show(self, part: Part, most: int) -> tuple[int, ...] | None:
        """Return at most `most` frame numbers in order; None where any choice is as good."""
        ...

    def known_events(self, part: Part) -> tuple[ClipEvent, ...] | None:
        """Return what happens in a clip beyond what normal ones do, in order; None where nobody can tell."""
        ...


class ScoredLocalizer(FittedLocalizer, Protocol):
    """A fitted localizer that tells how its references score without themselves, and parts like them.

    From both, and from defects planted on the references, `qualification/` learns when a part is OK.
    """

    @property
    def identity(self) -> str:
        """What its scores rest on beside the references: method, weights, settings, version. Equal: equal scores."""
        ...

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """(C,): what is expected of each channel before any reference is seen."""
        ...

    @property
    def level(self) -> NDArray[np.float64]:
        """(n, C): log score of every reference, in their order, as a new normal part would have it."""
        ...

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """Return log scores of whole parts, (m, C); a part of several views has the highest of theirs.

        Args:
            parts: samples, each judged for itself.
            without: index of a reference that must play no part: parts made of it are judged. A single reference
                plays its part all the same; parts made of it are changed copies.
        """
        ...

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> FittedLocalizer:
        """Return the same localizer with its maps combined by these weights.

        Args:
            centre: (C,), log score that each channel gives normal parts.
            weights: (C,), >= 0; all 0: none of its channels sees defects, and they count alike.
        """
        ...


def is_scored(fitted: FittedLocalizer) -> TypeGuard[ScoredLocalizer]:
    """Tell whether a fitted localizer is a `ScoredLocalizer`, without computing any of what that has to tell."""
    return hasattr(fitted, "weigh")


@runtime_checkable
class OpenVocabulary(Protocol):
    """A localizer whose words for defects may be chosen anew for every part."""

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return the words that it compares a part of that subject with; empty: they cannot be chosen."""
        ...


def vocabulary_of(localizer: "Localizer", subject: Subject) -> tuple[str, ...]:
    """Return the words that a localizer compares parts of a subject with; empty where they cannot be chosen."""
    return localizer.vocabulary(subject) if isinstance(localizer, OpenVocabulary) else ()


class Localizer(Protocol):
    """Learns from normal samples, from words, or from both."""

    @property
    def name(self) -> str:
        """Name in the record: that in `--localizer`, or of the weights that it runs on."""
        ...

    @property
    def kinds(self) -> frozenset[SampleKind]:
        """The kinds of samples that it works for."""
        ...

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> FittedLocalizer:
        """Learn the class.

        Args:
            references: its normal samples, all of one of `kinds`; may be empty. Views compare where their keys are
                equal. Where only their views are at hand, a localizer that compares samples finds nothing.
            subject: what the part is called, and what may be wrong with it.

        Raises:
            LocalizerError: the backbone, its weights or a word cannot be used.
        """
        ...


@runtime_checkable
class BatchingLocalizer(Protocol):
    """A localizer that several threads may call at once where `batch` is above 1: it judges their parts together."""

    @property
    def batch(self) -> int:
        """Pictures that are judged together; 1: one thread at a time may call."""
        ...


def batch_of(localizer: Localizer | None) -> int:
    """Return how many pictures a localizer judges together; 1 of one that takes parts one by one."""
    return localizer.batch if isinstance(localizer, BatchingLocalizer) else 1
