"""A text table (csv, txt, xyz, asc) to a matrix of numbers with names and units.

Numbers are parsed by NumPy; only a table that NumPy refuses (empty cells, timestamps, an error to report) is read cell
by cell.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.table_layout import Layout, bad_cell, cell_value, content_lines, find_layout

MAX_BYTES = 2**30
"""Largest table read whole, in bytes; about 30 million rows of three numbers."""

_HEAD_LINES = 1000
"""Lines read beyond `max_rows`: comments, preamble and header."""
_HEAD_BYTES = 2**26
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers of one text table."""

    values: NDArray[np.float64]
    """(N, C), N >= 1, C >= 1; an empty cell is NaN."""
    names: tuple[str, ...]
    """C; "" without a header."""
    units: tuple[str, ...]
    """C; "" where unknown."""
    has_header: bool
    timestamps: tuple[int, ...] = ()
    """Columns that hold ISO 8601 timestamps; their values are seconds from the first row's, their unit is "s"."""


def read_table(path: Path, *, max_rows: int | None = None) -> Table:
    """Read the numbers of a text table.

    Comma, semicolon, tab or blanks between cells; a decimal comma where the comma does not part cells; UTF-8, UTF-16
    with a byte order mark, or Latin-1; comments after #, % or //; names and units above the numbers.

    Args:
        path: the file.
        max_rows: stop after that many rows of numbers; the rest of the file is not looked at.

    Raises:
        ConversionError: the file is missing, empty, binary, larger than `MAX_BYTES`, holds words where numbers belong,
            or has rows of different lengths; the message names the line.
    """
    lines = _read_lines(path, max_rows)
    try:
        layout = find_layout(path, lines)
        body = lines[layout.first :]
        values = None if layout.timestamps else _parse_rows(body, layout, max_rows)
        return _table(_parse_cells(path, body, layout, max_rows) if values is None else values, layout)
    except csv.Error as error:
        raise ConversionError(f"{path}: not a text table: {error}") from error


def _read_lines(path: Path, max_rows: int | None) -> list[str]:
    try:
        with path.open("rb") as handle:
            _refuse_binary(path, handle.read(1 << 16))
            handle.seek(0)
            if max_rows is not None:
                return _decode(_read_head(handle, max_rows)).split("\n")
            size = path.stat().st_size
            if size > MAX_BYTES:
                limit = f"{MAX_BYTES / 2**30:.0f} GiB"
                raise ConversionError(f"{path}: {size / 2**30:.1f} GiB of text, more than {limit}: split or thin it")
            return _decode(handle.read()).split("\n")
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_head(handle: BinaryIO, max_rows: int) -> bytes:
    """The first lines; bounded in bytes too, because a file without line ends is one line."""
    parts: list[bytes] = []
    room = _HEAD_BYTES
    while len(parts) < max_rows + _HEAD_LINES and room > 0 and (line := handle.readline(min(room, 1 << 20))):
        parts.append(line)
        room -= len(line)
    return b"".join(parts)


def _refuse_binary(path: Path, head: bytes) -> None:
    if not head.strip():
        raise ConversionError(f"{path}: the file is empty; a table of numbers was expected")
    if not head.startswith(_UTF_16) and any(byte < 9 or 13 < byte < 32 for byte in head):
        raise ConversionError(
            f"{path}: line 1: binary data, not a text table; give it its true suffix, or export a csv"
        )


def _decode(data: bytes) -> str:
    if data.startswith(_UTF_16):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")  # never fails; instruments write "°C" and "µm" in it
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _parse_rows(body: Sequence[str], layout: Layout, max_rows: int | None) -> NDArray[np.float64] | None:
    """All rows by NumPy's reader, or None where it meets anything but numbers."""
    dialect = layout.dialect
    rows = iter(body) if max_rows is None else (line for _, line in islice(content_lines(body), max_rows))
    if dialect.decimal == ",":
        rows = (line.replace(",", ".") for line in rows)
    try:
        values = np.loadtxt(rows, delimiter=dialect.delimiter, comments="#", ndmin=2)
    except ValueError:
        return None
    return values if values.shape[1] == layout.columns else None


def _parse_cells(path: Path, body: Sequence[str], layout: Layout, max_rows: int | None) -> NDArray[np.float64]:
    """All rows cell by cell: empty cells and timestamps are understood, the first wrong cell is named with its line."""
    dialect, columns, timestamps = layout.dialect, layout.columns, layout.timestamps
    rows = []
    for offset, line in islice(content_lines(body), max_rows):
        cells = dialect.split(line)
        if len(cells) != columns:
            where = f"line {layout.first + offset + 1}"
            raise ConversionError(f"{path}: {where}: {len(cells)} cells where the table has {columns} columns")
        row = [cell_value(dialect.point(cell), timestamp=column in timestamps) for column, cell in enumerate(cells)]
        if None in row:
            raise bad_cell(path, layout.first + offset, cells, dialect, timestamps)
        rows.append(row)
    values = np.array(rows, dtype=np.float64)
    for column in timestamps:
        values[:, column] = np.round(values[:, column] - values[0, column], 6)
    return values


def _table(values: NDArray[np.float64], layout: Layout) -> Table:
    header = list(layout.header)
    is_named = len(header) == layout.columns and header[-1] != ("", "")
    if layout.columns > 1 and not is_named and np.isnan(values[:, -1]).all():
        values = values[:, :-1]  # every row ends with a delimiter
    columns = values.shape[1]
    pairs = (header + [("", "")] * columns)[:columns]
    for column in layout.timestamps:
        pairs[column] = (pairs[column][0], "s")
    names, units = zip(*pairs, strict=True)
    return Table(np.ascontiguousarray(values), names, units, bool(header), layout.timestamps)
