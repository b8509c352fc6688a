"""`vlm-inspect replay`: the prompt and the outcome of a kept case, made again from its record."""

import json
from typing import TYPE_CHECKING

import click

from vlm_inspect.command_options.general import common
from vlm_inspect.commands.storing import open_store, store_option
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.replay import Replay

SAME, DIFFERS = 0, 1


@click.command()
@click.argument("case_id", metavar="CASE_ID")
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON to stdout.")
@store_option
@common
def replay(case_id: str, as_json: bool, store: str | None, quiet: bool, debug: bool) -> int:
    """Rebuild the prompt of a case, byte for byte, and its outcome from the kept replies. No model is asked.

    Shows what differs, which can happen when the code or the templates have changed since.
    Exit code: 0 the same, 1 something differs, 2 error.

    \b
    Example:
      vlm-inspect ask part.ply --rules rules/screw.yaml --save
      vlm-inspect replay 20260314-0926
    """
    from vlm_inspect.replay import replay as replay_case

    with open_store(store) as opened:
        came = replay_case(opened.load(case_id))
    if as_json:
        click.echo(_as_json(came).encode(errors="replace"))
    else:
        _print(came)
    return SAME if came.same else DIFFERS


def _as_json(came: "Replay") -> str:
    from dataclasses import asdict

    values = {
        "case_id": came.case_id,
        "same": came.same,
        "outcome": came.inspection.outcome,
        "score": came.inspection.score,
        "prompt_sha256": came.prompt_sha256,
        "differences": [asdict(one) for one in came.differences],
        "prompt_diff": came.prompt_diff,
        "version_before": came.version_before,
        "version_now": came.version_now,
    }
    from vlm_inspect.safe_text import escape_invisible

    return escape_invisible(json.dumps(values, ensure_ascii=False, indent=2))


def _print(came: "Replay") -> None:
    from vlm_inspect.safe_text import plain, plain_line
    from vlm_inspect.significant_digits import probability_words

    versions = f"vlm-inspect {came.version_before}"
    if came.version_now != came.version_before:
        versions += f" then, {came.version_now} now"
    if came.same:
        told = f"outcome {came.inspection.outcome}, P(anomalous) {probability_words(came.inspection.score)}"
        write_line(f"case {came.case_id}: the same prompt, byte for byte, and the same result: {told} ({versions})")
        return
    count = len(came.differences)
    write_line(f"case {came.case_id}: {count} difference{'s' if count > 1 else ''} ({versions})")
    for one in came.differences:
        write_line(f"- {one.what}\n    then: {plain_line(one.before)}\n    now:  {plain_line(one.now)}")
    if came.prompt_diff:
        write_line(f"\n{plain(came.prompt_diff)}")
