"""What a text table looks like, told from its first lines: delimiter, decimal sign, header, units, timestamps."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from converters.decimal_signs import shown_sign, with_point
from converters.errors import ConversionError
from converters.numerals import plain_numerals
from converters.table_header import Header, Preamble, header_of, read_preamble, split_unit, units_of

_LEAST_WORDED = 3
"""Rows from which on a column may be one of words."""
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 2**18
"""Wide tables show their layout in fewer lines."""
MAX_LINE = 2**18
"""Longest line, in characters; a longer one is no row of a table."""
_MISSING = frozenset(
    """
    - -- --- ? na n/a n.a. n.d. nan +nan -nan null none nil missing #n/a #na #num! #value! #div/0! #null! #ref! #name?
    """.split()  # noqa: SIM905 - as a list of strings it would be longer than the rest
) | {""}
_COMMENTS = ("#", "%", "//")
_COMMENT_AT_END = re.compile(r"#(?!n/?a\b|num!|value!|div/0!|null!|ref!|name\?).*", re.IGNORECASE)
"""Excel's #N/A and its kin are cells."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_TIMESTAMP = re.compile(r"\d{4}[-/]\d{2}[-/]\d{2}([T ]\d{2}:\d{2}.*)?")
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d+)")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
TICKS = 10**12
"""Of a timestamp in a second: exact integers, since float64 knows the time of day to 0.1 us only."""
_WORD_WITH_UNIT = re.compile(r"[^\s\[(]+(?:\s*[\[(][^\])]*[\])])?|[\[(][^\])]*[\])]")
_LABVIEW_COMMENT = "comment"
"""LabVIEW names a last column that its rows do not have."""
_TEKTRONIX_COLUMNS = 3
"""Columns of settings that older Tektronix oscilloscopes write beside the first rows of a curve."""


@dataclass(frozen=True)
class Dialect:
    """How a line is cut into cells; a delimiter of None is any run of white space."""

    delimiter: str | None
    decimal: str = "."
    skip: int = 0
    """Leading columns that are no part of the table."""
    words: tuple[int, ...] = ()
    """Columns that hold words alone, counted after those: no part of the table either."""

    def split(self, line: str) -> list[str]:
        """Cut a line of numbers into cells, without quotes, outer blanks and a comment at its end."""
        if "#" in line:
            line = _COMMENT_AT_END.sub("", plain_numerals(line))
        return self._kept(line)

    def split_header(self, line: str) -> list[str]:
        """Cut a line of names into cells; between blanks, "time (s)" stays one name."""
        if self.delimiter is None:
            return [match.strip("\"'") for match in _WORD_WITH_UNIT.findall(line)]
        return self._kept(line)

    def words_in(self, line: str) -> list[str]:
        """Return the cells of a line in the columns of words."""
        cells = self._cut(_COMMENT_AT_END.sub("", line) if "#" in line else line)[self.skip :]
        return [cells[k] if k < len(cells) else "" for k in self.words]

    def _kept(self, line: str) -> list[str]:
        cells = self._cut(line)[self.skip :]
        return [cell for k, cell in enumerate(cells) if k not in self.words] if self.words else cells

    def _cut(self, line: str) -> list[str]:
        if self.delimiter is None:
            return line.split()
        if '"' in line:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=self.delimiter, skipinitialspace=True))]
        return [cell.strip() for cell in line.split(self.delimiter)]

    def point(self, cell: str) -> str:
        """Return the cell with a decimal point, thousands ungrouped; a cell that is no number stays none."""
        return cell if cell.lower() in _MISSING else plain_numerals(with_point(cell, self.decimal))


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
    header: Header = ()
    """(name, unit) of each column; empty without a header, one short where every row ends with a delimiter."""
    timestamps: tuple[int, ...] = ()
    """Columns that hold ISO 8601 timestamps."""
    exact: tuple[int, ...] = ()
    """Columns whose numbers have more digits than float64 holds: clocks that count nanoseconds."""
    is_sign_known: bool = True
    """False where no cell of the first lines tells the decimal sign."""
    announced: int | None = None
    """Number of points that a line above the numbers gives, as scans have it."""
    preamble: Preamble = field(default_factory=Preamble)
    clock: tuple[float, float] | None = None
    """Time of the first row and seconds between rows, of a table whose first column only counts."""
    word_names: tuple[str, ...] = ()
    """Names of the columns of words."""


def content_lines(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield index and text of the lines that are neither blank nor a comment."""
    return ((k, line) for k, line in enumerate(lines) if is_content(line))


def is_content(line: str) -> bool:
    """Tell a line that is neither blank nor a comment."""
    start = line.lstrip()
    return bool(start) and not start.startswith(_COMMENTS)


def cell_value(cell: str, *, timestamp: bool = False) -> float | None:
    """Return the number in a cell, NaN where it is empty, None where it is a word.

    A timestamp becomes seconds from 2000-01-01; one that names no zone counts as UTC.
    """
    if cell.lower() in _MISSING:
        return float("nan")
    if timestamp:
        ticks = timestamp_ticks(cell)
        return None if ticks is None else ticks / TICKS
    return float(cell) if _NUMBER.fullmatch(cell) else None


def timestamp_ticks(cell: str) -> int | None:
    """Return the ticks (1 / `TICKS` s) from 2000-01-01 of a timestamp, None for another cell; digits are kept."""
    if not _TIMESTAMP.fullmatch(cell):
        return None
    fraction = _FRACTION.search(cell)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", cell).replace("/", "-"))
    except ValueError:
        return None
    elapsed = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    part = int((fraction[1] + "0" * 12)[:12]) if fraction else 0
    return (elapsed.days * 86400 + elapsed.seconds) * TICKS + part


def find_layout(path: Path, lines: Sequence[str]) -> Layout:
    """Tell the layout of a table from its first lines.

    Raises:
        ConversionError: no line holds numbers alone, or the header does not fit the columns.
    """
    sample = _take_sample(path, lines)
    if not sample:
        raise ConversionError(f"{path}: only comments and blank lines; a table of numbers was expected")
    dialect, widths = _choose_dialect(sample)
    if not any(widths) and (worded := _with_words(sample)) is not None:
        dialect, widths = worded
    if not any(widths):
        raise _no_numbers(path, sample)
    start = next(k for k, width in enumerate(widths) if width)
    if dialect.delimiter == "," and start and max(widths) == 2 and "," not in sample[start - 1][1]:
        # one column with decimal commas looks like two columns of integers, but has one name
        dialect, widths = Dialect(None, ","), [min(width, 1) for width in widths]
    found = [width for width in widths if width]
    columns = max(found, key=found.count)
    start = _after_preamble(sample, widths, start, columns, dialect)
    announced = None
    if widths[start] == 1 and columns >= 3 and sample[start][1].strip().isdigit() and start + 1 < len(sample):
        announced = int(sample[start][1])  # the number of points that .pts and some .xyz files begin with
        start += 1
    layout = _read_layout(path, lines, sample, start, columns, dialect)
    return replace(layout, announced=announced)


def _after_preamble(
    sample: Sequence[tuple[int, str]], widths: Sequence[int], start: int, columns: int, dialect: Dialect
) -> int:
    """Index in the sample of the first row, where numbers of a preamble, or names like 1 and 2, stand above it."""
    for k in range(len(sample) - 1, start, -1):
        if widths[k] or k + 1 >= len(sample) or widths[k + 1] != columns:
            continue
        if units_of(dialect.split_header(sample[k][1])) or columns not in widths[start:k]:
            return k + 1
    return start


def _take_sample(path: Path, lines: Sequence[str]) -> list[tuple[int, str]]:
    sample: list[tuple[int, str]] = []
    room = _SAMPLE_CHARACTERS
    for index, line in islice(content_lines(lines), _SAMPLE_LINES):
        if len(line) > MAX_LINE:
            raise too_long(path, index, len(line))
        sample.append((index, line))
        room -= len(line)
        if room < 0 and len(sample) > 2:
            break
    return sample


def too_long(path: Path, index: int, length: int) -> ConversionError:
    """Return the error of a line that is no row."""
    return ConversionError(f"{path}: line {index + 1}: {length} characters; a table has one row a line")


def _choose_dialect(sample: Sequence[tuple[int, str]]) -> tuple[Dialect, list[int]]:
    """The dialect under which most lines are two or more numbers, else one number; with the width of every line."""
    dialects: tuple[Dialect, ...] = DIALECTS
    if sample[0][1].lstrip('"').lower().startswith("record length"):
        dialects = (*DIALECTS, Dialect(",", skip=_TEKTRONIX_COLUMNS))
    widths = {dialect: [_width(line, dialect) for _, line in sample] for dialect in dialects}
    best = max(dialects, key=lambda dialect: sum(width > 1 for width in widths[dialect]))
    best = best if max(widths[best]) > 1 else Dialect(None)
    if best == Dialect(None) and best not in widths:
        widths[best] = [_width(line, best) for _, line in sample]
    return best, widths[best]


def _with_words(sample: Sequence[tuple[int, str]]) -> tuple[Dialect, list[int]] | None:
    """The dialect, and the width of every line, of a table in which some columns hold words alone, below their names.

    A column with a number in any row is no such column: there a word is an error.
    """
    for dialect in (one for one in DIALECTS if one.delimiter is not None):
        rows = [dialect.split(line) for _, line in sample[1:]]
        columns = len(dialect.split_header(sample[0][1]))
        if len(rows) < _LEAST_WORDED or columns < 2 or any(len(row) != columns for row in rows):
            continue
        numbers = [[_is_number(dialect, cell) for cell in column] for column in zip(*rows, strict=True)]
        words = tuple(k for k, column in enumerate(numbers) if not any(column))
        if words and any(all(column) for column in numbers):
            found = replace(dialect, words=words)
            return found, [_width(line, found) for _, line in sample]
    return None


def _is_number(dialect: Dialect, cell: str) -> bool:
    point = dialect.point(cell)
    return bool(_TIMESTAMP.fullmatch(point)) or (point.lower() not in _MISSING and cell_value(point) is not None)


def _width(line: str, dialect: Dialect) -> int:
    """Number of cells of a line of numbers; 0 where a cell is a word, or no cell a number."""
    cells = [dialect.point(cell) for cell in dialect.split(line)]
    values = [cell_value(cell, timestamp=bool(_TIMESTAMP.fullmatch(cell))) for cell in cells]
    is_row = None not in values and any(cell.lower() not in _MISSING or "nan" in cell.lower() for cell in cells)
    return len(cells) if is_row else 0


def _read_layout(
    path: Path, lines: Sequence[str], sample: Sequence[tuple[int, str]], start: int, columns: int, dialect: Dialect
) -> Layout:
    first = sample[start][0]
    rows = [dialect.split(line) for _, line in sample[start:]]
    cells = [dialect.point(cell) for cell in rows[0]]
    open_ended = all(row[-1:] == [""] for row in rows)
    above_or_beside = [",".join(line.split(",")[: dialect.skip]) for line in lines] if dialect.skip else lines[:first]
    preamble = read_preamble(above_or_beside, dialect.delimiter)
    layout = Layout(
        dialect,
        first,
        columns,
        timestamps=tuple(k for k, cell in enumerate(cells) if _TIMESTAMP.fullmatch(cell)),
        exact=tuple(k for k, cell in enumerate(cells) if _needs_digits(cell)),
        is_sign_known=dialect.delimiter == "," or any(shown_sign(cell) in {".", ","} for row in rows for cell in row),
        preamble=preamble,
        word_names=_names_of_words(sample[0][1], dialect),
    )
    if dialect.skip:
        return replace(layout, header=(("time", preamble.x_unit or "s"), ((*preamble.names, "")[0], "")))
    above = sample[:start]
    if (counted := _counted_rows(above, dialect)) is not None:
        header, clock = counted
        return replace(layout, header=header, clock=clock)
    header = _find_header(path, above, {columns, columns - open_ended}, dialect)
    header = header or _commented_header(lines[first - 1] if first else "", columns, dialect)
    return replace(layout, header=header)


def _names_of_words(names: str, dialect: Dialect) -> tuple[str, ...]:
    """Return the names of the columns of words, which stand in the first line of a table that has such columns."""
    cells = replace(dialect, words=()).split_header(names) if dialect.words else []
    return tuple(cells[k] for k in dialect.words)


def _needs_digits(cell: str) -> bool:
    whole, _, fraction = cell.lstrip("+-").partition(".")
    return (
        whole.isdigit() and len(whole) >= 9 and len(whole) + len(fraction) > 15 and fraction.isdigit() | (not fraction)
    )


def _counted_rows(above: Sequence[tuple[int, str]], dialect: Dialect) -> tuple[Header, tuple[float, float]] | None:
    """Names and clock of Rigol's tables: the first column counts, "Start" and "Increment" stand in the header."""
    if len(above) < 2:
        return None
    names, values = (dialect.split_header(line) for _, line in above[-2:])
    plain = [name.lower() for name in names]
    if not {"start", "increment"} <= set(plain) or values[0].lower() != "sequence" or len(values) < len(names) - 1:
        return None
    start, step = (cell_value(dialect.point(values[plain.index(name)])) for name in ("start", "increment"))
    if start is None or step is None or not step > 0:
        return None
    units = [unit[0] if (unit := units_of([cell])) else "" for cell in values]
    shown = [k for k, name in enumerate(plain) if name not in {"start", "increment", ""}]
    return (("time", "s"), *((names[k], units[k]) for k in shown[1:])), (start, step)


def _find_header(path: Path, above: Sequence[tuple[int, str]], allowed: set[int], dialect: Dialect) -> Header:
    """Names and units from the rows above the numbers; what is above those is the instrument's preamble."""
    rows: list[list[str]] = []
    for index, line in reversed(above[-4:]):
        cells = dialect.split_header(line)
        if cells and cells[-1].lower() == _LABVIEW_COMMENT and len(cells) - 1 in allowed:
            cells = cells[:-1]
        if len(cells) - 1 in allowed and cells[-1] == "":
            cells = cells[:-1]
        if not rows:
            numbers = [cell_value(dialect.point(cell)) is not None and bool(cell) for cell in cells]
            if len(cells) > 1 and numbers[0] and units_of(cells) is None:
                raise bad_cell(path, index, cells, dialect)
            if len(cells) not in allowed and dialect.delimiter and len(cells) > 1 and not any(numbers):
                raise ConversionError(
                    f"{path}: line {index + 1}: {len(cells)} names for {max(allowed)} columns of numbers"
                )
        if len(cells) not in allowed or (rows and len(cells) != len(rows[0])):
            break
        rows.append(cells)
    return header_of(rows) if rows else ()


def _commented_header(comment: str, columns: int, dialect: Dialect) -> Header:
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
    where = f"{path}: line {index + 1}, column {column + 1}: {cell!r}"
    if shown_sign(cell) not in {"", dialect.decimal}:
        return ConversionError(f"{where} in a table whose decimal sign is {dialect.decimal!r}; write it with one sign")
    wanted = "timestamp" if column in timestamps else "number"
    return ConversionError(f"{where} is not a {wanted}; correct or remove it")


def _no_numbers(path: Path, sample: Sequence[tuple[int, str]]) -> ConversionError:
    """The error for a table without one row of numbers; the first line may be a header, so the second is blamed."""
    if _is_header_alone([line for _, line in sample]):
        return ConversionError(f"{path}: a header and no row of numbers below it; was anything recorded?")
    index, line = sample[min(1, len(sample) - 1)]
    delimiter = max(";\t,", key=line.count)
    dialect = Dialect(delimiter if delimiter in line else None)
    cells = dialect.split(line)
    if all(cell_value(dialect.point(cell)) is not None for cell in cells):
        return ConversionError(f"{path}: line {index + 1}: no number in the row; a table of numbers was expected")
    return bad_cell(path, index, cells, dialect)


def _is_header_alone(lines: Sequence[str]) -> bool:
    """Tell a line of names, which may have units below it, from rows with something wrong in them."""
    delimiter = max(";\t,", key=lines[0].count)
    if delimiter not in lines[0]:
        return False  # prose
    rows = [Dialect(delimiter).split_header(line) for line in lines[:3]]
    has_number = any(cell_value(cell) is not None and bool(cell) for cell in rows[0])
    return not has_number and (len(rows) == 1 or (len(rows) == 2 and units_of(rows[1]) is not None))
