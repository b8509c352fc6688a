"""Curves over time, from a text table or a NumPy file, and their plots."""

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.faults import in_one_line, reader_faults
from converters.limits import claim
from converters.sample import Series, WordColumn
from converters.series_plot import Limits, draw_panels, value_limits
from converters.table import read_table
from converters.time_axis import check_rising, find_time
from converters.view import View, ViewBudget

PANELS = 4
"""Channels of one plot, one below the other."""
MAX_PLOTS = 6
"""Plots of one series; the labels say how many channels there are beyond those that are drawn."""
_LISTED = 6
"""Channels that are named where samples are missing."""
_LARGEST = 1e100
"""Larger values are no measurement; they are refused like infinity."""
_RATE = re.compile(r"(fs|sr|rate|hz|sample_?rate|sampling_?rate|sampling_?frequency)(_hz)?", re.IGNORECASE)


def read_series(path: Path) -> Series:
    """Read one or several channels over time from csv, txt, npy or npz.

    Time is a column named so (its unit becomes seconds, ISO 8601 timestamps seconds from the first), a first column
    that rises evenly, or else the sample number. A NumPy array is (N,), (N, C) or (C, N): the longer axis is time. An
    npz holds arrays of one length, named by their keys; a scalar "fs", "rate" or "sample_rate" is the rate in Hz.
    An empty cell stays NaN.

    Raises:
        ConversionError: missing, empty or not numeric, fewer than two rows, an infinite value, or a time that does not
            rise; the message names the line or row.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(6)
        if magic == b"\x93NUMPY":
            return _from_columns(path, *_array_columns(path, np.load(path, mmap_mode="r", allow_pickle=False)))
        if magic.startswith(b"PK\x03\x04"):
            return _read_npz(path)
    except ConversionError:
        raise
    except reader_faults() as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else in_one_line(fault)
        raise ConversionError(f"{path}: cannot be read: {reason}") from fault
    table = read_table(path)
    rate = None if table.interval_s is None else 1.0 / table.interval_s
    found = _from_columns(path, table.values, table.names, table.units, rate, table.elapsed)
    if not table.words:
        return found
    told = tuple(_words_note(one) for one in table.words[:_LISTED])
    return replace(found, words=table.words, notes=(*found.notes, *told))


def _words_note(column: WordColumn) -> str:
    """Say which words a column holds."""
    name = f" ({column.name})" if column.name else ""
    many = len(column.words) > _LISTED
    more = f" and {len(column.words) - _LISTED if column.is_whole else 'many'} more" if many else ""
    return f"Column {column.column + 1}{name} holds words, no numbers: {', '.join(list(column.words)[:_LISTED])}{more}."


def _array_columns(
    path: Path, array: NDArray[Any], name: str = ""
) -> tuple[NDArray[np.float64], tuple[str, ...], tuple[str, ...]]:
    """Columns (N, C), their names and units; fields of a structured array are columns with names."""
    claim(path, array.size * (array.dtype.itemsize + 40 * max(1, len(array.dtype.names or ()))))
    if array.dtype.names:
        names = array.dtype.names
        values = np.column_stack([_numeric(path, array[field]) for field in names])
        return values, names, ("",) * len(names)
    values = _numeric(path, array)
    if values.ndim not in {1, 2}:
        raise ConversionError(f"{path}: an array of shape {values.shape} is not a series; give (N,), (N, C) or (C, N)")
    values = values[:, None] if values.ndim == 1 else values
    values = values.T if values.shape[1] > values.shape[0] else values
    count = values.shape[1]
    names = (name,) if count == 1 else tuple(f"{name} {k + 1}" if name else "" for k in range(count))
    return np.ascontiguousarray(values), names, ("",) * count


def _numeric(path: Path, array: NDArray[Any]) -> NDArray[np.float64]:
    if array.dtype.kind not in "biuf":
        raise ConversionError(f"{path}: {array.dtype} values; a series needs integers or floats")
    return np.asarray(array, dtype=np.float64)


def _read_npz(path: Path) -> Series:
    with zipfile.ZipFile(path) as archive:
        claim(path, 8 * sum(entry.file_size for entry in archive.infolist()))  # bytes become float64, and copies
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    rate = next((float(array) for key, array in arrays.items() if array.ndim == 0 and _RATE.fullmatch(key)), None)
    parts = [
        _array_columns(path, array, key) for key, array in arrays.items() if array.ndim and array.dtype.kind in "biuf"
    ]
    if not parts:
        raise ConversionError(f"{path}: no array of numbers in it; save the channels by name, and their time as 'time'")
    lengths = {len(values) for values, _, _ in parts}
    if len(lengths) > 1:
        listed = ", ".join(f"{names[0]} {len(values)}" for values, names, _ in parts)
        raise ConversionError(f"{path}: arrays of different lengths ({listed}); a series has one time axis")
    values = np.concatenate([values for values, _, _ in parts], axis=1)
    names = tuple(name for _, found, _ in parts for name in found)
    return _from_columns(path, values, names, ("",) * len(names), rate)


def _from_columns(
    path: Path,
    values: NDArray[np.float64],
    names: Sequence[str],
    units: Sequence[str],
    rate_hz: float | None = None,
    elapsed: Mapping[int, NDArray[np.float64]] | None = None,
) -> Series:
    if len(values) < 2:
        raise ConversionError(f"{path}: {len(values)} row of numbers; a series needs at least two")
    axis = find_time(path, values, names, units, elapsed)
    kept = [column for column in range(values.shape[1]) if column != axis.column]
    if not kept:
        raise ConversionError(f"{path}: a time column and no other; a series needs a channel")
    channels = np.ascontiguousarray(values[:, kept])
    _refuse_infinite(path, channels, kept)
    missing = _missing_note(channels, [names[k] for k in kept])
    time_s, is_index = axis.time_s, axis.is_index
    if is_index and rate_hz is not None and rate_hz > 0:
        time_s, is_index = np.arange(len(values)) / rate_hz, False
    return Series(
        path=path,
        time_s=check_rising(path, time_s),
        values=channels,
        names=tuple(names[k] for k in kept),
        units=tuple(units[k] for k in kept),
        time_is_index=is_index,
        notes=missing,
    )


def _missing_note(channels: NDArray[np.float64], names: Sequence[str]) -> tuple[str, ...]:
    """Say how many samples each channel lacks; () where none does."""
    counts = np.isnan(channels).sum(axis=0)
    gappy = [f"{names[k] or f'channel {k + 1}'} {counts[k]}" for k in np.flatnonzero(counts).tolist()]
    if not gappy:
        return ()
    more = f" and {len(gappy) - _LISTED} more channels" if len(gappy) > _LISTED else ""
    return (f"Of {len(channels)} samples so many are missing: {', '.join(gappy[:_LISTED])}{more}.",)


def _refuse_infinite(path: Path, channels: NDArray[np.float64], columns: Sequence[int]) -> None:
    if np.isnan(channels).all():
        raise ConversionError(f"{path}: not one number in the channels; a series needs values")
    wrong = np.argwhere(np.abs(channels) > _LARGEST)
    if len(wrong):
        row, column = int(wrong[0, 0]), columns[int(wrong[0, 1])]
        value = channels[wrong[0, 0], wrong[0, 1]]
        raise ConversionError(
            f"{path}: row {row + 1}, column {column + 1}: {value:g} is not a measurement; leave it empty"
        )


def shared_limits(samples: Sequence[Series]) -> tuple[Limits, ...]:
    """Return the value range of each channel over all samples, so that their plots have the same axes.

    Channels are matched by position; a sample with other channels adds nothing where it has none.
    """
    count = max(sample.values.shape[1] for sample in samples)
    columns = ([s.values[:, k] for s in samples if s.values.shape[1] > k] for k in range(count))
    return tuple(value_limits(np.concatenate(column)) for column in columns)


def render_series(series: Series, budget: ViewBudget, limits: Sequence[Limits] | None = None) -> list[View]:
    """Plot a series: one panel a channel, `PANELS` a plot, at most `MAX_PLOTS` plots.

    Args:
        series: the channels.
        budget: `max_side` bounds the plots.
        limits: (low, high) a channel, from `shared_limits`, so that plots of two samples can be compared; a range is
            widened where the series leaves it, because what is not drawn cannot be found.
    """
    count = series.values.shape[1]
    drawn = min(count, PANELS * MAX_PLOTS)
    groups = [range(first, min(first + PANELS, drawn)) for first in range(0, drawn, PANELS)]
    ranges = [
        _range(series.values[:, k], limits[k] if limits is not None and k < len(limits) else None) for k in range(drawn)
    ]
    return [draw_panels(series, group, ranges, budget, is_split=len(groups) > 1) for group in groups]


def _range(values: NDArray[np.float64], wanted: Limits | None) -> Limits:
    low, high = value_limits(values)
    if wanted is None or np.isnan(values).all():
        return wanted or (low, high)
    found = (float(np.nanmin(values)), float(np.nanmax(values)))
    return (wanted[0] if found[0] >= wanted[0] else low, wanted[1] if found[1] <= wanted[1] else high)
