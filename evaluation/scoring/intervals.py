"""95 % intervals of the metrics of records, by resampling items."""

from collections.abc import Mapping, Sequence

from evaluation.metrics import bootstrap
from evaluation.runs.record import ItemRecord
from evaluation.scoring.all_scorers import resampled_metrics
from evaluation.scoring.outcomes import heatmap_scores, outcomes_of


def image_intervals(
    by_class: Mapping[str, Sequence[ItemRecord]], thresholds: Mapping[str, float]
) -> dict[str, dict[str, list[float]]]:
    """Return 95 % intervals by image, {"mean": {metric: [low, high]}, class: {...}}; n/a is absent.

    Args:
        by_class: the records of each class.
        thresholds: by class, the score from which an item counts as anomalous.
    """
    wanted = {
        metric.name: (
            function,
            {name: outcomes_of(group, numbers(group, thresholds[name])) for name, group in by_class.items()},
        )
        for metric, function, numbers in resampled_metrics()
    }
    drawn = bootstrap.intervals_of_all(wanted)
    heat = {
        name: outcomes_of(group, scores)
        for name, group in by_class.items()
        if (scores := heatmap_scores(group)) is not None
    }
    if heat:
        ranked = {"heatmap_auroc": bootstrap.auroc, "heatmap_ap": bootstrap.average_precision}
        ranked |= {"heatmap_f1_max": bootstrap.f1_max}
        drawn |= {name: bootstrap.intervals(metric, heat) for name, metric in ranked.items()}
    found: dict[str, dict[str, list[float]]] = {"mean": {}, **{name: {} for name in by_class}}
    for metric, told in drawn.items():
        for name, interval in {"mean": told.mean, **told.classes}.items():
            if interval is not None:
                found[name][metric] = [interval.low, interval.high]
    return found
