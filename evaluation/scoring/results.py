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

from evaluation.metrics import (
    Answer,
    bootstrap,
    image_ap,
    image_auroc,
    image_f1_max,
    mean_of_classes,
    rates_at,
    score_answers,
)
from evaluation.metrics.calibration_error import brier_score, expected_calibration_error
from evaluation.runs.plan import Plan
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import ITEMS, RESULTS, UNCALIBRATED
from evaluation.runs.settings import Limits, Settings
from evaluation.scoring.outcomes import counted_scores, heatmap_auroc, image_intervals, probabilities
from evaluation.scoring.pixel_draws import Draws, pixel_intervals
from evaluation.scoring.type_scores import score_types
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.file_writing import write_atomically

PIXEL_METRICS = ("pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "spro_at_0.05", "aupro_200_thresholds")
IMAGE_METRICS = (
    *("image_auroc", "image_ap", "image_f1_max", "accuracy", "balanced_accuracy", "miss_rate", "overkill_rate"),
    *("ece", "brier", "heatmap_auroc"),
)
LIST_METRICS = ("point_auroc", "point_ap", "frame_auroc", "frame_ap")
TYPE_METRICS = ("type_auroc", "type_ap", "type_f1", "pixel_type_auroc", "pixel_type_ap", "pixel_type_f1")


def threshold_of(thresholds: Thresholds | None) -> float:
    """Return the score from which an item counts as anomalous: just above `ok_below` of a calibration, else 0.5."""
    if thresholds is None or not thresholds.calibrated:
        return UNCALIBRATED
    return math.nextafter(thresholds.ok_below, math.inf)


def build_results(  # noqa: PLR0913 (each is another source of the one document)
    plan: Plan,
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
) -> dict[str, Any]:
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
            name: _metrics(group, cuts[name], plan.folder_words) | pixels.get(name, {})
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
    return document


def write_results(folder: Path, document: Mapping[str, Any], plan: Plan, records: Mapping[str, ItemRecord]) -> None:
    """Write `items.jsonl`, then `results.json`, each at once or not at all.

    Raises:
        OutputError: a file cannot be written.
    """
    lines = (records[task.id].model_dump_json() for task in plan.tasks)
    write_atomically(folder / ITEMS, ("\n".join(lines) + "\n").encode())
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / RESULTS, (text + "\n").encode())


def _metrics(records: Sequence[ItemRecord], threshold: float, folder_words: Mapping[str, str]) -> dict[str, Any]:
    """Return the metrics of one class; None is n/a."""
    labels = [one.anomalous for one in records]
    scores = counted_scores(records)
    rates = rates_at(labels, scores, threshold)
    return {
        "n": len(records),
        "n_anomalous": sum(labels),
        "failed": sum(one.failure is not None for one in records),
        "image_auroc": image_auroc(labels, scores),
        "image_ap": image_ap(labels, scores),
        "image_f1_max": image_f1_max(labels, scores),
        "threshold": threshold,
        "accuracy": rates.accuracy,
        "balanced_accuracy": rates.balanced_accuracy,
        "miss_rate": rates.miss,
        "overkill_rate": rates.overkill,
        "ece": expected_calibration_error(labels, probabilities(records)),
        "brier": brier_score(labels, probabilities(records)),
        "heatmap_auroc": heatmap_auroc(records),
        "outcomes": {label: _outcome_counts(records, label) for label in ("normal", "anomalous")},
        "review_rate": sum(one.outcome == "REVIEW" for one in records) / len(records),
        "defect_types": _by_type(records, threshold),
        **score_types(records, folder_words),
    }


def _outcome_counts(records: Sequence[ItemRecord], label: str) -> dict[str, int]:
    own = [one for one in records if one.label == label]
    counts = {name: sum(one.outcome == name for one in own) for name in ("OK", "REVIEW", "NG")}
    return {**counts, "none": sum(one.outcome is None for one in own)}


def _by_type(records: Sequence[ItemRecord], threshold: float) -> dict[str, dict[str, Any]]:
    """Return per defect type how many there are, how many are missed, and the AUROC against the normal items."""
    types = sorted({name for one in records for name in one.defect_types})
    found = {}
    for name in types:
        own = [one for one in records if name in one.defect_types]
        against = [*own, *(one for one in records if not one.anomalous)]
        labels, scores = [one.anomalous for one in against], counted_scores(against)
        missed = sum(score < threshold for score in scores[: len(own)])
        found[name] = {"n": len(own), "missed": int(missed), "image_auroc": image_auroc(labels, scores)}
    return found


def _mean(categories: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    mean: dict[str, Any] = {}
    left_out: dict[str, list[str]] = {}
    for metric in (*IMAGE_METRICS, *PIXEL_METRICS, *LIST_METRICS, *TYPE_METRICS):
        one = mean_of_classes({name: found.get(metric) for name, found in categories.items()})
        if one.counted or metric in IMAGE_METRICS:
            mean[metric] = one.value
            if one.left_out:
                left_out[metric] = list(one.left_out)
    return {"mean": mean, "left_out_of_mean": left_out}


def _intervals(
    by_class: Mapping[str, Sequence[ItemRecord]], cuts: Mapping[str, float], pixel_draws: Draws
) -> dict[str, Any]:
    """Return 95 % intervals by image: {"mean": {metric: [low, high]}, class: {...}}; n/a is absent."""
    found = image_intervals(by_class, cuts)
    for name, told in pixel_intervals(pixel_draws).items():
        found.setdefault(name, {}).update(told)
    return found


def _question_metrics(plan: Plan, records: Mapping[str, ItemRecord]) -> dict[str, Any]:
    """Return accuracy per subtask, and per class the share of right answers."""
    answers = [
        Answer(task.question, told.chosen if (told := records[task.id].question) else None)
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


def _question_intervals(answers: Sequence[Answer]) -> dict[str, Any]:
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
