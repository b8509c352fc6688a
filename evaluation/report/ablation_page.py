"""The page of an ablation: one table, one plot."""

from collections.abc import Mapping
from typing import Any

from evaluation.report.figures import ablation_figure
from evaluation.report.page import fill_page


def render_ablation(document: Mapping[str, Any]) -> str:
    """Return the page of `ablation.json`."""
    models = list(dict.fromkeys(row["model"] for row in document["rows"]))
    return fill_page(
        "ablation.html.j2",
        title=f"{document['dataset']}: the prompt ablation",
        document=document,
        models=models,
        figure=ablation_figure(document),
    )
