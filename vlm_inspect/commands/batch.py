"""`vlm-inspect batch`: many parts in, one table out."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.general import PATH, common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.commands.paid_steps import keep_steps
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.batch.row import Row
    from vlm_inspect.config import InspectorConfig

_SHOWN = 5
_EVERY_S = 10.0


def _pattern(context: click.Context, parameter: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is not a regular expression: {error}.") from error


@click.command(cls=GroupedCommand)
@click.argument("parts", nargs=-1, required=True, metavar="PARTS...")
@inspector_options
@agent_options
@click.option("--csv", "csv_path", type=PATH, required=True, metavar="FILE", help="Write the table, one row per part.")
@click.option(
    "--html",
    "gallery",
    type=PATH,
    metavar="DIR",
    help="Write a gallery: index.html, worst part first, and one page per part.",
)
@click.option(
    "--serial",
    callback=_pattern,
    metavar="REGEX",
    help="Pattern of the serial number in a file's name. If it has a group, the group is the number.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Number of parts judged at the same time. More than one helps where a server answers.",
)
@click.option("--resume", is_flag=True, help="Continue a batch: judge the parts that are new, changed or failed.")
@common
def batch(parts: tuple[str, ...], *, config: "InspectorConfig", csv_path: Path, **options: Any) -> int:
    """Judge many PARTS (files, folders, patterns) with one load of models and references.

    A folder stands for all files in it. A part that cannot be judged gets a row with outcome ERROR and the reason.

    Exit code: 0 all OK, 1 some NG, 3 some REVIEW and none NG, 2 a part could not be judged, or the command is wrong.

    \b
    Example:
      vlm-inspect batch photos/ --rules rules/screw.yaml --csv parts.csv --html gallery
      vlm-inspect batch 'shift/*.ply' --rules rules/screw.yaml --csv shift.csv --serial '_(\\d+)' --resume
    """
    from vlm_inspect.batch.parts import find_parts
    from vlm_inspect.batch.run import BatchPlan, digest_of_settings, exit_code_of, journal_of, run_batch
    from vlm_inspect.errors import OutputError
    from vlm_inspect.file_writing import check_folder, check_writable

    check_agent(config)
    gallery, serial = options["gallery"], options["serial"]
    paid = csv_path.with_name(f"{csv_path.name}.replies")
    own = [journal_of(csv_path), *([gallery] if gallery else []), paid]
    check_writable(csv_path)
    check_writable(own[0])
    if gallery is not None:
        check_folder(gallery)
    found = find_parts(parts, table=csv_path, apart=own)
    with _progress(quiet=options["quiet"]) as say:
        say("starting")
        inspector = config.build()
        inputs = [config.rules, config.calibration, config.localizer.checkpoint, *inspector.references]
        if csv_path.resolve() in [path.resolve() for path in inputs if path is not None]:
            raise OutputError(f"{csv_path} is what the parts are judged by; write the table elsewhere")
        steps = None
        if config.agent.enabled and config.asks_a_model:
            inspector, steps = keep_steps(inspector, paid)
        plan = BatchPlan(found, csv_path, gallery, serial, options["workers"], options["resume"])
        judged_by = digest_of_settings(config, inspector, serial=serial.pattern if serial else None)
        rows = run_batch(inspector, plan, judged_by=judged_by, progress=say)
        if steps is not None:
            steps.discard()
    _report(rows, csv_path, gallery)
    return exit_code_of(rows)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show how far it is on stderr: a spinner on a terminal, else a line now and then."""
    if quiet or sys.stderr.isatty():
        with progress(quiet=quiet) as say:
            yield say
        return
    last = time.monotonic()

    def say_seldom(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            write_line(text, err=True)

    yield say_seldom


def _report(rows: "list[Row]", table: Path, gallery: Path | None) -> None:
    from vlm_inspect.safe_text import plain_line

    counts = Counter(row.outcome for row in rows)
    told = ", ".join(f"{counts[name]} {name}" for name in ("OK", "NG", "REVIEW", "ERROR") if counts[name])
    write_line(f"{len(rows)} part{'' if len(rows) == 1 else 's'}: {told}")
    failed = [row for row in rows if row.outcome == "ERROR"]
    for row in failed[:_SHOWN]:
        write_line(f"not judged: {plain_line(row.review_reasons)}", err=True)
    if len(failed) > _SHOWN:
        write_line(f"and {len(failed) - _SHOWN} more, in {table}", err=True)
    write_line(f"written: {table}")
    if gallery is not None:
        write_line(f"written: {gallery / 'index.html'}")
