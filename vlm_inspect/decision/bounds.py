"""How the standing of a part between the bounds of its class enters the decision."""

from collections.abc import Sequence
from dataclasses import replace

from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import RuleOutcome
from vlm_inspect.rules import RuleBook
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.standing import Standing

NEVER = -1.0
"""Threshold of OK where none can be earned: no probability lies below it."""


def relaid(evidence: Evidence, thresholds: Thresholds) -> Evidence:
    """Return the evidence with the part standing where a calibration lays the scores of its surface as a whole."""
    if evidence.standing is None or thresholds.whole is None:
        return evidence
    return replace(evidence, standing=evidence.standing.relaid(thresholds.whole))


def bounded(thresholds: Thresholds, standing: Standing | None, *, by_model: bool) -> Thresholds:
    """Return the thresholds that the score of this part is held against.

    Without a model the score is P(anomalous) of the part's own standing, and the bounds of its class decide; a
    calibration file has its own. With a model the score is pooled, and the general thresholds hold.
    """
    if standing is None or by_model or thresholds.calibrated:
        return thresholds
    ok_below = standing.ok_below_probability
    return replace(
        thresholds,
        ok_below=NEVER if ok_below is None else ok_below,
        ng_above=max(standing.ng_above_probability, 0.0 if ok_below is None else ok_below),
    )


def sensitivity_under(thresholds: Thresholds, standing: Standing | None, *, by_model: bool) -> Sensitivity | None:
    """Return which planted defects would have been held up under the thresholds that decide; None where not known.

    A calibration file moves the bound of OK, and says itself what that holds up. Of an older one, which does not, the
    references' own bounds are a true answer only where they are no stricter.
    """
    if standing is None or by_model or not thresholds.calibrated:
        return None if standing is None else standing.sensitivity
    own = standing.ok_below_probability
    stricter = own is not None and thresholds.ok_below <= own
    return thresholds.sensitivity or (standing.sensitivity if stricter else None)


def between(score: float, used: Thresholds, standing: Standing | None) -> str:
    """Say why a score is neither OK nor NG."""
    if used.ok_below == NEVER and standing is not None:
        missed = round(10 * standing.sensitivity.missed)
        if missed == 0:
            return "no OK can be earned: the references cannot tell surely enough what is normal"
        return f"no OK can be earned: the references would miss {missed} of 10 planted defects"
    low, middle, high = _apart(used.ok_below, score, used.ng_above)
    told = f"the score {middle} lies between {low} (OK) and {high} (NG)"
    return f"{told}; the whole surface is odd" if standing is not None and standing.by_whole else told


def _apart(*values: float) -> list[str]:
    """Return rising numbers with two digits after the point, or as many as tell those apart that differ."""
    for digits in range(2, 7):
        told = [f"{value:.{digits}f}" for value in values]
        if len(set(told)) == len(set(values)):
            break
    return told


def with_likeness(
    rows: Sequence[RuleOutcome], book: RuleBook, score: float, used: Thresholds
) -> tuple[RuleOutcome, ...]:
    """Return the rows of the rules, without a model: one that likeness decides passes with an earned OK alone."""
    by_likeness = {rule.id for rule in book.rules if rule.by == "likeness"}
    if score <= used.ok_below:
        return tuple(rows)
    reason = "Like the references, but not so surely that the part is OK."
    if score >= used.ng_above:
        reason = "Something exceeds its tolerance, but nothing says that it bears on this rule."
    return tuple(
        row.model_copy(update={"status": "cannot_tell", "reason": reason})
        if row.id in by_likeness and row.status == "pass"
        else row
        for row in rows
    )


def unsettled(standing: Standing | None, p_model: float | None, used: Thresholds) -> str | None:
    """Say why a model that finds a part normal does not turn its REVIEW into OK; None where it may.

    The references leave the part open. A model alone settles that only where its own opinion is clear and the
    references agree, in that the part is rather normal than not; or where they cannot see defects at all.
    """
    if standing is None or standing.outcome != "REVIEW":
        return None
    if p_model is not None and p_model > used.ok_below:
        return f"the references leave it open, and the model is not sure (P = {p_model:.2f})"
    if standing.ok_below is not None and standing.probability >= 0.5:
        return f"the model says normal, but by its references the part is rather not (P = {standing.probability:.2f})"
    return None
