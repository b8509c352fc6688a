"""`results.json` and `items.jsonl`: what a run amounts to.

Failures count as wrong in every metric of images: a failed anomalous item scores below all others, a failed normal one
above all; in probabilities (ECE, Brier) 0 and 1. Failed are items that cannot be read, that the model gave no reply
to, and whose reply carries no verdict. What the data cannot tell (AUROC of a class with one label) is null, and left
out of the mean, which then says so.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from evaluation.metrics import ChosenOption, bootstrap, mean_of_classes, score_answers
from evaluation.runs.plan import RunPlan
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import ITEMS, RESULTS, UNCALIBRATED, PromptTests, Results, as_results
from evaluation.runs.settings import Limits, Settings
from evaluation.scoring.all_scorers import all_metrics, score_records
from evaluation.scoring.intervals import image_intervals
from evaluation.scoring.pixel_draws import Draws, pixel_intervals
from evaluation.scoring.registry import ClassRecords
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.file_writing import write_atomically


def threshold_of(thresholds: Thresholds | None) -> float:
    """Return the score from which an item counts as anomalous: just above `ok_below` of a calibration, else 0.5."""
    if thresholds is None or not thresholds.calibrated:
        return UNCALIBRATED
    return math.nextafter(thresholds.ok_below, math.inf)


def build_results(  # noqa: PLR0913 (each is another source of the one document)
    plan: RunPlan,
    records: Mapping[str, ItemRecord],
    *,
    pixels: Mapping[str, dict[str, Any]],
    pixel_draws: Draws = MappingProxyType({}),
    settings: Settings,
    limits: Limits,
    thresholds: Mapping[str, Thresholds],
    wall_s: float,
    checks: Mapping[str, Any],
    worst: Sequence[ItemRecord] = (),
    rule_test: PromptTests | None = None,
) -> Results:
    """Return the document of `results.json`.

    Args:
        plan: what was asked.
        records: what became of every task, by id.
        pixels: pixel metrics by class, where there are any.
        pixel_draws: the same over resamples.
        settings: what the results rest on.
        limits: how the run was carried out.
        thresholds: by class, where a calibration was given.
        wall_s: duration of all sessions in seconds.
        checks: what was made sure of beforehand, such as the leak check.
        worst: the items whose previews are kept.
        rule_test: whether the model follows its rules, where that was tested.
    """
    by_class = {c.name: [records[task.id] for task in plan.of_category(c.name)] for c in plan.categories}
    every = [one for group in by_class.values() for one in group]
    document: dict[str, Any] = {
        "dataset": plan.dataset.name,
        "settings": {**settings.model_dump(mode="json"), "limits": limits.as_facts()},
        "checks": dict(checks),
        "references": {name: [item.id for item in chosen] for name, chosen in plan.references.items() if chosen},
    }
    if plan.asks_questions:
        document |= _question_metrics(plan, records)
    else:
        cuts = {name: threshold_of(thresholds.get(name)) for name in by_class}
        categories = {
            name: _metrics(ClassRecords(name, group, cuts[name], plan.folder_words))
            | pixels.get(name, {})
            | {"sensitivity": next((one.sensitivity for one in group if one.sensitivity is not None), None)}
            for name, group in by_class.items()
        }
        document |= {"categories": categories, **_mean(categories), "ci95": _intervals(by_class, cuts, pixel_draws)}
    document |= {
        "coverage": 1.0 - sum(one.failure is not None for one in every) / len(every),
        "parse_failures": sum(one.failure is not None and one.failure.kind == "parse" for one in every),
        "review_rate": sum(one.outcome == "REVIEW" for one in every) / len(every),
        "failures": [{"id": one.id, **one.failure.model_dump()} for one in every if one.failure is not None],
        "usage": _usage(every),
        "wall_s": round(wall_s, 3),
        "worst": [{"id": one.id, "preview": f"previews/{one.preview}.jpg"} for one in worst],
    }
    if rule_test is not None:
        document["rule_test"] = rule_test.model_dump(exclude_unset=True)
    return as_results(document)


def write_results(folder: Path, results: Results, plan: RunPlan, records: Mapping[str, ItemRecord]) -> None:
    """Write `items.jsonl`, then `results.json`, each at once or not at all.

    Raises:
        OutputError: a file cannot be written.
    """
    lines = (records[task.id].model_dump_json() for task in plan.tasks)
    write_atomically(folder / ITEMS, ("\n".join(lines) + "\n").encode())
    text = json.dumps(results.dump(), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / RESULTS, (text + "\n").encode())


def _metrics(one: ClassRecords) -> dict[str, Any]:
    """Return the metrics of one class; None is n/a."""
    return {
        "n": len(one.records),
        "n_anomalous": sum(record.anomalous for record in one.records),
        "failed": sum(record.failure is not None for record in one.records),
        **score_records(one),
    }


def _mean(categories: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    mean: dict[str, Any] = {}
    left_out: dict[str, list[str]] = {}
    for metric in all_metrics():
        one = mean_of_classes({name: found.get(metric.name) for name, found in categories.items()})
        if one.counted or metric.in_every_mean:
            mean[metric.name] = one.value
            if one.left_out:
                left_out[metric.name] = list(one.left_out)
    return {"mean": mean, "left_out_of_mean": left_out}


def _intervals(
    by_class: Mapping[str, Sequence[ItemRecord]], cuts: Mapping[str, float], pixel_draws: Draws
) -> dict[str, Any]:
    """Return 95 % intervals by image: {"mean": {metric: [low, high]}, class: {...}}; n/a is absent."""
    found = image_intervals(by_class, cuts)
    for name, told in pixel_intervals(pixel_draws).items():
        found.setdefault(name, {}).update(told)
    return found


def _question_metrics(plan: RunPlan, records: Mapping[str, ItemRecord]) -> dict[str, Any]:
    """Return accuracy per subtask, and per class the share of right answers."""
    answers = [
        ChosenOption(task.question, told.chosen if (told := records[task.id].question) else None)
        for task in plan.tasks
        if task.question is not None
    ]
    summary = score_answers(answers)
    categories = {}
    for category in plan.categories:
        own = [one for one in answers if one.question.category == category.name]
        right = sum(one.right for one in own)
        categories[category.name] = {
            "n": len(own),
            "accuracy": right / len(own),
            "failed": sum(one.choice is None for one in own),
        }
    return {
        "categories": categories,
        "mean": {"accuracy": summary.average, **{f"accuracy: {k}": v for k, v in summary.subtasks.items()}},
        "ci95": _question_intervals(answers),
        "questions": {
            "average": summary.average,
            "subtasks": summary.subtasks,
            "pooled": [vars(one) for one in summary.pooled],
            "datasets": {name: [vars(one) for one in told] for name, told in summary.datasets.items()},
        },
    }


def _question_intervals(answers: Sequence[ChosenOption]) -> dict[str, Any]:
    """Return 95 % intervals of the share of right answers, by image: the questions on one image are drawn together."""
    found = {}
    for subtask in sorted({one.question.subtask for one in answers}):
        own = [one for one in answers if one.question.subtask == subtask]
        images = sorted({one.question.item_id for one in own})
        place = {image: at for at, image in enumerate(images)}
        right, asked = np.zeros(len(images)), np.zeros(len(images))
        for one in own:
            right[place[one.question.item_id]] += one.right
            asked[place[one.question.item_id]] += 1
        share = np.full(len(images), 1 / len(images))
        counts = np.random.default_rng(0).multinomial(len(images), share, size=bootstrap.DRAWS)
        low, high = np.quantile((counts @ right) / (counts @ asked), [0.025, 0.975])
        found[subtask] = {"share_right": [float(low), float(high)]}
    return found


def _usage(records: Sequence[ItemRecord]) -> dict[str, Any]:
    prompt = sum(one.usage.prompt_tokens for one in records)
    completion = sum(one.usage.completion_tokens for one in records)
    asked = [one.usage.cost_usd for one in records if one.usage.calls]
    known = [cost for cost in asked if cost is not None]
    latencies = [one.latency_s for one in records if one.failure is None] or [0.0]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "calls": sum(one.usage.calls for one in records),
        "from_cache": sum(bool(one.spared.calls and not one.usage.calls) for one in records),
        "cost_usd": round(sum(known), 6) if len(known) == len(asked) else None,
        "latency_s": {
            "mean": round(float(np.mean(latencies)), 3),
            **{f"p{q}": round(float(np.percentile(latencies, q)), 3) for q in (50, 90, 99)},
        },
    }
