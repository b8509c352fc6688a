"""What stands on the page of a run, section by section, in words and numbers ready to print."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from evaluation.report.charts import interval_bar
from evaluation.report.figures import class_figures, reliability_figure, risk_coverage_figure
from evaluation.report.formats import number, share
from evaluation.report.mistakes import FIRST, defect_table, find_cases, rule_table
from evaluation.runs.finished_run import FinishedRun
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import ClassResults, Interval, OutcomeRate, PromptTests, RecordedSettings, SubtaskRow
from evaluation.scoring.all_scorers import all_metrics
from evaluation.scoring.registry import Metric
from vlm_inspect.sensitivity.record import Sensitivity
from vlm_inspect.sensitivity.wording import tell_sensitivity

_OPEN_CLASSES = 4
"""With more classes than that, their curves fold."""
_TILES = ("image_auroc", "miss_rate", "overkill_rate")
_OUTCOMES = ("OK", "REVIEW", "NG", "failed")


def image_values(run: FinishedRun) -> dict[str, Any]:
    """Return what the template prints of a run that judged parts."""
    results = run.results
    columns = [one for one in all_metrics() if any(told.has(one.name) for told in results.categories.values())]
    scale = _scale(results.ci95)
    rows = [
        {"told": told, **_row(name, told.metric, results.ci95.get(name, {}), columns, scale)}
        for name, told in results.categories.items()
    ]
    mean = _row("mean", results.mean.get, results.ci95.get("mean", {}), columns, scale)
    return {
        "columns": [one.label for one in columns],
        "rows": rows,
        "mean": mean if len(rows) > 1 else None,
        "scale": scale,
        "left_out": list(_left_out(results.left_out_of_mean)),
        "classes": [_class(run, name, told) for name, told in results.categories.items()],
        "open_classes": len(rows) <= _OPEN_CLASSES,
        "pooled": reliability_figure(run.records) if len(rows) > 1 else None,
        "misses": find_cases(run, anomalous=True),
        "overkills": find_cases(run, anomalous=False),
        "first": FIRST,
    }


def _class(run: FinishedRun, name: str, told: ClassResults) -> dict[str, Any]:
    records, threshold = run.of_category(name), told.threshold
    figures = class_figures(records, threshold)
    if told.risk_coverage:
        figures.append(risk_coverage_figure(told))
    return {
        "name": name,
        "threshold": threshold,
        "figures": figures,
        "outcomes": [_outcome_row(label, rates) for label, rates in told.outcome_rates.items()],
        "outcome_names": _OUTCOMES,
        "sensitivity": _sensitivity_words(told.sensitivity),
        "defects": defect_table(records, told.defect_types),
        "rules": rule_table(records),
        "note": told.pixel_note,
        "clips": [{**vars(one), "auroc": number(one.frame_auroc)} for one in told.clips],
    }


def _sensitivity_words(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return ""
    count = told["references"]
    return f"{count} reference{'s' if count != 1 else ''} {tell_sensitivity(Sensitivity.model_validate(told))}"


def _outcome_row(label: str, rates: Mapping[str, OutcomeRate]) -> dict[str, Any]:
    cells: list[dict[str, Any]] = []
    for name in _OUTCOMES:
        rate = rates.get(name)
        if rate is None:
            cells.append({"count": 0, "value": "n/a", "around": ""})
            continue
        around = "" if rate.interval is None else _around(rate.interval, share)
        cells.append({"count": rate.count, "value": share(rate.share), "around": around})
    return {"label": label, "n": sum(rate.count for rate in rates.values()), "cells": cells}


def _row(
    name: str,
    value_of: Callable[[str], float | None],
    intervals: Mapping[str, Interval],
    columns: Sequence[Metric],
    scale: tuple[float, float],
) -> dict[str, Any]:
    cells = []
    for metric in columns:
        value, interval = value_of(metric.name), intervals.get(metric.name)
        show = share if metric.share else number
        around = "" if interval is None or value is None else _around(interval, show)
        cells.append({"value": show(value), "interval": around})
    auroc, ends = value_of("image_auroc"), intervals.get("image_auroc")
    bar = None if auroc is None or ends is None else interval_bar(auroc, ends[0], ends[1], scale)
    return {"name": name, "cells": cells, "bar": bar}


def _around(interval: Interval, show: Callable[[float | None], str]) -> str:
    return " to ".join(show(end) for end in interval)


def _left_out(told: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield what the mean leaves out, metrics of the same classes in one line."""
    words = {one.name: one.label for one in all_metrics()}
    groups: dict[tuple[str, ...], list[str]] = {}
    for metric, names in told.items():
        groups.setdefault(tuple(names), []).append(words.get(metric, metric))
    for classes, metrics in groups.items():
        yield f"Not in the mean of {', '.join(metrics)}, being n/a: {', '.join(classes)}."


def _scale(intervals: Mapping[str, Mapping[str, Interval]]) -> tuple[float, float]:
    """Return the ends of the AUROC scale: from 0.5, or lower where an interval reaches below."""
    lows = [told["image_auroc"][0] for told in intervals.values() if "image_auroc" in told]
    return min(0.5, math.floor(10 * min(lows, default=0.5)) / 10), 1.0


def question_values(run: FinishedRun) -> dict[str, Any]:
    """Return what the template prints of a run that answered questions."""
    told = run.results.questions
    assert told is not None
    rows = [
        {
            **_subtask(one),
            "mean": told.subtasks.get(one.subtask),
            "interval": run.results.interval(one.subtask, "share_right"),
        }
        for one in told.pooled
    ]
    datasets = [{**_subtask(one), "dataset": name} for name, group in told.datasets.items() for one in group]
    return {"subtasks": rows, "datasets": datasets, "average": told.average}


def _subtask(row: SubtaskRow) -> dict[str, Any]:
    return row.model_dump()


def tiles(run: FinishedRun) -> Iterator[tuple[str, str, str]]:
    """Yield the summary: what, how much, and with which interval or beside what."""
    results = run.results
    if results.questions is not None:
        yield "accuracy, mean of subtasks", share(results.questions.average), f"{len(run.records)} questions"
    else:
        yield from _image_tiles(run)
    failed = len(results.failures)
    yield "answered", share(results.coverage), f"{failed} of {len(run.records)} failed" if failed else "no failures"
    usage = results.usage
    tokens = usage.prompt_tokens + usage.completion_tokens
    if usage.cost_usd is None:
        yield "tokens", f"{tokens:,}", "cost n/a: no price given" if tokens else "no language model"
    else:
        yield "cost", f"{usage.cost_usd:.4f} USD", f"{tokens:,} tokens"
    median, late = (usage.latency_s.get(name, 0.0) for name in ("p50", "p99"))
    yield "latency, median", f"{median:.2f} s", f"99 %: {late:.2f} s"


def _image_tiles(run: FinishedRun) -> Iterator[tuple[str, str, str]]:
    results = run.results
    single = run.categories[0] if len(run.categories) == 1 else None
    name, value_of = ("mean", results.mean.get) if single is None else (single, results.categories[single].metric)
    for metric in all_metrics():
        if metric.name in _TILES:
            around, show = results.interval(name, metric.name), share if metric.share else number
            yield metric.label, show(value_of(metric.name)), "" if around is None else _around(around, show)
    if value_of("aupro") is not None:
        yield "AUPRO", number(value_of("aupro")), f"pixel AUROC {number(value_of('pixel_auroc'))}"
    decided = value_of("decided_error_rate")
    beside = "held up for a person" if decided is None else f"of those decided {share(decided)} are wrong"
    yield "REVIEW", share(results.review_rate), beside


def notices(run: FinishedRun, tests: PromptTests | None) -> Iterator[str]:
    """Yield what a reader must know before trusting a number."""
    results = run.results
    if results.failures:
        wrong = "They count as wrong in every metric of images." if not run.asks_questions else "They count as wrong."
        yield f"{len(results.failures)} of {len(run.records)} items failed. {wrong}"
    yield from () if tests is None else tests.warnings()
    if run.asks_questions:
        return
    if results.version < 2:
        yield "An earlier version made this run: missed and overkill were counted by the score, not by the outcome."
    one_label = [name for name, told in results.categories.items() if told.metric("image_auroc") is None]
    if one_label:
        yield f"One label only, so no AUROC (n/a, not in the mean): {', '.join(one_label)}."
    bare = [name for name in run.categories if name not in results.settings.calibration_sha256]
    if bare:
        which = "No class is calibrated" if len(bare) == len(run.categories) else f"Not calibrated: {', '.join(bare)}"
        yield f"{which}. Accuracy is taken at a score of 0.5 there, which no normal part set."
    flat = [name for name in run.categories if _has_one_score(run.of_category(name))]
    if flat:
        yield f"Every item has the same score, so nothing was told apart: {', '.join(flat)}."
    if any(low == high for told in results.ci95.values() for low, high in told.values()):
        yield (
            "Some intervals have no width: no resample of so few items changed the value. That is not certainty; more "
            "items are needed to tell."
        )
    if results.settings.limit:
        yield f"Only part of the data set: at most {results.settings.limit} items a class."


def _has_one_score(records: Sequence[ItemRecord]) -> bool:
    scores = [one.counted_score for one in records if one.counted_score is not None]
    return len(scores) > 1 and len(set(scores)) == 1


def settings_in_words(settings: RecordedSettings) -> Iterator[tuple[str, str]]:
    """Yield the recorded settings, each as its name and its value."""
    for name, value in settings.model_dump(exclude_unset=True).items():
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield f"{name.replace('_', ' ')}: {str(key).replace('_', ' ')}", _told(inner)
            continue
        yield name.replace("_", " "), _told(value)


def _told(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items()) or "none"
    return str(value)
