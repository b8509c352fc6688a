"""`LocalizerSum`: several localizers as one, `memory+dapo`.

Maps of different methods have different units. Each is scaled by its own tolerance, so that 1 is how far normal parts
go, and the scaled maps are averaged. The same average of the references' scores, each judged without itself, gives the
tolerance of the sum: it holds for the sum as for any localizer. A map without a tolerance is scaled by a fixed level of
its unit, the same for every part, so that parts and places keep their order; the sum stays uncalibrated.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converters.sample import SampleKind
from vlm_inspect.errors import LocalizerError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.localizer import FittedLocalizer, Localization, Localizer, batch_of, vocabulary_of
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.tolerance import OVERKILL, Tolerance, tolerance_from_normals

LEVELS = {"nats": math.log(2.0), "": 1.0}
"""What maps without a tolerance are divided by, by their unit: P(anomalous) of one half, and a distance of one standard
deviation a channel."""
NORMAL_SPREAD = 0.12
"""Standard deviation of the log score of a sum among normal samples of one class, before any is seen."""


class LocalizerSum:
    """Averages the maps of its members view by view."""

    def __init__(self, members: Sequence[Localizer]) -> None:
        self._members = tuple(members)

    @property
    def name(self) -> str:
        """The names of the members, joined by +."""
        return "+".join(member.name for member in self._members)

    @property
    def members(self) -> tuple[Localizer, ...]:
        """What it adds."""
        return self._members

    @property
    def batch(self) -> int:
        """The largest batch of its members."""
        return max(map(batch_of, self._members))

    @property
    def kinds(self) -> frozenset[SampleKind]:
        """The kinds that every member works for."""
        return frozenset.intersection(*(member.kinds for member in self._members))

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return the words of its first member that has an open vocabulary; see `OpenVocabulary`."""
        return next((words for member in self._members if (words := vocabulary_of(member, subject))), ())

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedSum":
        """Fit every member.

        Raises:
            LocalizerError: a member cannot be used.
        """
        return FittedSum(tuple(member.fit(references, subject) for member in self._members))


class FittedSum:
    """Averages the maps of fitted members."""

    def __init__(self, members: Sequence[FittedLocalizer]) -> None:
        self._members = tuple(members)

    @property
    def name(self) -> str:
        """The names of the members, joined by +."""
        return "+".join(member.name for member in self._members)

    @property
    def judged_by(self) -> str:
        """See `FittedLocalizer.judged_by`."""
        return " + ".join(member.judged_by for member in self._members)

    def localize(self, part: Part) -> Localization:
        """Return one map for each view that any member can judge.

        Raises:
            LocalizerError: a member cannot be used.
        """
        found = [member.localize(part).maps for member in self._members]
        by_view = {
            index: [one for maps in found for one in maps if one.view == index]
            for index in sorted({one.view for maps in found for one in maps})
        }
        return Localization(tuple(add_maps(maps, self.name, tests=len(by_view)) for maps in by_view.values()))


def add_maps(maps: Sequence[AnomalyMap], name: str, *, tests: int) -> AnomalyMap:
    """Return the average of one view's maps, each scaled by its tolerance.

    Args:
        maps: the members' maps, at least one.
        name: what the sum is called.
        tests: number of views of the sample that are judged together.

    Raises:
        LocalizerError: a map has neither a tolerance nor a unit with a known level.
    """
    score_units = [one.tolerance.limit if one.tolerance else _level(one) for one in maps]
    place_units = [t.limit if (t := one.tolerance_of_places) else _level(one) for one in maps]
    values = np.mean([one.values / np.float32(unit) for one, unit in zip(maps, place_units, strict=True)], axis=0)
    typed = next((one for one in maps if one.types is not None), maps[0])
    matched = next((one for one in maps if one.matches is not None), maps[0])
    scores = _normals([one.normal_scores for one in maps], score_units)
    peaks = _normals([one.normal_peaks or one.normal_scores for one in maps], place_units)
    return replace(
        matched,
        values=values.astype(np.float32),
        score=float(np.mean([one.score / unit for one, unit in zip(maps, score_units, strict=True)])),
        source=name,
        unit="",
        tolerance=_tolerance(scores, tests),
        peak_tolerance=_tolerance(peaks, tests),
        types=typed.types,
        notes=tuple(dict.fromkeys(note for one in maps for note in one.notes)),
        normal_scores=scores,
        normal_peaks=peaks,
    )


def _level(one: AnomalyMap) -> float:
    """Return what a map without a tolerance is divided by.

    Not its own highest place: then the highest place of every part would be 1, the normal ones' too.

    Raises:
        LocalizerError: nothing is known of its unit.
    """
    level = LEVELS.get(one.unit)
    if level is None:
        raise LocalizerError(
            f"a map of {one.source} in {one.unit} has no limit to be added by; give at least two references, or name "
            "one localizer"
        )
    return level


def _normals(scores: Sequence[tuple[float, ...]], units: Sequence[float]) -> tuple[float, ...]:
    """Return the averaged scores of the references; none where a member has none, or has judged others."""
    if len({len(of_member) for of_member in scores}) != 1:
        return ()
    scaled = [np.asarray(of_member) / unit for of_member, unit in zip(scores, units, strict=True)]
    return tuple(float(score) for score in np.mean(scaled, axis=0))


def _tolerance(scores: Sequence[float], tests: int) -> Tolerance | None:
    if not scores:
        return None
    return tolerance_from_normals(scores, overkill=OVERKILL / tests, prior_spread=NORMAL_SPREAD)
