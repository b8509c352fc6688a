"""Cases for other programs: one JSON object a case, or one CSV row a case."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from vlm_inspect.safe_text import table_cell
from vlm_inspect.store.case import Case, Correction, Judgement, Turn
from vlm_inspect.store.records import to_json

COLUMNS = (
    "id",
    "created_at",
    "source",
    "class_name",
    "outcome",
    "score",
    "calibrated",
    "failed_rules",
    "defects",
    "review_reasons",
    "question",
    "answer",
    "model",
    "localizer",
    "input_sha256",
    "rules_sha256",
    "prompt_sha256",
    "version",
    "serial",
    "judged",
    "judged_by",
    "judged_at",
    "judged_reason",
)


def case_values(
    case: Case, turns: Sequence[Turn], corrections: Sequence[Correction], judgements: Sequence[Judgement]
) -> dict[str, Any]:
    """Return a case as JSON values: its inspection in the contract's shape, and what people said and judged of it."""
    return {
        "id": case.id,
        "created_at": case.created_at,
        "source": str(case.source),
        "class_name": case.rules.class_name,
        "question": case.question,
        "serial": case.serial,
        "inspection": case.inspection.model_dump(mode="json"),
        "rules": case.rules.text,
        "template": case.template,
        "thresholds": asdict(case.thresholds),
        "replies": json.loads(to_json(case.replies)),
        "input": list(case.input_names),
        "settings": dict(case.settings),
        "turns": [asdict(turn) for turn in turns],
        "corrections": [asdict(correction) for correction in corrections],
        "judgements": [asdict(judgement) for judgement in judgements],
    }


def csv_text(cases: Iterable[tuple[Case, Sequence[Judgement]]]) -> str:
    """Return the lines of `csv_lines` as one text."""
    return "".join(csv_lines(cases))


def csv_lines(cases: Iterable[tuple[Case, Sequence[Judgement]]]) -> Iterator[str]:
    """Yield the cases as CSV (RFC 4180) after a header; its text drives no terminal, and no cell is a formula.

    Args:
        cases: each with what people judged of it; the last judgement has columns. One after the other is taken.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    yield buffer.getvalue()
    for case, judgements in cases:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(_safe(value) for value in _row(case) + _judged(judgements))
        yield buffer.getvalue()


def _row(case: Case) -> tuple[object, ...]:
    told = case.inspection
    return (
        case.id,
        case.created_at,
        str(case.source),
        case.rules.class_name,
        told.outcome,
        told.score,
        told.calibrated,
        "; ".join(rule.id for rule in told.rules if rule.status == "fail"),
        "; ".join(defect.type for defect in told.defects),
        "; ".join(reason.rstrip(".") for reason in told.review_reasons),
        case.question or "",
        told.answer,
        told.model,
        told.localizer,
        told.provenance.input_sha256,
        told.provenance.rules_sha256,
        told.provenance.prompt_sha256,
        told.provenance.version,
        case.serial or "",
    )


def _judged(judgements: Sequence[Judgement]) -> tuple[object, ...]:
    if not judgements:
        return ("", "", "", "")
    last = judgements[-1]
    return last.outcome, last.by, last.created_at, last.reason


def _safe(value: object) -> object:
    if not isinstance(value, str):
        return value
    return table_cell(value)
