"""`Tables`: the files about all parts, written anew while parts are judged, so that a kill leaves what was done."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from vlm_inspect.batch.destinations import Destinations
from vlm_inspect.batch.line import Line
from vlm_inspect.sinks.row import Row

_WRITE_EVERY_S = 2.0
_SHARE = 0.05
"""Largest share of the time that goes into writing the tables anew."""


class Tables:
    """Writes the tables when they are stale, seldom enough."""

    def __init__(
        self, destinations: Destinations, line: Line, rows: Callable[[], Sequence[Row]], *, title: str
    ) -> None:
        """Take where they are and what returns their rows; nothing is stale."""
        self._destinations, self._line, self._rows, self._title = destinations, line, rows, title
        self.stale = False
        self._next = 0.0

    def write(self) -> None:
        """Write them now; raises OutputError."""
        began = time.monotonic()
        self._destinations.write(self._rows(), self._line, title=self._title)
        self.stale = False
        now = time.monotonic()
        self._next = now + max(_WRITE_EVERY_S, (now - began) / _SHARE)

    @contextmanager
    def written_if_interrupted(self) -> Iterator[None]:
        """Write them where somebody ends the batch by Ctrl-C; raises OutputError."""
        try:
            yield
        except KeyboardInterrupt:
            if self.stale:
                self.write()
            raise

    def write_sometimes(self) -> None:
        """Write them where they are stale and the last time is long enough ago; raises OutputError."""
        if self.stale and time.monotonic() >= self._next:
            self.write()
