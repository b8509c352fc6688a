"""The answer object -> `Verdict`, field by field. What is mended or dropped becomes a warning, never a guess."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from converters.view import BoxXyxyn, View
from vlm_inspect.backends.box_conventions import BoxFrame
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.answer_json import NEGATIVE_KEYS, POSITIVE_KEYS, AnswerObject, normalise_keys
from vlm_inspect.parsing.boxes import BOX_KEYS, read_box
from vlm_inspect.parsing.prose import says_anomalous
from vlm_inspect.parsing.reply_text import clean_text
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Defect, RuleResult, RuleStatus, Severity, Verdict

MAX_TEXT = 8000
"""Longest text that a field keeps, in characters."""

_TRUE = frozenset({"true", "yes", "y", "1", "anomalous", "anomaly", "defective", "ng", "abnormal", "t"})
_FALSE = frozenset({"false", "no", "n", "0", "normal", "ok", "none", "not anomalous", "non-anomalous", "f"})
_PASS = frozenset(
    {"pass", "passed", "passes", "ok", "okay", "true", "yes", "satisfied", "met", "normal", "compliant", "1"}
)
_FAIL = frozenset(
    {"fail", "failed", "fails", "ng", "not ok", "false", "no", "violated", "not met", "not satisfied", "broken", "0"}
    | {"anomalous", "defective", "non-compliant", "rejected", "reject"}
)
_UNKNOWN = frozenset(
    {
        "cannot_tell",
        "cannot tell",
        "can't tell",
        "unknown",
        "unclear",
        "uncertain",
        "n/a",
        "na",
        "not applicable",
        "none",
    }
    | {"not visible", "undetermined", "inconclusive", "null", "unsure", "skip", "skipped", "", "?"}
)
_NOTHING = re.compile(r"\s*(?:|n/a|\[\]|(?:no|none|nothing|not any|without)\b.*)\s*\Z", re.IGNORECASE | re.DOTALL)
_SEVERITIES: Mapping[str, Severity] = {
    **dict.fromkeys(("critical", "severe", "high", "fatal", "serious"), "critical"),
    **dict.fromkeys(("major", "medium", "moderate"), "major"),
    **dict.fromkeys(("minor", "low", "cosmetic", "slight", "negligible"), "minor"),
}


def read_answer(answer: AnswerObject, rules: RuleBook, views: Sequence[View], frame: BoxFrame) -> Verdict:
    """Return the verdict that an answer object states.

    Raises:
        ParseError: the verdict field does not say yes or no, or two of them contradict ("unreadable").
    """
    fields, warnings = answer.fields, list[str]()
    anomalous = _verdict(fields)
    return Verdict(
        anomalous=anomalous,
        reasoning=_text(_first(fields, "reasoning", "reason", "explanation", "rationale")),
        probability=_stated_probability(fields, anomalous, warnings),
        answer=_text(_first(fields, "answer", "response")),
        rules=_rules(_first(fields, "rules", "rule_results"), rules, views, warnings),
        defects=_defects(_first(fields, "defects", "anomalies", "regions"), views, frame, warnings),
        path=answer.path,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def read_number(raw: Any) -> float | None:
    """Return a finite number, from a number or from text such as "90%" (0.9); None for anything else."""
    if isinstance(raw, str):
        match = re.fullmatch(r"\s*[~≈]?\s*([+-]?\d*\.?\d+(?:e[+-]?\d+)?)\s*(%?)\s*", raw, re.IGNORECASE)
        number = float(match[1]) / (100 if match[2] else 1) if match else math.nan
        return number if math.isfinite(number) else None
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        return None
    try:
        number = float(raw)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _verdict(fields: Mapping[str, Any]) -> bool:
    said = {key: _truth(fields[key]) for key in (*POSITIVE_KEYS, *NEGATIVE_KEYS) if key in fields}
    votes = {value if key in POSITIVE_KEYS else not value for key, value in said.items() if value is not None}
    if len(votes) == 1:
        return votes.pop()
    if votes:
        why = "contradicts itself: " + ", ".join(f"{key} is {str(fields[key])[:40]}" for key in said)
    else:
        key = next(iter(said))
        why = f'does not decide: "{key}" is {str(fields[key])[:80]!r}'
    raise ParseError(f"The model's reply {why}.", reply_text=str(fields), cause="unreadable")


def _truth(raw: Any) -> bool | None:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, (int, float)):
        return bool(raw) if raw in (0, 1) else None
    if not isinstance(raw, str):
        return None
    word = raw.strip().strip(".!\"'*").lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    return True if says_anomalous(raw) else None


def _stated_probability(fields: Mapping[str, Any], anomalous: bool, warnings: list[str]) -> float | None:
    raw = _first(fields, "probability", "anomaly_probability", "probability_anomalous", "anomaly_score")
    if raw is not None:
        return _probability(raw, warnings)
    confidence = _probability(fields["confidence"], warnings) if fields.get("confidence") is not None else None
    if confidence is None:
        return None
    warnings.append("a confidence in the verdict was read as a probability")
    return confidence if anomalous else 1.0 - confidence


def _probability(raw: Any, warnings: list[str]) -> float | None:
    number = read_number(raw)
    if number is not None and 2.0 <= number <= 100.0:
        warnings.append(f"probability {raw} was read as per cent")
        number /= 100.0
    if number is None or not 0.0 <= number <= 1.0:
        warnings.append(f"probability {str(raw)[:40]!r} is none and was dropped")
        return None
    return number


def _rules(raw: Any, book: RuleBook, views: Sequence[View], warnings: list[str]) -> tuple[RuleResult, ...]:
    known = {_plain_id(rule.id): rule.id for rule in book.rules}
    results: dict[str, RuleResult] = {}
    for fields in _rule_entries(raw, warnings):
        said = _text(_first(fields, "id", "rule", "rule_id", "name"))
        rule_id = said if book.rule(said) else known.get(_plain_id(said))
        if rule_id is None:
            warnings.append(f"unknown rule id {said[:64]!r} was dropped")
            continue
        result = RuleResult(
            id=rule_id,
            status=_status(_first(fields, "status", "result", "verdict", "passed", "pass"), rule_id, warnings),
            reason=_text(_first(fields, "reason", "reasoning", "explanation", "comment")),
            view=_view_number(fields.get("view"), views, warnings),
        )
        earlier = results.get(rule_id)
        if earlier is not None and earlier.status != result.status:
            warnings.append(f"rule {rule_id} was answered twice, with two statuses")
            result = RuleResult(rule_id, "cannot_tell", "The model gave two statuses for this rule.")
        results[rule_id] = result if earlier is None or earlier.status != result.status else earlier
    return tuple(results.values())


def _rule_entries(raw: Any, warnings: list[str]) -> list[dict[str, Any]]:
    """Return one mapping per rule, from a list of mappings, a list of "id: status", or a mapping id -> status."""
    if raw is None:
        return []
    if isinstance(raw, Mapping):
        if "id" in raw and "status" in raw:
            return [normalise_keys(raw)]
        pairs = [(key, value) for key, value in raw.items()]
        return [
            {**normalise_keys(value), "id": str(key)}
            if isinstance(value, Mapping)
            else {"id": str(key), "status": value}
            for key, value in pairs
        ]
    entries: list[dict[str, Any]] = []
    for item in raw if isinstance(raw, (list, tuple)) else [raw]:
        if isinstance(item, Mapping):
            entries.append(normalise_keys(item))
        elif isinstance(item, str) and ":" in item:
            rule_id, status = item.split(":", 1)
            entries.append({"id": rule_id.strip(), "status": status.strip()})
        else:
            warnings.append(f"a rule result that cannot be read was dropped: {str(item)[:60]}")
    return entries


def _status(raw: Any, rule_id: str, warnings: list[str]) -> RuleStatus:
    word = _text(raw).strip(".!*\"' ").lower()
    if word in _PASS:
        return "pass"
    if word in _FAIL:
        return "fail"
    if raw is not None and word not in _UNKNOWN:
        warnings.append(f"status {word[:40]!r} of rule {rule_id} is none; it counts as cannot_tell")
    return "cannot_tell"


def _defects(raw: Any, views: Sequence[View], frame: BoxFrame, warnings: list[str]) -> tuple[Defect, ...]:
    if isinstance(raw, Mapping):
        raw = [raw]
    if isinstance(raw, str):
        raw = [] if _NOTHING.match(raw) else [raw]
    defects = []
    for item in raw if isinstance(raw, (list, tuple)) else []:
        if isinstance(item, Mapping):
            defects.append(_defect(normalise_keys(item), views, frame, warnings))
        elif isinstance(item, str) and item.strip():
            defects.append(Defect(type=_text(item)[:100]))
        elif item is not None:
            warnings.append(f"a defect that cannot be read was dropped: {str(item)[:60]}")
    return tuple(defects)


def _defect(fields: Mapping[str, Any], views: Sequence[View], frame: BoxFrame, warnings: list[str]) -> Defect:
    said = _first(fields, "view", "view_index", "image", "image_index")
    view = 0 if said is None and len(views) == 1 else _view_number(said, views, warnings)
    word = _text(fields.get("severity")).strip().lower()
    if word and word not in _SEVERITIES:
        warnings.append(f"severity {word[:40]!r} is none; it counts as major")
    score = read_number(_first(fields, "score", "probability", "confidence"))
    return Defect(
        type=_text(_first(fields, "type", "name", "label", "category", "defect"))[:100] or "unnamed defect",
        severity=_SEVERITIES.get(word, "major"),
        view=view,
        box_xyxyn=_box(fields, view, views, frame, warnings),
        description=_text(_first(fields, "description", "reason", "detail", "details")),
        score=score if score is not None and 0.0 <= score <= 1.0 else None,
    )


def _box(
    fields: Mapping[str, Any], view: int | None, views: Sequence[View], frame: BoxFrame, warnings: list[str]
) -> BoxXyxyn | None:
    key = next((k for k in (frame.convention.key, *BOX_KEYS) if fields.get(k)), None)
    if key is None:
        return None
    if view is None:
        warnings.append("a box without a view was dropped")
        return None
    return read_box(fields[key], key, frame.convention, frame.size_of(view, views[view].size_hw), warnings)


def _view_number(raw: Any, views: Sequence[View], warnings: list[str]) -> int | None:
    """Return the index of a view, from a number, "view 2" or the view's label."""
    if raw is None:
        return None
    number = read_number(raw)
    if isinstance(raw, str) and number is None:
        match = re.fullmatch(r"\s*(?:view|image|picture|photo)?\s*#?(\d{1,6})\s*", raw, re.IGNORECASE)
        labels = [index for index, view in enumerate(views) if view.label.lower() == raw.strip().lower()]
        number = float(match[1]) if match else labels[0] if len(labels) == 1 else None
    if number is None or number != int(number) or not 0 <= number < len(views):
        warnings.append(f"view {str(raw)[:40]!r} does not exist; views are 0 to {len(views) - 1}")
        return None
    return int(number)


def _first(fields: Mapping[str, Any], *keys: str) -> Any:
    """Return the first of these fields that is there and not null."""
    return next((fields[key] for key in keys if fields.get(key) is not None), None)


def _text(raw: Any) -> str:
    """Return a field as text: lists joined by blanks, null as "", cut to `MAX_TEXT`."""
    if raw is None:
        return ""
    if isinstance(raw, (list, tuple)):
        return " ".join(_text(item) for item in raw)[:MAX_TEXT]
    return clean_text(str(raw))[:MAX_TEXT]


def _plain_id(rule_id: str) -> str:
    return re.sub(r"[\s_.-]+", "-", rule_id.strip().lower())
