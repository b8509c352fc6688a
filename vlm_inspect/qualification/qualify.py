"""`qualify`: from a class's references to what decides about its parts, and to what would have been found."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.view import ViewBudget
from vlm_inspect.array_cache import Arrays, key_of, user_cache
from vlm_inspect.localization.localizer import ScoredLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.planting.design import WHOLE_KINDS
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.qualification.trial import Progress, Trial, planted_on, run_trial, unit_of
from vlm_inspect.references import ReferenceSet
from vlm_inspect.sensitivity.bounds import MISSED, OVERKILL
from vlm_inspect.sensitivity.learning import ChannelPrior, Decision, learn_decision
from vlm_inspect.sensitivity.planted_scores import PlantedScores
from vlm_inspect.sensitivity.record import Sensitivity, record_sensitivity
from vlm_inspect.sensitivity.standing import Standing, standing_of

VERSION = 8
"""Changes whenever a remembered trial would no longer be what this code tries."""
LEARNING_VERSION = 4
"""Changes whenever the same trial would give other weights, bounds or odds: calibration files rest on these."""
TRIAL_VERSION = f"{VERSION}.{LEARNING_VERSION}"


@dataclass(frozen=True, eq=False)
class Qualification:
    """What the references of a class can decide."""

    decision: Decision
    sensitivity: Sensitivity
    trial: Trial
    responses: NDArray[np.float64]
    """(m,): log score that each planted defect gives a part that is otherwise usual."""

    @property
    def found(self) -> NDArray[np.bool_]:
        """(m,): which planted defects would have been held up.

        Where no OK can be earned: if every usual part were called OK.
        """
        return np.asarray(self.responses > self.decision.bounds.passing)

    def standing_of(self, log_scores: NDArray[np.float64]) -> Standing:
        """Return where a part with these log scores (C,) stands."""
        return standing_of(log_scores, self.decision, self.sensitivity)


def qualify(
    references: ReferenceSet,
    members: Sequence[ScoredLocalizer],
    subject: Subject,
    budget: ViewBudget,
    settings: QualificationSettings,
    progress: Progress = lambda step: None,
) -> Qualification | None:
    """Try out what the references can decide; None where nothing can be planted on them.

    The trial is slow, so it is remembered under the content of the references and all that moves scores.

    Args:
        references: at least one.
        members: what judges the class, fitted to these references.
        subject: what never counts, and which size matters.
        budget: how many pictures a sample may become.
        settings: which errors are allowed, and how many defects are planted.
        progress: told how many have been tried.
    """
    trial = _remembered(references, members, subject, budget, settings, progress)
    if trial is None:
        return None
    trial = replace(trial, unit=unit_of(references.parts[0].sample, subject.unit))
    priors = [prior for one in members for prior in one.priors]
    return learn_qualification(trial, priors, len(references), overkill=settings.overkill, missed=settings.missed)


def name_trial(settings: QualificationSettings) -> str:
    """Return by which planted defects bounds are learned, for people to read: other ones set other bounds."""
    count = "" if settings.planted is None else f", {settings.planted} of them"
    seed = f", seed {settings.seed}" if settings.seed else ""
    return f"planted defects {TRIAL_VERSION}{count}{seed}"


def learn_qualification(
    trial: Trial, priors: Sequence[ChannelPrior], references: int, *, overkill: float = OVERKILL, missed: float = MISSED
) -> Qualification:
    """Return what a trial says."""
    decision, responses = learn_decision(trial.level, trial.planted, priors, overkill=overkill, missed=missed)
    return qualification_of(decision, trial, responses, references)


def qualification_of(
    decision: Decision, trial: Trial, responses: NDArray[np.float64], references: int
) -> Qualification:
    """Return the qualification that these bounds amount to."""
    bounds = decision.bounds
    found = responses > bounds.passing
    matter = trial.planted.matter
    sensitivity = record_sensitivity(
        trial.planted.kinds,
        np.where(trial.planted.whole, np.nan, trial.planted.sizes),
        found,
        references=references,
        earns_ok=bounds.earns_ok,
        matters=trial.matters,
        missed=float((~found[matter]).mean()) if matter.any() else 1.0,
        unit_per_share=trial.unit_per_share,
    )
    return Qualification(decision, sensitivity.model_copy(update={"unit": trial.unit}), trial, responses)


def _remembered(
    references: ReferenceSet,
    members: Sequence[ScoredLocalizer],
    subject: Subject,
    budget: ViewBudget,
    settings: QualificationSettings,
    progress: Progress,
) -> Trial | None:
    if not references.sha256:  # only views are at hand: nothing to plant on, nothing to remember it by
        return None
    sample = references.parts[0].sample
    count = settings.planted or (0 if sample is None else planted_on(sample.kind, len(references)))
    planted = repr((budget, subject.ignore, subject.smallest_defect, count, settings.seed))
    key = key_of("trial", str(VERSION), planted, list(references.sha256), [one.identity for one in members])
    channels = sum(len(one.priors) for one in members)
    return user_cache().value(
        "trials",
        key,
        lambda: run_trial(references, members, subject, budget, count=count, seed=settings.seed, progress=progress),
        pack_trial,
        lambda arrays: unpack_trial(arrays, channels, len(references)),
    )


def pack_trial(trial: Trial | None) -> Arrays:
    """Return a trial as named arrays; an empty one for None."""
    if trial is None:
        return {"none": np.zeros(0)}
    names = list(dict.fromkeys(trial.planted.kinds))
    return {
        "level": trial.level,
        "names": np.frombuffer("\n".join(names).encode(), np.uint8),
        "kinds": np.array([names.index(kind) for kind in trial.planted.kinds]),
        "sizes": trial.planted.sizes,
        "matter": trial.planted.matter,
        "owners": trial.planted.owners,
        "rises": trial.planted.rises,
        "unit": np.array([np.nan if trial.unit_per_share is None else trial.unit_per_share]),
        "matters": np.array(trial.matters),
    }


def unpack_trial(arrays: Arrays, channels: int, references: int) -> Trial | None:
    """Return the trial that `pack_trial` took apart.

    Raises:
        KeyError, ValueError, TypeError: the arrays are not those of a trial.
    """
    if "none" in arrays:
        return None
    names = arrays["names"].tobytes().decode().split("\n")
    kinds = tuple(names[int(index)] for index in arrays["kinds"])
    level, rises = np.asarray(arrays["level"], np.float64), np.asarray(arrays["rises"], np.float64)
    columns = [np.asarray(arrays[name]) for name in ("sizes", "matter", "owners")]
    if level.shape != (references, channels) or rises.shape != (len(kinds), channels):
        raise ValueError("the arrays of a remembered trial do not fit its references")
    if any(len(column) != len(kinds) for column in columns) or not np.isfinite(level).all():
        raise ValueError("the arrays of a remembered trial do not fit each other")
    unit, (low, high) = float(arrays["unit"][0]), (float(end) for end in arrays["matters"])
    whole = np.array([kind in WHOLE_KINDS for kind in kinds], bool)
    sizes, matter, owners = columns[0].astype(float), columns[1].astype(bool), columns[2].astype(int)
    planted = PlantedScores(kinds, sizes, matter, owners, rises, whole)
    return Trial(level, planted, None if np.isnan(unit) else unit, (low, high))
