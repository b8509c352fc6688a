"""Whether one run beats another on the same items: paired bootstrap, per class and on the mean, and what flipped.

comparison = compare_runs(read_run(a), read_run(b))

Both runs are resampled by the same counts, so what is hard for both cancels out. An item flips where one run puts it on
the right side of its own threshold and the other does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.errors import RunError
from evaluation.metrics import bootstrap
from evaluation.metrics.bootstrap import Difference, Outcomes
from evaluation.runs.finished_run import FinishedRun
from evaluation.runs.record import ItemRecord
from evaluation.scoring.all_scorers import resampled_metrics
from evaluation.scoring.outcomes import outcomes_of
from evaluation.scoring.pixel_draws import read_draws
from evaluation.scoring.registry import Numbers

_SHOWN = 3


@dataclass(frozen=True)
class Flip:
    """An item that one run judges right and the other wrong."""

    id: str
    category: str
    label: str
    better: str
    """"a" or "b": the run that is right."""
    scores: tuple[float | None, float | None]
    outcomes: tuple[str | None, str | None]


@dataclass(frozen=True)
class Compared:
    """One metric in both runs: of a class, or of the mean of classes."""

    a: float
    b: float
    difference: Difference
    """B minus A."""


@dataclass(frozen=True)
class Comparison:
    """Two runs, side by side."""

    a: FinishedRun
    b: FinishedRun
    items: int
    left_out: int
    """Items that only one of the runs has; 0 unless common items were asked for."""
    metrics: Mapping[str, Mapping[str, Compared | None]]
    """metric -> class or "mean" -> values; None is n/a."""
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()
    """What could not be compared, and why."""

    def as_document(self) -> dict[str, Any]:
        """Return it as what `--json` writes."""
        metrics = {
            metric: {name: None if one is None else _told(one) for name, one in told.items()}
            for metric, told in self.metrics.items()
        }
        return {
            "a": {"folder": str(self.a.folder), "model": self.a.results.settings.model},
            "b": {"folder": str(self.b.folder), "model": self.b.results.settings.model},
            "items": self.items,
            "left_out": self.left_out,
            "differences": metrics,
            "flips": [vars(one) for one in self.flips],
            "notes": list(self.notes),
        }


def compare_runs(a: FinishedRun, b: FinishedRun, *, common: bool = False) -> Comparison:
    """Compare two finished runs.

    Args:
        a: the run that the other is held against.
        b: the other one.
        common: compare the items that both have; else runs over different items are refused.

    Raises:
        RunError: the runs are over different items, or label them differently, or one asks questions and the other
            does not.
    """
    if a.asks_questions != b.asks_questions:
        raise RunError("one run scores images and the other answers questions; compare runs of one kind")
    ours, theirs = ({record.id: record for record in run.records} for run in (a, b))
    left_out = _check_items(a, b, ours, theirs, common=common)
    ids = [name for name in ours if name in theirs]
    pairs = [(ours[name], theirs[name]) for name in ids]
    metrics = _answers(pairs) if a.asks_questions else _images(a, b, pairs)
    notes: list[str] = []
    if not a.asks_questions:
        if left_out:
            notes.append("pixel metrics are not compared: they are of all items, and only common ones were asked for")
        else:
            metrics |= _pixels(a, b)
    flips = tuple(flip for pair in pairs if (flip := _flip(a, b, *pair)) is not None)
    return Comparison(a, b, len(pairs), left_out, metrics, flips, tuple(notes))


def _check_items(
    a: FinishedRun,
    b: FinishedRun,
    ours: Mapping[str, ItemRecord],
    theirs: Mapping[str, ItemRecord],
    *,
    common: bool,
) -> int:
    """Return how many items only one of the runs has."""
    odd = [name for name in (*ours, *theirs) if not (name in ours and name in theirs)]
    both = [name for name in ours if name in theirs]
    if not both:
        raise RunError(f"{a.folder} and {b.folder} share no item; compare runs over the same data set")
    if odd and not common:
        examples = ", ".join(odd[:_SHOWN])
        raise RunError(
            f"{a.folder} and {b.folder} are over different items: {len(odd)} are in one alone, such as {examples}; "
            f"--common compares the {len(both)} that both have"
        )
    for name in both:
        one, other = ours[name], theirs[name]
        if (one.label, one.category) != (other.label, other.category) or _answer(one) != _answer(other):
            raise RunError(
                f"{name} is labelled differently in the two runs; they are over different versions of the data"
            )
    return len(odd)


def _answer(record: ItemRecord) -> str | None:
    return None if record.question is None else record.question.answer


def _images(
    a: FinishedRun, b: FinishedRun, pairs: Sequence[tuple[ItemRecord, ItemRecord]]
) -> dict[str, dict[str, Compared | None]]:
    found: dict[str, dict[str, Compared | None]] = {}
    for metric, function, numbers in resampled_metrics():
        one, other = (_outcomes(run, pairs, at, numbers) for at, run in enumerate((a, b)))
        told = bootstrap.compare(function, one, other, lower_is_better=metric.lower_is_better)
        differences = {**told.classes, "mean": told.mean}
        values = [_values(function, outcomes) for outcomes in (one, other)]
        found[metric.name] = {
            name: None if difference is None else Compared(values[0][name], values[1][name], difference)
            for name, difference in differences.items()
        }
    return found


def _outcomes(
    run: FinishedRun,
    pairs: Sequence[tuple[ItemRecord, ItemRecord]],
    at: int,
    numbers: Callable[[Sequence[ItemRecord], float], Numbers],
) -> dict[str, Outcomes]:
    """Return what the bootstrap resamples, by class."""
    by_class: dict[str, list[ItemRecord]] = {}
    for pair in pairs:
        by_class.setdefault(pair[at].category, []).append(pair[at])
    return {name: outcomes_of(own, numbers(own, run.threshold(name))) for name, own in by_class.items()}


def _pixels(a: FinishedRun, b: FinishedRun) -> dict[str, dict[str, Compared | None]]:
    """Return the metrics of pixels that both runs have draws of; both resampled their images by the same counts."""
    runs = (a, b)
    draws = [read_draws(run.folder) for run in runs]
    found: dict[str, dict[str, Compared | None]] = {}
    for metric in dict.fromkeys(metric for told in draws[0].values() for metric in told):
        told = [_known_values(run, metric, one) for run, one in zip(runs, draws, strict=True)]
        own = [name for name in told[0] if name in told[1]]
        if not own:
            continue
        values: list[dict[str, float]] = [{name: one[name] for name in own} for one in told]
        drawn: list[dict[str, Any]] = [{name: one[name][metric].astype(np.float64) for name in own} for one in draws]
        for group in (*values, *drawn):
            group["mean"] = np.mean(list(group.values()), axis=0)
        found[metric] = {
            name: Compared(
                float(values[0][name]),
                float(values[1][name]),
                bootstrap.difference_of(values[1][name] - values[0][name], drawn[1][name] - drawn[0][name]),
            )
            for name in (*own, "mean")
        }
    return found


def _known_values(run: FinishedRun, metric: str, draws: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return a metric of each class that has both the metric and its draws."""
    known = {name: one.metric(metric) for name, one in run.results.categories.items() if metric in draws.get(name, {})}
    return {name: value for name, value in known.items() if value is not None}


def _values(function: Callable[..., Any], outcomes: Mapping[str, Outcomes]) -> dict[str, float]:
    """Return a metric of every class that has both labels, and the mean of those."""
    found = {
        name: float(function(one.labels, one.scores, np.ones((1, one.labels.size)))[0])
        for name, one in outcomes.items()
        if one.has_both_labels
    }
    return {**found, "mean": float(np.mean(list(found.values())))} if found else found


def _answers(pairs: Sequence[tuple[ItemRecord, ItemRecord]]) -> dict[str, dict[str, Compared | None]]:
    """Return the share of right answers by subtask; the questions on one image are drawn together."""
    groups: dict[str, list[tuple[ItemRecord, ItemRecord]]] = {}
    for pair in pairs:
        assert pair[0].question is not None
        for name in (pair[0].question.subtask, "mean"):
            groups.setdefault(name, []).append(pair)
    return {"share_right": {name: _compare_answers(group) for name, group in groups.items()}}


def _compare_answers(pairs: Sequence[tuple[ItemRecord, ItemRecord]]) -> Compared:
    images = sorted({_image_of(one) for one, _ in pairs})
    place = {image: at for at, image in enumerate(images)}
    right, asked = np.zeros((2, len(images))), np.zeros(len(images))
    for pair in pairs:
        at = place[_image_of(pair[0])]
        asked[at] += 1
        for run, record in enumerate(pair):
            right[run, at] += _is_right(record)
    a, b = right.sum(axis=1) / asked.sum()
    share = np.full(len(images), 1 / len(images))
    counts = np.random.default_rng(0).multinomial(len(images), share, size=bootstrap.DRAWS)
    drawn = (counts @ (right[1] - right[0])) / (counts @ asked)
    low, high = np.quantile(drawn, [(1 - bootstrap.LEVEL) / 2, (1 + bootstrap.LEVEL) / 2])
    better = float(np.mean(drawn > 0) + np.mean(drawn == 0) / 2)
    return Compared(float(a), float(b), Difference(float(b - a), float(low), float(high), better))


def _image_of(record: ItemRecord) -> str:
    """Return the image that a question is about: its id is the image's, "#" and a number."""
    return record.id.rpartition("#")[0] or record.id


def _is_right(record: ItemRecord) -> bool:
    return record.question is not None and record.question.chosen == record.question.answer


def _flip(a: FinishedRun, b: FinishedRun, one: ItemRecord, other: ItemRecord) -> Flip | None:
    right = [
        _is_right(record) if record.question is not None else _is_caught(record, run.threshold(record.category))
        for run, record in ((a, one), (b, other))
    ]
    if right[0] == right[1]:
        return None
    scores, outcomes = (one.counted_score, other.counted_score), (_outcome(one), _outcome(other))
    return Flip(one.id, one.category, one.label, "a" if right[0] else "b", scores, outcomes)


def _is_caught(record: ItemRecord, threshold: float) -> bool:
    score = record.counted_score
    return score is not None and (score >= threshold) == record.anomalous


def _outcome(record: ItemRecord) -> str | None:
    if record.failure is not None:
        return "failed"
    return record.outcome if record.question is None else record.question.chosen


def _told(one: Compared) -> dict[str, float]:
    difference = one.difference
    return {
        "a": one.a,
        "b": one.b,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "share_b_better": difference.share,
    }
