"""The options of clips: its own beginning as normal, and how a model is asked about a long one."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _span(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse what is neither frames nor seconds."""
    if value is None:
        return None
    from vlm_inspect.clip_beginning import NormalSpan

    try:
        return str(NormalSpan.parse(value))
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


normal_until_option = click.option(
    "--normal-until",
    callback=_span,
    metavar="FRAMES|SECONDS",
    help="Take the beginning of a clip as normal: the first 60 frames (60), or its first 6 seconds (6s).",
)


def clip_options(command: Command) -> Command:
    """Add the options of clips."""
    return normal_until_option(windows_option(command))


windows_option = click.option(
    "--windows",
    "most_windows",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    metavar="N",
    help="Limit of requests to the model for a clip longer than 30 seconds: it is cut into windows of 15 seconds, and "
    "those with events come first. 1: the whole clip in one request.",
)
