"""What stands above the numbers of a table: names, units, and the preambles of instruments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

Header = tuple[tuple[str, str], ...]
"""(name, unit) of each column."""

_BRACKET_UNIT = re.compile(r"(.*?)\s*[\[(]([^\[\]]*?)[\])]")
_SLASH_UNIT = re.compile(r"(.+?)\s*/\s*\(?([^\s()]+)\)?")
_KNOWN_UNITS = frozenset(
    """
    ps ns us µs μs ms s S sec min h
    um µm μm mm cm m km in mm² mm^2 deg ° rad
    mm/s m/s km/h m/s² m/s^2 m/s2 deg/s °/s rad/s 1/s 1/min rpm l/min Hz kHz MHz GHz
    mg g kg mN N kN Nm Pa hPa kPa MPa GPa bar mbar psi
    nV uV µV mV V kV nA uA µA mA A mW W kW J kJ Ohm ohm Ω kΩ uT µT mT T
    K C F °C °F degC degF % ppm dB dBm dBV lx cd lm mol counts Vpp Vrms
    """.split()  # noqa: SIM905 - as a list of ninety strings the grouping would be lost
)
_SPELT = {
    "second": "s", "seconds": "s", "secs": "s", "sek": "s", "sekunden": "s", "millisecond": "ms", "milliseconds": "ms",
    "microsecond": "us", "microseconds": "us", "nanosecond": "ns", "nanoseconds": "ns", "minutes": "min", "hours": "h",
    "volt": "V", "volts": "V", "millivolt": "mV", "millivolts": "mV", "amp": "A", "amps": "A", "ampere": "A",
    "amperes": "A", "watt": "W", "watts": "W", "newton": "N", "newtons": "N", "hertz": "Hz", "ohm": "Ohm",
    "ohms": "Ohm", "pascal": "Pa", "celsius": "°C", "kelvin": "K", "degree": "deg", "degrees": "deg", "meter": "m",
    "meters": "m", "metre": "m", "metres": "m", "millimeter": "mm", "millimeters": "mm", "millimetre": "mm",
    "millimetres": "mm", "percent": "%", "decibel": "dB", "sequence": "", "unknown": "", "none": "", "div": "",
}  # fmt: skip
"""Units in words, as oscilloscopes and loggers write them."""
_KEYS = {
    "interval": {
        "sample interval", "sampling interval", "sample period", "sampling period", "delta x", "hresolution", "xinc",
        "x increment", "xincrement", "increment", "sampleinterval",
    },
    "rate": {"sample rate", "samplerate", "sampling rate", "sampling frequency", "sample frequency", "fs"},
    "x unit": {"horizontal units", "horizontal unit", "hunit", "x unit", "x units", "xunit", "time unit"},
    "y unit": {"vertical units", "vertical unit", "vunit", "y unit", "y units", "y unit label", "yunit"},
    "name": {"source", "tracename", "channel", "channel name", "trace name"},
}  # fmt: skip
_QUANTITY = re.compile(r"(?:[a-z]+:)?\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*([a-zµμ/]*)", re.IGNORECASE)
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "ps": 1e-12}
_HERTZ = {"": 1.0, "hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9, "sa/s": 1.0, "ksa/s": 1e3, "msa/s": 1e6, "gsa/s": 1e9}
_PREFIXES = "#%/ \t"


@dataclass(frozen=True)
class Preamble:
    """What an instrument says above the table, of that which a table needs."""

    interval_s: float | None = None
    """Seconds from row to row."""
    x_unit: str = ""
    y_units: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_preamble(lines: Sequence[str], delimiter: str | None) -> Preamble:
    """Read the lines above the names: a key and its values in each, parted by the delimiter, a colon or "="."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        key, values = _key_and_values(line, delimiter)
        kind = next((kind for kind, keys in _KEYS.items() if key in keys), None)
        if kind and values:
            found.setdefault(kind, values)
    interval = _quantity(found.get("interval"), _SECONDS)
    rate = _quantity(found.get("rate"), _HERTZ)
    units = tuple(unit_of(text) or "" for text in found.get("y unit", ()))
    return Preamble(
        interval_s=interval or (1.0 / rate if rate else None),
        x_unit=unit_of(found.get("x unit", ("",))[0]) or "",
        y_units=units,
        names=found.get("name", ()),
    )


def _key_and_values(line: str, delimiter: str | None) -> tuple[str, tuple[str, ...]]:
    line = line.strip(_PREFIXES)
    for sign in (delimiter or "\t", ":", "="):
        key, found, rest = line.partition(sign)
        if found:
            break
    values = (value.strip().strip("\"'").strip() for value in rest.split(delimiter or "\t"))
    plain = re.sub(r"[\s_]+", " ", re.sub(r"[\[(].*?[\])]", "", key).strip(" \"':=")).lower()
    return plain.strip(), tuple(value for value in values if value)


def _quantity(values: tuple[str, ...] | None, units: dict[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(values[0].strip()) if values else None
    factor = units.get(match[2].lower()) if match else None
    try:
        number = float(match[1]) * factor if match and factor else 0.0
    except ValueError:
        return None
    return number if 0.0 < number < 1e15 else None


def split_unit(name: str) -> tuple[str, str]:
    """Split a column's name from its unit: "accel [g]", "time (s)" and "t/ms" give ("accel", "g") and so on."""
    name = name.strip().strip("\"'").strip()
    if (match := _BRACKET_UNIT.fullmatch(name)) and match[1]:
        inside = match[2].strip()
        return match[1].rstrip(" /"), _SPELT.get(inside.lower(), inside)
    if (match := _SLASH_UNIT.fullmatch(name)) and match[2] in _KNOWN_UNITS:
        return match[1], match[2]
    return name, ""


def unit_of(cell: str) -> str | None:
    """Return the unit that a cell is ("Volt" is V, "(mm)" is mm, "-" is none); None where it is another word."""
    cell = cell.strip().strip("\"'").strip()
    if cell in {"", "-", "--"}:
        return ""
    if cell[0] in "[(" and cell[-1] in ")]":
        inside = cell[1:-1].strip()
        return _SPELT.get(inside.lower(), inside)
    if cell in _KNOWN_UNITS:
        return "s" if cell in {"S", "sec"} else cell
    return _SPELT.get(cell.lower())


def units_of(cells: Sequence[str]) -> tuple[str, ...] | None:
    """Return the units of a row that holds nothing but units; None for any other row."""
    found = [unit_of(cell) for cell in cells]
    if not any(found) or None in found:
        return None
    return tuple(unit or "" for unit in found)


def header_of(rows: Sequence[Sequence[str]]) -> Header:
    """Return names and units from the rows above the numbers, the nearest first, each with a cell a column.

    A row of units has the names above it, or below where nothing is above. Where names repeat, the row above tells
    them apart. No name is dropped in favour of a unit.
    """
    for k, row in enumerate(rows[:3]):
        units = units_of(row)
        if units is None:
            continue
        names = next((one for one in (*rows[k + 1 : k + 2], *rows[:k]) if units_of(one) is None), None)
        if names is None:
            break
        pairs = [split_unit(cell) for cell in names]
        return tuple((name, unit or own) for (name, own), unit in zip(pairs, units, strict=True))
    names = list(rows[0])
    known = [name for name in names if name]
    if len(set(known)) < len(known) and len(rows) > 1:
        above, last = [], ""
        for cell in rows[1]:
            last = cell or last  # a title over several columns stands over the first
            above.append(last)
        names = [f"{upper} {lower}".strip() for upper, lower in zip(above, names, strict=True)]
    return tuple(split_unit(name) for name in names)
