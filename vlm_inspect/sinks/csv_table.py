"""The table of all parts as CSV that a spreadsheet may open."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_inspect.file_writing import write_atomically
from vlm_inspect.safe_text import plain_line, table_cell
from vlm_inspect.sinks.row import COLUMNS, Row


@dataclass(frozen=True)
class CsvTable:
    """A CSV file with `COLUMNS`."""

    path: Path

    def write(self, rows: Sequence[Row]) -> None:
        """Write it, whole or not at all; raises OutputError."""
        write_atomically(self.path, write_csv(rows))


def write_csv(rows: Iterable[Row]) -> bytes:
    """Return the table as UTF-8 CSV with a header; no cell holds a control character or is taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
    return text.getvalue().encode("utf-8", errors="replace")


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return table_cell(plain_line(value or ""))
