"""What the commands share: paths that are not empty, `--quiet` and `--debug`, progress on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vlm_inspect.inspection import StepRecord

Command = TypeVar("Command", bound=Callable[..., Any])


class GivenPath(click.Path):
    """A path that is not empty: Path("") would be the current folder, which nobody named."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or say that it is empty."""
        if not str(value):
            self.fail("it is empty; give a path.", param, ctx)
        return super().convert(value, param, ctx)


PATH = GivenPath(path_type=Path)


def common(command: Command) -> Command:
    """Add the options that every command has."""
    for option in (
        click.option("--debug", is_flag=True, help="Show what is sent to the model, and tracebacks of errors."),
        click.option("--quiet", is_flag=True, help="Show no progress on stderr, however long it takes."),
    ):
        command = option(command)
    return command


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the step at work on stderr: a spinner on a terminal, else a line every few seconds; nothing when quiet."""
    if quiet:
        yield lambda step: None
        return
    if not sys.stderr.isatty():
        with progress_lines(quiet=quiet) as say:
            yield say
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    from vlm_inspect.safe_text import plain_line

    spinner = Spinner("dots")
    shared = sys.stdout.isatty()  # lines of a result go above the spinner, and into a file as they are
    with Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=shared):
        yield lambda step: spinner.update(text=Text(plain_line(step)))  # a name in brackets is no markup


@contextmanager
def progress_lines(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the step at work as a line every few seconds, on a terminal too; nothing when quiet."""
    if quiet:
        yield lambda step: None
        return
    from vlm_inspect.step_lines import StepLines

    with StepLines() as lines:
        yield lines.say


def step_watch(*, quiet: bool) -> "Callable[[StepRecord], None]":
    """Return what shows every step of a model on stderr as it is taken: on a terminal, nothing when quiet or piped."""
    if quiet or not sys.stderr.isatty():
        return lambda step: None
    from vlm_inspect.report.timeline import step_line

    def show(step: "StepRecord") -> None:
        sys.stderr.write(f"{step_line(step)}\n")  # as long as the spinner turns, this prints above it

    return show
