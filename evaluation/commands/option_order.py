"""`vlm-inspect option-order`: whether a model's choice depends on which letter an option has."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evaluation.commands.bench import bench
from evaluation.engine.options import with_asking
from vlm_inspect.command_options.general import PATH, progress
from vlm_inspect.command_options.inspector import with_config
from vlm_inspect.safe_text import escape_invisible, write_line

if TYPE_CHECKING:
    from evaluation.engine.options import AskingOptions
    from evaluation.prompt_tests.option_order import OptionOrder
    from evaluation.prompt_tests.probing import Watch
    from evaluation.runs.plan import RunPlan
    from vlm_inspect.config import InspectorConfig

_TAKEN = (
    *("format_name", "categories", "shots", "seed", "limit", "concurrency", "model", "base_url", "timeout_s"),
    *("tokens_per_minute", "price", "budget_usd", "cache", "samples", "detail"),
    *("device", "dtype", "quantize", "trust_remote_code", "quiet", "debug"),
)
"""Parameters of `bench` that mean the same here."""


@click.command("option-order")
@click.argument("dataset", type=PATH, metavar="DATASET_DIR")
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON to stdout.")
@with_config
@with_asking
def option_order(
    dataset: Path, *, as_json: bool, config: "InspectorConfig", asking: "AskingOptions", **options: Any
) -> int:
    """Ask the multiple-choice questions of DATASET_DIR (MMAD) again with their options in other orders.

    Counts how often the chosen option (not its letter) changes, and how often each letter is chosen.

    Exit code: 0 done (whatever was found), 2 error.

    \b
    Example:
      vlm-inspect option-order MMAD --model openai:gpt-4o --limit 20
    """
    from evaluation.errors import RunError
    from evaluation.runs.plan import make_plan
    from vlm_inspect.datasets.registry import read_dataset

    if not config.asks_a_model:
        raise RunError("the model evidence answers no questions; give a --model")
    with progress(quiet=options["quiet"]) as say:
        data = read_dataset(dataset, format=options["format_name"])
        data = data.select(options["categories"]) if options["categories"] else data
        if not data.questions:
            raise RunError(f"{dataset} asks no questions; option-order is for multiple choice, such as MMAD")
        shots, seed, limit = options["shots"], options["seed"], options["limit"]
        plan = make_plan(data, shots=shots, seed=seed, limit=limit, ask_questions=True)
        told = _test(plan, config, asking, lambda done, of: say(f"{done} of {of} questions"))
    if as_json:
        values = told.as_document().model_dump(mode="json")
        write_line(escape_invisible(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)))
    else:
        write_line("\n".join(_lines(told)))
    return 0


def _test(plan: "RunPlan", config: "InspectorConfig", asking: "AskingOptions", watch: "Watch") -> "OptionOrder":
    from evaluation.engine.asking import Asker
    from evaluation.engine.examiner import Examiner
    from evaluation.engine.options import cache_of, limits_of
    from evaluation.engine.spending import Spending
    from evaluation.prompt_tests.option_order import run_option_order
    from evaluation.prompt_tests.probing import Prober

    inspector = config.with_changes(localizer={"name": "none"}).build()
    backend, samples = inspector.backend, inspector.samples
    limits, cache = limits_of(asking, backend), cache_of(asking)
    asker = Asker(backend, limits, cache, samples=samples, price=asking.price, spending=Spending(limits))
    examiner = Examiner(inspector)
    try:
        return asyncio.run(run_option_order(plan.tasks, examiner, Prober(asker), watch=watch))
    finally:
        asker.close()
        cache.close()


option_order.params += [parameter for parameter in bench.params if parameter.name in _TAKEN]


def _lines(told: "OptionOrder") -> Iterator[str]:
    yield f"{told.model}: {told.questions} questions, {told.requests} requests"
    for one in told.moves:
        around = "n/a" if one.interval is None else " to ".join(f"{end:.0%}" for end in one.interval)
        unread = f", no answer {one.unread}" if one.unread else ""
        yield (
            f"{one.order}: choice moved {one.moved} of {one.questions} (95 % {around}), "
            f"right {one.right}, as is {one.right_as_is}{unread}"
        )
    letters = sorted(set(told.chosen_letters) | set(told.right_letters))
    counts = (f"{x} {told.chosen_letters.get(x, 0)} ({told.right_letters.get(x, 0)})" for x in letters)
    yield f"letters chosen (right): {', '.join(counts)}"
    yield from (f"warning: {one}" for one in told.warnings())
