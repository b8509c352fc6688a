"""What a person sees of a run, on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from vlm_inspect.safe_text import write_line

LINE_EVERY_S = 10.0


@dataclass(frozen=True)
class Step:
    """One step that was done."""

    number: int
    """Counted from 1 over the whole run."""
    steps: int
    epoch: int
    epochs: int
    last_of_epoch: bool
    losses: Mapping[str, float]
    learning_rate: float


class Report(Protocol):
    """Is told how a run goes."""

    def say(self, text: str) -> None:
        """Show one line."""
        ...

    def progress(self, text: str) -> None:
        """Show what is being done, where lines replace each other."""
        ...

    def show(self, step: Step) -> None:
        """Show a step."""
        ...


class Silence:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """See `Report.say`."""

    def progress(self, text: str) -> None:
        """See `Report.progress`."""

    def show(self, step: Step) -> None:
        """See `Report.show`."""


class Lines:
    """A line every few seconds, and one at the end of every epoch."""

    def __init__(self, every_s: float = LINE_EVERY_S) -> None:
        self._every_s = every_s
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        """See `Report.say`."""
        write_line(text, err=True)

    def progress(self, text: str) -> None:
        """See `Report.progress`; a log gets it as rarely as other steps."""
        now = time.monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            self.say(text)

    def show(self, step: Step) -> None:
        """See `Report.show`."""
        now = time.monotonic()
        if step.last_of_epoch or now - self._last >= self._every_s:
            self._last = now
            self.say(f"epoch {step.epoch}/{step.epochs}, step {step.number}/{step.steps}: {wording(step)}")


def wording(step: Step) -> str:
    """Return losses and learning rate, the total first."""
    names = sorted(step.losses, key=lambda name: (name != "total", name))
    losses = ", ".join(f"{name} {step.losses[name]:.4g}" for name in names)
    return f"{losses}; lr {step.learning_rate:.3g}"


@contextmanager
def reporting(*, quiet: bool) -> Iterator[Report]:
    """Yield what fits stderr."""
    if quiet:
        yield Silence()
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield bar
    else:
        yield Lines()


@contextmanager
def _bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=None)

        class Bar:
            def say(self, text: str) -> None:
                console.print(text, markup=False, highlight=False)

            def progress(self, text: str) -> None:
                progress.update(task, description=text)

            def show(self, step: Step) -> None:
                text = f"epoch {step.epoch}/{step.epochs} {wording(step)}"
                progress.update(task, description=text, completed=step.number, total=step.steps)
                if step.last_of_epoch:
                    console.print(text, markup=False, highlight=False)

        yield Bar()
