"""The table of all parts as Parquet: score as a number, `created_at` as a time."""

import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.safe_text import plain_line
from vlm_inspect.sinks.row import COLUMNS, Row


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file with `COLUMNS`."""

    path: Path

    def check(self) -> None:
        """Raise OutputError where pyarrow is not installed."""
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise OutputError("--parquet needs pyarrow: pip install 'vlm-inspect[parquet]'") from error

    def write(self, rows: Sequence[Row]) -> None:
        """Write it, whole or not at all; raises OutputError."""
        import pyarrow
        import pyarrow.parquet

        kinds = {"score": pyarrow.float64(), "created_at": pyarrow.timestamp("s", tz="UTC")}
        schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])
        columns = {name: [_value(name, row) for row in rows] for name in COLUMNS}
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), file)
        write_atomically(self.path, file.getvalue())


def _value(name: str, row: Row) -> str | float | datetime.datetime | None:
    if name == "score":
        return row.score
    text = plain_line(str(getattr(row, name)))
    return datetime.datetime.fromisoformat(text) if name == "created_at" else text
