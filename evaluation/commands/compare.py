"""`vlm-inspect compare`: two finished runs over the same items, and whether their difference is more than chance."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vlm_inspect.command_options.general import PATH
from vlm_inspect.safe_text import escape_invisible, write_line

if TYPE_CHECKING:
    from evaluation.comparison.comparison import Compared, Comparison

_FLIPS = 10
"""Listed in the text; `--json` has them all."""


@click.command()
@click.argument("run_a", type=PATH, metavar="RUN_A")
@click.argument("run_b", type=PATH, metavar="RUN_B")
@click.option("--common", is_flag=True, help="Where the runs differ in items, compare those that both have.")
@click.option("--json", "as_json", is_flag=True, help="Write everything as JSON to stdout.")
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def compare(run_a: Path, run_b: Path, *, common: bool, as_json: bool, debug: bool) -> int:
    """Compare RUN_B with RUN_A, two output folders of `bench`, by paired bootstrap over the items.

    A difference counts if its 95 % interval excludes 0.

    Exit code: 0 done, 2 error.

    \b
    Example:
      vlm-inspect compare runs/memory runs/gpt
      vlm-inspect compare runs/memory runs/gpt --json > difference.json
    """
    from evaluation.comparison.comparison import compare_runs
    from evaluation.runs.finished_run import read_run

    comparison = compare_runs(read_run(run_a), read_run(run_b), common=common)
    if as_json:
        write_line(
            escape_invisible(json.dumps(comparison.as_document(), indent=2, ensure_ascii=False, allow_nan=False))
        )
    else:
        write_line("\n".join(_lines(comparison)))
    return 0


def _lines(comparison: "Comparison") -> Iterator[str]:
    from vlm_inspect.safe_text import plain_line

    yield plain_line(f"A: {comparison.a.folder}, {comparison.a.title}")
    yield plain_line(f"B: {comparison.b.folder}, {comparison.b.title}")
    out = f"; {comparison.left_out} are in one run alone and left out" if comparison.left_out else ""
    yield f"{comparison.items} items in both{out}"
    for metric, told in comparison.metrics.items():
        rows = {name: one for name, one in told.items() if name != "mean"}
        if len(rows) != 1 and "mean" in told:
            rows["mean"] = told["mean"]
        for name, one in rows.items():
            yield plain_line(f"{metric}, {name}: {_words(one)}")
    yield from comparison.notes
    for run in ("a", "b"):
        yield from _flipped(comparison, run)


def _words(one: "Compared | None") -> str:
    if one is None:
        return "n/a (one label only)"
    difference = one.difference
    low, high = difference.low, difference.high
    verdict = "no telling" if low <= 0.0 <= high else f"B is {'better' if difference.share > 0.5 else 'worse'}"
    return (
        f"A {one.a:.4f}, B {one.b:.4f}, difference {difference.value:+.4f} (95 % {low:+.4f} to {high:+.4f}), {verdict}"
    )


def _flipped(comparison: "Comparison", run: str) -> Iterator[str]:
    from vlm_inspect.safe_text import plain_line

    own = [one for one in comparison.flips if one.better == run]
    other = "B" if run == "a" else "A"
    yield f"{len(own)} items that {run.upper()} gets right and {other} wrong" + (":" if own else "")
    for one in own[:_FLIPS]:
        scores = " against ".join("no score" if score is None else f"{score:.3f}" for score in one.scores)
        outcomes = " against ".join(outcome or "none" for outcome in one.outcomes)
        yield f"  {plain_line(f'{one.id}: {one.label}, {scores}, {outcomes}')}"
    if len(own) > _FLIPS:
        yield f"  and {len(own) - _FLIPS} more (--json lists all)"
