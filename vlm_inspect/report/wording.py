"""The words that every report uses: outcomes, sources, places."""

import datetime
from collections.abc import Sequence
from pathlib import PurePath

from vlm_inspect.inspection import DefectOutcome, DefectSource, Inspection, Outcome, RuleOutcome, ViewRecord
from vlm_inspect.report.said_once import SaidOnce
from vlm_inspect.safe_text import plain_line
from vlm_inspect.significant_digits import probability_words, rounded
from vlm_inspect.verdict import RuleStatus

OUTCOME_MEANING: dict[Outcome, str] = {
    "OK": "no rule is broken and nothing stands out",
    "NG": "not in order",
    "REVIEW": "a person must look",
}
STATUS_WORDS: dict[RuleStatus, str] = {
    "pass": "pass",
    "fail": "FAIL",
    "cannot_tell": "cannot tell",
    "not_checked": "not checked",
}
SOURCE_WORDS: dict[DefectSource, str] = {
    "model": "model",
    "heatmap": "heatmap",
    "measurement": "measured",
    "both": "model and heatmap",
}


def part_name(inspection: Inspection) -> str:
    """Return the name of the part's file or folder; empty where it is not known."""
    return plain_line(PurePath(inspection.source).name or inspection.source)


def time_words(inspection: Inspection) -> str:
    """Say when the part was inspected: day and time in UTC, as it was recorded where it is no time."""
    told = inspection.provenance.created_at
    try:
        moment = datetime.datetime.fromisoformat(told)
    except ValueError:
        return plain_line(told)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def where_and_when(inspection: Inspection) -> str:
    """Say the path of the part, where its name is not all of it, and the time."""
    path = plain_line(inspection.source)
    return " · ".join(word for word in ("" if path == part_name(inspection) else path, time_words(inspection)) if word)


def part_words(inspection: Inspection) -> str:
    """Say in one line which part it was: name, path and time."""
    return " · ".join(word for word in (part_name(inspection), where_and_when(inspection)) if word)


def place_words(defect: DefectOutcome, views: Sequence[ViewRecord]) -> str:
    """Say where a defect is: on which view, and where on the part, in mm, s or px."""
    parts = []
    if defect.view is not None:
        label = next((plain_line(view.label) for view in views if view.index == defect.view), "")
        others = ", ".join(str(seen.view) for seen in sorted(defect.seen_on, key=lambda seen: seen.view))
        also = f", also on view{'s' if len(defect.seen_on) > 1 else ''} {others}" if others else ""
        parts.append(f"view {defect.view}" + (f" ({label})" if label else "") + also)
    if defect.point_mm is not None:
        parts.append("at " + ", ".join(f"{v:.2f}" for v in defect.point_mm) + " mm")
    parts += _moments(defect)
    if defect.size_mm is not None:
        parts.append(f"{defect.size_mm:.2g} mm across")
    if defect.source_xyxy is not None and defect.point_mm is None:
        x0, y0, x1, y1 = (round(v) for v in defect.source_xyxy)
        page = f" of page {defect.page + 1}" if defect.page else ""
        parts.append(f"pixels {x0}, {y0} to {x1}, {y1}{page}")
    return "; ".join(parts) or "no place given"


def _moments(defect: DefectOutcome) -> list[str]:
    """Return when a defect is seen, as far as that is known; of a curve in which channel, too."""
    channel = f" in {plain_line(defect.channel)}" if defect.channel is not None else ""
    if defect.time_s is not None:
        frame = f", frame {defect.frame}" if defect.frame is not None else ""
        return [f"at {_seconds(defect.time_s)} s{channel}{frame}"]
    if defect.frame is not None:
        return [f"frame {defect.frame}"]
    return [f"at sample {defect.sample}{channel}"] if defect.sample is not None else []


def _seconds(time_s: float) -> str:
    """Return seconds to three digits, of hours to a tenth: 5.02e+03 s finds no place in a recording."""
    return f"{time_s:.3g}" if abs(time_s) < 100 else f"{time_s:.1f}"


def rule_reason(rule: RuleOutcome, rules: Sequence[RuleOutcome], said: SaidOnce) -> str:
    """Return the reason of a row of the rule table; where it was said before, where that was."""
    reason = plain_line(rule.reason)
    if not reason or said.is_new(reason):
        return reason
    first = next((one for one in rules if plain_line(one.reason) == reason), rule)
    return "see above" if first.id == rule.id else f"as for {plain_line(first.id)}"


def measured_words(rule: RuleOutcome) -> str:
    """Return the measured value of a rule with its unit, or nothing."""
    if rule.measured is None:
        return ""
    return f"{rounded(rule.measured.value, 4)} {plain_line(rule.measured.unit)}".strip()


def score_words(inspection: Inspection) -> str:
    """Say the score and what it is worth."""
    known = "calibrated" if inspection.calibrated else "uncalibrated"
    return f"P(anomalous) {probability_words(inspection.score)}, {known}"


def origin_words(inspection: Inspection) -> str:
    """Say in one line what the answer came from: model, localizer, time, tokens, version."""
    usage = inspection.usage
    parts = [f"model {plain_line(inspection.model)}", f"localizer {plain_line(inspection.localizer)}"]
    parts.append(f"{usage.latency_s:.1f} s")
    if usage.prompt_tokens or usage.completion_tokens:
        parts.append(f"{usage.prompt_tokens} + {usage.completion_tokens} tokens")
    if usage.cost_usd is not None:
        parts.append(f"{usage.cost_usd:.4f} USD")
    parts.append(f"vlm-inspect {plain_line(inspection.provenance.version)}")
    return " · ".join(parts)
