"""Examples of planted defects with their heat: what a sensitivity rests on, to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import View, ViewBudget
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.composition import FittedClass
from vlm_inspect.localization.subject import Subject
from vlm_inspect.qualification.qualify import Qualification
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.qualification.stands import StandIns, set_up
from vlm_inspect.qualification.trial import plan_trial, planted_on
from vlm_inspect.references import ReferenceSet

_EACH_KIND = 2


@dataclass(frozen=True, eq=False)
class Example:
    """One planted defect."""

    kind: str
    size_pct: float
    found: bool
    view: View
    """The view with the most heat, defect included."""
    heat: AnomalyMap | None
    mask: NDArray[np.bool_] | None
    """(H, W) of the view: where it lies; None where it was not planted on this picture."""


def show_examples(
    references: ReferenceSet,
    fitted: FittedClass,
    qualification: Qualification,
    subject: Subject,
    budget: ViewBudget,
    settings: QualificationSettings,
) -> list[Example]:
    """Return two planted defects of every kind as the class sees them: one that was found and one that was not.

    They are the same as in the trial, but judged with their own reference in the memory, so their heat is a little
    lower where they do not lie.
    """
    stands = set_up(references, subject)
    if not stands:
        return []
    count = settings.planted or planted_on(stands[0].sample.kind, len(references))
    plan = plan_trial(stands, qualification.trial.matters, count=count, seed=settings.seed)
    found = qualification.found
    examples = []
    for number in _chosen([one.kind for one in plan], found.tolist()):
        stand = stands[plan[number].reference]
        part, planted = StandIns(stand, references.stage, budget, subject).planted(plan[number])
        seen = [one.localize(part) for one in fitted.members]
        maps = [one for finding in seen for one in finding.maps]
        hottest = max(maps, key=_height, default=None)
        view = part.views[hottest.view if hottest is not None else 0]
        whole = planted.mask is not None and planted.mask.shape == view.size_hw
        examples.append(
            Example(
                kind=plan[number].kind,
                size_pct=100 * planted.size,
                found=bool(found[number]),
                view=view,
                heat=hottest,
                mask=planted.mask if whole else None,
            )
        )
    return examples


def _height(one: AnomalyMap) -> float:
    tolerance = one.tolerance_of_places
    peak = float(one.values.max(initial=0.0))
    return peak if tolerance is None else peak / tolerance.limit


def _chosen(kinds: Sequence[str], found: Sequence[bool]) -> list[int]:
    """Return numbers of examples: of every kind the first that was found and the first that was not."""
    chosen = []
    for kind in dict.fromkeys(kinds):
        own = [number for number, one in enumerate(kinds) if one == kind]
        first = [next((number for number in own if found[number] == said), None) for said in (True, False)]
        known = [number for number in first if number is not None]
        others = [number for number in own if number not in known]
        chosen += [*known, *others][:_EACH_KIND]
    return chosen
