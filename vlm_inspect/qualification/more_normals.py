"""What normal parts beside the references add: bounds from their scores, and from defects planted on some of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.digest import sha256_of
from converters.registry import read
from converters.view import ViewBudget
from vlm_inspect.array_cache import key_of, user_cache
from vlm_inspect.localization.localizer import ScoredLocalizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.qualification.qualify import (
    VERSION,
    Qualification,
    pack_trial,
    qualification_of,
    unpack_trial,
)
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.qualification.stands import stands_of
from vlm_inspect.qualification.trial import PLANTED, Progress, Trial, plan_trial, try_on_normals
from vlm_inspect.references import ReferenceSet
from vlm_inspect.sensitivity.learning import MoreNormals, with_normals

PLANTED_ON = 30
"""Most normal parts that are planted on: four defects each."""


def with_more_normals(
    found: Qualification,
    judged: NDArray[np.float64],
    on_normals: Trial | None,
    *,
    anomalous: NDArray[np.float64] | None = None,
    settings: QualificationSettings,
) -> Qualification:
    """Return the qualification with bounds from more normal parts than its references; its trial has the defects that
    were planted on both.

    Args:
        found: what the references can decide.
        judged: (N, 1 + K) scores of normal parts that are no references, as of `Decision.judged`; N >= 1.
        on_normals: defects planted on some of them; None: those on the references alone count.
        anomalous: (r, 1 + K) of really anomalous parts; None: none are known.
        settings: which errors are allowed.
    """
    trial = found.trial
    grounds = trial.level[:0] if on_normals is None else on_normals.level
    planted = None if on_normals is None else on_normals.planted
    more = MoreNormals(judged, grounds, planted, anomalous)
    decision, responses, tried = with_normals(
        found.decision, trial.level, trial.planted, more, overkill=settings.overkill, missed=settings.missed
    )
    both = replace(trial, level=np.concatenate([trial.level, grounds]), planted=tried)
    return qualification_of(decision, both, responses, found.sensitivity.references)


def plant_on_normals(
    paths: Sequence[Path],
    references: ReferenceSet,
    members: Sequence[ScoredLocalizer],
    subject: Subject,
    budget: ViewBudget,
    settings: QualificationSettings,
    trial: Trial,
    progress: Progress = lambda step: None,
) -> Trial | None:
    """Return defects planted on some of these normal photographs; None for other kinds of parts, where it takes long.

    Remembered like the trial of the references.

    Args:
        paths: files of normal parts that are no references.
        references: that the members were fitted to.
        members: what judges the class.
        subject: what never counts.
        budget: how many pictures a sample may become.
        settings: how many defects are planted on the references, and by which seed.
        trial: of the references.
        progress: told how many have been tried.

    Raises:
        ConversionError: a part cannot be read.
    """
    first = references.parts[0].sample
    count = PLANTED["image"] if settings.planted is None else settings.planted
    if first is None or first.kind != "image" or not count:
        return None
    known = sorted((sha256_of(path), path) for path in paths)[:PLANTED_ON]  # the same ones in whatever order they come
    planted = repr((budget, subject.ignore, trial.matters, count, settings.seed))
    digests = [*references.sha256, *(digest for digest, _ in known)]
    key = key_of("trial on normals", str(VERSION), planted, digests, [one.identity for one in members])
    channels = sum(len(one.priors) for one in members)

    def run() -> Trial | None:
        stands = stands_of([read(path, as_kind="image") for _, path in known], references, subject)
        if not stands:
            return None
        plan = plan_trial(stands, trial.matters, count=count, seed=settings.seed + 1)
        stage = references.stage
        return try_on_normals(stands, plan, members, stage, budget, subject, matters=trial.matters, progress=progress)

    return user_cache().value(
        "trials", key, run, pack_trial, lambda arrays: unpack_trial(arrays, channels, len(arrays.get("level", ())))
    )
