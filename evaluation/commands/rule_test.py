"""`vlm-inspect rule-test`: whether a model's answer depends on the rules that it is given."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converters.system_files import is_system_file
from evaluation.engine.options import limit_options
from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.safe_text import escape_invisible, write_line

if TYPE_CHECKING:
    from evaluation.engine.options import AskingOptions
    from evaluation.prompt_tests.answer_changes import RuleTest
    from evaluation.prompt_tests.probing import Watch
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.inspector import Inspector


@click.command("rule-test")
@click.argument("sources", type=PATH, nargs=-1, required=True, metavar="PART|FOLDER...")
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Write rule_test.json and rule_test.html there; the report of a bench run in DIR is written again with it.",
)
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON to stdout.")
@click.option("--template", default="inspect", show_default=True, metavar="NAME|FILE", help="Prompt template.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Limit of parts, spread evenly over those given.")
@limit_options
@inspector_options
@common
def rule_test(sources: Sequence[Path], *, config: "InspectorConfig", asking: "AskingOptions", **options: Any) -> int:
    """Ask again about the same parts with one rule left out or reversed, and count the answers that change.

    Also asked: the same question again, with another class name, with the references in reverse order, and with the
    part before the references. Give normal and anomalous parts; a folder stands for all files below it.

    Exit code: 0 done (whatever was found), 2 error.

    \b
    Example:
      vlm-inspect rule-test parts/ --rules screw.yaml --model openai:gpt-4o --limit 20 --out rule-test
    """
    from evaluation.report.rule_test_page import write_rule_test

    parts = _spread(_files(sources), options["limit"])
    with progress(quiet=options["quiet"]) as say:
        inspector = config.build()
        _check(inspector)
        test = _test(inspector, parts, asking, lambda done, of: say(f"{done} of {of} parts"))
    if options["out"] is not None:
        write_rule_test(options["out"], test.as_document())
    if options["as_json"]:
        values = test.as_document().model_dump(mode="json")
        write_line(escape_invisible(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)))
    else:
        write_line("\n".join(_lines(test)))
    return 0


def _check(inspector: "Inspector") -> None:
    """Refuse a test with nothing to test."""
    from evaluation.errors import RunError
    from evaluation.prompt_tests.rule_changes import free_rules
    from vlm_inspect.backends import is_offline

    if is_offline(inspector.backend.name):
        raise RunError("the model evidence reads no rules, so there is nothing to test; give a --model")
    if not free_rules(inspector.rules):
        raise RunError("the rule book has no rule that the model judges (all carry a check, or there is none)")


def _test(inspector: "Inspector", parts: Sequence[Path], asking: "AskingOptions", watch: "Watch") -> "RuleTest":
    from evaluation.engine.asking import Asker
    from evaluation.engine.options import cache_of, limits_of
    from evaluation.engine.spending import Spending
    from evaluation.prompt_tests.probing import Prober
    from evaluation.prompt_tests.rule_test import run_rule_test

    limits, cache = limits_of(asking, inspector.backend), cache_of(asking)
    asker = Asker(
        backend=inspector.backend,
        limits=limits,
        cache=cache,
        samples=inspector.samples,
        price=asking.price,
        spending=Spending(limits),
        standing=lambda: "parts left to ask; a higher --budget-usd goes on, and asks nothing twice that --cache keeps",
    )
    try:
        return asyncio.run(run_rule_test(inspector, {str(part): part for part in parts}, Prober(asker), watch=watch))
    finally:
        asker.close()
        cache.close()


# No outcome is reported, so thresholds would change nothing.
rule_test.params = [one for one in rule_test.params if one.name != "calibration_path"]
for _parameter in rule_test.params:
    if _parameter.name == "rules_path":
        _parameter.required = True


def _files(sources: Sequence[Path]) -> list[Path]:
    """Return the files named, and those below the folders named, each once.

    Raises:
        RunError: a source is not there, or a folder is empty.
    """
    from evaluation.errors import RunError

    found: list[Path] = []
    for source in sources:
        if not source.exists():
            raise RunError(f"{source}: no such file or folder; name parts")
        inside = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        inside = [path for path in inside if path == source or not is_system_file(path)]
        if not inside:
            raise RunError(f"{source} is empty; put parts into it")
        found += inside
    return list(dict.fromkeys(found))


def _spread(parts: list[Path], limit: int | None) -> list[Path]:
    """Return at most `limit` parts at even distances, so that both labels of a sorted folder have their share."""
    if limit is None or len(parts) <= limit:
        return parts
    return [parts[at * len(parts) // limit] for at in range(limit)]


def _lines(test: "RuleTest") -> Iterator[str]:
    from vlm_inspect.safe_text import plain_line

    tokens = test.spent.prompt_tokens + test.spent.completion_tokens
    yield f"{test.model}: {len(test.parts)} parts, {test.requests} requests, {tokens} tokens"
    for path, reason in test.left_out:
        yield plain_line(f"left out: {path}: {reason}")
    for row in test.as_document().rows:
        around = "n/a" if row.interval is None else " to ".join(f"{end:.0%}" for end in row.interval)
        unread = f", no answer {row.unread}" if row.unread else ""
        status = f", its own status {row.status_moved} of {row.judged}" if row.judged else ""
        score = f", score {row.score_moved} of {row.scored}" if row.scored else ""
        moved = f"answer moved {row.answer_moved} of {row.parts} (95 % {around})"
        yield plain_line(f"{row.words}: {moved}{score}{status}{unread}")
    for warning in test.warnings():
        yield plain_line(f"warning: {warning}")
