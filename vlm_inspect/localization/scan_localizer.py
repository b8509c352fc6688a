"""`ScanLocalizer`: the measured deviation of a scan from its references, as a localizer."""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.sample import SampleKind
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.scan_deviation import ScanDeviation, judge, scan_deviation
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import SCAN_VERSION, Part, ReferenceSet
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.comparison import SCALES, scan_surface
from vlm_inspect.registration.coverage import seen_again
from vlm_inspect.registration.identity import mismatch
from vlm_inspect.registration.variation import Variation, learn
from vlm_inspect.sensitivity.learning import ChannelPrior
from vlm_inspect.tolerance import Tolerance, tolerance_from_normals

NAME: Final = "deviation"
_SPREAD = 0.2
"""Standard deviation of the log score among normal parts of one class."""
_LEVEL_SPREADS = {1: 0.5, 2: 0.3}
"""Of the error of a class's level beside chance, by the number of references; 0.15 with more."""


class ScanLocalizer:
    """Compares points with points, in the unit of the scan; finds nothing without reference scans."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"point_cloud"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedScans":
        """Learn how the references differ, place by place."""
        surfaces = [scan_surface(one.points) for one in references.posed]
        return FittedScans(learn(surfaces) if surfaces else None, subject.unit)


class FittedScans:
    """Knows how the references of a class differ; its channels are the two scales of a comparison."""

    name = NAME
    identity = f"{NAME}/{SCAN_VERSION}"

    def __init__(self, normal: Variation | None, unit: str, gains: NDArray[np.float64] | None = None) -> None:
        """Hold scans against what is normal (None: nothing is known).

        Args:
            normal: what the references say.
            unit: of lengths.
            gains: (SCALES,), >= 0: factors of the channels in the maps; None: they count alike.
        """
        self._normal, self._unit, self._gains = normal, unit, gains

    @cached_property
    def tolerance(self) -> Tolerance | None:
        """Of the maps' scores; None with one reference, which says nothing about how much normal parts differ."""
        if self._normal is None or self._normal.count < 2:
            return None
        scores = np.exp(self.level + (0.0 if self._gains is None else np.log(np.maximum(self._gains, 1e-9))))
        return tolerance_from_normals(list(scores.max(axis=1) * self._normal.typical), prior_spread=_SPREAD)

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """One a scale."""
        count = 0 if self._normal is None else self._normal.count
        level_spread = _LEVEL_SPREADS.get(count, 0.15)
        return tuple(ChannelPrior(f"{NAME} {scale}", _SPREAD, level_spread) for scale in ("fine", "coarse")[:SCALES])

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """(n, SCALES): log scores of the references, each held against the others."""
        return np.zeros((0, SCALES)) if self._normal is None else self._normal.level()

    def localize(self, part: Part) -> Localization:
        """Return a map of every depth view, pictures of the directions that deviate most, and where that is."""
        if self._normal is None or part.posed is None:
            return Localization()
        found = scan_deviation(
            part.posed, self._normal, part.views, unit=self._unit, tolerance=self.tolerance, gains=self._gains
        )
        said = self._mismatch(part.posed, found)
        return Localization(
            tuple(found.maps),
            tuple(found.views),
            notes=found.notes if said is None else (said, *found.notes),
            log_scores=found.log_scores,
            describe=found.note,
            locate=found.place,
        )

    def _mismatch(self, posed: PosedCloud, found: ScanDeviation) -> str | None:
        """Say that a scan that deviates grossly, or over a large share, is not of the part."""
        if self._normal is None or not (found.gross or found.coverage.partial):
            return None
        return mismatch(scan_surface(posed.points), self._normal.anchor)

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """Return log scores of whole scans, (m, SCALES); see `ScoredLocalizer`."""
        normal = self._normal
        if normal is None:
            raise ValueError("there is no reference scan to hold parts against")
        normal = normal if without is None else normal.without(without)
        rows = []
        for part in parts:
            if part.posed is None:
                raise ValueError("a part without its scan cannot be held against others")
            judged, _ = judge(part.posed, normal)
            rows.append(seen_again(normal.anchor, judged).counted(judged).log_scores)
        return np.array(rows).reshape(-1, SCALES)

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> "FittedScans":
        """Return the same with the maps of channels brought to one level; one without weight is left out."""
        used = weights > 0.0 if weights.any() else np.ones(len(weights), dtype=bool)
        return FittedScans(self._normal, self._unit, np.where(used, np.exp(centre[used].mean() - centre), 0.0))
