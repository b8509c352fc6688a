"""A text table (csv, txt, xyz, asc) to a matrix of numbers with names and units.

The file is read line by line. Numbers are parsed by NumPy; only a table that NumPy refuses (empty cells, timestamps,
grouped thousands, an error to report) is read cell by cell.
"""

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.decimal_signs import sign_of_rows
from converters.errors import ConversionError
from converters.limits import check_time, claim
from converters.sample import WordColumn
from converters.table_layout import (
    MAX_LINE,
    TICKS,
    Layout,
    bad_cell,
    cell_value,
    find_layout,
    is_content,
    timestamp_ticks,
    too_long,
)

MAX_BYTES = 2**30
"""Largest table, in bytes; about 30 million rows of three numbers."""

_HEAD_LINES = 1000
"""Lines in which the layout must show: comments, preamble, header and the first rows."""
_HEAD_CHARACTERS = 2**22
_PADDING = "\0\x1a"
"""What may follow the last row: zeros of unused space, and the end-of-file mark of CP/M and DOS."""
_CHECKED_ROWS = 2**14
_MOST_WORDS = 200
"""Different words of one column that are kept; a column with more of them tells no state."""


class _NotPlainError(ValueError):
    """A line that must be read cell by cell."""


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
    elapsed: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    """Of columns with more digits than float64 holds: their values (N,) less that of the first row."""
    announced: int | None = None
    """Number of points that a line above the numbers gives, as scans have it."""
    interval_s: float | None = None
    """Seconds between rows, where the instrument's preamble says so."""
    words: tuple[WordColumn, ...] = ()
    """Columns that hold words alone; not among the values."""


def read_table(path: Path, *, max_rows: int | None = None) -> Table:
    """Read the numbers of a text table.

    Comma, semicolon, tab or blanks between cells; one decimal sign in all of the table, thousands grouped or not;
    UTF-8, UTF-16 or Latin-1; comments after #, % or //; names and units above the numbers, preambles of instruments
    above those.

    Args:
        path: the file.
        max_rows: stop after that many rows of numbers; the rest of the file is not looked at.

    Raises:
        ConversionError: the file is missing, empty, binary, larger than `MAX_BYTES`, holds words where numbers belong,
            a number that could be two, or has rows of different lengths; the message names the line.
    """
    try:
        encodings = _encodings(path, max_rows)
        for encoding in encodings:
            try:
                return _read(path, encoding, max_rows)
            except UnicodeDecodeError:
                continue
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise ConversionError(f"{path}: not a text table: {error}") from error
    raise ConversionError(f"{path}: not text in {encodings[0]}; save it as UTF-8")


def _encodings(path: Path, max_rows: int | None) -> tuple[str, ...]:
    """The encodings to try, in order; instruments write "°C" and "µm" in Latin-1, in which every file can be read."""
    with path.open("rb") as handle:
        head = handle.read(1 << 16)
    size = path.stat().st_size
    if max_rows is None and size > MAX_BYTES:
        limit = f"{MAX_BYTES / 2**30:.0f} GiB"
        raise ConversionError(f"{path}: {size / 2**30:.1f} GiB of text, more than {limit}: split or thin it")
    if not head.strip(b"\0\x1a \t\r\n"):
        raise ConversionError(f"{path}: the file is empty; a table of numbers was expected")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros.count(0) > 0.8 * len(zeros) and head.count(0) < 0.6 * len(head):
            return (encoding,)
    return ("utf-8-sig", "latin-1")


def _read(path: Path, encoding: str, max_rows: int | None) -> Table:
    layout = find_layout(path, _head(path, encoding))
    if not layout.is_sign_known:
        layout = _with_sign(path, encoding, layout, max_rows)
    values = None
    if not (layout.timestamps or layout.exact):
        seen = _WordCounts(layout)
        values = _parse_rows(seen.over(_body(path, encoding, layout, max_rows)), layout, path)
    if values is not None:
        return _table(values, layout, {}, seen.columns)
    seen = _WordCounts(layout)
    cells = _parse_cells(path, seen.over(_body(path, encoding, layout, max_rows)), layout)
    return _table(*cells, seen.columns)


class _WordCounts:
    """Which words stand in the columns of words, as the lines of a table go by."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._found: list[dict[str, tuple[int, int]]] = [{} for _ in layout.dialect.words]
        self._whole = [True] * len(self._found)

    def over(self, body: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Return the lines, to be counted as they are read."""
        return self._counted(body) if self._found else body

    def _counted(self, body: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        for row, (index, line) in enumerate(body):
            for k, word in enumerate(self._layout.dialect.words_in(line)):
                found = self._found[k]
                if word in found or len(found) < _MOST_WORDS:
                    first, count = found.get(word, (row, 0))
                    found[word] = first, count + 1
                else:
                    self._whole[k] = False
            yield index, line

    @property
    def columns(self) -> tuple[WordColumn, ...]:
        """What was found so far; an empty cell is no word."""
        dialect, names = self._layout.dialect, self._layout.word_names
        kept = [{word: rows for word, rows in found.items() if word} for found in self._found]
        return tuple(
            WordColumn(dialect.skip + column, name, words, is_whole=whole)
            for column, name, words, whole in zip(dialect.words, names, kept, self._whole, strict=True)
        )


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file, without line ends (LF, CRLF or CR) and padding.

    Raises:
        ConversionError: a line too long to be a row, or control characters.
    """
    with path.open("rb") as binary, TextIOWrapper(binary, encoding=encoding, newline=None) as text:
        index = 0
        while line := text.readline(MAX_LINE + 2):
            line = line.rstrip("\n")
            if not line.isprintable():
                line = _checked(path, index, line)
            if len(line) > MAX_LINE:
                raise too_long(path, index, len(line) + sum(map(len, iter(lambda: text.readline(1 << 20), ""))))
            yield line
            index += 1


def _checked(path: Path, index: int, line: str) -> str:
    line = line.strip(_PADDING)
    if any(ord(sign) < 9 or 13 < ord(sign) < 32 for sign in line):
        raise ConversionError(
            f"{path}: line {index + 1}: binary data, not a text table; give it its true suffix, or export a csv"
        )
    return line


def _head(path: Path, encoding: str) -> list[str]:
    found: list[str] = []
    room = _HEAD_CHARACTERS
    for line in islice(_lines(path, encoding), _HEAD_LINES):
        found.append(line)
        room -= len(line)
        if room < 0:
            break
    return found


def _body(path: Path, encoding: str, layout: Layout, max_rows: int | None) -> Iterator[tuple[int, str]]:
    """Index and text of the lines of numbers; the clock is looked at now and then."""
    lines = enumerate(_lines(path, encoding))
    rows = ((index, line) for index, line in lines if index >= layout.first and is_content(line))
    for row, (index, line) in enumerate(islice(rows, max_rows)):
        if row % _CHECKED_ROWS == 0:
            check_time(path)
            claim(path, 3 * 8 * row * layout.columns)
        yield index, line


def _with_sign(path: Path, encoding: str, layout: Layout, max_rows: int | None) -> Layout:
    """The layout with the decimal sign that the rest of the table shows."""
    rows = (line for _, line in _body(path, encoding, layout, max_rows) if "." in line or "," in line)
    if next(rows, None) is None:
        return layout
    split = layout.dialect.split
    sign, doubtful = sign_of_rows(split(line) for _, line in _body(path, encoding, layout, max_rows))
    if doubtful is not None:
        raise ConversionError(
            f"{path}: column {doubtful + 1}: numbers such as 1.200 beside whole ones could be fractions or "
            "thousands; write them without grouping, or with a fixed number of decimals"
        )
    return replace(layout, dialect=replace(layout.dialect, decimal=sign or layout.dialect.decimal))


def _parse_rows(body: Iterator[tuple[int, str]], layout: Layout, path: Path) -> NDArray[np.float64] | None:
    """All rows by NumPy's reader, or None where it meets anything but numbers."""
    dialect = layout.dialect
    usecols = None
    if dialect.skip or dialect.words:
        columns = range(layout.columns + len(dialect.words))
        usecols = [dialect.skip + k for k in columns if k not in dialect.words]
    rows = (_plain(line, dialect.decimal) for _, line in body)
    try:
        values = np.loadtxt(rows, delimiter=dialect.delimiter, comments=None, ndmin=2, usecols=usecols)
    except ConversionError:
        raise
    except UnicodeDecodeError:
        raise
    except ValueError:
        return None
    return values if values.shape[1] == layout.columns else None


def _plain(line: str, decimal: str) -> str:
    if "#" in line or (decimal == "," and "." in line):
        raise _NotPlainError
    return line.replace(",", ".") if decimal == "," else line


def _parse_cells(
    path: Path, body: Iterator[tuple[int, str]], layout: Layout
) -> tuple[NDArray[np.float64], Layout, dict[int, NDArray[np.float64]]]:
    """All rows cell by cell: empty cells and timestamps are understood, the first wrong cell is named with its line."""
    dialect, columns, timestamps = layout.dialect, layout.columns, layout.timestamps
    flat = array("d")
    clocks: dict[int, list[int | Decimal | None]] = {k: [] for k in (*timestamps, *layout.exact)}
    for index, line in body:
        cells = dialect.split(line)
        if len(cells) != columns:
            raise ConversionError(f"{path}: line {index + 1}: {len(cells)} cells where the table has {columns} columns")
        row = [cell_value(dialect.point(cell), timestamp=column in timestamps) for column, cell in enumerate(cells)]
        if None in row:
            raise bad_cell(path, index, cells, dialect, timestamps)
        flat.extend(row)  # type: ignore[arg-type]  # no None in it, as was asked above
        for column, clock in clocks.items():
            clock.append(
                timestamp_ticks(cells[column]) if column in timestamps else _exact(dialect.point(cells[column]))
            )
    values = np.array(flat, dtype=np.float64).reshape(-1, columns)
    elapsed = {column: _elapsed(clock) for column, clock in clocks.items()}
    for column in timestamps:
        values[:, column] = elapsed.pop(column) / TICKS
    return values, layout, elapsed


def _exact(cell: str) -> Decimal | None:
    try:
        number = Decimal(cell)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _elapsed(clock: Sequence[int | Decimal | None]) -> NDArray[np.float64]:
    """Differences to the first time, taken before they lose their digits."""
    first = next((time for time in clock if time is not None), 0)
    return np.array([np.nan if time is None else float(time - first) for time in clock])


def _table(
    values: NDArray[np.float64],
    layout: Layout,
    elapsed: dict[int, NDArray[np.float64]],
    words: tuple[WordColumn, ...],
) -> Table:
    header = list(layout.header)
    if layout.clock is not None:
        start, step = layout.clock
        values = values[:, : len(header)]
        values[:, 0] = start + step * np.arange(len(values))
    is_named = len(header) >= values.shape[1] and header[-1] != ("", "")
    if values.shape[1] > 1 and not is_named and np.isnan(values[:, -1]).all():
        values = values[:, :-1]  # every row ends with a delimiter
    columns = values.shape[1]
    pairs = (header + [("", "")] * columns)[:columns]
    for column in layout.timestamps:
        pairs[column] = (pairs[column][0], "s")
    pairs = _with_units(pairs, layout)
    names, units = zip(*pairs, strict=True)
    return Table(
        np.ascontiguousarray(values),
        names,
        units,
        has_header=bool(header),
        timestamps=layout.timestamps,
        elapsed=elapsed,
        announced=layout.announced,
        interval_s=layout.preamble.interval_s,
        words=words,
    )


def _with_units(pairs: list[tuple[str, str]], layout: Layout) -> list[tuple[str, str]]:
    """Units that only the preamble gives: one a channel, or one for all of them."""
    given, channels = layout.preamble.y_units, len(pairs) - 1
    if not layout.header or not given or any(unit for _, unit in pairs[1:]):
        return pairs
    units = given if len(given) == channels else given[:1] * channels if len(given) == 1 else ("",) * channels
    first = (pairs[0][0], pairs[0][1] or layout.preamble.x_unit)
    return [first, *((name, unit) for (name, _), unit in zip(pairs[1:], units, strict=True))]
