"""The `evidence` model: no language model; it words what was measured, and says so.

It answers in the schema that every model answers in, so that nothing behind it is special. The same evidence gives the
same words. Its probability is the heatmap's; fusion knows its name and counts it once.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from converters.view import BoxXyxyn
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.decision.defects import is_hot
from vlm_inspect.evidence import Evidence, Measurement, Region
from vlm_inspect.inspection import Usage
from vlm_inspect.offline.wording import Wording, load_wording
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.vocabulary import bears_on, name_region, severity_of

MAX_UNUSUAL = 3
"""Most places that are shown where nothing is calibrated."""


@dataclass(frozen=True)
class Finding:
    """One region with the word that the evidence supports."""

    region: Region
    word: str
    sentence: str
    place: str


class EvidenceBackend:
    """Words the evidence of a request; deterministic, offline, without a language model."""

    @property
    def name(self) -> str:
        """The name in `--model` and in the record."""
        return "evidence"

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Return one reply, whatever `samples` asks for: a second one would be the same words.

        Raises:
            PromptError: the file of its sentences is missing or wrong.
        """
        del samples
        start = time.perf_counter()
        answer = write_report(request, load_wording())
        usage = Usage(latency_s=time.perf_counter() - start, calls=1)
        return [Reply(text=json.dumps(answer, ensure_ascii=False), usage=usage, model=self.name)]


def write_report(request: Request, wording: Wording) -> dict[str, Any]:
    """Return the report in the shape of the answer schema."""
    evidence, book = request.evidence, request.rules
    findings = _findings(request, wording)
    rules = [_judge(rule, evidence, book, findings, wording) for rule in book.rules]
    probability = 0.5 if evidence.status == "unknown" else evidence.probability
    failed = [
        row for row, rule in zip(rules, book.rules, strict=True) if row["status"] == "fail" and rule.check is not None
    ]
    firm = any(rule.severity != "minor" for row in failed if (rule := book.rule(row["id"])) is not None)
    measured = [wording.check(rule, _measurement(rule, evidence)) for rule in book.rules if rule.check is not None]
    reasoning = [wording.identity, wording.verdict(evidence), *measured, *(f.sentence for f in findings)]
    if not findings and evidence.status == "within":
        reasoning.append(wording.say("regions", "none"))
    return {
        "reasoning": " ".join(reasoning),
        "anomalous": firm or (probability or 0.0) >= 0.5,
        "probability": probability,
        "answer": _answer(request, wording, findings, rules),
        "rules": rules,
        "defects": [_defect(finding, book) for finding in findings],
    }


def _findings(request: Request, wording: Wording) -> list[Finding]:
    """Return what exceeds its tolerance; where nothing is calibrated, the most unusual places."""
    evidence, book = request.evidence, request.rules
    regions = [region for region in evidence.regions if is_hot(region, evidence)]
    if evidence.status == "unknown" and not regions:
        regions = list(evidence.regions[:MAX_UNUSUAL])
    findings = []
    for region in regions:
        word = name_region(region, book)
        place = wording.place(region, request.views[region.view].label, book.unit)
        findings.append(Finding(region, word, wording.region(region, word, place, book.unit), place))
    return findings


def _judge(
    rule: Rule, evidence: Evidence, book: RuleBook, findings: Sequence[Finding], wording: Wording
) -> dict[str, Any]:
    """Return one entry of the answer's rules."""
    if rule.check is not None:
        measurement = _measurement(rule, evidence)
        passed = None if measurement is None else measurement.passed
        status = "cannot_tell" if passed is None else "pass" if passed else "fail"
        return {"id": rule.id, "status": status, "reason": wording.check(rule, measurement)}
    if evidence.status == "within" and evidence.reference_count > 0:
        return {"id": rule.id, "status": "pass", "reason": wording.text_rule("within", evidence)}
    if evidence.status != "exceeded":
        return {"id": rule.id, "status": "cannot_tell", "reason": wording.text_rule("unknown", evidence)}
    for finding in findings:
        words = f"{finding.word} {finding.region.note}"
        if bears_on(words, rule, book):
            reason = wording.text_rule("decided", evidence, defect=finding.word, place=finding.place)
            return {"id": rule.id, "status": "fail", "reason": reason, "view": finding.region.view}
    return {"id": rule.id, "status": "cannot_tell", "reason": wording.text_rule("exceeded", evidence)}


def _measurement(rule: Rule, evidence: Evidence) -> Measurement | None:
    return next((m for m in evidence.measurements if m.rule_id == rule.id), None)


def _defect(finding: Finding, book: RuleBook) -> dict[str, Any]:
    region = finding.region
    return {
        "type": finding.word,
        "view": region.view,
        "box": _per_mille(region.box_xyxyn),
        "severity": severity_of(finding.word, book) if region.calibrated else "minor",
        "description": region.note if region.calibrated else finding.sentence,
    }


def _per_mille(box_xyxyn: BoxXyxyn) -> list[int]:
    """Return the box rounded outwards, so that the smallest region keeps an area."""
    x0, y0, x1, y1 = box_xyxyn
    left, top = min(int(x0 * 1000), 999), min(int(y0 * 1000), 999)
    right, bottom = min(math.ceil(x1 * 1000), 1000), min(math.ceil(y1 * 1000), 1000)
    return [left, top, max(right, left + 1), max(bottom, top + 1)]


def _answer(request: Request, wording: Wording, findings: Sequence[Finding], rules: Sequence[dict[str, Any]]) -> str:
    """Return the reply to the user's question as far as the evidence can give one; without a question, the verdict."""
    evidence = request.evidence
    summary = [wording.verdict(evidence)]
    summary += [row["reason"] for row in rules if row["status"] == "fail" and _is_check(row["id"], request.rules)]
    if not request.question:
        return " ".join(summary)  # where and why stand in the reasoning, the rules and the defects
    summary += [finding.sentence for finding in findings[:MAX_UNUSUAL]]
    intents = wording.intents(request.question)
    if not intents:
        return " ".join([wording.say("answers", "unknown"), *summary])
    if {"what", "verdict"} & set(intents):  # the summary says where, too
        intents = [intent for intent in intents if intent != "where"]
    said = [_reply(intent, request, wording, findings, rules, summary) for intent in intents]
    return " ".join([*dict.fromkeys(said), wording.identity])


def _is_check(rule_id: str, book: RuleBook) -> bool:
    rule = book.rule(rule_id)
    return rule is not None and rule.check is not None


def _reply(
    intent: str,
    request: Request,
    wording: Wording,
    findings: Sequence[Finding],
    rules: Sequence[dict[str, Any]],
    summary: Sequence[str],
) -> str:
    evidence, book = request.evidence, request.rules
    calibrated = [f for f in findings if f.region.calibrated]
    if intent == "where":
        places = "; ".join(f.sentence.rstrip(".") for f in findings)
        return (
            wording.say("answers", "where", places=f"{places}.") if findings else wording.say("answers", "where_none")
        )
    if intent == "size":
        sizes = [f"{f.word}{wording.size(f.region, book.unit)}" for f in findings if f.region.place.size_mm is not None]
        return (
            wording.say("answers", "size", sizes="; ".join(sizes) + ".")
            if sizes
            else wording.say("answers", "size_none")
        )
    if intent == "count":
        failed = sum(m.passed is False for m in evidence.measurements)
        return wording.say("answers", "count", count=len(calibrated), failed=failed)
    if intent == "rule":
        return _rules_reply(wording, rules)
    if intent == "sure":
        known = evidence.status != "unknown"
        return wording.sureness(evidence) if known else wording.say("answers", "sure_none")
    if intent == "measure":
        measured = [wording.check(rule, _measurement(rule, evidence)) for rule in book.rules if rule.check is not None]
        return (
            wording.say("answers", "measure", measured=" ".join(measured))
            if measured
            else wording.say("answers", "measure_none")
        )
    return " ".join(summary)


def _rules_reply(wording: Wording, rules: Sequence[dict[str, Any]]) -> str:
    failed = [row["id"] for row in rules if row["status"] == "fail"]
    unknown = [row["id"] for row in rules if row["status"] == "cannot_tell"]
    said = [wording.say("answers", "rule", rules=", ".join(failed)) if failed else wording.say("answers", "rule_none")]
    if unknown:
        said.append(wording.say("answers", "rule_open", rules=", ".join(unknown)))
    return " ".join(said)
