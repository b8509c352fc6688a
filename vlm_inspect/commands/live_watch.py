"""`watch` of a live source: a stream or a camera; or of a clip, every frame of it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_inspect.command_options.general import PATH, progress_lines
from vlm_inspect.commands.delivering import check_apart, open_delivery, report_left, worker_count
from vlm_inspect.safe_text import plain_line, write_line

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.inspector import Inspector
    from vlm_inspect.live.recording import Recording
    from vlm_inspect.live.source import FrameSource, LiveSource
    from vlm_inspect.localization.clip_events.normal_clips import NormalClips
    from vlm_inspect.sinks.row import Row

_NO_NORMAL = (
    "a live source is held against normal clips: name them with --reference, or take its own beginning with "
    "--normal-until 10s"
)
_SECONDS = click.FloatRange(0.2, 600.0)

_OPTIONS = (
    click.option(
        "--camera",
        type=click.IntRange(0, 99),
        metavar="N",
        help="Watch this camera, not SOURCE: 0 is the first.",
    ),
    click.option(
        "--events",
        "events_dir",
        type=PATH,
        metavar="DIR",
        help="With a stream or camera: where the clips of events are written. Default: beside the table.",
    ),
    click.option(
        "--before",
        "before_s",
        type=_SECONDS,
        default=3.0,
        show_default=True,
        metavar="SECONDS",
        help="How much of what was before an event its clip shows.",
    ),
    click.option(
        "--after",
        "after_s",
        type=_SECONDS,
        default=3.0,
        show_default=True,
        metavar="SECONDS",
        help="How long it must be quiet for an event to be over; its clip shows that, too.",
    ),
)


@dataclass(frozen=True)
class Watched:
    """What ends a watch, and what it tells."""

    stop: threading.Event
    ended_by_signals: Callable[[threading.Event], Any]
    tell: "Callable[[Row], None]"


def live_address(source: str | None, camera: int | None) -> "str | int | Path | None":
    """Return the live source that is meant; None: a folder."""
    from vlm_inspect.live.source import is_stream

    if camera is not None:
        if source is not None:
            raise click.UsageError("--camera takes the place of SOURCE; give one of them")
        return camera
    if source is None:
        raise click.UsageError("name what to watch: a folder, the address of a stream, or --camera 0")
    if is_stream(source):
        return source
    return Path(source) if Path(source).is_file() else None


def watch_live(
    address: "str | int | Path", config: "InspectorConfig", options: dict[str, Any], how: Watched
) -> Counter[str]:
    """Judge the events of a live source until it ends or somebody ends it; returns how many of each outcome.

    Raises:
        InspectError: the source, a normal clip or a destination cannot be used.
    """
    from vlm_inspect.batch.run import digest_of_settings
    from vlm_inspect.batch.watching import watch_parts
    from vlm_inspect.live.recorder import ClipLengths
    from vlm_inspect.live.watching import LiveEvents

    quiet = options["quiet"]
    say: Callable[[str], None] = (lambda line: None) if quiet else lambda line: write_line(plain_line(line), err=True)
    folder, normal_clip = _events_folder(options), _normal_clip(options)
    lengths = ClipLengths(options["before_s"], options["after_s"])
    _check_normal(config)
    with open_delivery(config, options) as delivery, how.ended_by_signals(how.stop):
        with _opened(address, how.stop, say) as source:
            with _nothing_left_of_a_refusal(folder, normal_clip):
                known = _with_normal(config, source, normal_clip, say)
                inspector = known.build()
                check_apart(inspector, delivery.destinations)
                say("learning what is normal")
                with progress_lines(quiet=quiet) as still:
                    still("learning what is normal")
                    normal = _normal_of(inspector, still)
            late_s = normal.behaviour.margin / normal.clip.fps
            end = "it ends with the clip" if isinstance(address, Path) else "Ctrl-C ends it"
            say(f"watching {source.name}, events are known up to {late_s:.1f} s late; {end}")
            counts = watch_parts(
                inspector,
                lambda journal: LiveEvents(source, normal, folder, options["known_to"](journal), lengths),
                delivery.destinations,
                judged_by=digest_of_settings(known, inspector, sinks=delivery.told),
                workers=worker_count(known, options["workers"]),
                told=lambda row, counts: None if quiet else how.tell(row),
            )
            if seen := _seen(source):
                say(seen)
        if delivery.sender is not None:
            delivery.sender.finish()
            report_left(delivery.sender)
    return counts


def _opened(
    address: "str | int | Path", stop: threading.Event, say: Callable[[str], None]
) -> "AbstractContextManager[LiveSource | Recording]":
    from vlm_inspect.live.recording import Recording
    from vlm_inspect.live.source import LiveSource

    return Recording(address, stop) if isinstance(address, Path) else LiveSource(address, stop, say)


def _seen(source: "LiveSource | Recording") -> str:
    from vlm_inspect.live.recording import Recording

    if isinstance(source, Recording):
        frames, were = ("frame", "was") if source.seen == 1 else ("frames", "were")
        return f"{source.seen} {frames} of {source.name} {were} looked at"
    if not source.dropped:
        return ""
    frames = "1 frame" if source.dropped == 1 else f"{source.dropped} frames"
    return f"left out, because they came faster than they could be looked at: {frames}"


@contextmanager
def _nothing_left_of_a_refusal(folder: Path, normal: Path) -> "Iterator[None]":
    """Make the folder of events, and remove what was put there where the watch cannot begin."""
    from converters.errors import ConversionError
    from vlm_inspect.errors import InspectError, OutputError

    made, recorded = not folder.exists(), not normal.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror or error}; name another with --events") from error
    try:
        yield
    except (InspectError, ConversionError):
        if recorded:
            normal.unlink(missing_ok=True)
        if made:
            with suppress(OSError):  # somebody else put something there
                folder.rmdir()
        raise


def _events_folder(options: dict[str, Any]) -> Path:
    from vlm_inspect.file_writing import check_folder

    table: Path = options["csv_path"]
    folder: Path = options["events_dir"] or table.with_name(f"{table.stem}.events")
    check_folder(folder)
    return folder


def _normal_clip(options: dict[str, Any]) -> Path:
    """Return where the source's own beginning is kept: beside the table, not among the clips of events."""
    table: Path = options["csv_path"]
    return table.with_name(f"{table.stem}.normal.avi")


def _with_normal(
    config: "InspectorConfig", source: "FrameSource", path: Path, say: Callable[[str], None]
) -> "InspectorConfig":
    """Return the settings with the source's own beginning among the references, where that is asked for."""
    if config.normal_until is None:
        return config
    from vlm_inspect.clip_beginning import NormalSpan
    from vlm_inspect.live.watching import record_normal

    if path.is_file():
        say(f"{path} of an earlier watch is taken as normal; delete it to record it anew")
    else:
        span = NormalSpan.parse(config.normal_until)
        say(f"recording what is normal: {f'{span.frames} frames' if span.seconds is None else f'{span.seconds:g} s'}")
        path = record_normal(source, path, span)
    return config.model_copy(update={"normal_until": None, "references": (*config.references, str(path))})


def _check_normal(config: "InspectorConfig") -> None:
    """Find out before anything is opened or recorded whether there is something to hold the source against."""
    from vlm_inspect.errors import ReferenceSampleError
    from vlm_inspect.references import expand_references

    rules = config.load_rules()
    if config.normal_until is None and not rules.references and not expand_references(config.references):
        raise ReferenceSampleError(_NO_NORMAL)


def _normal_of(inspector: "Inspector", say: Callable[[str], None]) -> "NormalClips":
    from vlm_inspect.errors import ReferenceSampleError
    from vlm_inspect.localization.clip_events.localizer import FittedClips

    _, fitted = inspector.fit("video", progress=say)
    normal = next((one.normal for one in fitted.members if isinstance(one, FittedClips)), None)
    if normal is None:
        raise ReferenceSampleError(_NO_NORMAL)
    return normal


def options_of_live(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of live sources."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
