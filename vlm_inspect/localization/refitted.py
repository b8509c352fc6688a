"""`RefittedLocalizer`: any localizer as a `ScoredLocalizer`, by fitting it anew without each reference."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.array_cache import content_of
from vlm_inspect.localization.localizer import FittedLocalizer, Localization, Localizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.sensitivity.learning import ChannelPrior

SPREAD = 0.12
"""Standard deviation of the log score among normal parts of one class, before any is seen: measured on maps of several
methods, see docs/results.md."""
_LEAST = 1e-9


class RefittedLocalizer:
    """Scores a part by the highest of its maps' scores; see `ScoredLocalizer`."""

    def __init__(
        self, localizer: Localizer, fitted: FittedLocalizer, references: ReferenceSet, subject: Subject
    ) -> None:
        """Judge by a fitted localizer.

        Args:
            localizer: what it was made by.
            fitted: to all references.
            references: at least two.
            subject: what it was fitted for.
        """
        self._localizer, self._fitted, self._references, self._subject = localizer, fitted, references, subject
        self._without: tuple[int, FittedLocalizer] | None = None

    @property
    def name(self) -> str:
        """As of the localizer."""
        return self._fitted.name

    @property
    def judged_by(self) -> str:
        """As of what is fitted."""
        return self._fitted.judged_by

    @property
    def identity(self) -> str:
        """Name, and how the references score: other weights or settings score them otherwise."""
        return f"{self.name}/{content_of(self.level)}"

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """One channel."""
        return (ChannelPrior(self.name, SPREAD),)

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """(n, 1): every reference judged by the others."""
        parts = self._references.parts
        return np.concatenate([self.score([part], without=index) for index, part in enumerate(parts)])

    def localize(self, part: Part) -> Localization:
        """See `FittedLocalizer.localize`."""
        found = self._fitted.localize(part)
        complete = bool(found.maps) and all(one.tolerance is not None for one in found.maps)
        return replace(found, log_scores=_log_score(found)) if complete else found

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """See `ScoredLocalizer.score`."""
        judge = self._fitted if without is None else self._fitted_without(without)
        return np.array([_log_score(judge.localize(part)) for part in parts]).reshape(len(parts), 1)

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> "RefittedLocalizer":
        """Return itself: there is one channel."""
        return self

    def _fitted_without(self, reference: int) -> FittedLocalizer:
        if self._without is None or self._without[0] != reference:
            others = self._references.without(self._references.sha256[reference])
            self._without = reference, self._localizer.fit(others, self._subject)
        return self._without[1]


def _log_score(found: Localization) -> NDArray[np.float64]:
    """Return the log score of the highest map, (1,)."""
    return np.array([np.log(max(_LEAST, *(one.score for one in found.maps), _LEAST))])
