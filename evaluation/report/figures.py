"""The charts of one class or one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evaluation.metrics.calibration_error import ReliabilityBin, reliability_curve
from evaluation.report.charts import Plot, round_ticks
from evaluation.report.curves import BINS, curves_of, histogram, outline
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import ClassResults
from evaluation.scoring.outcomes import probabilities

_COLOURS = 4
"""Of series in the style sheet; further ones repeat them."""
_APART = 0.08
_LADDER_WIDTH = 470.0
"""So that the names of six variants stand beside each other."""


@dataclass(frozen=True)
class Figure:
    """A chart with what stands around it."""

    title: str
    chart: Markup | None
    """None where the data do not allow it; `caption` says why."""
    caption: str
    legend: tuple[tuple[str, str], ...] = ()
    """(class of the style sheet, words)."""


def class_figures(records: Sequence[ItemRecord], threshold: float) -> list[Figure]:
    """Return ROC, precision and recall, scores and reliability of one class."""
    return [*_rank_figures(records, threshold), score_figure(records, threshold), reliability_figure(records)]


def score_figure(records: Sequence[ItemRecord], threshold: float | None) -> Figure:
    """Return the histogram of scores by label, with the threshold where there is one for all."""
    odd = [s for one in records if one.anomalous and (s := one.counted_score) is not None]
    normal = [s for one in records if not one.anomalous and (s := one.counted_score) is not None]
    failed = len(records) - len(odd) - len(normal)
    counts = histogram(normal), histogram(odd)
    top = max(1, *counts[0], *counts[1])
    plot = Plot("histogram of scores by label", "score, P(anomalous)", "items", y_range=(0.0, float(top)), counts=True)
    for numbers, kind in zip(counts, ("normal", "anomalous"), strict=True):
        points = outline(numbers)
        plot.area(points, f"fill {kind}")
        plot.line(points, f"edge {kind}")
    if threshold is not None:
        plot.vertical(threshold, "threshold", "threshold")
    caption = f"{len(normal)} normal, {len(odd)} anomalous, {BINS} bins" + (
        f"; {failed} failed items have no score" if failed else ""
    )
    return Figure("Scores", plot.render(), caption, (("normal", "normal"), ("anomalous", "anomalous")))


def reliability_figure(records: Sequence[ItemRecord]) -> Figure:
    """Return the reliability curve: what share of the items of a probability is anomalous."""
    bins = reliability_curve([one.anomalous for one in records], probabilities(records))
    plot = Plot("reliability curve", "mean P(anomalous) of the bin", "share that is anomalous")
    plot.line([(0.0, 0.0), (1.0, 1.0)], "guide")
    plot.line([(one.probability, one.anomalous) for one in bins], "curve")
    for one in bins:
        plot.dot((one.probability, one.anomalous), "dot", radius=_radius(one, len(records)), says=_words(one))
    caption = "On the diagonal, probabilities mean what they say. Bins of equally many items; larger dots: more items."
    return Figure("Reliability", plot.render(), caption)


def risk_coverage_figure(told: ClassResults) -> Figure:
    """Return the share of errors among the decided parts against the share decided, from the surest parts on."""
    points = told.risk_coverage
    top = max(0.05, *(risk for _, risk in points))
    plot = Plot("risk over coverage", "share of parts decided", "wrong among them", y_range=(0.0, min(1.0, top)))
    plot.line([(0.0, points[0][1]), *points], "curve")
    decided, risk = told.metric("decided_rate"), told.metric("decided_error_rate")
    caption = "Parts are decided from the surest score on."
    if decided is not None and risk is not None:
        plot.dot((decided, risk), "at", radius=4.5, says=_at("decided", decided, "wrong", risk))
        caption += f" The ring is what was decided: {decided:.0%} came out OK or NG, {risk:.1%} of them wrongly."
    return Figure("Risk over coverage", plot.render(), caption)


def latency_figure(records: Sequence[ItemRecord]) -> Figure | None:
    """Return the distribution of the time from the file to the result; None where nothing was judged."""
    times = sorted(one.latency_s for one in records if one.failure is None)
    if not times or times[-1] <= 0.0:
        return None
    ticks = round_ticks(0.0, times[-1])
    end = max(times[-1], ticks[-1])
    plot = Plot("latency", "seconds from the file to the result", "share of items done", x_range=(0.0, end))
    points, n = [(0.0, 0.0)], len(times)
    for at, time_s in enumerate(times):
        points += [(time_s, at / n), (time_s, (at + 1) / n)]
    plot.line([*points, (end, 1.0)], "curve")
    return Figure("Latency", plot.render(), f"{n} items; time spent waiting for a free slot is not counted")


def ablation_figure(document: Mapping[str, Any]) -> Figure:
    """Return image AUROC over the variants, one line a model, with 95 % intervals."""
    rows = [row for row in document["rows"] if row["image_auroc"] is not None]
    variants = list(dict.fromkeys(row["variant"] for row in document["rows"]))
    models = list(dict.fromkeys(row["model"] for row in document["rows"]))
    if not rows:
        return Figure("Image AUROC by variant", None, "n/a: no class has both labels")
    low = min(row["interval"][0] if row["interval"] else row["image_auroc"] for row in rows)
    plot = Plot(
        "image AUROC by variant",
        "what the prompt holds, each variant with all before it",
        "image AUROC",
        x_range=(-0.4, len(variants) - 0.6),
        y_range=(min(0.5, low), 1.0),
        width=_LADDER_WIDTH,
        x_ticks=[(at, ("+ " if at else "") + name) for at, name in enumerate(variants)],
    )
    for number, model in enumerate(models):
        kind = f"s{number % _COLOURS}"
        shift = (number - (len(models) - 1) / 2) * _APART
        own = [(variants.index(row["variant"]) + shift, row) for row in rows if row["model"] == model]
        plot.line([(x, row["image_auroc"]) for x, row in own], f"series {kind}")
        for x, row in own:
            if row["interval"]:
                plot.whisker(x, row["interval"][0], row["interval"][1], f"whisker {kind}")
            plot.dot((x, row["image_auroc"]), kind, says=f"{model}, {row['variant']}: {row['image_auroc']:.3f}")
    legend = tuple((f"s{number % _COLOURS}", model) for number, model in enumerate(models))
    return Figure("Image AUROC by variant", plot.render(), "Whiskers: 95 % intervals, by resampling images.", legend)


def _rank_figures(records: Sequence[ItemRecord], threshold: float) -> Iterator[Figure]:
    curves = curves_of(records, threshold)
    if curves is None:
        label = "anomalous" if records[0].anomalous else "normal"
        yield Figure("ROC", None, f"n/a: all {len(records)} items are {label}")
        yield Figure("Precision and recall", None, f"n/a: all {len(records)} items are {label}")
        return
    plot = Plot("ROC curve", "overkill: normal called anomalous", "anomalous found")
    plot.line([(0.0, 0.0), (1.0, 1.0)], "guide")
    plot.line(curves.roc, "curve")
    plot.dot(curves.roc_at, "at", radius=4.5, says=_at("overkill", curves.roc_at[0], "found", curves.roc_at[1]))
    yield Figure("ROC", plot.render(), "Dashed: guessing. The ring is where the threshold stands.")
    plot = Plot("precision over recall", "recall: anomalous found", "precision")
    plot.line([(0.0, curves.prevalence), (1.0, curves.prevalence)], "guide")
    plot.line([(0.0, curves.pr[0][1]), *curves.pr], "curve")
    if curves.pr_at is not None:
        says = _at("recall", curves.pr_at[0], "precision", curves.pr_at[1])
        plot.dot(curves.pr_at, "at", radius=4.5, says=says)
    share = f"Dashed: guessing, {curves.prevalence:.0%} of the items are anomalous."
    yield Figure("Precision and recall", plot.render(), share)


def _radius(one: ReliabilityBin, items: int) -> float:
    return float(2.0 + 7.0 * (one.items / items) ** 0.5)


def _words(one: ReliabilityBin) -> str:
    return f"{one.items} items, mean probability {one.probability:.2f}, {one.anomalous:.0%} anomalous"


def _at(x: str, x_value: float, y: str, y_value: float) -> str:
    return f"at the threshold: {x} {x_value:.1%}, {y} {y_value:.1%}"
