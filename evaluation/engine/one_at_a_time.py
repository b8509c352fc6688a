"""`OneAtATime`: a localizer that several threads may call, and `for_threads`, an inspector with one."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import SampleKind
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.localizer import (
    FittedLocalizer,
    Localization,
    Localizer,
    ScoredLocalizer,
    batch_of,
    is_scored,
    vocabulary_of,
)
from vlm_inspect.localization.localizer_sum import LocalizerSum
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.sensitivity.learning import ChannelPrior


class OneAtATime:
    """A localizer that several threads may call: it works for one of them at a time, with all cores."""

    def __init__(self, localizer: Localizer) -> None:
        self._localizer = localizer
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the localizer itself."""
        return self._localizer.name

    @property
    def kinds(self) -> frozenset[SampleKind]:
        """The kinds of samples that it works for."""
        return self._localizer.kinds

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return the words of the localizer itself."""
        return vocabulary_of(self._localizer, subject)

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> FittedLocalizer:
        """Return what the localizer itself learns, to be called by several threads; raises what it raises."""
        with self._lock:
            return _one_at_a_time(self._localizer.fit(references, subject), self._lock)


def _one_at_a_time(fitted: FittedLocalizer, lock: threading.Lock) -> FittedLocalizer:
    return _ScoredOneAtATime(fitted, lock) if is_scored(fitted) else _FittedOneAtATime(fitted, lock)


class _FittedOneAtATime:
    def __init__(self, fitted: FittedLocalizer, lock: threading.Lock) -> None:
        self._fitted, self._lock = fitted, lock

    @property
    def name(self) -> str:
        return self._fitted.name

    @property
    def judged_by(self) -> str:
        return self._fitted.judged_by

    def localize(self, part: Part) -> Localization:
        with self._lock:
            return self._fitted.localize(part)


class _ScoredOneAtATime(_FittedOneAtATime):
    """One that tells how its references score, too; see `ScoredLocalizer`."""

    def __init__(self, fitted: ScoredLocalizer, lock: threading.Lock) -> None:
        super().__init__(fitted, lock)
        self._scored = fitted

    @property
    def identity(self) -> str:
        return self._scored.identity

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        return self._scored.priors

    @property
    def level(self) -> NDArray[np.float64]:
        return self._scored.level

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        with self._lock:
            return self._scored.score(parts, without=without)

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> FittedLocalizer:
        return _one_at_a_time(self._scored.weigh(centre, weights), self._lock)


def for_threads(inspector: Inspector) -> Inspector:
    """Return the inspector with a localizer that several threads may call."""
    localizer = inspector.used_localizer
    return replace(inspector, localizer=None if localizer is None else _for_threads(localizer))


def _for_threads(localizer: Localizer) -> Localizer:
    """Return a localizer that several threads may call; one that judges their parts together is left as it is."""
    if batch_of(localizer) == 1:
        return OneAtATime(localizer)
    if isinstance(localizer, LocalizerSum):
        return LocalizerSum([_for_threads(member) for member in localizer.members])
    return localizer
