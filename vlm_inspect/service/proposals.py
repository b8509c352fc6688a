"""Corrections that a person asks for, as proposals; and proposals as JSON values."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.chat.corrections import Proposal
from vlm_inspect.chat.dialogue import Dialogue
from vlm_inspect.chat.flips import Flips
from vlm_inspect.errors import RuleError
from vlm_inspect.service.station import Station

_MOST_LISTED = 50
Unit = float


class Correction(BaseModel):
    """What shall change in the rule book."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["rule", "remove_rule", "defect", "ignore"]
    reason: str = Field(default="", max_length=2_000)
    rule_id: str | None = Field(default=None, min_length=1, max_length=100)
    text: str | None = Field(default=None, min_length=1, max_length=2_000)
    severity: Literal["critical", "major", "minor"] | None = None
    measure: str | None = Field(default=None, max_length=100)
    minimum: float | None = None
    maximum: float | None = None
    view: int | None = Field(default=None, ge=0, le=10_000)
    box_xyxyn: tuple[Unit, Unit, Unit, Unit] | None = None


def propose(dialogue: Dialogue, wanted: Correction) -> Proposal:
    """Return a correction as a proposal; nothing is changed.

    Raises:
        RuleError: something is missing, or the result would be no rule book.
    """
    makers: Mapping[str, Callable[[Dialogue, Correction], Proposal]] = {
        "rule": _rule,
        "remove_rule": _removal,
        "defect": _defect,
        "ignore": _ignored,
    }
    return makers[wanted.kind](dialogue, wanted)


def proposal_values(number: int, proposal: Proposal, flips: Flips, station: Station) -> dict[str, Any]:
    """Return a proposal, its difference, and the kept cases that it would turn."""
    turned = [
        {"id": one.case_id, "name": one.source, "before": one.before, "now": one.now, "because": one.because}
        for one in flips.flips[:_MOST_LISTED]
    ]
    told = {
        "number": number,
        "kind": proposal.kind,
        "title": proposal.title,
        "reason": proposal.reason,
        "diff": proposal.diff,
        "compared": flips.compared,
        "turned": len(flips.flips),
        "flips": turned,
        "own": flips.own,
        "untold": list(flips.untold[:_MOST_LISTED]),
        "calibration_lost": _is_calibration_lost(proposal, station),
    }
    values: dict[str, Any] = station.path_free.values(told)
    return values


def _is_calibration_lost(proposal: Proposal, station: Station) -> bool:
    """Return whether the calibration of the rule book fits now, and would not after the change."""
    name = proposal.path.stem
    if name not in station.books.names() or not station.books.is_calibrated(name):
        return False
    return proposal.kind == "reference" or proposal.new.scoring_sha256 != proposal.old.scoring_sha256


def _rule(dialogue: Dialogue, wanted: Correction) -> Proposal:
    bounds = {"measure": wanted.measure, "min": wanted.minimum, "max": wanted.maximum}
    check = {name: value for name, value in bounds.items() if value is not None}
    rule_id = _needed(wanted.rule_id, "rule_id", wanted)
    return dialogue.corrector.propose_rule(
        rule_id, wanted.text, severity=wanted.severity, check=check, reason=wanted.reason
    )


def _removal(dialogue: Dialogue, wanted: Correction) -> Proposal:
    return dialogue.corrector.propose_removal(_needed(wanted.rule_id, "rule_id", wanted), reason=wanted.reason)


def _defect(dialogue: Dialogue, wanted: Correction) -> Proposal:
    return dialogue.corrector.propose_defect(_needed(wanted.text, "text", wanted), reason=wanted.reason)


def _ignored(dialogue: Dialogue, wanted: Correction) -> Proposal:
    if wanted.view is None or wanted.box_xyxyn is None:
        raise RuleError("a place to ignore needs view and box_xyxyn")
    x0, y0, x1, y1 = wanted.box_xyxyn
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1) or wanted.view >= len(dialogue.case.views):
        raise RuleError("box_xyxyn is x0, y0, x1, y1 from 0 to 1 with x0 < x1 and y0 < y1, on a view that is there")
    return dialogue.corrector.propose_ignore(wanted.view, (x0, y0, x1, y1), reason=wanted.reason)


def _needed(value: str | None, name: str, wanted: Correction) -> str:
    if not value:
        raise RuleError(f"{name} is missing; a correction of kind {wanted.kind} needs it")
    return value
