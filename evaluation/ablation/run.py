"""What each part of the prompt is worth: each variant of `variants.py` is a run of `bench` over the same items.

    document = run_ablation(Path("mvtec"), Path("runs/ablation"), ["openai:gpt-4o"], options)

A variant is held against the one below it by paired bootstrap.
"""

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.ablation.variants import AGENTS, Variant, has_words_without_rules, make_variants, write_variant
from evaluation.bench.options import BenchOptions
from evaluation.bench.run import run_bench
from evaluation.comparison.comparison import compare_runs
from evaluation.engine.journal import NAME as JOURNAL
from evaluation.errors import RunError, RunStoppedError
from evaluation.report.ablation_page import render_ablation
from evaluation.report.page import ABLATION, write_report
from evaluation.runs.finished_run import FinishedRun, read_run
from evaluation.runs.plan import load_rule_books
from vlm_inspect.backends import is_offline
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.prompting import Template, load_template
from vlm_inspect.rules import RuleBook

PAGE = "ablation.html"
_SHOWN = ("image_auroc", "image_ap", "accuracy", "balanced_accuracy", "miss_rate", "overkill_rate")
Watch = Callable[[str, Variant], None]
"""(model, variant at work)."""


def run_ablation(
    dataset: Path, out: Path, models: Sequence[str], options: BenchOptions, watch: Watch = lambda model, variant: None
) -> dict[str, Any]:
    """Run every variant with every model, and return what came of it; it is also written to `out`.

    Args:
        dataset: folder of the data set.
        out: new folder, or with `options.resume` that of an ablation to go on with.
        models: PROVIDER:NAME each.
        options: those of `bench`; template, rule books, references and localizer are the ones of the highest variant.
        watch: told what is at work.

    Raises:
        RunError: the output folder is another's, a model reads no prompt, or there is no two variants to compare.
        RunStoppedError: a run stopped by a limit.
        InspectError: see `bench`.
    """
    _check(out, models, options)
    data = read_dataset(dataset, format=options.format_name)
    data = data.select(options.categories) if options.categories else data
    if data.questions:
        raise RunError(
            "an ablation is of prompts for judging parts, and this data set asks questions; bench scores those"
        )
    template = load_template(options.config.template)
    books = _books(data, options)
    variants, left_out = make_variants(template, _missing(template, data, options))
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    spent = 0.0
    for model in dict.fromkeys(models):
        below: FinishedRun | None = None
        for variant in variants:
            watch(model, variant)
            run = _run(dataset, out, model, variant, _budgeted(options, spent), template=template, books=books)
            spent += run.results.usage.cost_usd or 0.0
            rows.append(_row(out, model, variant, run, below))
            below = run
    document = {"dataset": data.name, "metric": "image_auroc", "left_out": left_out, "rows": rows}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / ABLATION, (text + "\n").encode())
    write_atomically(out / PAGE, render_ablation(document).encode())
    for row in rows:  # now that there is an ablation, each report shows it
        write_report(out / row["folder"])
    return document


def _check(out: Path, models: Sequence[str], options: BenchOptions) -> None:
    if any(is_offline(model) for model in models):
        raise RunError("the model evidence reads no prompt, so there is nothing to ablate; give a --model")
    if options.asking.price is not None and len(set(models)) > 1:
        raise RunError("--price holds for one model, and several are given; run them one by one, each with its price")
    if out.exists() and not out.is_dir():
        raise RunError(f"--out {out} is a file; give a new folder")
    if out.is_dir() and any(out.iterdir()) and not options.resume:
        raise RunError(f"{out} is not empty; add --resume to go on with an ablation, or give a new folder")


def _missing(template: Template, data: Dataset, options: BenchOptions) -> dict[str, str]:
    """Return the variants that the options leave nothing for."""
    found = {}
    if not options.rules_dir and not has_words_without_rules(template):
        found["rules"] = "there is no --rules-dir"
    if not options.shots or not any(_can_refer(data, name.name) for name in data.categories):
        found["references"] = "there is no reference (--shots 0, or no normal training image)"
    if options.config.localizer.name == "none":
        found["evidence"] = "the localizer is none"
    if not options.config.agent.enabled:
        found |= dict.fromkeys(AGENTS, "it costs several times as much; add --agent")
    return found


def _can_refer(data: Dataset, name: str) -> bool:
    category = data.category(name)
    return bool(category.train) or any(item.references for item in category.test)


def _books(data: Dataset, options: BenchOptions) -> dict[str, RuleBook]:
    if not options.rules_dir:
        return {}
    return load_rule_books(options.rules_dir, [category.name for category in data.categories])


def _budgeted(options: BenchOptions, spent: float) -> BenchOptions:
    """Return the options with what the variants before left of the budget.

    Raises:
        RunStoppedError: nothing is left.
    """
    budget = options.asking.budget_usd
    if budget is None:
        return options
    if budget <= spent:
        raise RunStoppedError(
            f"the budget of {budget:g} USD is used up ({spent:.4f}); continue with --resume and a higher one"
        )
    return replace(options, asking=replace(options.asking, budget_usd=budget - spent))


def _run(
    dataset: Path,
    out: Path,
    model: str,
    variant: Variant,
    options: BenchOptions,
    *,
    template: Template,
    books: Mapping[str, RuleBook],
) -> FinishedRun:
    """Run one variant in its own folder, its summary going to stderr."""
    folder = folder_of(out, model) / variant.folder_name
    folder.parent.mkdir(exist_ok=True)
    resume = (folder / JOURNAL).exists()
    options = replace(options, config=options.config.with_changes(model={"name": model}))
    own = replace(
        write_variant(out, variant, template, books, options),
        out=folder,
        resume=resume,
        retry_failed=options.retry_failed and resume,
    )
    with contextlib.redirect_stdout(io.StringIO() if options.quiet else sys.stderr):
        run_bench(dataset, own)
    return read_run(folder)


def folder_of(out: Path, model: str) -> Path:
    """Return the folder of a model's runs."""
    return out / (re.sub(r"[^A-Za-z0-9.-]+", "_", model).strip("._") or "model")


def _row(out: Path, model: str, variant: Variant, run: FinishedRun, below: FinishedRun | None) -> dict[str, Any]:
    results = run.results
    single = len(run.categories) == 1
    value_of = results.categories[run.categories[0]].metric if single else results.mean.get
    items = len(run.records)
    tokens = [one.usage.prompt_tokens + one.usage.completion_tokens for one in run.records]
    price = results.settings.limits.get("price")
    return {
        "model": model,
        "variant": variant.name,
        "folder": (folder_of(out, model) / variant.folder_name).relative_to(out).as_posix(),
        **{name: value_of(name) for name in _SHOWN},
        "interval": results.interval(run.categories[0] if single else "mean", "image_auroc"),
        "gain": None if below is None else _gain(below, run),
        "items": items,
        "coverage": results.coverage,
        "review_rate": results.review_rate,
        "tokens_an_item": sum(tokens) / items,
        "usd_an_item": None if price is None else _usd(run, price) / items,
        "latency_p50_s": results.usage.latency_s["p50"],
    }


def _gain(below: FinishedRun, run: FinishedRun) -> dict[str, float] | None:
    compared = compare_runs(below, run).metrics["image_auroc"].get("mean")
    if compared is None:
        return None
    difference = compared.difference
    return {"value": difference.value, "low": difference.low, "high": difference.high, "share": difference.share}


def _usd(run: FinishedRun, price: Mapping[str, float]) -> float:
    """Return what a run costs where no reply comes from the cache."""
    prompt = sum(one.usage.prompt_tokens for one in run.records)
    completion = sum(one.usage.completion_tokens for one in run.records)
    return (prompt * price["prompt_usd"] + completion * price["completion_usd"]) / 1e6
