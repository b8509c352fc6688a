"""`fuse`: the model's opinion and the measured evidence -> one `Inspection`. Pure: no file, no clock, no model.

How the outcome comes about; the first line that applies decides:

    1. NG      a check of a critical or major rule fails, whatever the model says
    2. REVIEW  the opinion is in doubt: unreadable, its answers disagree, it contradicts itself, or it and the
               calibrated heatmap contradict each other, or an uncalibrated one points elsewhere (`agreement.py`)
    3. REVIEW  something stays open: a critical or major rule that could not be told, or that the model did not check,
               a minor rule that fails; unless the calibrated heatmap exceeds its tolerance and the score is that of NG
    4.         the score: NG, REVIEW between the thresholds, or OK; without a model the thresholds are the bounds of
               the class (`sensitivity/bounds.py`), with one an OK also needs what `unsettled` asks for

The score is P(anomalous): the logarithmic opinion pool of the model's probability and the heatmap's,

    logit(score) = (w_m logit(p_m) + w_h logit(p_h)) / (w_m + w_h)

(Genest & Zidek, Combining Probability Distributions, Statistical Science 1(1), 1986, section 3). A failed check of a
critical or major rule lifts it to `FAILED_CHECK_SCORE` at least, so that score and outcome never disagree.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from converters.view import View
from vlm_inspect.decision.agreement import agreeing, points_elsewhere
from vlm_inspect.decision.bounds import between, bounded, relaid, sensitivity_under, unsettled, with_likeness
from vlm_inspect.decision.defects import FAILED_CHECK_SCORE, DefectList, collect_defects
from vlm_inspect.decision.events import record_curve_events, record_events
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence, Measurement
from vlm_inspect.inspection import (
    HypothesisRecord,
    Inspection,
    Measured,
    Outcome,
    Provenance,
    RuleOutcome,
    StepRecord,
    Usage,
    ViewRecord,
)
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.verdict import Verdict

UNSTATED = 0.9
"""P(anomalous) of a model that says anomalous and no probability; 1 - 0.9 where it says normal."""
PASSED_CHECKS_SCORE = 0.1
"""P(anomalous) of a part of which nothing but checks was asked for, where all of them pass: they say nothing of the
rest of it."""
_MODEL_P = (0.02, 0.98)
"""A model's probability counts inside these: no language model is as sure as it says."""
_HEATMAP_P = (1e-6, 1 - 1e-6)


@dataclass(frozen=True, eq=False)
class Record:
    """What an inspection keeps beside the decision."""

    rules: RuleBook
    views: Sequence[View]
    model: str
    localizer: str
    usage: Usage
    provenance: Provenance
    question: str | None = None
    source: str = ""
    """Path of the part as it was given."""
    notes: tuple[str, ...] = ()
    """What else there is to say of how the opinion came about."""
    steps: tuple[StepRecord, ...] = ()
    """Every step, of an examination of more than one."""
    hypotheses: tuple[HypothesisRecord, ...] = ()
    """Of an agent."""


def fuse(opinion: Verdict | ParseError, evidence: Evidence, thresholds: Thresholds, record: Record) -> Inspection:
    """Return the inspection that the opinion and the evidence amount to.

    Args:
        opinion: the model's verdict, or why its reply carries none.
        evidence: what was measured.
        thresholds: weights of model and heatmap, and the scores between which lies REVIEW.
        record: rules, views and provenance.
    """
    evidence = relaid(evidence, thresholds)
    verdict = opinion if isinstance(opinion, Verdict) else None
    rules = judge_rules(opinion, evidence, record.rules)
    found = collect_defects(verdict, evidence, record.rules, record.views)
    failed = [r for r in rules if r.source == "measurement" and r.status == "fail" and r.severity != "minor"]
    p_model, p_heatmap = probabilities(verdict, evidence)
    by_model = is_by_model(opinion)
    measured_only = not by_model and _is_measured_only(rules, evidence)
    score = PASSED_CHECKS_SCORE if measured_only else pool_score(p_model, p_heatmap, thresholds)
    used = bounded(thresholds, evidence.standing, by_model=by_model)
    doubts = [*_doubts_of_opinion(opinion, found, p_model, used)]
    if verdict is not None and verdict.by_model:
        doubts += _contradictions(verdict, rules, evidence, score, used)
        doubts += points_elsewhere(found.agreement, verdict)
    gaps = [] if measured_only else [*_gaps(rules, evidence, opinion, by_score=score >= used.ng_above)]
    gaps += [evidence.mismatch] if evidence.mismatch else []  # no OK for what may be another part
    rules = rules if by_model else with_likeness(rules, record.rules, score, used)
    outcome, reasons = _decide(
        score,
        used,
        failed=failed,
        doubts=doubts,
        gaps=gaps,
        hot=evidence.status == "exceeded",
        between=between(score, used, evidence.standing),
    )
    if outcome == "OK" and by_model and (reason := unsettled(evidence.standing, p_model, used)) is not None:
        outcome, reasons = "REVIEW", [reason]
    besides = [*agreeing(found.agreement), *([] if outcome == "REVIEW" else [*doubts, *gaps])]
    besides = [one for one in besides if by_model or one != evidence.mismatch]  # the measurements' own answer says it
    if outcome == "OK" and not is_by_model(opinion):
        besides.append(_basis_of_ok(rules, evidence))
    return Inspection(
        outcome=outcome,
        score=max(score, FAILED_CHECK_SCORE) if failed else score,
        calibrated=thresholds.calibrated,
        answer=_answer(opinion, record.question),
        reasoning=verdict.reasoning if verdict is not None else str(opinion),
        review_reasons=_in_order(reasons, evidence.mismatch),
        rules=rules,
        defects=found.defects,
        unconfirmed=found.unconfirmed,
        events=record_events(evidence.curve),
        curve_events=record_curve_events(evidence.sample_curve),
        views=tuple(
            ViewRecord(index=index, kind=view.kind, size_hw=view.size_hw, label=view.label)
            for index, view in enumerate(record.views)
        ),
        notes=tuple(dict.fromkeys((*record.notes, *_notes(verdict, evidence, thresholds, found, besides)))),
        source=record.source,
        model=record.model,
        localizer=record.localizer,
        usage=record.usage,
        steps=record.steps,
        hypotheses=record.hypotheses,
        provenance=record.provenance,
        sensitivity=sensitivity_under(thresholds, evidence.standing, by_model=by_model),
    )


def _in_order(reasons: Sequence[str], first: str) -> tuple[str, ...]:
    """Return reasons, each once; that the input shows something else comes before what follows from it."""
    return tuple(dict.fromkeys([*(one for one in reasons if one == first), *reasons]))


def judge_rules(opinion: Verdict | ParseError, evidence: Evidence, book: RuleBook) -> tuple[RuleOutcome, ...]:
    """Return one row per rule: a check by its measurement alone, a free text by the opinion."""
    measured = {m.rule_id: m for m in evidence.measurements}
    return tuple(
        _of_check(rule, measured.get(rule.id)) if rule.check is not None else _of_text(rule, opinion)
        for rule in book.rules
    )


def pool_score(p_model: float | None, p_heatmap: float | None, thresholds: Thresholds) -> float:
    """Return P(anomalous) in [0, 1] from what is known; 0.5 where nothing is.

    Args:
        p_model: the model's own probability, or None.
        p_heatmap: that of the hottest calibrated map, or None.
        thresholds: the two weights; they are scaled to sum to 1 over what is known.
    """
    if p_model is None or p_heatmap is None:
        alone = p_heatmap if p_model is None else p_model
        return 0.5 if alone is None else min(1.0, max(0.0, alone))
    model_weight, heatmap_weight = thresholds.model_weight, thresholds.heatmap_weight
    if model_weight + heatmap_weight <= 0:
        model_weight = heatmap_weight = 0.5
    model, heatmap = pooled_log_odds(p_model, p_heatmap)
    log_odds = model_weight * model + heatmap_weight * heatmap
    return 1.0 / (1.0 + math.exp(-log_odds / (model_weight + heatmap_weight)))


def pooled_log_odds(p_model: float, p_heatmap: float) -> tuple[float, float]:
    """Return the log-odds of model and heatmap as they enter the pool."""
    return _logit(p_model, _MODEL_P), _logit(p_heatmap, _HEATMAP_P)


def _of_check(rule: Rule, measurement: Measurement | None) -> RuleOutcome:
    if measurement is None:
        return RuleOutcome(
            id=rule.id,
            status="cannot_tell",
            reason="It was not measured.",
            severity=rule.severity,
            source="measurement",
        )
    value = measurement.value
    usable = value is not None and math.isfinite(value)
    passed = measurement.passed if usable else None
    return RuleOutcome(
        id=rule.id,
        status="cannot_tell" if passed is None else "pass" if passed else "fail",
        reason=measurement.reason,
        severity=rule.severity,
        source="measurement",
        measured=Measured(value=value, unit=measurement.unit) if value is not None and usable else None,
    )


def _of_text(rule: Rule, opinion: Verdict | ParseError) -> RuleOutcome:
    said = None
    reason = "The model's reply could not be used."
    if isinstance(opinion, Verdict):
        said = next((result for result in opinion.rules if result.id == rule.id), None)
        reason = "The model left this rule out." if said is None else said.reason
    return RuleOutcome(
        id=rule.id,
        status="cannot_tell" if said is None else said.status,
        reason=reason,
        severity=rule.severity,
        source="model" if is_by_model(opinion) else "heatmap",
    )


def is_by_model(opinion: Verdict | ParseError) -> bool:
    """Return whether an opinion is a model's own: a reply that could not be read is, too."""
    return not isinstance(opinion, Verdict) or opinion.by_model


def probabilities(verdict: Verdict | None, evidence: Evidence) -> tuple[float | None, float | None]:
    """Return P(anomalous) of the model and of the heatmap, in [0, 1]; each None where it is not known.

    Args:
        verdict: the opinion; None where the reply could not be read. One that words the evidence counts once, as the
            heatmap's, and by where the part stands now, which a calibration made later may move.
        evidence: what was measured.
    """
    if verdict is None:
        return None, evidence.probability
    stated = verdict.probability
    if stated is not None and not math.isfinite(stated):
        stated = None
    if not verdict.by_model:
        return None, stated if evidence.standing is None else evidence.probability
    if stated is None:
        stated = UNSTATED if verdict.anomalous else 1 - UNSTATED
    return stated, evidence.probability


def _doubts_of_opinion(
    opinion: Verdict | ParseError, found: DefectList, p_model: float | None, thresholds: Thresholds
) -> Iterable[str]:
    """Yield why the opinion cannot be relied on, whatever was measured."""
    if isinstance(opinion, ParseError):
        yield str(opinion)
        return
    yield from opinion.doubts
    if p_model is None:
        return
    if opinion.anomalous and p_model <= thresholds.ok_below:
        yield f"the model says anomalous, but gives it a probability of {p_model:.2f}"
    if not opinion.anomalous and p_model >= thresholds.ng_above:
        yield f"the model says normal, but gives anomalous a probability of {p_model:.2f}"
    if opinion.anomalous and opinion.defects and found.ignored == len(opinion.defects):
        yield "every defect that the model names lies in an ignored area"


def _contradictions(
    verdict: Verdict, rules: Sequence[RuleOutcome], evidence: Evidence, score: float, thresholds: Thresholds
) -> Iterable[str]:
    """Yield where the model contradicts itself or the calibrated heatmap."""
    p_heatmap = evidence.probability
    if verdict.anomalous:
        if _is_clear(evidence, thresholds):
            yield f"the model says anomalous, but the heatmap stays inside its tolerance (P = {p_heatmap:.2f})"
        elif score <= thresholds.ok_below:
            yield f"the model says anomalous, but the score is only {score:.2f}"
        return
    if evidence.status == "exceeded":
        yield f"the model says normal, but the heatmap exceeds its tolerance (P = {p_heatmap:.2f})"
    elif score >= thresholds.ng_above:
        yield f"the model says normal, but the score is {score:.2f}"
    for rule in rules:
        if rule.source == "model" and rule.status == "fail" and rule.severity != "minor":
            yield f"the model says normal, but fails rule {rule.id}"
    for defect in verdict.defects:
        if defect.severity != "minor":
            yield f"the model says normal, but names a defect: {defect.type}"


def _is_clear(evidence: Evidence, thresholds: Thresholds) -> bool:
    """Tell whether the references call the part OK."""
    if evidence.standing is not None:
        return evidence.standing.outcome == "OK"
    return evidence.probability is not None and evidence.probability <= min(thresholds.ok_below, 0.5)


def _gaps(
    rules: Sequence[RuleOutcome], evidence: Evidence, opinion: Verdict | ParseError, *, by_score: bool
) -> list[str]:
    """Return what stays open, so that the part cannot be called OK."""
    by_model, gaps = is_by_model(opinion), list[str]()
    for rule in rules:
        if rule.severity != "minor" and rule.status == "cannot_tell":
            gaps.append(f"{rule.severity} rule {rule.id} could not be told: {rule.reason}")
        elif rule.severity != "minor" and rule.status == "not_checked" and by_model:
            gaps.append(f"{rule.severity} rule {rule.id} was not checked: {rule.reason}")
        elif rule.status == "fail" and rule.severity == "minor":
            gaps.append(f"minor rule {rule.id} fails: {rule.reason}")
    if by_model:
        return gaps
    if evidence.status == "unknown" and not (evidence.mismatch and not evidence.maps):  # the mismatch says why
        gaps.append(_uncompared(evidence))
    if evidence.status == "exceeded" and not by_score:
        gaps.append("the heatmap exceeds its tolerance")
    elif evidence.has_hot_place and not by_score:
        gaps.append("a place exceeds its own bound")
    return gaps


def _is_measured_only(rules: Sequence[RuleOutcome], evidence: Evidence) -> bool:
    """Tell whether nothing but checks was asked for (no heatmap, no rule in words), and every one of them passes."""
    asked_for_checks = evidence.localizer == "none" and not evidence.maps
    return asked_for_checks and bool(rules) and all(r.source == "measurement" and r.status == "pass" for r in rules)


def _basis_of_ok(rules: Sequence[RuleOutcome], evidence: Evidence) -> str:
    """Say what an OK without a model rests on."""
    count = evidence.reference_count
    rests = [f"likeness to {count} reference{'s' if count > 1 else ''}"] if evidence.maps else []
    measured = [rule.id for rule in rules if rule.source == "measurement" and rule.status == "pass"]
    unread = [rule.id for rule in rules if rule.status == "not_checked"]
    rests += [f"measured rules ({', '.join(measured)})"] if measured else []
    told = f"this OK rests on {' and '.join(rests)}"
    return f"{told}; no model read the rules in words: {', '.join(unread)}" if unread else told


def _uncompared(evidence: Evidence) -> str:
    """Say why the references do not decide."""
    if evidence.reference_count == 0:
        return "there is no reference to compare with"
    if evidence.localizer == "none" and not evidence.maps:
        return "no heatmap was made, so nothing was compared with the references"
    if evidence.reference_count == 1 and not evidence.incomplete:
        return "one reference does not tell how much normal parts differ; give more normal ones as references"
    return "not every view could be compared with a reference"


def _decide(
    score: float,
    thresholds: Thresholds,
    *,
    failed: Sequence[RuleOutcome],
    doubts: Sequence[str],
    gaps: Sequence[str],
    hot: bool,
    between: str,
) -> tuple[Outcome, list[str]]:
    """Return the outcome and the reasons to review, in the order of the module's docstring."""
    if failed:
        return "NG", []
    if doubts:
        return "REVIEW", [*doubts, *gaps]
    by_score = score >= thresholds.ng_above
    if gaps and not (by_score and hot):
        return "REVIEW", list(gaps)
    if by_score:
        return "NG", []
    if score > thresholds.ok_below:
        return "REVIEW", [between]
    return "OK", []


def _answer(opinion: Verdict | ParseError, question: str | None) -> str:
    if isinstance(opinion, ParseError):
        return f"There is no answer. {opinion}"
    if opinion.answer:
        return opinion.answer
    return opinion.reasoning if question is None else f"The model did not answer the question. {opinion.reasoning}"


def _notes(
    verdict: Verdict | None, evidence: Evidence, thresholds: Thresholds, found: DefectList, besides: Sequence[str]
) -> tuple[str, ...]:
    notes = [*evidence.notes, *_told_words(evidence), *(verdict.warnings if verdict is not None else ()), *besides]
    if found.ignored:
        notes.append(f"{found.ignored} of the model's defects lie in an ignored area and do not count")
    if not thresholds.calibrated:
        notes.append(_uncalibrated(evidence))
    elif thresholds.leave_no_ok:
        notes.append("no part is OK with this calibration file; calibrate again with more normal parts")
    return tuple(dict.fromkeys(notes))


def _told_words(evidence: Evidence) -> tuple[str, ...]:
    if evidence.worded is None:
        return ()
    said = f"the heatmap was made again with what was said of the part: {', '.join(evidence.worded.words)}"
    return (said, *evidence.worded.notes)


def _uncalibrated(evidence: Evidence) -> str:
    if evidence.standing is None:
        return "uncalibrated: thresholds and weights are the defaults, not those of a calibration file"
    told = evidence.standing.sensitivity
    references = "one reference" if told.references == 1 else f"{told.references} references"
    return f"uncalibrated: the bounds come from {references} and {told.planted} planted defects"


def _logit(probability: float, limits: tuple[float, float]) -> float:
    inside = min(limits[1], max(limits[0], probability))
    return math.log(inside / (1 - inside))
