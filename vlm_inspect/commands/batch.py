"""`vlm-inspect batch`: many parts in, one table out."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.clips import clip_options
from vlm_inspect.command_options.general import common, progress
from vlm_inspect.command_options.groups import GroupedCommand
from vlm_inspect.command_options.inspector import inspector_options
from vlm_inspect.commands.delivering import (
    check_apart,
    destination_options,
    open_delivery,
    report_left,
    table_option,
    worker_count,
)
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.sinks.row import Row

_SHOWN = 5


@click.command(cls=GroupedCommand)
@click.argument("parts", nargs=-1, required=True, metavar="PARTS...")
@inspector_options
@clip_options
@agent_options
@table_option(
    "Write the table, one row per part. Default: parts.csv in the folder of --html; without that, a line a part.",
    required=False,
)
@destination_options
@click.option("--resume", is_flag=True, help="Continue a batch: judge the parts that are new, changed or failed.")
@common
def batch(parts: tuple[str, ...], *, config: "InspectorConfig", **options: Any) -> int:
    """Judge many PARTS (files, folders, patterns) with one load of models and references.

    A folder stands for all files in it. A part that cannot be judged gets a row with outcome ERROR and the reason.

    Exit code: 0 all OK, 1 some NG, 3 some REVIEW and none NG, 2 a part could not be judged, or the command is wrong.

    \b
    Example:
      vlm-inspect batch photos/ --reference 'normal/*.jpg'
      vlm-inspect batch photos/ --rules rules/screw.yaml --csv parts.csv --html gallery
      vlm-inspect batch 'shift/*.ply' --rules rules/screw.yaml --csv shift.csv --serial '_(\\d+)' --resume
    """
    from vlm_inspect.batch.parts import find_parts
    from vlm_inspect.batch.run import BatchSettings, digest_of_settings, exit_code_of, run_batch
    from vlm_inspect.file_writing import check_folder

    check_agent(config)
    if options["gallery"] is not None:
        check_folder(options["gallery"])
    with _table_of(options) as table, open_delivery(config, {**options, "csv_path": table}) as delivery:
        made = delivery.destinations
        moves_on = options["resume"] and made.folders is not None and made.journal.exists()
        found = find_parts(parts, table=made.csv, apart=made.own, may_be_none=moves_on)
        by_line = _is_told_by_line(options)
        with progress(quiet=options["quiet"]) as say, _told_if_interrupted(None if by_line else made.csv) as take:
            say("starting")
            inspector = config.build()
            check_apart(inspector, made)
            judged_by = digest_of_settings(config, inspector, sinks=delivery.told)
            settings = BatchSettings(judged_by, worker_count(config, options["workers"]), options["resume"])
            begun = partial(_tell_start, len(found), None if by_line or options["quiet"] else made.csv)
            told = _tell if by_line else take
            rows = run_batch(inspector, found, made, settings, progress=say, told=told, begun=begun)
        if delivery.sender is not None:
            delivery.sender.finish()
            report_left(delivery.sender)
    _report(rows, None if by_line else made.csv, made.gallery)
    return exit_code_of(rows)


def _is_told_by_line(options: dict[str, Any]) -> bool:
    return options["csv_path"] is None and options["gallery"] is None


@contextmanager
def _table_of(options: dict[str, Any]) -> Iterator[Path]:
    """Return where the table and its journal are kept: for this batch alone, where nobody names a place."""
    if options["csv_path"] is not None:
        yield options["csv_path"]
        return
    if options["gallery"] is not None:
        options["gallery"].mkdir(parents=True, exist_ok=True)  # `check_folder` has seen to it that this can be done
        try:
            yield options["gallery"] / "parts.csv"
        finally:
            with suppress(OSError):  # it holds something
                options["gallery"].rmdir()
        return
    for option, given in (("--resume", options["resume"]), ("--move-to", options["move_dir"] is not None)):
        if given:
            raise click.UsageError(f"{option} needs a table that tells what was done; name one with --csv")
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "parts.csv"


def _tell_start(count: int, table: Path | None, done: int) -> None:
    """Say where the rows are while parts are judged, and how to go on after a kill."""
    if table is None:
        return
    before = f", {done} of them judged before" if done else ""
    write_line(
        f"{count} part{'' if count == 1 else 's'}{before}; {table} is kept up to date, and after an interruption the "
        "same command with --resume goes on",
        err=True,
    )


@contextmanager
def _told_if_interrupted(table: Path | None) -> "Iterator[Callable[[Row], None]]":
    """Give what takes the rows, and say how to go on where somebody ends the batch by Ctrl-C."""
    done: list[Row] = []
    try:
        yield done.append
    except KeyboardInterrupt:
        if table is not None and done:
            count = "1 part was" if len(done) == 1 else f"{len(done)} parts were"
            write_line(f"{count} judged and kept in {table}; judge the others with --resume", err=True)
        raise


def _tell(row: "Row") -> None:
    """Print a part as soon as it is judged."""
    from vlm_inspect.safe_text import plain_line
    from vlm_inspect.significant_digits import probability_words

    score = "" if row.score is None else probability_words(row.score)
    told = plain_line(row.review_reasons or " ".join(filter(None, [row.shows, row.defects])) or row.answer)
    write_line(f"{row.outcome:6}  {score:<10}  {plain_line(row.source)}{'  ' + told if told else ''}")


def _report(rows: "list[Row]", table: Path | None, gallery: Path | None) -> None:
    """Say how the parts stand."""
    from vlm_inspect.safe_text import plain_line

    counts = Counter(row.outcome for row in rows)
    told = ", ".join(f"{counts[name]} {name}" for name in ("OK", "NG", "REVIEW", "ERROR") if counts[name])
    write_line(f"{len(rows)} part{'' if len(rows) == 1 else 's'}: {told}")
    if table is None:
        return
    failed = [row for row in rows if row.outcome == "ERROR"]
    for row in failed[:_SHOWN]:
        write_line(f"not judged: {plain_line(row.review_reasons)}", err=True)
    if len(failed) > _SHOWN:
        write_line(f"and {len(failed) - _SHOWN} more, in {table}", err=True)
    write_line(f"written: {table}")
    if gallery is not None:
        write_line(f"written: {gallery / 'index.html'}")
