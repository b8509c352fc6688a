"""The page of an ablation: one table, one plot."""

from collections.abc import Mapping
from typing import Any

from evaluation.report.charts import Plot
from evaluation.report.figures import Figure
from evaluation.report.page import fill_page

_COLOURS = 4
"""Of series in the style sheet; further ones repeat them."""
_APART = 0.08
_WIDTH = 410.0
"""So that the names of five rungs stand beside each other."""


def render_ablation(document: Mapping[str, Any]) -> str:
    """Return the page of `ablation.json`."""
    models = list(dict.fromkeys(row["model"] for row in document["rows"]))
    return fill_page(
        "ablation.html.j2",
        title=f"{document['dataset']}: the prompt ladder",
        document=document,
        models=models,
        figure=ladder_figure(document),
    )


def ladder_figure(document: Mapping[str, Any]) -> Figure:
    """Return image AUROC over the rungs, one line a model, with 95 % intervals."""
    rows = [row for row in document["rows"] if row["image_auroc"] is not None]
    rungs = list(dict.fromkeys(row["rung"] for row in document["rows"]))
    models = list(dict.fromkeys(row["model"] for row in document["rows"]))
    if not rows:
        return Figure("Image AUROC by rung", None, "n/a: no class has both labels")
    low = min(row["interval"][0] if row["interval"] else row["image_auroc"] for row in rows)
    plot = Plot(
        "image AUROC by rung",
        "what the prompt holds, each rung with all before it",
        "image AUROC",
        x_range=(-0.4, len(rungs) - 0.6),
        y_range=(min(0.5, low), 1.0),
        width=_WIDTH,
        x_ticks=[(at, ("+ " if at else "") + name) for at, name in enumerate(rungs)],
    )
    for number, model in enumerate(models):
        kind = f"s{number % _COLOURS}"
        shift = (number - (len(models) - 1) / 2) * _APART
        own = [(rungs.index(row["rung"]) + shift, row) for row in rows if row["model"] == model]
        plot.line([(x, row["image_auroc"]) for x, row in own], f"series {kind}")
        for x, row in own:
            if row["interval"]:
                plot.whisker(x, row["interval"][0], row["interval"][1], f"whisker {kind}")
            plot.dot((x, row["image_auroc"]), kind, says=f"{model}, {row['rung']}: {row['image_auroc']:.3f}")
    legend = tuple((f"s{number % _COLOURS}", model) for number, model in enumerate(models))
    return Figure("Image AUROC by rung", plot.render(), "Whiskers: 95 % intervals, by resampling images.", legend)
