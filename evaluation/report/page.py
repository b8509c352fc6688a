"""The page of a run: what stands on it, in words and numbers ready to print; its form is data (`templates/`).

Like the page of one inspection it holds no script and loads nothing; its content-security policy allows its own style
sheet, by digest, and pictures in data URLs.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from evaluation.errors import RunError
from evaluation.report.charts import interval_bar
from evaluation.report.figures import class_figures, ladder_figure, latency_figure, reliability_figure
from evaluation.report.mistakes import FIRST, defect_table, find_cases, rule_table
from evaluation.report.prompt_tests import listenings, warnings_of
from evaluation.runs.finished_run import FinishedRun, read_run
from evaluation.runs.record import ItemRecord
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.report.wording import plain

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT = "report.html"
_TEMPLATES = ("run.html.j2", "base.html.j2", "parts.html.j2")
"""The page of a run, and what it is made of."""
RULE_TEST = "rule_test.json"
ABLATION = "ablation.json"
"""Two folders above each of its runs."""
_OPEN_CLASSES = 4
"""With more classes than that, their curves fold."""
_FAILURES = 20
"""Listed at once; the others fold."""
COLUMNS = (
    ("image_auroc", "image AUROC"),
    ("image_ap", "image AP"),
    ("image_f1_max", "image F1-max"),
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("miss_rate", "missed"),
    ("overkill_rate", "overkill"),
    ("ece", "ECE"),
    ("brier", "Brier"),
    ("heatmap_auroc", "heatmap AUROC"),
    ("pixel_auroc", "pixel AUROC"),
    ("pixel_ap", "pixel AP"),
    ("pixel_f1_max", "pixel F1-max"),
    ("aupro", "AUPRO"),
    ("aupro_200_thresholds", "AUPRO by 200 thresholds (for papers only)"),
    ("spro_at_0.05", "sPRO, FPR ≤ 0.05"),
    ("point_auroc", "point AUROC"),
    ("point_ap", "point AP"),
    ("frame_auroc", "frame AUROC"),
    ("frame_ap", "frame AP"),
    ("type_auroc", "types, AUROC"),
    ("type_ap", "types, AP"),
    ("type_f1", "types, F1"),
    ("pixel_type_auroc", "types by pixel, AUROC"),
    ("pixel_type_ap", "types by pixel, AP"),
    ("pixel_type_f1", "types by pixel, F1"),
)
"""Metrics in the order of the table; those that no class has are left out."""
_SHARES = frozenset({"accuracy", "balanced_accuracy", "miss_rate", "overkill_rate"})


def write_report(folder: Path) -> Path:
    """Write the page of a finished run into its own folder, and return where.

    Raises:
        RunError: the folder holds no finished run.
        OutputError: the page cannot be written.
    """
    run = read_run(folder)
    ablation = _document(folder.absolute().parent.parent / ABLATION, "ablation", "ablate --resume")
    page = render_report(run, rule_test=_document(folder / RULE_TEST, "rule test", "rule-test"), ablation=ablation)
    write_atomically(folder / REPORT, page.encode())
    return folder / REPORT


def render_report(
    run: FinishedRun, *, rule_test: Mapping[str, Any] | None = None, ablation: Mapping[str, Any] | None = None
) -> str:
    """Return the page.

    Args:
        run: what to report.
        rule_test: the document of a rule test of the same model, where `rule-test` made one; else the run's own.
        ablation: the document of the ablation that the run is a rung of.
    """
    rule_test = rule_test or run.results.get("rule_test")
    values = _questions(run) if run.asks_questions else _images(run)
    return fill_page(
        _TEMPLATES[0],
        run=run,
        results=run.results,
        title=f"{run.results['dataset']}: {run.title}",
        notices=list(_notices(run, rule_test)),
        tiles=list(_tiles(run)),
        settings=list(_settings(run.results["settings"])),
        checks={name: value for name, value in run.results.get("checks", {}).items() if name != "problems"},
        problems=run.results.get("checks", {}).get("problems", ()),
        failures=run.results.get("failures", ()),
        first_failures=_FAILURES,
        latency=latency_figure(run.records),
        ladder=None if ablation is None else ladder_figure(ablation),
        listenings=listenings(rule_test),
        option_order=(rule_test or {}).get("option_order"),
        **values,
    )


def fill_page(template: str, **values: Any) -> str:
    """Return a template of this package filled; everything foreign is escaped.

    Args:
        template: its file name.
        values: what it names.
    """
    style = (_folder() / "page.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # our own file, whose digest the policy names
            style_sha256=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            **values,
        )
    )


def compile_page() -> None:
    """Compile the templates of `render_report`, so that nobody waits for it at the end of a run."""
    for name in _TEMPLATES:
        _environment().get_template(name)


@cache
def _environment() -> "Environment":
    """Return what holds the compiled templates: compiling them takes longer than filling them."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: (_folder() / name).read_text(encoding="utf-8")),
    )
    environment.filters |= {"plain": plain, "number": number, "share": share, "breakable": breakable}
    return environment


def _folder() -> Traversable:
    return resources.files("evaluation.report") / "templates"


def number(value: float | None) -> str:
    """Return a metric in three digits; None is n/a."""
    return "n/a" if value is None else f"{value:.3f}"


def share(value: float | None) -> str:
    """Return a share as a percentage; None is n/a."""
    return "n/a" if value is None else f"{value:.1%}"


def breakable(text: str) -> Markup:
    """Return a path or an id that may break after its separators, and nowhere inside a word that fits a line."""
    escaped = str(Markup.escape(plain(text)))
    return Markup(escaped.replace("/", "/<wbr/>").replace("_", "_<wbr/>"))


def _images(run: FinishedRun) -> dict[str, Any]:
    categories: Mapping[str, Any] = run.results["categories"]
    columns = [(key, word) for key, word in COLUMNS if any(key in told for told in categories.values())]
    intervals = run.results.get("ci95", {})
    scale = _scale(intervals)
    rows = [_row(name, told, intervals.get(name, {}), columns, scale) for name, told in categories.items()]
    mean = _row("mean", run.results.get("mean", {}), intervals.get("mean", {}), columns, scale)
    return {
        "columns": columns,
        "rows": rows,
        "mean": mean if len(rows) > 1 else None,
        "scale": scale,
        "left_out": list(_left_out(run.results.get("left_out_of_mean", {}))),
        "classes": [_class(run, name) for name in run.categories],
        "open_classes": len(categories) <= _OPEN_CLASSES,
        "pooled": reliability_figure(run.records) if len(rows) > 1 else None,
        "misses": find_cases(run, anomalous=True),
        "overkills": find_cases(run, anomalous=False),
        "first": FIRST,
    }


def _class(run: FinishedRun, name: str) -> dict[str, Any]:
    records, threshold = run.of_category(name), run.threshold(name)
    told = run.results["categories"][name]
    return {
        "name": name,
        "threshold": threshold,
        "figures": class_figures(records, threshold),
        "defects": defect_table(records, threshold, told.get("defect_types", {})),
        "rules": rule_table(records),
        "note": told.get("pixel_note", ""),
    }


def _row(
    name: str, told: Mapping[str, Any], intervals: Mapping[str, Any], columns: Any, scale: tuple[float, float]
) -> dict[str, Any]:
    cells = []
    for key, _ in columns:
        value, interval = told.get(key), intervals.get(key)
        show = share if key in _SHARES else number
        around = "" if interval is None or value is None else " to ".join(show(end) for end in interval)
        cells.append({"value": show(value), "interval": around})
    auroc, ends = told.get("image_auroc"), intervals.get("image_auroc")
    bar = None if auroc is None or ends is None else interval_bar(auroc, ends[0], ends[1], scale)
    return {"name": name, "told": told, "cells": cells, "bar": bar}


def _left_out(told: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield what the mean leaves out, metrics of the same classes in one line."""
    words = dict(COLUMNS)
    groups: dict[tuple[str, ...], list[str]] = {}
    for metric, names in told.items():
        groups.setdefault(tuple(names), []).append(words.get(metric, metric))
    for classes, metrics in groups.items():
        yield f"Not in the mean of {', '.join(metrics)}, being n/a: {', '.join(classes)}."


def _scale(intervals: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of the AUROC scale: from 0.5, or lower where an interval reaches below."""
    lows = [told["image_auroc"][0] for told in intervals.values() if "image_auroc" in told]
    return min(0.5, math.floor(10 * min(lows, default=0.5)) / 10), 1.0


def _questions(run: FinishedRun) -> dict[str, Any]:
    told = run.results["questions"]
    intervals = run.results.get("ci95", {})
    rows = [
        {
            **one,
            "mean": told["subtasks"].get(one["subtask"]),
            "interval": intervals.get(one["subtask"], {}).get("share_right"),
        }
        for one in told["pooled"]
    ]
    datasets = [{**one, "dataset": name} for name, group in told["datasets"].items() for one in group]
    return {"subtasks": rows, "datasets": datasets, "average": told["average"]}


def _tiles(run: FinishedRun) -> Iterator[tuple[str, str, str]]:
    """Yield the summary: what, how much, and with which interval or beside what."""
    results = run.results
    if run.asks_questions:
        yield "accuracy, mean of subtasks", share(results["questions"]["average"]), f"{len(run.records)} questions"
    else:
        whole = results["mean"] if len(run.categories) > 1 else results["categories"][run.categories[0]]
        name = "mean" if len(run.categories) > 1 else run.categories[0]
        intervals = results.get("ci95", {}).get(name, {})
        for key, word in (("image_auroc", "image AUROC"), ("miss_rate", "missed"), ("overkill_rate", "overkill")):
            around = intervals.get(key)
            show = share if key in _SHARES else number
            yield word, show(whole.get(key)), "" if around is None else " to ".join(show(end) for end in around)
        if whole.get("aupro") is not None:
            yield "AUPRO", number(whole["aupro"]), f"pixel AUROC {number(whole.get('pixel_auroc'))}"
        yield "REVIEW", share(results["review_rate"]), "held up for a person"
    failed = len(results.get("failures", ()))
    yield "answered", share(results["coverage"]), f"{failed} of {len(run.records)} failed" if failed else "no failures"
    usage = results["usage"]
    tokens = usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
    if usage.get("cost_usd") is None:
        yield "tokens", f"{tokens:,}", "cost n/a: no price given" if tokens else "no language model"
    else:
        yield "cost", f"{usage['cost_usd']:.4f} USD", f"{tokens:,} tokens"
    yield "latency, median", f"{usage['latency_s']['p50']:.2f} s", f"99 %: {usage['latency_s']['p99']:.2f} s"


def _notices(run: FinishedRun, rule_test: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what a reader must know before trusting a number."""
    results = run.results
    failures = results.get("failures", ())
    if failures:
        wrong = "They count as wrong in every metric of images." if not run.asks_questions else "They count as wrong."
        yield f"{len(failures)} of {len(run.records)} items failed. {wrong}"
    yield from warnings_of(rule_test)
    if run.asks_questions:
        return
    one_label = [name for name, told in results["categories"].items() if told.get("image_auroc") is None]
    if one_label:
        yield f"One label only, so no AUROC (n/a, not in the mean): {', '.join(one_label)}."
    calibrated = results["settings"].get("calibration_sha256") or {}
    bare = [name for name in run.categories if name not in calibrated]
    if bare:
        which = "No class is calibrated" if len(bare) == len(run.categories) else f"Not calibrated: {', '.join(bare)}"
        yield f"{which}. Accuracy, missed and overkill are taken at a score of 0.5 there, which no normal part set."
    flat = [name for name in run.categories if _has_one_score(run.of_category(name))]
    if flat:
        yield f"Every item has the same score, so nothing was told apart: {', '.join(flat)}."
    narrow = [key for told in results.get("ci95", {}).values() for key, ends in told.items() if ends[0] == ends[1]]
    if narrow:
        yield (
            "Some intervals have no width: no resample of so few items changed the value. That is not certainty; more "
            "items are needed to tell."
        )
    if results["settings"].get("limit"):
        yield f"Only part of the data set: at most {results['settings']['limit']} items a class."


def _has_one_score(records: Sequence[ItemRecord]) -> bool:
    scores = [one.counted_score for one in records if one.counted_score is not None]
    return len(scores) > 1 and len(set(scores)) == 1


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield f"{name.replace('_', ' ')}: {key.replace('_', ' ')}", _told(inner)
            continue
        yield name.replace("_", " "), _told(value)


def _told(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items()) or "none"
    return str(value)


def _document(path: Path, what: str, command: str) -> dict[str, Any] | None:
    """Return what another command left beside a run; None where there is nothing.

    Raises:
        RunError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); make it again with vlm-inspect {command}") from error
    if not isinstance(told, dict) or not isinstance(told.get("rows"), list):
        raise RunError(f"{path} is no {what}; remove it, or make it again with vlm-inspect {command}")
    return told
