"""Which items the page shows: the worst misses, the worst overkills, and the closest calls among the rest."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.runs.finished_run import FinishedRun
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import DefectTypeCounts
from evaluation.scoring.outcomes import outcome_of

FIRST = 6
"""Of each kind shown at once; the others fold."""
_JPEG = b"\xff\xd8"
_NAMED = 3


@dataclass(frozen=True)
class Case:
    """One item as the page shows it."""

    record: ItemRecord
    wrong: bool
    threshold: float
    margin: float
    """How far its score lies on the wrong side of the threshold; of failed items more than any score allows."""
    picture: str | None
    """Data URL of its preview; None where none was kept."""


@dataclass(frozen=True)
class Cases:
    """Those of one label, the worst first."""

    wrong: tuple[Case, ...]
    close: tuple[Case, ...]
    """Neither missed nor overkill, yet the nearest to it."""
    total: int
    """Mistakes in all; more than `wrong` holds, since not every preview is kept."""
    of: int


def find_cases(run: FinishedRun, *, anomalous: bool) -> Cases:
    """Return what to show of the anomalous items (misses) or of the normal ones (overkills)."""
    own = [_case(run, one) for one in run.records if one.anomalous == anomalous]
    ranked = sorted(own, key=lambda case: (-case.margin, case.record.id))
    kept = {entry.id for entry in run.results.worst}
    shown = [case for case in ranked if case.record.id in kept or (case.wrong and case.record.failure is not None)]
    return Cases(
        wrong=tuple(case for case in shown if case.wrong),
        close=tuple(case for case in shown if not case.wrong),
        total=sum(case.wrong for case in own),
        of=len(own),
    )


def defect_table(records: Sequence[ItemRecord], told: Mapping[str, DefectTypeCounts]) -> list[dict[str, Any]]:
    """Return one row for the normal items and one a defect type: what became of them, and what they were called."""
    normal = [one for one in records if not one.anomalous]
    rows = [_row("normal", normal, None)] if normal else []
    types = sorted({name for one in records if one.anomalous for name in one.defect_types})
    for name in types:
        own = [one for one in records if name in one.defect_types]
        rows.append(_row(name, own, told[name].image_auroc if name in told else None))
    untyped = [one for one in records if one.anomalous and not one.defect_types]
    if untyped:
        rows.append(_row("anomalous, type not given", untyped, None))
    return rows


def rule_table(records: Sequence[ItemRecord]) -> list[dict[str, Any]]:
    """Return one row a rule: how often it passed, failed and could not be told, by label."""
    rows = []
    for rule in dict.fromkeys(name for one in records for name in one.rules):
        row: dict[str, Any] = {"id": rule}
        for label in ("normal", "anomalous"):
            counted = Counter(one.rules.get(rule, "none") for one in records if one.label == label)
            row[label] = {status: counted[status] for status in ("pass", "fail", "cannot_tell", "not_checked")}
        rows.append(row)
    return rows


def _case(run: FinishedRun, record: ItemRecord) -> Case:
    threshold, score = run.threshold(record.category), record.counted_score
    if score is None:
        return Case(record, True, threshold, 2.0, _picture(run.folder, record))
    wrong = outcome_of(record) == ("OK" if record.anomalous else "NG")
    margin = threshold - score if record.anomalous else score - threshold
    return Case(record, wrong, threshold, margin, _picture(run.folder, record))


def _picture(folder: Path, record: ItemRecord) -> str | None:
    if not record.preview or not record.preview.isalnum():
        return None
    try:
        data = (folder / "previews" / f"{record.preview}.jpg").read_bytes()
    except OSError:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data.startswith(_JPEG) else None


def _row(name: str, own: Sequence[ItemRecord], auroc: float | None) -> dict[str, Any]:
    anomalous = own[0].anomalous
    outcomes = Counter(map(outcome_of, own))
    named = Counter(word for one in own if one.failure is None for word in one.defects)
    return {
        "name": name,
        "anomalous": anomalous,
        "n": len(own),
        **{key: outcomes[key] for key in ("OK", "REVIEW", "NG", "failed")},
        "wrong": outcomes["failed"] + outcomes["OK" if anomalous else "NG"],
        "auroc": auroc,
        "named": ", ".join(f"{word} ({count})" for word, count in named.most_common(_NAMED)),
        "named_more": max(0, len(named) - _NAMED),
    }
