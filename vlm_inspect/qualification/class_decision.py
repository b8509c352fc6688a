"""`qualify_class`: a fitted class, with the bounds that its references set."""

from dataclasses import replace

import numpy as np

from converters.clip_stretch import FirstFrames
from converters.sample import VideoClip
from converters.view import ViewBudget
from vlm_inspect.localization.composition import FittedClass
from vlm_inspect.localization.localizer import ScoredLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.qualification.advice import advise
from vlm_inspect.qualification.qualify import Qualification, name_trial, qualify
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.qualification.trial import Progress
from vlm_inspect.references import ReferenceSet

_ENOUGH = 4
"""References of a scan, clip or curve from which on bounds are worth having."""


def qualify_class(
    fitted: FittedClass,
    references: ReferenceSet,
    subject: Subject,
    budget: ViewBudget,
    settings: QualificationSettings,
    progress: Progress = lambda step: None,
) -> FittedClass:
    """Return the class with its bounds, its members weighed by what they see; as it is where it cannot be qualified.

    Args:
        fitted: what judges the class.
        references: that it was fitted to.
        subject: what never counts, and which size matters.
        budget: how many pictures a sample may become.
        settings: which errors are allowed, and how many defects are planted.
        progress: told how many planted defects have been tried.
    """
    members = fitted.scored
    if not fitted.members or settings.planted == 0 or not len(references):
        return fitted
    found = qualify(references, members, subject, budget, settings, progress) if members else None
    if found is None or not members:
        return replace(fitted, advice=_without_bounds(references, subject))
    weighed = tuple(member.weigh(centre, weights) for member, centre, weights in _shares(members, found))
    trial, advice = name_trial(settings), advise(found) or ""
    return replace(fitted, members=weighed, standing_of=found.standing_of, advice=advice, trial=trial)


def _without_bounds(references: ReferenceSet, subject: Subject) -> str:
    """Return what is said of a single scan, clip or curve; empty where several, or a stated limit, set bounds."""
    if len(references) > 1 or subject.deviation_limit is not None:
        return ""
    only = references.samples[0] if references.samples else None
    if isinstance(only, VideoClip) and isinstance(only.frames, FirstFrames):
        return (
            "No part can come out OK: the clip's own beginning does not say how far other normal ones lie from it. "
            "What helps: give normal clips as references, or ask a model with --model."
        )
    return (
        "No part can come out OK: one reference does not say how far other normal ones lie from it. What helps: give "
        f"{_ENOUGH} references or more, or ask a model with --model."
    )


def _shares(
    members: tuple[ScoredLocalizer, ...], found: Qualification
) -> list[tuple[ScoredLocalizer, np.ndarray, np.ndarray]]:
    """Return every member with its part of the centre and of the weights."""
    ends = np.cumsum([len(member.priors) for member in members])
    starts = [0, *ends[:-1]]
    return [
        (member, found.decision.level[start:end], found.decision.weights[start:end])
        for member, start, end in zip(members, starts, ends, strict=True)
    ]
