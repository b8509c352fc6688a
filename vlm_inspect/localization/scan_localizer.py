"""`ScanLocalizer`: the measured deviation of a scan from its references, as a localizer."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.sample import SampleKind
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.scan_deviation import ScanDeviation, judge, scan_deviation
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.measurement.partial import SeenPart
from vlm_inspect.references import SCAN_VERSION, Part, ReferenceSet
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.coverage import Coverage, seen_again
from vlm_inspect.registration.drawn_surface import drawn_surface
from vlm_inspect.registration.identity import INCOMPARABLE, Mismatch, mirror_image, mismatch
from vlm_inspect.registration.judged import CHANNELS, combined
from vlm_inspect.registration.known_scan import know
from vlm_inspect.registration.pose import apply
from vlm_inspect.registration.variation import Variation, learn
from vlm_inspect.sensitivity.learning import ChannelPrior
from vlm_inspect.tolerance import OVERKILL, Tolerance, tolerance_from_normals

NAME: Final = "deviation"
_SPREAD = 0.2
"""Standard deviation of the log score among normal parts of one class."""
_PARTIAL_LIMIT = 4.0
"""Times the limit beyond which a deviation of a partial scan counts."""
_GROSS_SHARE = 0.02
"""Share of a drawing's size beyond which a deviation counts where no rule limits it."""
_WIDE = 0.1
"""Share of a scan's points beyond a drawing's limit from which it is asked whether the scan is a mirror image."""
_NEARLY = 0.9
"""Share of a stated limit up to which a scan is as good as sound."""
_ALONE = np.array([6.0, 5.0, 4.0])
"""Scores of a sound scan held against a single reference, by channel: the middle of generated classes."""
_LEVEL_SPREADS = {1: (0.5, 0.5, 0.9), 2: (0.2, 0.2, 0.2), 3: (0.1, 0.2, 0.2), 4: (0.1, 0.1, 0.15)}
"""By channel, of the error of a class's level beside chance, by the number of references (decisions 0041, 0051)."""
_LEVEL_SPREAD = (0.1, 0.1, 0.1)
"""The same with more references."""


class ScanLocalizer:
    """Compares points with points, in the unit of the scan; finds nothing without reference scans."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"point_cloud"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedScans | NominalScans":
        """Learn how the references differ, place by place; of one mesh with limits in the rule book, take those."""
        surfaces = [one.surface() for one in references.posed]
        if len(surfaces) == 1 and references.posed[0].cloud.mesh is not None and subject.deviation_limit is not None:
            drawing = drawn_surface(references.posed[0], surfaces[0])
            return NominalScans(learn([drawing]), subject.unit, subject.deviation_limit)
        return FittedScans(learn(surfaces) if surfaces else None, subject.unit)


class NominalScans:
    """Holds scans against one drawing: what is normal is stated by the rule book, not learned."""

    name = NAME
    judged_by = f"{NAME} {SCAN_VERSION}"

    def __init__(self, normal: Variation, unit: str, limit: float) -> None:
        """Hold scans against a drawing.

        Args:
            normal: its surface.
            unit: of lengths.
            limit: largest deviation allowed, in `unit`; infinite: none is stated, so only gross ones count.
        """
        self._normal, self._unit = normal, unit
        gross = _GROSS_SHARE * float(np.linalg.norm(np.ptp(normal.anchor.points, axis=0)))
        self._stated = np.isfinite(limit)
        limit = limit if self._stated else gross
        self.tolerance = Tolerance(limit=limit, centre=_NEARLY * limit, n=1, overkill=OVERKILL)

    def localize(self, part: Part) -> Localization:
        """Return a map of every depth view in the unit of the scan, and where the limit is exceeded."""
        if part.posed is None:
            return Localization()
        if part.mismatch is not None:
            return Localization(mismatch=part.mismatch.said, shows=part.mismatch.shows)
        found = scan_deviation(
            part.posed, self._normal, part.views, unit=self._unit, tolerance=self.tolerance, in_lengths=True
        )
        size = float(np.linalg.norm(np.ptp(self._normal.anchor.points, axis=0)))
        gross = found.coverage.share < 0.9 or bool((np.abs(found.signed) > _GROSS_SHARE * size).mean() > 0.01)
        said = _mismatch(part.posed, self._normal, found) if gross else None
        if said is None and bool((np.abs(found.signed) > self.tolerance.limit).mean() > _WIDE):
            said = mirror_image(scan_surface(part.posed.points), self._normal.anchor)
        if said is not None and said.shows in INCOMPARABLE:
            return Localization(mismatch=said.said, shows=said.shows)
        stated = f"allowed by the rule book: {self.tolerance.limit:.3g} {self._unit}"
        guard = f"no rule limits it, the checks decide; beyond {self.tolerance.limit:.3g} {self._unit} it is NG"
        note = f"Deviation from the drawing: {stated if self._stated else guard}."
        return Localization(
            tuple(found.maps),
            tuple(found.views),
            notes=(note, *(() if said else found.notes)),
            mismatch="" if said is None else said.said,
            shows="part" if said is None else said.shows,
            seen=_seen(found.coverage, self._normal),
            describe=found.note,
            locate=found.place,
            surface=found.surface,
        )


class FittedScans:
    """Knows how the references of a class differ; its channels are those of `registration.judged`."""

    name = NAME
    identity = f"{NAME}/{SCAN_VERSION}"
    judged_by = f"{NAME} {SCAN_VERSION}"

    def __init__(self, normal: Variation | None, unit: str, gains: NDArray[np.float64] | None = None) -> None:
        """Hold scans against what is normal (None: nothing is known).

        Args:
            normal: what the references say.
            unit: of lengths.
            gains: (CHANNELS,), >= 0: factors of the channels in the maps; None: they count alike.
        """
        self._normal, self._unit, self._gains = normal, unit, gains

    @cached_property
    def tolerance(self) -> Tolerance | None:
        """Of the maps' scores; None with one reference, which says nothing about how much normal parts differ."""
        if self._normal is None or self._normal.count < 2:
            return None
        scores = np.exp(combined(self.level, self._gains)) * self._normal.typical
        return tolerance_from_normals(list(scores), prior_spread=_SPREAD)

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """One a channel."""
        count = 0 if self._normal is None else self._normal.count
        spreads = _LEVEL_SPREADS.get(count, _LEVEL_SPREAD)
        pairs = zip(CHANNELS, spreads, strict=True)
        return tuple(ChannelPrior(f"{NAME} {channel}", _SPREAD, spread) for channel, spread in pairs)

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """(n, CHANNELS): log scores of the references, each held against the others; of a single one what is usual."""
        if self._normal is None:
            return np.zeros((0, len(CHANNELS)))
        return self._normal.level() if self._normal.count > 1 else np.log(_ALONE)[None]

    def localize(self, part: Part) -> Localization:
        """Return a map of every depth view, pictures of the directions that deviate most, and where that is."""
        if self._normal is None or part.posed is None:
            return Localization()
        if part.mismatch is not None:
            return Localization(mismatch=part.mismatch.said, shows=part.mismatch.shows)
        found = scan_deviation(
            part.posed, self._normal, part.views, unit=self._unit, tolerance=self.tolerance, gains=self._gains
        )
        asked = found.gross or found.coverage.partial
        said = _mismatch(part.posed, self._normal, found) if asked else None
        if said is not None and said.shows in INCOMPARABLE:
            return Localization(mismatch=said.said, shows=said.shows)
        maps, log_scores = tuple(found.maps), found.log_scores if not found.coverage.partial else None
        if found.coverage.partial and self.tolerance is not None:
            # A piece is laid on and measured less surely, and what it does not show may be wrong: no OK, and NG only
            # where it is far off.
            sure = is_sure_of_piece(max((one.score for one in maps), default=0.0), self.tolerance.limit)
            maps = maps if sure else tuple(replace(one, tolerance=None) for one in maps)
        return Localization(
            maps,
            tuple(found.views),
            notes=() if said else found.notes,
            mismatch="" if said is None else said.said,
            shows="part" if said is None else said.shows,
            seen=_seen(found.coverage, self._normal),
            log_scores=log_scores,
            describe=found.note,
            locate=found.place,
            surface=found.surface,
        )

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """Return log scores of whole scans, (m, CHANNELS); see `ScoredLocalizer`."""
        normal = self._normal
        if normal is None:
            raise ValueError("there is no reference scan to hold parts against")
        normal = normal if without is None else normal.without(without)
        rows, known = [], None
        for part in parts:
            if part.posed is None:
                raise ValueError("a part without its scan cannot be held against others")
            change = part.change
            if change is None:
                judged = judge(part.posed, normal)[0]
            else:
                if known is None or known[0] is not change.sound:
                    sound = apply(part.posed.pose, change.sound)
                    own = None if without is None else normal.references[without]
                    known = change.sound, know(sound, normal.anchor, own)
                judged = normal.judge(*known[1].changed(part.posed.points, change))
            coverage = seen_again(normal.anchor, judged, by_numbers=change is None)
            rows.append(coverage.counted(judged).log_scores)
        return np.array(rows).reshape(-1, len(CHANNELS))

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> "FittedScans":
        """Return the same with the maps of channels brought to one level; one without weight is left out."""
        used = weights > 0.0 if weights.any() else np.ones(len(weights), dtype=bool)
        return FittedScans(self._normal, self._unit, np.where(used, np.exp(centre[used].mean() - centre), 0.0))


def is_sure_of_piece(score: float, limit: float) -> bool:
    """Whether a scan that shows a piece of a part is NG by its score, where `limit` is that of a whole one."""
    return score > _PARTIAL_LIMIT * limit


def _seen(coverage: Coverage, normal: Variation) -> SeenPart | None:
    """Return what of the part a scan shows; None: all of it."""
    return SeenPart(normal.anchor, ~coverage.unscanned, coverage.share) if coverage.partial else None


def _mismatch(scan: PosedCloud, normal: Variation, found: ScanDeviation) -> Mismatch | None:
    """Return what a scan shows instead of the part; None: it shows that."""
    share = found.coverage.share if found.coverage.partial else None
    return mismatch(scan_surface(scan.points), normal.anchor, share=share)
