"""`run_bench`: from the options of the command to a finished run.

plan     = make_plan(read_dataset(folder), ...)        plan.py, which also checks for leaks
settings = what the results rest on                    settings.py
records  = Runner(plan, examiner, journal, ...).run()  runner.py
results  = build_results(plan, records, ...)           scoring/results.py
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.bench.board import Board
from evaluation.bench.dry_run import describe_data, describe_run
from evaluation.bench.examiner import Examiner
from evaluation.bench.item_files import ItemFiles
from evaluation.bench.journal import Journal, open_journal
from evaluation.bench.plan import Plan, check_checkpoint, check_leaks, load_rule_books, make_plan
from evaluation.bench.record import ItemRecord
from evaluation.bench.reply_cache import ReplyCache
from evaluation.bench.runner import Runner, is_local
from evaluation.bench.settings import Limits, Price, Settings
from evaluation.bench.spending import Spending
from evaluation.datasets.item import Dataset
from evaluation.datasets.references import content_sha256
from evaluation.datasets.registry import read_dataset
from evaluation.datasets.summary import summarise
from evaluation.errors import RunError
from evaluation.report import write_report
from evaluation.scoring.results import build_results, write_results
from vlm_inspect.array_cache import cache_folder
from vlm_inspect.backends.backend import Backend
from vlm_inspect.calibration import Thresholds, load_calibration
from vlm_inspect.commands.options import progress
from vlm_inspect.errors import InspectError
from vlm_inspect.inspector import ANY_PART, Inspector
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.prompting import PromptLimits
from vlm_inspect.report.wording import plain_line

if TYPE_CHECKING:
    from evaluation.bench.cluster.engine import Workers

_AT_ONCE = 8
"""Requests in flight over a network, where nobody says otherwise."""
_SHOWN = 5
"""Problems that are told before a run."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A run, put together and checked, before anything is asked."""

    plan: Plan
    settings: Settings
    limits: Limits
    backend: Backend
    localizer: Localizer | None
    thresholds: Mapping[str, Thresholds]
    checks: Mapping[str, Any]
    prompt_limits: PromptLimits
    own_price: Price | None
    inspector_options: Mapping[str, Any]
    """What model and localizer were made of."""

    @property
    def examiner(self) -> Examiner:
        """What does the work of one task."""
        return Examiner(
            backend=self.backend,
            localizer=self.localizer,
            rules=self.plan.rules,
            thresholds=self.thresholds,
            template=self.settings.template,
            samples=self.settings.samples,
            limits=self.prompt_limits,
            price=self.own_price,
        )


def run_bench(folder: Path, options: Mapping[str, Any]) -> int:
    """Do what the command was asked to; returns the exit code.

    Raises:
        InspectError: something is wrong with the data, the options, the output folder, or the run stopped.
    """
    if options["out"] is None and not options["dry_run"]:
        raise click.UsageError("give --out DIR for the results, or --dry-run")
    with progress(quiet=options["quiet"]) as say:
        say("reading the data set")
        dataset = _read(folder, options)
        if options["dry_run"]:
            return _dry_run(dataset, options, say)
        bench = prepare_bench(dataset, options)
    with open_journal(options["out"], resume=options["resume"]) as journal:
        journal.begin(bench.settings)
        if options["retry_failed"]:
            journal.forget_failed()
        with progress(quiet=options["quiet"]) as say:
            say("checking the files")
            problems = [problem.message for problem in summarise(dataset, decode=False).problems]
        if not options["quiet"]:
            _warn(problems)
        document = carry_out(bench, journal, options, problems)
    click.echo(_summary(document, options["out"]))
    return 0


def _read(folder: Path, options: Mapping[str, Any]) -> Dataset:
    dataset = read_dataset(folder, format=options["format_name"])
    return dataset.select(options["categories"]) if options["categories"] else dataset


def _dry_run(dataset: Dataset, options: Mapping[str, Any], say: Callable[[str], None]) -> int:
    """Say what was found, and what would be asked, or why nothing could be; returns the exit code."""
    summary = summarise(dataset, on_progress=lambda done, of: say(f"{done} of {of} files"))
    try:
        bench = prepare_bench(dataset, options)
    except InspectError:
        click.echo(describe_data(summary))
        raise
    click.echo(describe_run(summary, bench.plan, bench.settings, bench.limits))
    return 0


def prepare_bench(dataset: Dataset, options: Mapping[str, Any]) -> Bench:
    """Check everything that can be wrong with a run; asks nothing.

    Raises:
        InspectError: see `run_bench`.
    """
    from vlm_inspect.commands.inspecting import make_inspector

    _check_engine(options)
    names = [category.name for category in dataset.categories]
    books = load_rule_books(options["rules_dir"], names) if options["rules_dir"] else {}
    if options["retry_failed"] and not options["resume"]:
        raise RunError("--retry-failed belongs to --resume")
    plan = make_plan(
        dataset,
        shots=options["shots"],
        seed=options["seed"],
        limit=options["limit"],
        rules=books,
        ask_questions=_asks(dataset, options["model"]),
    )
    checks: dict[str, Any] = {"references_compared_with_scored_files": check_leaks(plan), "leaks": 0}
    if options["checkpoint"]:
        checks["scored_pictures_trained_on"] = check_checkpoint(plan, options["checkpoint"], force=options["force"])
    given = _inspector_options(plan, options)
    inspector = make_inspector(given)
    limits = _limits(options, inspector.backend)
    eyes = inspector.eyes
    thresholds = _thresholds(plan, options["calibration_path"], "none" if eyes is None else eyes.name)
    settings = _settings(plan, options, inspector)
    return Bench(
        plan, settings, limits, inspector.backend, eyes, thresholds, checks, inspector.limits, options["price"], given
    )


def _warn(problems: Sequence[str]) -> None:
    """Say what is wrong with the data before the run stumbles on it."""
    for message in problems[:_SHOWN]:
        click.echo(f"vlm-inspect: warning: {plain_line(message)}", err=True)
    if len(problems) > _SHOWN:
        click.echo(f"vlm-inspect: warning: and {len(problems) - _SHOWN} more; --dry-run tells them", err=True)


def carry_out(
    bench: Bench, journal: Journal, options: Mapping[str, Any], problems: Sequence[str] = ()
) -> dict[str, Any]:
    """Run it, write the results into the journal's folder, and return them.

    Args:
        bench: what to run.
        journal: of the output folder, its session begun.
        options: those of the command.
        problems: what is known to be wrong with the data, for the record.

    Raises:
        RunStoppedError: it stopped by its own limits.
        InspectError: see `run_bench`.
    """
    out, limits = journal.path.parent, bench.limits
    known = journal.records()
    files = ItemFiles(out, bench.plan.categories, keep_maps=limits.keep_maps)
    cache = ReplyCache(_cache_folder(options["cache"]))
    board = Board(bench.plan, Spending(limits, known.values()), quiet=options["quiet"])
    board.recall(known.values())
    try:
        with _engine(bench, options, len(bench.plan.tasks) - len(known)) as workers, board:
            if workers is not None:
                limits = replace(limits, concurrency=workers.at_once)
            records = Runner(bench.plan, bench.examiner, journal, files, cache, limits, board.add, workers).run()
    finally:
        cache.close()
    worst: list[ItemRecord] = []
    if not bench.plan.asks_questions:
        worst = files.prune(records, [category.name for category in bench.plan.categories])
    document = build_results(
        bench.plan,
        records,
        pixels=journal.pixels(),
        settings=bench.settings,
        limits=limits,
        thresholds=bench.thresholds,
        wall_s=journal.wall_s(),
        checks={**bench.checks, "problems": list(problems)},
        worst=[one for one in worst if (out / "previews" / f"{one.preview}.jpg").is_file()],
    )
    write_results(out, document, bench.plan, records)
    write_report(out)
    return document


def _asks(dataset: Dataset, model: str) -> bool:
    """Return whether the questions are asked: `evidence` has no language to answer them and judges the images."""
    return bool(dataset.questions) and model.strip() != "evidence"


def _inspector_options(plan: Plan, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of an inspector with the model and the localizer of all classes."""
    from vlm_inspect.localization import AUTO, default_localizer

    name = options["localizer"]
    if name == AUTO:
        name = default_localizer(has_references=any(task.references for task in plan.tasks))
    if plan.asks_questions:
        name = "none"  # the question is asked as it stands, without evidence
    alone = {"rules_path": None, "references": (), "calibration_path": None, "localizer": name}
    return {**options, **alone}


def _check_engine(options: Mapping[str, Any]) -> None:
    """Refuse an engine that is not installed, and an address that nothing reads."""
    from evaluation.bench.cluster.connection import check_installed

    if options.get("engine") == "ray":
        check_installed()
    elif options.get("ray_address"):
        raise RunError("--ray-address belongs to --engine ray")


@contextmanager
def _engine(bench: Bench, options: Mapping[str, Any], items: int) -> "Iterator[Workers | None]":
    """Give the workers that examine so many items; None where this process does."""
    from evaluation.bench.cluster.engine import open_workers
    from evaluation.bench.cluster.recipe import Recipe

    if bench.limits.engine == "local" or not items:
        yield None
        return
    recipe = Recipe(
        options=bench.inspector_options,
        rules=bench.plan.rules,
        thresholds=bench.thresholds,
        template=bench.settings.template,
        samples=bench.settings.samples,
        price=bench.own_price,
        model_name=bench.settings.model,
        localizer_name=bench.settings.localizer,
        server=bench.settings.server,
        folder=Path.cwd(),
    )
    with open_workers(
        recipe, address=options["ray_address"], concurrency=options["concurrency"], items=items
    ) as workers:
        yield workers


def _limits(options: Mapping[str, Any], backend: Backend) -> Limits:
    local = is_local(backend.name)
    price = options["price"] or _known_price(backend)
    if options["budget_usd"] is not None and price is None and not local:
        raise RunError(f"the price of {backend.name} is not known: --budget-usd needs --price IN/OUT beside it")
    return Limits(
        concurrency=options["concurrency"] or (1 if local else _AT_ONCE),
        tokens_per_minute=options["tokens_per_minute"],
        max_failures=options["max_failures"],
        budget_usd=options["budget_usd"],
        price=price,
        keep_maps=options["keep_maps"],
        engine=options.get("engine") or "local",
    )


def _known_price(backend: Backend) -> Price | None:
    """Return what the price tables say of a model at a server."""
    from vlm_inspect.backends.prices import load_prices

    endpoint = getattr(backend, "endpoint", None)
    if endpoint is None:
        return None
    found = load_prices().find([backend.name.partition(":")[2]], endpoint.host)
    return None if found is None else Price(found.input, found.output)


def _settings(plan: Plan, options: Mapping[str, Any], inspector: Inspector) -> Settings:
    endpoint = getattr(inspector.backend, "endpoint", None)
    eyes, calibration = inspector.eyes, options["calibration_path"]
    return Settings(
        dataset=plan.dataset.name,
        format=plan.dataset.format,
        items_sha256=plan.items_sha256,
        categories=tuple(category.name for category in plan.categories),
        shots=options["shots"],
        seed=options["seed"],
        limit=options["limit"],
        model=inspector.backend.name,
        server=None if endpoint is None else endpoint.shown_url,
        samples=options["samples"],
        template="multiple_choice" if plan.asks_questions else options["template"],
        detail=inspector.limits.detail,
        dtype=options.get("dtype") or "auto",
        quantize=options.get("quantize"),
        localizer="none" if eyes is None else eyes.name,
        backbone=options["backbone"],
        clip=options["clip"],
        checkpoint_sha256=content_sha256(options["checkpoint"]) if options["checkpoint"] else None,
        rules_sha256={name: plan.rules[name].sha256 for name in sorted(plan.with_rules)},
        calibration_sha256={name: content_sha256(path) for name, path in _calibration_files(plan, calibration).items()},
    )


def _calibration_files(plan: Plan, path: Path | None) -> dict[str, Path]:
    """Return the calibration file of each class that has one.

    Raises:
        RunError: one file for several classes, or a folder with none for these.
    """
    names = [category.name for category in plan.categories]
    if path is None:
        return {}
    if not path.is_dir():
        if len(names) > 1:
            raise RunError(
                f"--calibration {path} holds for one class, and {len(names)} are scored; name a folder of CLASS.json "
                "files, or one --category"
            )
        return {names[0]: path}
    found = {name: path / f"{name.replace('/', '_')}.json" for name in names}
    found = {name: file for name, file in found.items() if file.is_file()}
    if not found:
        raise RunError(f"--calibration {path} has no CLASS.json for {', '.join(names[:3])}")
    return found


def _thresholds(plan: Plan, path: Path | None, localizer: str) -> dict[str, Thresholds]:
    """Return the thresholds of the classes that have a calibration.

    A class without a rule book takes one that was made without.

    Raises:
        CalibrationError: a file was made for another rule book or localizer.
    """
    found = {}
    for name, file in _calibration_files(plan, path).items():
        book = plan.rules[name] if name in plan.with_rules else ANY_PART
        found[name] = load_calibration(file, rules_sha256=book.sha256, localizer=localizer).thresholds
    return found


def _cache_folder(named: str | None) -> Path | None:
    if named == "off":
        return None
    return cache_folder("replies") if named is None else Path(named)


def _summary(document: Mapping[str, Any], out: Path) -> str:
    """Return the result in a few lines."""
    lines = [_line(name, told) for name, told in document["categories"].items()]
    if len(lines) > 1:
        lines.append(_line("mean", document["mean"]))
    lines.append(
        f"coverage {document['coverage']:.1%}, {document['parse_failures']} parse failures, "
        f"REVIEW {document['review_rate']:.1%}, {document['wall_s']:.1f} s; {out / 'results.json'}"
    )
    return "\n".join(lines)


def _line(name: str, told: Mapping[str, Any]) -> str:
    shown = ("image_auroc", "image_ap", "image_f1_max", "heatmap_auroc", "pixel_auroc", "aupro", "accuracy")
    values = [f"{key} {'n/a' if told[key] is None else f'{told[key]:.4f}'}" for key in shown if key in told]
    return f"{name}: {', '.join(values)}"
