"""`vlm-inspect watch`: parts judged as they arrive in a folder, and events of a live source."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.agent import agent_options, check_agent
from vlm_inspect.command_options.clips import clip_options
from vlm_inspect.command_options.general import common, progress_lines
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
from vlm_inspect.commands.live_watch import Watched, live_address, options_of_live, watch_live
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.batch.journal import Journal
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.sinks.row import Row

_INTERRUPTED = 130


@click.command(cls=GroupedCommand)
@click.argument("source", required=False)
@inspector_options
@clip_options
@agent_options
@table_option("Write the table, one row per part.", required=True)
@destination_options
@options_of_live
@click.option(
    "--settle",
    "settle_s",
    type=click.FloatRange(0.1, 3600.0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="A file is complete when nothing of it has changed for this long.",
)
@common
def watch(source: str | None, *, config: "InspectorConfig", **options: Any) -> int:
    """Judge every part that arrives in the folder SOURCE or its subfolders, and those that are there, until Ctrl-C.

    SOURCE may be live: the address of a stream (rtsp, http, ...), or give --camera. Each event in it becomes a clip
    with what was before and after it, and is a part. The clip is named by when it begins (UTC); times in the table are
    seconds from there. It is held against normal clips, or the beginning of the source (--normal-until). A lost source
    is tried again. A clip as SOURCE is looked through, every frame, and the watch ends with it; its name, and seconds
    in it, name the clips of events.

    A part is judged once, by its content, also after a restart. Half-written files are waited for. Ctrl-C or a
    termination signal finishes the parts at work and writes the tables; a second one ends at once, and nothing is lost.

    Exit code: 0 ended by Ctrl-C, a termination signal or the end of a clip, 2 error, 130 ended at once.

    \b
    Example:
      vlm-inspect watch camera/ --rules rules/screw.yaml --csv parts.csv --html gallery
      vlm-inspect watch camera/ --rules rules/screw.yaml --csv parts.csv --save --move-to judged
      vlm-inspect watch rtsp://camera/line1 --normal-until 20s --csv events.csv --html gallery
    """
    check_agent(config)
    address = live_address(source, options["camera"])
    if address is None:
        counts = _watch_folder(Path(source or ""), config, options)
    else:
        how = Watched(threading.Event(), _ended_by_signals, _tell)
        counts = watch_live(address, config, {**options, "known_to": _known_to}, how)
    _report(counts, options["csv_path"])
    return 0


def _watch_folder(folder: Path, config: "InspectorConfig", options: dict[str, Any]) -> Counter[str]:
    from vlm_inspect.batch.arrivals import FolderArrivals
    from vlm_inspect.batch.run import digest_of_settings
    from vlm_inspect.batch.watching import watch_parts
    from vlm_inspect.errors import OutputError

    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; make it first")
    stop = threading.Event()
    with open_delivery(config, options) as delivery:
        made = delivery.destinations
        inspector = config.build()
        check_apart(inspector, made)
        apart = [*made.own, made.csv, *inspector.references]

        def arrivals(journal: "Journal") -> FolderArrivals:
            return FolderArrivals(folder, stop, _known_to(journal), apart, options["settle_s"], _failed_in(journal))

        if not options["quiet"]:
            write_line(f"watching {folder}; Ctrl-C ends it", err=True)
        with _ended_by_signals(stop), progress_lines(quiet=options["quiet"]) as say:
            counts = watch_parts(
                inspector,
                arrivals,
                made,
                judged_by=digest_of_settings(config, inspector, sinks=delivery.told),
                workers=worker_count(config, options["workers"]),
                told=lambda row, counts: None if options["quiet"] else _tell(row),
                progress=say,
            )
        sender = delivery.sender
        if sender is not None:
            sender.finish()
            report_left(sender)
    return counts


def _known_to(journal: "Journal") -> Callable[[str], bool]:
    """Return what tells a part that was judged; one that could not be is tried again, after a restart, too."""

    def is_known(digest: str) -> bool:
        row = journal.rows.get(digest)
        return row is not None and row.outcome != "ERROR"

    return is_known


def _failed_in(journal: "Journal") -> Callable[[str], bool]:
    """Return what tells a part that could not be judged."""

    def has_failed(digest: str) -> bool:
        row = journal.rows.get(digest)
        return row is not None and row.outcome == "ERROR"

    return has_failed


@contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C or termination signal end it in good order, and the second at once, as a kill would."""

    def end(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(_INTERRUPTED)  # threads that judge could hold up anything gentler
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(row: "Row") -> None:
    from vlm_inspect.safe_text import plain_line
    from vlm_inspect.significant_digits import probability_words

    score = "" if row.score is None else f" {probability_words(row.score)}"
    why = row.review_reasons or row.events or row.defects
    write_line(plain_line(f"{row.outcome}{score} {row.source}{f': {why}' if why else ''}"), err=True)


def _report(counts: Counter[str], table: Path) -> None:
    told = ", ".join(f"{counts[name]} {name}" for name in ("OK", "NG", "REVIEW", "ERROR") if counts[name])
    write_line(f"{counts.total()} part{'' if counts.total() == 1 else 's'}{f': {told}' if told else ''}")
    write_line(f"written: {table}")
