"""`calibrate`: inspect parts known to be normal, and set the thresholds at which they would hold up a stated share.

scores     = the fused score of every normal part            inspector.py
weights    = of model and heatmap, from labelled parts       weights.py, only where anomalous parts are given
ok_below   = the conformal bound of the normal scores        conformal.py
ng_above   = above every normal score, 0.6 at least: between the two lies doubt

Without a model both are drawn tighter by what was learned from planted defects: the normal parts give the level and
the spread of their scores anew, of odd places and of the surface as a whole; defects are planted on some of them, too
(photographs); and from these and the responses to planted defects follow the bounds of OK and NG
(`sensitivity/bounds.py`), laid over each other as for the references. Real anomalous parts count among the planted
ones: they shift the bound of OK, and never by more than one defect in so many can.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.digest import sha256_of
from vlm_inspect.calibration.conformal import Bound, conformal_bound, parts_needed
from vlm_inspect.calibration.intervals import overkill_interval
from vlm_inspect.calibration.weights import learn_weights
from vlm_inspect.calibration_file import Calibration
from vlm_inspect.class_reports.class_report import qualify_inspector
from vlm_inspect.decision.fusion import is_by_model, pooled_log_odds, probabilities
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import CalibrationError
from vlm_inspect.examination import Examination
from vlm_inspect.ignored import blanked
from vlm_inspect.inspection import Inspection
from vlm_inspect.inspector import Inspector
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.qualification.more_normals import plant_on_normals, with_more_normals
from vlm_inspect.qualification.qualify import Qualification
from vlm_inspect.references import reference_digests
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.standing import Standing
from vlm_inspect.verdict import Verdict

ASKED = 0.05
"""Overkill where none is asked for."""
Progress = Callable[[int, int, Path], None]


@dataclass(frozen=True)
class CalibrationRun:
    """A calibration, and what it was made from."""

    calibration: Calibration
    bound: Bound
    outcomes: dict[str, int]
    """How many of the normal parts are OK, REVIEW and NG under the new thresholds."""
    held_up: tuple[tuple[Path, Inspection], ...]
    """The normal parts that are not OK, worst first."""
    left_out: tuple[Path, ...]
    """Parts that are references, or copies of other parts: they say nothing new."""
    caught: int | None
    """How many of the anomalous parts are not OK; None where none were given."""
    anomalous: int
    sensitivity: Sensitivity | None = None
    """Which planted defects the new bounds would have held up; None where a model was asked."""

    @property
    def leaves_none_ok(self) -> bool:
        """Whether every normal part scores above the bound of OK: no new one will be OK."""
        ok_below = self.calibration.ok_below
        return not self.outcomes.get("OK") and all(inspection.score > ok_below for _, inspection in self.held_up)


def calibrate(
    inspector: Inspector,
    normals: Sequence[Path],
    *,
    overkill: float = ASKED,
    missed: float | None = None,
    anomalous: Sequence[Path] = (),
    progress: Progress = lambda done, of, path: None,
    say: Callable[[str], None] = lambda step: None,
) -> CalibrationRun:
    """Return thresholds at which at most a share `overkill` of new normal parts is held up by its score.

    Args:
        inspector: with the rules, references, model and localizer that shall be used later.
        normals: files of normal parts, none of them a reference.
        overkill: the share, in (0, 0.5].
        missed: share of planted defects that may be called OK, in (0, 0.5); None: that of the inspector's settings.
        anomalous: files of anomalous parts; with them the weights of model and heatmap are learnt, too.
        progress: told how many parts are done, of how many, and which comes next.
        say: told what is done after that.

    Raises:
        CalibrationError: too few parts for that share, or for weights.
        ConversionError, InspectError: a part cannot be read or inspected; none is skipped.
    """
    parts, left_out = _new_parts(inspector, normals)
    if len(parts) < parts_needed(overkill):
        _refuse_few(len(parts), len(left_out), overkill)  # before hours of work
    others, copies = _new_parts(inspector, anomalous)
    done = [
        _examine(inspector, path, i, len(parts) + len(others), progress) for i, path in enumerate([*parts, *others])
    ]
    normal, odd = done[: len(parts)], done[len(parts) :]
    weights = _weights(normal, odd) if others and is_by_model(normal[0].opinion) else Thresholds()
    asked = inspector.qualification.missed if missed is None else missed
    found = _qualified(inspector, parts, normal, odd, asked, say)
    weights = weights if found is None else replace(weights, whole=found.decision.whole.lays)
    bound = conformal_bound([one.under(weights).score for one in normal], overkill)
    worst = max(one.under(weights).score for one in normal)
    thresholds = replace(
        weights,
        ok_below=min(1.0, bound.score),
        ng_above=min(1.0, max(Thresholds().ng_above, math.nextafter(worst, 2.0), bound.score)),
        calibrated=True,
    )
    judged = list(zip(parts, normal, strict=True))
    if found is None:
        return _run(inspector, thresholds, overkill, bound, judged, odd, left_out + copies)
    standing = normal[0].evidence.standing
    assert standing is not None
    drawn = _earned(thresholds, found, standing)
    run = _run(inspector, drawn, overkill, bound, judged, odd, left_out + copies)
    told = run.calibration.model_copy(update={"asked_missed": asked, "sensitivity": found.sensitivity})
    return replace(run, calibration=told, sensitivity=found.sensitivity)


def _qualified(
    inspector: Inspector,
    parts: Sequence[Path],
    normal: Sequence[Examination],
    odd: Sequence[Examination],
    missed: float,
    say: Callable[[str], None],
) -> Qualification | None:
    """Return what the references can decide by these normal parts and by planted defects; None where a model decides,
    or the references have no bounds."""
    standings = [one.evidence.standing for one in normal]
    if is_by_model(normal[0].opinion) or any(one is None for one in standings):
        return None
    references, fitted, found = qualify_inspector(inspector, say)
    subject = subject_of(inspector.rules)
    seen = references.seen_by(lambda views: blanked(views, subject.ignore))
    settings = inspector.qualification.model_copy(update={"missed": missed})
    on_normals = plant_on_normals(
        parts, seen, fitted.scored or (), subject, inspector.budget, settings, found.trial, say
    )
    judged = _judged(standings)
    real = _judged([one.evidence.standing for one in odd]).reshape(-1, judged.shape[1])
    return with_more_normals(found, judged, on_normals, anomalous=real, settings=settings)


def _judged(standings: Sequence[Standing | None]) -> NDArray[np.float64]:
    """Return the scores (n, 1 + K) that parts were judged by; see `Decision.judged`."""
    return np.array([(one.places, *one.wholes) for one in standings if one is not None], np.float64)


def _earned(thresholds: Thresholds, found: Qualification, standing: Standing) -> Thresholds:
    """Return the thresholds that these bounds allow, on the scale of probability on which parts stand."""
    bounds = found.decision.bounds
    ok_below = standing.probability_of(bounds.ok_below) if bounds.earns_ok else 0.0
    ok_below = min(thresholds.ok_below, ok_below)
    return replace(thresholds, ok_below=ok_below, ng_above=max(ok_below, standing.probability_of(bounds.ng_above)))


def _run(
    inspector: Inspector,
    thresholds: Thresholds,
    overkill: float,
    bound: Bound,
    normal: Sequence[tuple[Path, Examination]],
    odd: Sequence[Examination],
    left_out: tuple[Path, ...],
) -> CalibrationRun:
    judged = [(path, one.under(thresholds)) for path, one in normal]
    held_up = sorted(((p, i) for p, i in judged if i.outcome != "OK"), key=lambda pair: -pair[1].score)
    rate = len(held_up) / len(judged)
    calibration = Calibration(
        rules_sha256=inspector.rules.scoring_sha256,
        references_sha256=tuple(reference_digests(inspector.references)),
        localizer=normal[0][1].record.localizer,
        judged_by=normal[0][1].judged_by,
        views=inspector.budget,
        n=len(judged),
        overkill=rate,
        overkill_ci95=overkill_interval(len(held_up), len(judged)),
        asked_overkill=overkill,
        ok_below=thresholds.ok_below,
        ng_above=thresholds.ng_above,
        whole=thresholds.whole,
        model_weight=thresholds.model_weight,
        heatmap_weight=thresholds.heatmap_weight,
    )
    outcomes = {name: sum(i.outcome == name for _, i in judged) for name in ("OK", "REVIEW", "NG")}
    caught = sum(one.under(thresholds).outcome != "OK" for one in odd) if odd else None
    return CalibrationRun(calibration, bound, outcomes, tuple(held_up), left_out, caught, len(odd))


def _refuse_few(parts: int, left_out: int, overkill: float) -> None:
    """Say that too few parts are new, and why some that were given do not count; raises CalibrationError."""
    try:
        conformal_bound([0.0] * parts, overkill)
    except CalibrationError as error:
        if not left_out:
            raise
        given = (
            "1 that was given is a reference or a copy and does"
            if left_out == 1
            else (f"{left_out} that were given are references or copies and do")
        )
        raise CalibrationError(f"{error}; {given} not count") from error


def _new_parts(inspector: Inspector, paths: Sequence[Path]) -> tuple[list[Path], tuple[Path, ...]]:
    """Return the parts that are no reference and no copy of another, and the rest."""
    seen = set(reference_digests(inspector.references))
    kept: list[Path] = []
    left_out: list[Path] = []
    for path in paths:
        digest = sha256_of(path)
        (left_out if digest in seen else kept).append(path)
        seen.add(digest)
    return kept, tuple(left_out)


def _examine(inspector: Inspector, path: Path, index: int, count: int, progress: Progress) -> Examination:
    progress(index, count, path)
    examined = inspector.examine(path)
    evidence = examined.evidence
    if evidence.mismatch and not evidence.maps:
        raise CalibrationError(f"{path} cannot be compared with the references, leave it out: {evidence.mismatch}")
    return examined


def _weights(normal: Sequence[Examination], odd: Sequence[Examination]) -> Thresholds:
    """Return the default thresholds with weights learnt from the parts on which model and heatmap have an opinion."""
    rows, labels = [], []
    for label, examinations in ((False, normal), (True, odd)):
        for one in examinations:
            verdict = one.opinion if isinstance(one.opinion, Verdict) else None
            p_model, p_heatmap = probabilities(verdict, one.evidence)
            if p_model is not None and p_heatmap is not None:
                rows.append(pooled_log_odds(p_model, p_heatmap))
                labels.append(label)
    if not rows:
        raise CalibrationError("weights need a calibrated heatmap: give at least two references, or no anomalous parts")
    model, heatmap = learn_weights(rows, labels)
    return replace(Thresholds(), model_weight=model, heatmap_weight=heatmap)
