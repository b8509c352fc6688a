"""`--serial` and `--serial-code`: how the serial numbers of many parts are found."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vlm_inspect.sinks.serial import SerialFinder

Command = TypeVar("Command", bound=Callable[..., Any])


def _pattern(context: click.Context, parameter: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is no regular expression: {error}.") from error


_OPTIONS = (
    click.option(
        "--serial",
        callback=_pattern,
        metavar="REGEX",
        help="Pattern of the serial number in a file's name. If it has a group, the group is the number.",
    ),
    click.option(
        "--serial-code",
        is_flag=True,
        help="Read the serial number from a Data Matrix, QR or bar code on the part; --serial then searches its text.",
    ),
)


def serial_options(command: Command) -> Command:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def serial_finder(options: dict[str, Any]) -> "SerialFinder":
    """Return what the options say; raises ConfigError where the reader of codes is not installed."""
    from vlm_inspect.sinks.serial import SerialFinder

    finder = SerialFinder(options["serial"], from_code=options["serial_code"])
    finder.check()
    return finder
