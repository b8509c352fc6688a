"""`Sink` takes every judged part as it comes; `Table` is a file about all parts, written anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vlm_inspect.sinks.row import Row

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one part."""

    source: Path
    row: Row
    examination: "Examination | None"
    """None: the part could not be judged."""


class Sink(Protocol):
    """Takes judged parts one by one. After a kill a part may come again, with the same `row.case_id`."""

    def deliver(self, result: Result) -> None:
        """Take a part; it is on the disk when this returns.

        Raises:
            InspectError: it cannot be written.
        """
        ...


class Table(Protocol):
    """A file about all parts."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def write(self, rows: Sequence[Row]) -> None:
        """Write it anew, whole or not at all; raises OutputError."""
        ...
