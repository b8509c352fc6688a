"""What `batch` and `watch` share: options that say what becomes of the parts, and the destinations made of them."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vlm_inspect.command_options.general import PATH
from vlm_inspect.commands.receivers import receiver_options, receivers_of
from vlm_inspect.commands.serial_options import serial_finder, serial_options
from vlm_inspect.commands.storing import open_store, settings_of, store_option
from vlm_inspect.real_path import real_path
from vlm_inspect.safe_text import write_line

if TYPE_CHECKING:
    from vlm_inspect.batch.destinations import Destinations
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.inspector import Inspector
    from vlm_inspect.sinks.mqtt import MqttTopic
    from vlm_inspect.sinks.sender import Sender
    from vlm_inspect.sinks.webhook import Webhook

Command = TypeVar("Command", bound=Callable[..., Any])
_MOST_WORKERS = 8
"""Most parts at a time where nobody says how many: each holds its part in memory."""


_OPTIONS = (
    click.option(
        "--html",
        "gallery",
        type=PATH,
        metavar="DIR",
        help="Write a gallery: index.html, worst part first, and one page per part.",
    ),
    click.option("--parquet", "parquet_path", type=PATH, metavar="FILE", help="Write the table as Parquet, too."),
    click.option("--coco", "coco_path", type=PATH, metavar="FILE", help="Write the defects of photos as COCO boxes."),
    click.option("--labelme", "labelme_dir", type=PATH, metavar="DIR", help="Write a LabelMe file for each photo."),
    click.option("--save", is_flag=True, help="Keep each part as a case in the store."),
    click.option("--keep-input", is_flag=True, help="With --save: also keep a copy of each part."),
    receiver_options,
    click.option(
        "--move-to", "move_dir", type=PATH, metavar="DIR", help="Move each judged part to DIR/OK, DIR/NG or DIR/REVIEW."
    ),
    serial_options,
    click.option(
        "--workers",
        type=click.IntRange(1, 64),
        help="Number of parts judged at the same time. Default: one a core, at most 8, without a language model; "
        "otherwise 1.",
    ),
    store_option,
)


def destination_options(command: Command) -> Command:
    """Add the options that say what becomes of the parts."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def table_option(said: str, *, required: bool) -> Callable[[Command], Command]:
    """Return the option that names the table."""
    return click.option("--csv", "csv_path", type=PATH, required=required, metavar="FILE", help=said)


@dataclass(frozen=True)
class Delivery:
    """Destinations that are open, and what tells them in a digest of settings."""

    destinations: "Destinations"
    sender: "Sender | None"
    told: Sequence[str]


@contextmanager
def open_delivery(config: "InspectorConfig", options: dict[str, Any]) -> Iterator[Delivery]:
    """Open all destinations that the options name, checked; messages are sent until the block ends.

    Raises:
        InspectError: one of them cannot be used.
    """
    from vlm_inspect.batch.destinations import Destinations
    from vlm_inspect.sinks.coco import CocoTable
    from vlm_inspect.sinks.folders import OutcomeFolders
    from vlm_inspect.sinks.labelme import LabelMeFiles
    from vlm_inspect.sinks.parquet import ParquetTable
    from vlm_inspect.sinks.sink import Sink, Table

    if options["keep_input"] and not options["save"]:
        raise click.UsageError("--keep-input belongs to --save; add it")
    serial = serial_finder(options)
    parquet = None if options["parquet_path"] is None else ParquetTable(options["parquet_path"])
    coco = None if options["coco_path"] is None else CocoTable(options["coco_path"])
    labelme = None if options["labelme_dir"] is None else LabelMeFiles(options["labelme_dir"])
    folders = None if options["move_dir"] is None else OutcomeFolders(options["move_dir"])
    receivers = receivers_of(options)
    tables: list[Table] = [table for table in (parquet, coco) if table is not None]
    _check_table(options["csv_path"])
    _check_files([options["csv_path"], *(table.path for table in tables)])
    for checked in (parquet, labelme, folders):
        if checked is not None:
            checked.check()
    with ExitStack() as stack:
        sinks: list[Sink] = [] if labelme is None else [labelme]
        sender = None
        apart = _judged_by(config)
        if options["save"] or receivers:
            sender = _add_store(stack, sinks, config, options, receivers)
            apart += _store_files(options["store"])
        made = Destinations(
            options["csv_path"], tables, sinks, options["gallery"], folders, serial, apart, config.prompt.language
        )
        told = [serial.record, *(one.target for one in receivers), *(["save"] if options["save"] else [])]
        told += [str(real_path(path)) for path in (options["labelme_dir"], options["move_dir"]) if path is not None]
        yield Delivery(made, sender, told)


def _check_table(path: Path) -> None:
    """Make sure that a table can be one, with its journal beside it; raises OutputError."""
    from vlm_inspect.errors import OutputError
    from vlm_inspect.file_writing import check_suffix

    check_suffix(path, "--csv", "CSV", ".csv")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OutputError(f"{path} is a device, and a journal goes beside the table; name a file with --csv")


def _judged_by(config: "InspectorConfig") -> list[Path]:
    """Return the files of the settings; references are parts like others, unless a folder is watched."""
    named = (config.rules, config.calibration, config.localizer.checkpoint)
    return [path for path in named if path is not None]


def _store_files(named: str | None) -> list[Path]:
    """Return the files of a store that is a file."""
    from vlm_inspect.store.location import find_store

    found = find_store(named)
    if found.path is None:
        return []
    return [found.files, *(found.path.with_name(found.path.name + end) for end in ("", "-wal", "-shm"))]


def _add_store(
    stack: ExitStack,
    sinks: "list[Any]",
    config: "InspectorConfig",
    options: dict[str, Any],
    receivers: "Sequence[Webhook | MqttTopic]",
) -> "Sender | None":
    from vlm_inspect.sinks.cases import Cases
    from vlm_inspect.sinks.messages import Messages
    from vlm_inspect.sinks.sender import Sender

    store = stack.enter_context(open_store(options["store"], create=True))
    if options["save"]:
        sinks.append(Cases(store, settings_of(config, as_kind=None), keep_input=options["keep_input"]))
    if not receivers:
        return None
    sender = stack.enter_context(Sender(store.outbox, receivers))
    sinks.append(Messages(store.outbox, [one.target for one in receivers], sender.wake))
    return sender


def _check_files(paths: Sequence[Path]) -> None:
    from vlm_inspect.errors import OutputError
    from vlm_inspect.file_writing import check_writable

    for i, path in enumerate(paths):
        check_writable(path)
        check_writable(path.with_name(path.name + ".journal"))
        if real_path(path) in [real_path(other) for other in paths[:i]]:
            raise OutputError(f"{path} is named for two results; give each its own file")


def check_apart(inspector: "Inspector", destinations: "Destinations") -> None:
    """Make sure that no table replaces what the parts are judged by, or the store; raises OutputError."""
    from vlm_inspect.errors import OutputError

    read = {real_path(path) for path in (*destinations.apart, *inspector.references)}
    for path in (destinations.csv, *(table.path for table in destinations.tables)):
        if real_path(path) in read:
            raise OutputError(f"{path} is what the parts are judged by, or kept in; write the table elsewhere")


def report_left(sender: "Sender | None") -> None:
    """Say how many messages have not arrived; call it when the sender has ended."""
    left = 0 if sender is None else sender.left()
    if left:
        write_line(
            f"{left} message{'s' if left > 1 else ''} could not be delivered yet; kept, and sent with the next batch, "
            "watch or serve that names the same receiver",
            err=True,
        )


def worker_count(config: "InspectorConfig", given: int | None) -> int:
    """Return how many parts are judged at the same time: what was given, else what suits the model."""
    if given is not None:
        return given
    if config.asks_a_model:
        return 1
    return max(min(os.cpu_count() or 1, _MOST_WORKERS), config.localizer.batch)
