"""`run_bench`: from the options of the command to a finished run.

bench    = prepare_bench(read_dataset(folder), ...)    assembly.py: plan.py, which also checks for leaks; settings.py
records  = Runner(plan, examiner, journal, ...).run()  runner.py
results  = build_results(plan, records, ...)           scoring/results.py
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evaluation.bench.assembly import Bench, prepare_bench
from evaluation.bench.dry_run import describe_data, describe_run
from evaluation.bench.options import BenchOptions
from evaluation.bench.progress import RunProgress
from evaluation.engine.item_files import ItemFiles
from evaluation.engine.journal import Journal, check_place, open_journal
from evaluation.engine.options import cache_of
from evaluation.engine.reply_cache import ReplyCache
from evaluation.engine.runner import Runner
from evaluation.engine.spending import Spending
from evaluation.errors import RunError
from evaluation.report import compile_page, write_report
from evaluation.runs.documents import read_document
from evaluation.runs.record import ItemRecord
from evaluation.runs.results import RESULTS, ClassResults, PromptTests, Results
from evaluation.runs.settings import Limits
from evaluation.scoring.all_scorers import all_metrics
from evaluation.scoring.pixel_draws import write_draws
from evaluation.scoring.results import build_results, write_results
from vlm_inspect.command_options.general import progress
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.datasets.summary import summarise
from vlm_inspect.errors import InspectError, InspectWarning
from vlm_inspect.safe_text import plain_line, write_line

if TYPE_CHECKING:
    from evaluation.engine.cluster.engine import Workers

_SHOWN = 5
"""Problems that are told before a run."""


def run_bench(folder: Path, options: BenchOptions) -> int:
    """Do what the command was asked to; returns the exit code.

    Raises:
        InspectError: something is wrong with the data, the options, the output folder, or the run stopped.
    """
    out = options.out
    if out is None and not options.dry_run:
        raise click.UsageError("give --out DIR for the results, or --dry-run")
    if out is not None and not options.dry_run:
        check_place(out, resume=options.resume)
    with progress(quiet=options.quiet) as say:
        say("reading the data set")
        dataset = _read(folder, options)
        if options.dry_run or out is None:
            return _dry_run(dataset, options, say)
        bench = prepare_bench(dataset, options)
    with open_journal(out, resume=options.resume) as journal:
        journal.begin(bench.settings)
        if options.retry_failed:
            journal.forget_failed()
        with progress(quiet=options.quiet) as say:
            say("checking the files")
            problems = [problem.message for problem in summarise(dataset, decode=False).problems]
        if not options.quiet:
            _warn(problems)
        try:
            results = carry_out(bench, journal, options, problems)
        except InspectError:
            journal.discard_unused()
            raise
    write_line(_summary(results, out))
    for warning in results.rule_test.warnings() if results.rule_test is not None else ():
        write_line(f"warning: {plain_line(warning)}")
    if not results.coverage:
        first = results.failures[0]
        raise RunError(f"no item was judged; {first.id}: {first.message}; fix it, then --resume --retry-failed")
    return 0


def _read(folder: Path, options: BenchOptions) -> Dataset:
    dataset = read_dataset(folder, format=options.format_name)
    return dataset.select(options.categories) if options.categories else dataset


def _dry_run(dataset: Dataset, options: BenchOptions, say: Callable[[str], None]) -> int:
    """Say what was found, and what would be asked, or why nothing could be; returns the exit code."""
    summary = summarise(dataset, on_progress=lambda done, of: say(f"{done} of {of} files"))
    try:
        bench = prepare_bench(dataset, options)
    except InspectError:
        write_line(describe_data(summary))
        raise
    tested = options.rule_test_parts if options.rule_test else None
    write_line(describe_run(summary, bench.plan, bench.settings, bench.limits, rule_test_parts=tested))
    return 0


def _warn(problems: Sequence[str]) -> None:
    """Say what is wrong with the data before the run stumbles on it."""
    for message in problems[:_SHOWN]:
        write_line(f"vlm-inspect: warning: {plain_line(message)}", err=True)
    if len(problems) > _SHOWN:
        write_line(f"vlm-inspect: warning: and {len(problems) - _SHOWN} more; --dry-run tells them", err=True)


def carry_out(bench: Bench, journal: Journal, options: BenchOptions, problems: Sequence[str] = ()) -> Results:
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
    files = ItemFiles(
        out,
        bench.plan.categories,
        keep_maps=limits.keep_maps,
        aupro_200=bench.settings.aupro_200,
        figures=limits.figures,
    )
    cache = cache_of(options.asking)
    shown = RunProgress(bench.plan, Spending(limits, known.values()), quiet=options.quiet)
    shown.recall(known.values())
    compile_page()
    try:
        with _engine(bench, options, len(bench.plan.tasks) - len(known)) as workers, shown:
            if workers is not None:
                limits = replace(limits, concurrency=workers.at_once)
            records = Runner(bench.plan, bench.examiner, journal, files, cache, limits, shown.add, workers).run()
        results = _conclude(bench, journal, records, files, limits, problems)
        if options.rule_test:
            results = results.model_copy(update={"rule_test": _run_prompt_tests(bench, journal, cache, options)})
            write_results(out, results, bench.plan, records)
            write_report(out)
        return results
    finally:
        cache.close()


def _conclude(
    bench: Bench,
    journal: Journal,
    records: Mapping[str, ItemRecord],
    files: ItemFiles,
    limits: Limits,
    problems: Sequence[str],
) -> Results:
    """Write what the records amount to, and return it."""
    out, draws = journal.path.parent, journal.pixel_draws()
    worst: list[ItemRecord] = []
    if not bench.plan.asks_questions:
        worst = files.prune(records, [category.name for category in bench.plan.categories])
    results = build_results(
        bench.plan,
        records,
        pixels=journal.pixels(),
        pixel_draws=draws,
        settings=bench.settings,
        limits=limits,
        thresholds=bench.thresholds,
        wall_s=journal.wall_s(),
        checks={**bench.checks, "problems": list(problems)},
        worst=[one for one in worst if (out / "previews" / f"{one.preview}.jpg").is_file()],
        rule_test=_earlier_rule_test(out),
    )
    write_results(out, results, bench.plan, records)
    write_draws(out, draws)
    write_report(out)
    return results


def _earlier_rule_test(out: Path) -> PromptTests | None:
    """Return the rule test that an earlier session left in the results; None where there is none."""
    if not (out / RESULTS).is_file():
        return None
    try:
        return read_document(Results, out / RESULTS, "its rule test is left out; --rule-test makes it again").rule_test
    except RunError as error:
        warnings.warn(str(error), InspectWarning, stacklevel=2)
        return None


def _run_prompt_tests(bench: Bench, journal: Journal, cache: ReplyCache, options: BenchOptions) -> PromptTests:
    from evaluation.prompt_tests.run_tests import run_prompt_tests

    with progress(quiet=options.quiet) as say:
        return run_prompt_tests(
            bench.plan,
            bench.examiner,
            journal,
            cache,
            bench.limits,
            parts=options.rule_test_parts,
            watch=lambda done, of: say(f"rule test: {done} of {of}"),
        )


@contextmanager
def _engine(bench: Bench, options: BenchOptions, items: int) -> "Iterator[Workers | None]":
    """Give the workers that examine so many items; None where this process does."""
    from evaluation.engine.cluster.engine import open_workers
    from evaluation.engine.cluster.recipe import Recipe

    if bench.limits.engine == "local" or not items:
        yield None
        return
    recipe = Recipe(
        config=bench.config,
        rules=bench.plan.rules,
        thresholds=bench.thresholds,
        price=bench.own_price,
        model_name=bench.settings.model,
        localizer_name=bench.settings.localizer,
        server=bench.settings.server,
        folder=Path.cwd(),
        figures=bench.limits.figures,
    )
    with open_workers(
        recipe, address=options.ray_address, concurrency=options.asking.concurrency, items=items
    ) as workers:
        yield workers


def _summary(results: Results, out: Path) -> str:
    """Return the result in a few lines."""
    if results.questions is not None:
        lines = [f"{name}: accuracy {_told(one.metric('accuracy'))}" for name, one in results.categories.items()]
        lines += [f"mean: accuracy {_told(results.questions.average)}"] if len(lines) > 1 else []
    else:
        lines = []
        for name, one in results.categories.items():
            lines += [_line(name, one.metric, one.has), *_outcomes(one)]
        if len(lines) > 1:
            lines.append(_line("mean", results.mean.get, results.mean.__contains__))
    lines.append(
        f"coverage {results.coverage:.1%}, {results.parse_failures} parse failures, "
        f"REVIEW {results.review_rate:.1%}, {results.wall_s:.1f} s; {out / RESULTS}"
    )
    return "\n".join(lines)


def _line(name: str, value_of: Callable[[str], float | None], has: Callable[[str], bool]) -> str:
    shown = [metric for metric in all_metrics() if metric.shown and has(metric.name)]
    return f"{name}: {', '.join(f'{metric.name} {_told(value_of(metric.name))}' for metric in shown)}"


def _outcomes(told: ClassResults) -> list[str]:
    """Return one line a label: how many parts came out how, with exact 95 % intervals. An anomalous OK is missed."""
    lines = []
    for label, rates in told.outcome_rates.items():
        shares = [
            f"{outcome} {rate.count} ({rate.share:.0%}, {rate.interval[0]:.0%} to {rate.interval[1]:.0%})"
            for outcome, rate in rates.items()
            if rate.share is not None and rate.interval is not None
        ]
        if shares:
            lines.append(f"  {label}: {', '.join(shares)}")
    return lines


def _told(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
