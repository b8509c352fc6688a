"""The step at work on stderr, by time: however long a step takes, a line says every few seconds that it goes on."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from vlm_inspect.safe_text import plain_line, write_line

ENVIRONMENT: Final = "VLM_INSPECT_PROGRESS_S"
LINE_EVERY_S: Final = 10.0


class Ticker:
    """Calls a function every so many seconds from a thread of its own; use it as a context."""

    def __init__(self, tick: Callable[[], None], every_s: float) -> None:
        """Take what is called, and how often."""
        self._tick, self._every_s = tick, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                self._tick()
            except (OSError, ValueError):  # nobody reads stderr any more; the work goes on
                return


class StepLines:
    """Writes the step at work every few seconds, with the time since the beginning; use it as a context."""

    def __init__(
        self,
        *,
        every_s: float | None = None,
        write: Callable[[str], None] = lambda line: write_line(line, err=True),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without a step.

        Args:
            every_s: seconds between two lines; None: as the environment says, else `LINE_EVERY_S`.
            write: takes a line.
            clock: seconds, for tests.
        """
        self._write, self._clock = write, clock
        self._step, self._began = "", clock()
        self._ticker = Ticker(self.tick, line_every_s() if every_s is None else every_s)

    def say(self, step: str) -> None:
        """Take the step at work; empty: nothing is at work, and nothing is written."""
        self._step = step

    def tick(self) -> None:
        """Write what is at work."""
        if step := plain_line(self._step):
            self._write(f"{duration_words(self._clock() - self._began)}: {step}")

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._ticker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.__exit__(kind, error, trace)


def line_every_s() -> float:
    """Return the seconds between two lines; what is no number above 0 is as if it were not there."""
    with suppress(ValueError):
        if (told := float(os.environ.get(ENVIRONMENT, ""))) > 0:
            return min(told, threading.TIMEOUT_MAX)
    return LINE_EVERY_S


def duration_words(seconds: float) -> str:
    """Return a time that passed as in `50 s`, `2 min 5 s` or `1 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
