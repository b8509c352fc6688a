"""`ScanLocalizer`: the measured deviation of a scan from its references, as a localizer."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from converters.sample import SampleKind
from vlm_inspect.array_cache import content_of, key_of, user_cache
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.scan_deviation import ReferenceSurfaces, prepare_references, scan_deviation
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import SCAN_VERSION, Part, ReferenceSet
from vlm_inspect.registration.alignment import PosedCloud

NAME: Final = "deviation"


class ScanLocalizer:
    """Compares points with points, in the unit of the scan; finds nothing without reference scans."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"point_cloud"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedScans":
        """Make the surfaces of the references ready; their scores against each other are kept from run to run."""
        posed = references.posed
        ready = prepare_references(posed, _remembered_scores(posed)) if posed else None
        return FittedScans(ready, subject.unit)


class FittedScans:
    """Knows the surfaces of the references and how far they differ."""

    name = NAME

    def __init__(self, surfaces: ReferenceSurfaces | None, unit: str) -> None:
        """Compare with these surfaces (None: with nothing); lengths are in `unit`."""
        self._surfaces, self._unit = surfaces, unit

    def localize(self, part: Part) -> Localization:
        """Return a map of every depth view, and pictures of the directions that deviate most."""
        if self._surfaces is None or part.posed is None:
            return Localization()
        found = scan_deviation(part.posed, self._surfaces, part.views, unit=self._unit)
        return Localization(
            tuple(found.maps), tuple(found.views), describe=lambda view, box: found.note(view, box, self._unit)
        )


def _remembered_scores(posed: Sequence[PosedCloud]) -> Callable[[Callable[[], list[float]]], list[float]]:
    """Return what looks up the scores of these references against each other, and computes them where they are new."""

    def remember(compute: Callable[[], list[float]]) -> list[float]:
        key = key_of(SCAN_VERSION, "scores", [content_of(one.points) for one in posed])
        found = user_cache().array("scans", key, (len(posed),), lambda: np.array(compute()))
        return [float(score) for score in found]

    return remember
