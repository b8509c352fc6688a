"""`judge_evidence`: what was measured, as a `Verdict` in words; no language model.

The same evidence gives the same words. The verdict's probability is the heatmap's, and its source says so, so that
fusion counts it once. `as_answer` puts that verdict into the schema that every model answers in, for the record.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters.view import BoxXyxyn, View
from vlm_inspect.answers.answering import answer_question
from vlm_inspect.answers.language import named_language
from vlm_inspect.answers.places import number_places
from vlm_inspect.answers.questions import read_question
from vlm_inspect.answers.record import PartRecord, rule_rows
from vlm_inspect.answers.trust_answers import tell_outcome
from vlm_inspect.decision.defects import is_hot
from vlm_inspect.decision.fusion import Record, fuse
from vlm_inspect.decision.spots import Spot, in_groups, is_one_place, reach_of
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.evidence import Evidence, Measurement, Region
from vlm_inspect.inspection import Inspection, Provenance, Usage
from vlm_inspect.offline.wording import (
    Wording,
    can_none_be_ok,
    is_by_one_reference,
    is_without_heatmap,
    level_of,
    load_wording,
)
from vlm_inspect.rules import Rule, RuleBook
from vlm_inspect.verdict import Defect, RuleResult, Verdict
from vlm_inspect.vocabulary import breaks, circumstances, kinds_of, name_region, severity_of

MAX_UNUSUAL = 3
"""Most places that are shown where nothing is calibrated."""


@dataclass(frozen=True)
class Finding:
    """One region with the word that the evidence supports."""

    region: Region
    word: str
    kinds: tuple[str, ...]
    """What it may be, in words of the vocabulary."""
    sentence: str
    place: str
    also_on: tuple[int, ...] = ()
    """Other views on which this very place is found."""


def judge_evidence(
    evidence: Evidence,
    book: RuleBook,
    views: Sequence[View],
    question: str | None = None,
    language: str | None = None,
    thresholds: Thresholds | None = None,
) -> Verdict:
    """Return what the evidence says of a part.

    Args:
        evidence: what was measured.
        book: the rules; a rule in words fails where the kind of a hot place, or the words for it, bear on it; nobody
            checked the others, unless likeness decides them.
        views: the pictures that the evidence refers to.
        question: the user's own, in one of the languages there are words for; answered as far as the evidence can.
        language: of that answer; None, or a language without words: that of the question.
        thresholds: those that will decide: the words follow them, and the answer names the outcome; None: not known.

    Raises:
        PromptError: the file of its sentences is missing or wrong.
    """
    return _Report(evidence, book, views, load_wording(), thresholds).verdict(question, language)


class _Report:
    """The findings of one part, and what is said of them."""

    def __init__(
        self,
        evidence: Evidence,
        book: RuleBook,
        views: Sequence[View],
        wording: Wording,
        thresholds: Thresholds | None,
    ) -> None:
        self._thresholds = thresholds
        self._evidence, self._book, self._views, self._wording = evidence, book, views, wording
        self._findings = _findings(evidence, book, views, wording)
        self._places = _one_a_place(self._findings, views, wording)
        self._rules = tuple(_judge(rule, evidence, book, self._findings, wording, thresholds) for rule in book.rules)

    def verdict(self, question: str | None, language: str | None = None) -> Verdict:
        """Return all of it."""
        probability = 0.5 if self._evidence.status == "unknown" else self._evidence.probability
        verdict = Verdict(
            anomalous=self._breaks_a_measured_rule() or (probability or 0.0) >= 0.5,
            reasoning=self._reasoning(),
            probability=probability,
            answer=self._summary(),
            rules=self._rules,
            defects=tuple(_defect(finding, self._book) for finding in self._findings),
            source="evidence",
        )
        if not question:
            return verdict
        return replace(verdict, answer=self._reply(question, language, self._inspected(verdict)))

    def _inspected(self, verdict: Verdict) -> Inspection | None:
        """Return what the verdict amounts to; None where the thresholds are not known."""
        if self._thresholds is None:
            return None
        nothing = Provenance(input_sha256="", rules_sha256="", prompt_sha256="", version="", created_at="")
        record = Record(self._book, self._views, "evidence", self._evidence.localizer, Usage(), nothing)
        return fuse(verdict, self._evidence, self._thresholds, record)

    def _breaks_a_measured_rule(self) -> bool:
        pairs = zip(self._rules, self._book.rules, strict=True)
        return any(row.status == "fail" and rule.check is not None and rule.severity != "minor" for row, rule in pairs)

    def _measured(self) -> list[str]:
        rules = (rule for rule in self._book.rules if rule.check is not None)
        return [self._wording.check(rule, _measurement(rule, self._evidence)) for rule in rules]

    def _reasoning(self) -> str:
        wording = self._wording
        said = [wording.identity, self._evidence.mismatch, self._said(), *self._measured()]
        said += [finding.sentence for finding in self._places]
        if not self._findings and self._evidence.status == "within":
            is_inside = level_of(self._evidence, self._thresholds) == "within"
            hottest = None if is_inside else next(iter(self._evidence.regions), None)
            if hottest is not None:
                said.append(self._hottest(hottest))
            else:
                said.append(wording.say("regions", "none" if is_inside else "none_between"))
        return " ".join(sentence for sentence in said if sentence)

    def _said(self) -> str:
        return self._wording.verdict(self._evidence, self._thresholds)

    def _hottest(self, region: Region) -> str:
        place = self._wording.place(region, self._views[region.view].label, self._book.unit)
        return self._wording.hottest(region, place, self._book.unit)

    def _summary(self) -> str:
        """Return the verdict; where and why stand in the reasoning, the rules and the defects."""
        said = [*filter(None, [self._evidence.mismatch]), self._said()]
        pairs = zip(self._rules, self._book.rules, strict=True)
        said += [row.reason for row, rule in pairs if row.status == "fail" and rule.check is not None]
        return " ".join(said)

    def _reply(self, question: str, named: str | None, inspection: Inspection | None) -> str:
        """Return the answer to the user's question, in its language."""
        usual = named_language(named) if named else None
        read = read_question(question, self._book, usual=usual)
        language = usual or read.language
        rules = self._rules if inspection is None else inspection.rules
        told = [(row.id, row.status, row.reason) for row in rules]
        record = PartRecord(
            book=self._book,
            views=self._views,
            evidence=self._evidence,
            rows=rule_rows(self._book, told, self._evidence.measurements),
            numbered=number_places(self._evidence, self._book, self._views),
            inspection=inspection,
        )
        said = answer_question(read, record, language)
        if not read.is_understood:
            said += tell_outcome(record, language, record.places)
        return language.join([*said, language.say("identity")])


def _findings(evidence: Evidence, book: RuleBook, views: Sequence[View], wording: Wording) -> list[Finding]:
    """Return what exceeds its tolerance; where nothing is calibrated, the most unusual places."""
    regions = [region for region in evidence.regions if is_hot(region, evidence)]
    if evidence.status == "unknown" and not regions:
        regions = list(evidence.regions[:MAX_UNUSUAL])
    findings = []
    told = circumstances([one for one in regions if one.calibrated], views, evidence.measurements)
    for region in regions:
        word, kinds = name_region(region, book, told), kinds_of(region, book, told)
        place = wording.place(region, views[region.view].label, book.unit)
        findings.append(Finding(region, word, kinds, wording.region(region, word, place, book.unit), place))
    return findings


def _one_a_place(findings: Sequence[Finding], views: Sequence[View], wording: Wording) -> list[Finding]:
    """Return the clearest finding of each place of the part, with the other views that show it, in the order given."""
    reach = reach_of(views)

    def is_same(a: Finding, b: Finding) -> bool:
        return is_one_place(_spot(a), _spot(b), reach)

    groups = [sorted(group, key=findings.index) for group in in_groups(findings, is_same)]
    return [_with_views(group, wording) for group in sorted(groups, key=lambda group: findings.index(group[0]))]


def _spot(finding: Finding) -> Spot:
    return Spot(finding.region.view, finding.region.box_xyxyn, finding.region.place)


def _with_views(group: Sequence[Finding], wording: Wording) -> Finding:
    first = group[0]
    others = tuple(dict.fromkeys(one.region.view for one in group if one.region.view != first.region.view))
    if not others:
        return first
    said = wording.say("regions", "also_on", sentence=first.sentence.rstrip("."), views=wording.views(sorted(others)))
    return replace(first, sentence=said, also_on=others)


def _judge(
    rule: Rule,
    evidence: Evidence,
    book: RuleBook,
    findings: Sequence[Finding],
    wording: Wording,
    thresholds: Thresholds | None,
) -> RuleResult:
    if rule.check is not None:
        measurement = _measurement(rule, evidence)
        passed = None if measurement is None else measurement.passed
        reason = wording.check(rule, measurement)
        return RuleResult(rule.id, "cannot_tell" if passed is None else "pass" if passed else "fail", reason)
    for finding in findings:
        if finding.region.calibrated and breaks(finding.kinds, f"{finding.word} {finding.region.note}", rule, book):
            return _broken(rule, finding, evidence, wording)
    is_like = evidence.status == "within" and evidence.reference_count > 0
    name = "within" if is_like else "exceeded" if evidence.status == "exceeded" else _why_unknown(evidence)
    if rule.by == "likeness":
        reason = wording.text_rule(f"likeness_{name}", evidence)
        return RuleResult(rule.id, "pass" if is_like else "cannot_tell", reason)
    name = level_of(evidence, thresholds) if is_like else name
    if name == "between" and can_none_be_ok(evidence, thresholds):
        name = "no_ok"
    return RuleResult(rule.id, "not_checked", wording.text_rule(name, evidence))


def _why_unknown(evidence: Evidence) -> str:
    if not evidence.reference_count:
        return "alone"
    if evidence.mismatch and not evidence.maps:
        return "uncompared"
    if is_without_heatmap(evidence):
        return "unlooked"
    return "single" if is_by_one_reference(evidence) else "unknown"


def _broken(rule: Rule, finding: Finding, evidence: Evidence, wording: Wording) -> RuleResult:
    note = finding.region.note.rstrip(".")
    told = wording.say("places", "note", note=note) if note else ""
    word = finding.word if finding.word in finding.kinds or not finding.kinds else wording.either(finding.kinds)
    reason = wording.text_rule("decided", evidence, defect=word[:1].upper() + word[1:], place=finding.place, note=told)
    return RuleResult(rule.id, "fail", reason, finding.region.view)


def _measurement(rule: Rule, evidence: Evidence) -> Measurement | None:
    return next((m for m in evidence.measurements if m.rule_id == rule.id), None)


def _defect(finding: Finding, book: RuleBook) -> Defect:
    region = finding.region
    return Defect(
        type=finding.word,
        severity=severity_of(finding.word, book) if region.calibrated else "minor",
        view=region.view,
        box_xyxyn=region.box_xyxyn,
        description=region.note if region.calibrated else finding.sentence,
    )


def as_answer(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict in the shape of the answer schema."""
    return {
        "reasoning": verdict.reasoning,
        "anomalous": verdict.anomalous,
        "probability": verdict.probability,
        "answer": verdict.answer,
        "rules": [_rule_entry(row) for row in verdict.rules],
        "defects": [_defect_entry(defect) for defect in verdict.defects],
    }


def _rule_entry(row: RuleResult) -> dict[str, Any]:
    status = "cannot_tell" if row.status == "not_checked" else row.status  # the schema of models knows no other word
    entry: dict[str, Any] = {"id": row.id, "status": status, "reason": row.reason}
    return entry if row.view is None else {**entry, "view": row.view}


def _defect_entry(defect: Defect) -> dict[str, Any]:
    return {
        "type": defect.type,
        "view": defect.view,
        "box": None if defect.box_xyxyn is None else _per_mille(defect.box_xyxyn),
        "severity": defect.severity,
        "description": defect.description,
    }


def _per_mille(box_xyxyn: BoxXyxyn) -> list[int]:
    """Return the box rounded outwards, so that the smallest region keeps an area."""
    x0, y0, x1, y1 = box_xyxyn
    left, top = min(int(x0 * 1000), 999), min(int(y0 * 1000), 999)
    right, bottom = min(math.ceil(x1 * 1000), 1000), min(math.ceil(y1 * 1000), 1000)
    return [left, top, max(right, left + 1), max(bottom, top + 1)]
