"""What a text table looks like, told from its first lines: delimiter, decimal sign, header, units, timestamps."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from converters.errors import ConversionError

_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 2**18
"""Wide tables show their layout in fewer lines."""
MAX_LINE = 2**18
"""Longest line, in characters; a longer one is no row of a table."""
_MISSING = frozenset({"", "-", "--", "?", "na", "n/a", "nan", "null", "none", "missing"})
_COMMENTS = ("#", "%", "//")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_WORD_WITH_UNIT = re.compile(r"[^\s\[(]+(?:\s*[\[(][^\])]*[\])])?|[\[(][^\])]*[\])]")
_BRACKET_UNIT = re.compile(r"(.*?)\s*[\[(]([^\[\]]*?)[\])]")
_SLASH_UNIT = re.compile(r"(.+?)\s*/\s*\(?([^\s()]+)\)?")
_KNOWN_UNITS = frozenset(
    """
    ns us µs μs ms s min h
    um µm μm mm cm m km in mm² mm^2 deg ° rad
    mm/s m/s km/h m/s² m/s^2 m/s2 deg/s °/s rad/s 1/s 1/min rpm l/min Hz kHz MHz GHz
    mg g kg mN N kN Nm Pa hPa kPa MPa GPa bar mbar psi
    uV µV mV V kV uA µA mA A mW W kW J kJ Ohm ohm Ω kΩ uT µT mT T
    K C F °C °F degC degF % ppm dB lx cd lm mol counts
    """.split()  # noqa: SIM905 - as a list of ninety strings the grouping would be lost
)


@dataclass(frozen=True)
class Dialect:
    """How a line is cut into cells; a delimiter of None is any run of white space."""

    delimiter: str | None
    decimal: str = "."

    def split(self, line: str) -> list[str]:
        """Cut a line of numbers into cells, without quotes, outer blanks and a comment at its end."""
        return self._cut(line.partition("#")[0])

    def split_header(self, line: str) -> list[str]:
        """Cut a line of names into cells; between blanks, "time (s)" stays one name."""
        if self.delimiter is None:
            return [match.strip("\"'") for match in _WORD_WITH_UNIT.findall(line)]
        return self._cut(line)

    def _cut(self, line: str) -> list[str]:
        if self.delimiter is None:
            return line.split()
        if '"' in line:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True))]
        return [cell.strip() for cell in line.split(self.delimiter)]

    def point(self, cell: str) -> str:
        """Return the cell with a decimal point; a cell that is no number stays none."""
        return cell.replace(",", ".") if self.decimal == "," and "." not in cell else cell


DIALECTS = (
    Dialect(";"),
    Dialect(";", ","),
    Dialect("\t"),
    Dialect("\t", ","),
    Dialect(","),
    Dialect(None),
    Dialect(None, ","),
)
"""In order of preference, where several read the same number of lines."""


@dataclass(frozen=True)
class Layout:
    """Where the numbers of a table are."""

    dialect: Dialect
    first: int
    """Index of the first line of numbers."""
    columns: int
    header: tuple[tuple[str, str], ...] = ()
    """(name, unit) of each column; empty without a header, one short where every row ends with a delimiter."""
    timestamps: tuple[int, ...] = ()
    """Columns that hold ISO 8601 timestamps."""


def content_lines(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield index and text of the lines that are neither blank nor a comment."""
    return ((k, line) for k, line in enumerate(lines) if line.strip() and not line.lstrip().startswith(_COMMENTS))


def cell_value(cell: str, *, timestamp: bool = False) -> float | None:
    """Return the number in a cell, NaN where it is empty, None where it is a word.

    A timestamp becomes seconds from 2000-01-01; one that names no zone counts as UTC.
    """
    if cell.lower() in _MISSING:
        return float("nan")
    if timestamp:
        return _timestamp_s(cell)
    return float(cell) if _NUMBER.fullmatch(cell) else None


def _timestamp_s(cell: str) -> float | None:
    if not _TIMESTAMP.fullmatch(cell):
        return None
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def split_unit(name: str) -> tuple[str, str]:
    """Split a column's name from its unit: "accel [g]", "time (s)" and "t/ms" give ("accel", "g") and so on."""
    name = name.strip().strip("\"'").strip()
    if (match := _BRACKET_UNIT.fullmatch(name)) and match[1]:
        return match[1].rstrip(" /"), match[2].strip()
    if (match := _SLASH_UNIT.fullmatch(name)) and match[2] in _KNOWN_UNITS:
        return match[1], match[2]
    return name, ""


def find_layout(path: Path, lines: Sequence[str]) -> Layout:
    """Tell the layout of a table from its first lines.

    Raises:
        ConversionError: no line holds numbers alone, or the header does not fit the columns.
    """
    sample = _take_sample(path, lines)
    if not sample:
        raise ConversionError(f"{path}: only comments and blank lines; a table of numbers was expected")
    dialect, widths = _choose_dialect(sample)
    if not any(widths):
        raise _no_numbers(path, sample)
    start = next(k for k, width in enumerate(widths) if width)
    if dialect.delimiter == "," and start and max(widths) == 2 and "," not in sample[start - 1][1]:
        # one column with decimal commas looks like two columns of integers, but has one name
        dialect, widths = Dialect(None, ","), [min(width, 1) for width in widths]
    found = [width for width in widths if width]
    columns = max(found, key=found.count)
    if found[0] == 1 and columns >= 3 and sample[start][1].strip().isdigit() and start + 1 < len(sample):
        start += 1  # the number of points that .pts and some .xyz files begin with
    return _read_layout(path, lines, sample, start, columns, dialect)


def _take_sample(path: Path, lines: Sequence[str]) -> list[tuple[int, str]]:
    sample: list[tuple[int, str]] = []
    room = _SAMPLE_CHARACTERS
    for index, line in islice(content_lines(lines), _SAMPLE_LINES):
        if len(line) > MAX_LINE:
            raise ConversionError(f"{path}: line {index + 1}: {len(line)} characters; a table has one row a line")
        sample.append((index, line))
        room -= len(line)
        if room < 0 and len(sample) > 2:
            break
    return sample


def _choose_dialect(sample: Sequence[tuple[int, str]]) -> tuple[Dialect, list[int]]:
    """The dialect under which most lines are two or more numbers, else one number; with the width of every line."""
    widths = {dialect: [_width(line, dialect) for _, line in sample] for dialect in DIALECTS}
    best = max(DIALECTS, key=lambda dialect: sum(width > 1 for width in widths[dialect]))
    best = best if max(widths[best]) > 1 else Dialect(None)
    return best, widths[best]


def _width(line: str, dialect: Dialect) -> int:
    """Number of cells of a line of numbers; 0 where a cell is a word, or no cell a number."""
    cells = [dialect.point(cell) for cell in dialect.split(line)]
    values = [cell_value(cell, timestamp=bool(_TIMESTAMP.fullmatch(cell))) for cell in cells]
    is_row = None not in values and any(cell.lower() not in _MISSING for cell in cells)
    return len(cells) if is_row else 0


def _read_layout(
    path: Path, lines: Sequence[str], sample: Sequence[tuple[int, str]], start: int, columns: int, dialect: Dialect
) -> Layout:
    first, line = sample[start]
    cells = [dialect.point(cell) for cell in dialect.split(line)]
    open_ended = all(dialect.split(line)[-1:] == [""] for _, line in sample[start:])
    header = _find_header(path, sample[:start], {columns, columns - open_ended}, dialect)
    header = header or _commented_header(lines[first - 1] if first else "", columns, dialect)
    timestamps = tuple(k for k, cell in enumerate(cells) if _TIMESTAMP.fullmatch(cell))
    return Layout(dialect, first, columns, header, timestamps)


def _find_header(
    path: Path, above: Sequence[tuple[int, str]], allowed: set[int], dialect: Dialect
) -> tuple[tuple[str, str], ...]:
    """Names and units from the one or two lines above the numbers; what is above those is the instrument's preamble."""
    if not above:
        return ()
    index, line = above[-1]
    cells = dialect.split_header(line)
    numbers = [cell_value(dialect.point(cell)) is not None and bool(cell) for cell in cells]
    if len(cells) > 1 and numbers[0]:
        raise bad_cell(path, index, cells, dialect)
    if len(cells) not in allowed:
        if dialect.delimiter and len(cells) > 1 and not any(numbers):
            raise ConversionError(f"{path}: line {index + 1}: {len(cells)} names for {max(allowed)} columns of numbers")
        return ()
    names = dialect.split_header(above[-2][1]) if len(above) > 1 else []
    if len(names) == len(cells) and all(map(_is_unit, cells)):
        return tuple((name, cell.strip("[]() ")) for name, cell in zip(names, cells, strict=True))
    return tuple(split_unit(cell) for cell in cells)


def _is_unit(cell: str) -> bool:
    return cell in _KNOWN_UNITS or cell in {"", "-"} or (cell[0] in "[(" and cell[-1] in "])")


def _commented_header(comment: str, columns: int, dialect: Dialect) -> tuple[tuple[str, str], ...]:
    """Names from a comment right above the numbers, as `numpy.savetxt` and CloudCompare write them."""
    if not comment.lstrip().startswith(_COMMENTS):
        return ()
    cells = dialect.split_header(comment.lstrip("#%/ "))
    return tuple(split_unit(cell) for cell in cells) if len(cells) == columns else ()


def bad_cell(
    path: Path, index: int, cells: Sequence[str], dialect: Dialect, timestamps: tuple[int, ...] = ()
) -> ConversionError:
    """Return the error that names the first cell of the line at `index` that is no number."""
    values = [cell_value(dialect.point(cell), timestamp=k in timestamps) for k, cell in enumerate(cells)]
    column = values.index(None)
    cell = cells[column] if len(cells[column]) <= 40 else cells[column][:40] + "…"
    wanted = "timestamp" if column in timestamps else "number"
    return ConversionError(
        f"{path}: line {index + 1}, column {column + 1}: {cell!r} is not a {wanted}; correct or remove it"
    )


def _no_numbers(path: Path, sample: Sequence[tuple[int, str]]) -> ConversionError:
    """The error for a table without one row of numbers; the first line may be a header, so the second is blamed."""
    index, line = sample[min(1, len(sample) - 1)]
    delimiter = max(";\t,", key=line.count)
    dialect = Dialect(delimiter if delimiter in line else None)
    cells = dialect.split(line)
    if all(cell_value(cell) is not None for cell in cells):
        return ConversionError(f"{path}: line {index + 1}: no number in the row; a table of numbers was expected")
    return bad_cell(path, index, cells, dialect)
