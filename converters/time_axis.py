"""Which column of a table is time, and what it is in seconds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError

TIME_UNITS_S = {
    **dict.fromkeys(("ps", "picoseconds"), 1e-12),
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
    **dict.fromkeys(("us", "µs", "μs", "usec", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
"""Seconds in one of each."""

_TIME_WORDS = frozenset(
    {"t", "time", "times", "timestamp", "timestamps", "elapsed", "elapsed time", "datetime", "zeit"}
)
_NOT_ALONE = frozenset({"min", "mins", "h", "d", "day", "days", "second"})
"""Units that, as a whole column name, mean something else: minimum, height, depth, the second channel."""
_AMBIGUOUS = frozenset({"t", "s"})
"""Names that are time only where the numbers rise: T is a temperature too."""
_INDEX_WORDS = frozenset({"index", "idx", "sample", "samples", "sample number", "n", "nr", "no", "row", "step", "i"})
_TELLING_ROWS = 8
"""So many even steps make a first column the axis, whatever its name; two rows of a channel are always even."""
_LONG_AGO_S = 1e8
"""Larger times count from a calendar's start (1970), not from the start of the measurement."""


@dataclass(frozen=True, eq=False)
class TimeAxis:
    """Seconds of each row; `column` is the one they came from, None where the row number serves."""

    time_s: NDArray[np.float64]
    column: int | None
    is_index: bool


def find_time(
    path: Path,
    values: NDArray[np.float64],
    names: Sequence[str],
    units: Sequence[str],
    elapsed: Mapping[int, NDArray[np.float64]] | None = None,
) -> TimeAxis:
    """Find the time of an (N, C) table: a column named time, a first column that rises evenly, or the row number.

    Times that count from a calendar's start become seconds from the first row.

    Args:
        path: the file.
        values: (N, C).
        names: of the columns.
        units: of the columns.
        elapsed: of columns with more digits than float64 holds, the differences to their first value.

    Raises:
        ConversionError: the time column has a gap, or does not rise; the message names the row.
    """
    for column, (name, unit) in enumerate(zip(names, units, strict=True)):
        factor = _seconds_per_unit(name, unit)
        since_first = None if elapsed is None else elapsed.get(column)
        ticks = values[:, column] if since_first is None else since_first
        rises = bool((np.diff(ticks) > 0).all())
        if factor is None and column == 0 and rises and values.shape[1] > 1:
            factor = TIME_UNITS_S.get(unit.lower()) if unit else None  # an x axis in seconds, whatever its name
        if factor is not None and (rises or _plain(name) not in _AMBIGUOUS):
            check_rising(path, ticks)
            first = float(values[0, column]) * factor
            return TimeAxis(
                _from_calendar(ticks * factor, first, unit, is_elapsed=since_first is not None), column, False
            )
    return _from_first_column(values, names[0], units[0])


def _from_first_column(values: NDArray[np.float64], name: str, unit: str) -> TimeAxis:
    first, plain = values[:, 0], _plain(name)
    is_other_quantity = bool(unit) and unit.lower() not in TIME_UNITS_S
    is_axis = not plain or bool(unit) or plain in _INDEX_WORDS or len(first) >= _TELLING_ROWS
    if values.shape[1] < 2 or is_other_quantity or not is_axis or not _rises_evenly(first):
        return TimeAxis(np.arange(len(values), dtype=np.float64), None, True)
    counts = not unit and bool((np.diff(first) == 1).all() and first[0] in {0, 1})
    if counts or plain in _INDEX_WORDS:
        return TimeAxis(np.ascontiguousarray(first), 0, True)
    return TimeAxis(first * TIME_UNITS_S.get(unit.lower(), 1.0), 0, False)


def check_rising(path: Path, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the column, which must be finite and rise from row to row.

    A clock that runs backwards or stands still is a fault of the recording; sorting would hide it.

    Raises:
        ConversionError: it does not; the message names the row, counted from 1.
    """
    if not np.isfinite(time).all():
        row = int(np.flatnonzero(~np.isfinite(time))[0])
        raise ConversionError(f"{path}: row {row + 1}: the time is missing; every row needs one")
    steps = np.diff(time)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0]) + 1
        what = "is that of the row before it" if steps[row - 1] == 0 else f"{time[row]:g} is before {time[row - 1]:g}"
        raise ConversionError(f"{path}: row {row + 1}: the time {what}; it must rise from row to row")
    return time


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_\-.]+", name.strip().lower())).strip()


def _seconds_per_unit(name: str, unit: str) -> float | None:
    """Seconds in one step of a column named so, or None where the name is none of a time."""
    plain = _plain(name)
    head, _, last = plain.rpartition(" ")
    if head.removesuffix(" in") in _TIME_WORDS and last in TIME_UNITS_S:
        return TIME_UNITS_S[last]  # time_ms, "t in s"
    if plain in _TIME_WORDS:
        return TIME_UNITS_S.get(unit.lower()) if unit else 1.0
    if plain in TIME_UNITS_S and plain not in _NOT_ALONE and not unit:
        return TIME_UNITS_S[plain]
    return None


def _from_calendar(time_s: NDArray[np.float64], first: float, unit: str, *, is_elapsed: bool) -> NDArray[np.float64]:
    """Seconds from the first row, where times count from a calendar's start; `first` is that of the first row."""
    if first < _LONG_AGO_S:
        return time_s + first if is_elapsed else time_s
    scale = 1.0
    if not unit:
        # The digits of a bare timestamp tell seconds (10), milliseconds (13), micro- (16) and nanoseconds (19).
        scale = next((scale for limit, scale in ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3)) if first > limit), 1.0)
    elapsed: NDArray[np.float64] = (time_s if is_elapsed else time_s - first) * scale
    return elapsed


def _rises_evenly(column: NDArray[np.float64]) -> bool:
    """True where all steps are positive and equal to a thousandth (to the digits that a file writes)."""
    steps = np.diff(column)
    if not np.isfinite(steps).all() or not (steps > 0).all():
        return False
    rounding = 1e-6 * float(np.abs(column).max())
    return bool(np.ptp(steps) <= 1e-3 * float(np.median(steps)) + rounding) and float(np.median(steps)) > 4 * rounding
