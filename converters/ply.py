"""PLY (Stanford polygon format): ascii, little and big endian; points and polygons, in any order of elements.

Our own reader (decision 9): declared counts are checked against the file before memory is taken, and an ascii scan of
a million points takes a second.
"""

import re
import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.limits import check_time, claim, note
from converters.numerals import numbers_of
from converters.raw_scan import RawScan, colors_from, refuse_too_many

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER = 1 << 16
_LINE_END = re.compile(rb"\r\n|\n|\r")
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
_COLOR_NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_NORMAL_NAMES = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
_FACE_LISTS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class _Property:
    name: str
    type: str
    count_type: str | None = None
    """Type of the length of a list; None: a single number."""


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)

    @property
    def has_list(self) -> bool:
        return any(p.count_type for p in self.properties)

    def dtype(self, order: str, list_lengths: dict[str, int]) -> np.dtype[np.void]:
        """Dtype of one row whose lists have the given lengths."""
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for each in self.properties:
            if each.count_type:
                fields.append((f"{each.name} count", order + each.count_type))
                fields.append((each.name, order + each.type, (list_lengths[each.name],)))
            else:
                fields.append((each.name, order + each.type))
        return np.dtype(fields)


@dataclass(frozen=True)
class _Header:
    order: str
    elements: list[_Element]
    end: int
    """Byte where the body starts."""


def read_ply(path: Path) -> RawScan:
    """Read the vertices, their colours and normals, and the polygons (cut into triangles) of a PLY file.

    Raises:
        ConversionError: the header is wrong, or does not fit the body.
    """
    data = path.read_bytes()
    header = _read_header(path, data)
    # Points as float64 and their copies, colours and normals; of triangles at least the indices.
    rows = {element.name: element.count for element in header.elements}
    claim(path, len(data) + 110 * rows.get("vertex", 0) + 50 * rows.get("face", 0))
    body = _TextBody(path, data[header.end :]) if header.order == "" else _BinaryBody(path, data, header)
    vertices: dict[str, NDArray[np.generic]] = {}
    faces: NDArray[np.int64] | None = None
    for element in header.elements:
        name = next((p.name for p in element.properties if p.name in _FACE_LISTS and p.count_type), None)
        if element.name == "face" and name is not None:
            faces = body.polygons(element, name)
        elif element.name == "vertex" and not element.has_list:
            vertices = body.rows(element)
        else:
            body.skip(element)
    body.finish()
    return _scan(path, vertices, faces)


def _scan(path: Path, vertices: dict[str, NDArray[np.generic]], faces: NDArray[np.int64] | None) -> RawScan:
    if not {"x", "y", "z"} <= vertices.keys():
        raise ConversionError(f"{path}: this PLY has no vertex element with x, y and z: export it as points or mesh")
    points = np.column_stack([vertices[name].astype(np.float64) for name in "xyz"])
    colors = next((n for n in _COLOR_NAMES if set(n) <= vertices.keys()), None)
    normals = next((n for n in _NORMAL_NAMES if set(n) <= vertices.keys()), None)
    return RawScan(
        points,
        None if colors is None else colors_from(np.column_stack([vertices[name] for name in colors])),
        None if normals is None else np.column_stack([vertices[name].astype(np.float32) for name in normals]),
        faces,
    )


def _read_header(path: Path, data: bytes) -> _Header:
    first = _LINE_END.search(data, 0, _MAX_HEADER)
    stop = re.search(rb"[\r\n]\s*end_header[ \t]*", data[:_MAX_HEADER], re.IGNORECASE)
    if data[:3].lower() != b"ply" or first is None or stop is None:
        raise ConversionError(f"{path}: the PLY header has no end_header line: the file is truncated or not a PLY")
    # Where lines end in CR alone, a body may begin with the byte of a line feed.
    last = re.compile(rb"\r" if first[0] == b"\r" else rb"\r?\n").match(data, stop.end())
    if last is None:
        raise ConversionError(f"{path}: the PLY header's last line goes on after end_header: export the scan again")
    end = last.end()
    orders: list[str] = []
    elements: list[_Element] = []
    for line in data[: stop.start()].decode("ascii", errors="replace").lower().splitlines()[1:]:
        try:
            _read_line(path, line.split(), orders, elements)
        except ConversionError:
            raise
        except (KeyError, IndexError, ValueError) as error:
            raise ConversionError(f"{path}: the PLY header line {line.strip()[:80]!r} is not valid PLY") from error
    if not orders:
        raise ConversionError(f"{path}: the PLY header has no format line: export the scan again")
    for element in elements:
        names = {p.name for p in element.properties}
        if not names or len(names) < len(element.properties):
            raise ConversionError(f"{path}: the PLY element {element.name!r} has no property, or one twice")
    return _Header(orders[0], elements, end)


def _read_line(path: Path, words: list[str], orders: list[str], elements: list[_Element]) -> None:
    match words:
        case [] | ["comment" | "obj_info", *_]:
            pass
        case ["format", name, _]:
            orders.append(_ORDERS[name])
        case ["element", name, count]:
            refuse_too_many(path, int(count), f"{name} rows")
            elements.append(_Element(name, int(count)))
        case ["property", "list", count_type, type_, name]:
            elements[-1].properties.append(_Property(name, _TYPES[type_], _TYPES[count_type]))
        case ["property", type_, name]:
            elements[-1].properties.append(_Property(name, _TYPES[type_]))
        case _:
            raise ValueError(words)


class _BinaryBody:
    """Rows of fixed size are one `frombuffer`; polygons too, as long as all have the same number of corners."""

    def __init__(self, path: Path, data: bytes, header: _Header) -> None:
        self._path, self._data, self._order, self._at = path, data, header.order, header.end

    def rows(self, element: _Element) -> dict[str, NDArray[np.generic]]:
        rows = self._take(element, element.dtype(self._order, {}))
        # The rest of the program works in native byte order.
        return {p.name: rows[p.name].astype(rows[p.name].dtype.newbyteorder("=")) for p in element.properties}

    def polygons(self, element: _Element, name: str) -> NDArray[np.int64]:
        start = self._at
        if element.count == 0:
            return np.empty((0, 3), dtype=np.int64)
        lengths = self._first_lengths(element)
        dtype = element.dtype(self._order, lengths)
        if lengths[name] >= 3 and start + element.count * dtype.itemsize <= len(self._data):
            claim(self._path, len(self._data) + 60 * element.count * lengths[name])
            rows = self._take(element, dtype)
            if all(np.all(rows[f"{key} count"] == length) for key, length in lengths.items()):
                return _fans(rows[name].astype(np.int64))
            self._at = start
        starts, lengths_of = self._walk(element, name)
        kind = np.dtype(self._order + next(each.type for each in element.properties if each.name == name))
        data = np.frombuffer(self._data, np.uint8)

        def corners(at: NDArray[np.int64], length: int) -> NDArray[np.int64]:
            taken = data[at[:, None] + np.arange(length * kind.itemsize)]
            return np.asarray(taken.view(kind).astype(np.int64))

        return triangles_of(self._path, starts, lengths_of, corners)

    def skip(self, element: _Element) -> None:
        if element.has_list:
            self._walk(element, "")
        else:
            self._take(element, element.dtype(self._order, {}))

    def finish(self) -> None:
        """Bytes after the last element are allowed: some writers pad."""
        if left := len(self._data) - self._at:
            note(f"{left} bytes after the last element of the PLY were ignored.")

    def _take(self, element: _Element, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        end = self._at + element.count * dtype.itemsize
        if end > len(self._data):
            whole = (len(self._data) - self._at) // max(dtype.itemsize, 1)
            raise _too_short(self._path, element, whole)
        rows = np.frombuffer(self._data, dtype, element.count, self._at) if element.count else np.empty(0, dtype)
        self._at = end
        return rows

    def _first_lengths(self, element: _Element) -> dict[str, int]:
        """Lengths of the lists in the first row, which most files repeat in every row."""
        at, first = self._at, _Element(element.name, 1, element.properties)
        lists = [each.name for each in element.properties if each.count_type]
        found = {}
        for name in lists:
            found[name] = int(self._walk(first, name)[1][0])
            self._at = at
        return found

    def _walk(self, element: _Element, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Go over rows of any length; return byte and length of the list of that name in each."""
        plan = []
        for each in element.properties:
            length = struct.Struct((self._order + _CODES[each.count_type]) if each.count_type else "0s")
            plan.append((each.count_type, length, np.dtype(each.type).itemsize, each.name == name))
        starts, lengths, at, end = array("q"), array("q"), self._at, len(self._data)
        for row in range(element.count):
            if not row % 65536:
                check_time(self._path)
            for is_list, length, size, is_wanted in plan:
                if at + length.size > end:
                    raise _too_short(self._path, element, row)
                count = int(length.unpack_from(self._data, at)[0]) if is_list else 1
                at += length.size
                if is_wanted:
                    starts.append(at)
                    lengths.append(count)
                at += count * size
                if count < 0 or at > end:
                    raise _too_short(self._path, element, row)
        self._at = at
        return np.array(starts, np.int64), np.array(lengths, np.int64)


class _TextBody:
    """All numbers of the body at once; an integer index is exact in float64."""

    def __init__(self, path: Path, text: bytes) -> None:
        self._path, self._at = path, 0
        self._numbers = numbers_of(path, text)

    def rows(self, element: _Element) -> dict[str, NDArray[np.generic]]:
        columns = len(element.properties)
        values = self._take(element, element.count * columns).reshape(element.count, columns)
        found: dict[str, NDArray[np.generic]] = {}
        for column, each in enumerate(element.properties):
            # An integer colour out of range would wrap around silently: keep such a column as it is.
            kind = np.dtype(each.type)
            fits = kind.kind == "f" or (np.isfinite(values[:, column]).all() and _fits(values[:, column], kind))
            found[each.name] = values[:, column].astype(kind if fits and kind.kind != "f" else np.float64)
        return found

    def polygons(self, element: _Element, name: str) -> NDArray[np.int64]:
        if element.count == 0:
            return np.empty((0, 3), dtype=np.int64)
        numbers = self._numbers
        corners = int(numbers[self._at]) if self._at < len(numbers) else 0
        end = self._at + element.count * (corners + 1)
        if len(element.properties) == 1 and 3 <= corners < len(numbers) and end <= len(numbers):
            rows = numbers[self._at : end].reshape(element.count, corners + 1)
            if np.all(rows[:, 0] == corners):
                self._at = end
                return _fans(_whole(self._path, rows[:, 1:]))
        starts, lengths = self._walk(element, name)
        return triangles_of(
            self._path,
            starts,
            lengths,
            lambda at, length: _whole(self._path, numbers[at[:, None] + np.arange(length)]),
        )

    def skip(self, element: _Element) -> None:
        if element.has_list:
            self._walk(element, "")
        else:
            self._take(element, element.count * len(element.properties))

    def finish(self) -> None:
        left = len(self._numbers) - self._at
        if left:
            raise ConversionError(
                f"{self._path}: {left} numbers are left over after what the PLY header declares: its counts are wrong"
            )

    def _walk(self, element: _Element, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Go over rows of any length; return place and length of the list of that name in each."""
        starts, lengths, at, end = array("q"), array("q"), self._at, len(self._numbers)
        for row in range(element.count):
            if not row % 65536:
                check_time(self._path)
            for each in element.properties:
                count = 1
                if each.count_type:
                    count = int(_whole(self._path, self._numbers[at : at + 1]).sum()) if at < end else -1
                    at += 1
                    if each.name == name:
                        starts.append(at)
                        lengths.append(count)
                at += count
                if count < 0 or at > end:
                    raise _too_short(self._path, element, None)
        self._at = at
        return np.array(starts, np.int64), np.array(lengths, np.int64)

    def _take(self, element: _Element, count: int) -> NDArray[np.float64]:
        end = self._at + count
        if count < 0 or end > len(self._numbers):
            raise _too_short(self._path, element, None)
        values = self._numbers[self._at : end]
        self._at = end
        return values


def _fits(values: NDArray[np.float64], kind: np.dtype[np.generic]) -> bool:
    low, high = (0, 2 ** (8 * kind.itemsize) - 1) if kind.kind == "u" else (-(2**31), 2**31 - 1)
    return bool(np.all((values >= low) & (values <= high)))


def _whole(path: Path, values: NDArray[np.float64]) -> NDArray[np.int64]:
    if not (np.isfinite(values).all() and np.all(values == np.rint(values)) and np.all(np.abs(values) < 2**53)):
        raise ConversionError(f"{path}: a face of this PLY has an index that is not a whole number")
    return values.astype(np.int64)


def _fans(polygons: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles of polygons (F, C) that all have C corners: a fan around the first corner."""
    corners = polygons.shape[1]
    fans = [polygons[:, [0, at, at + 1]] for at in range(1, corners - 1)]
    return np.stack(fans, axis=1).reshape(-1, 3)


def triangles_of(
    path: Path,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    corners: Callable[[NDArray[np.int64], int], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """Return triangles (T, 3), in the order of the rows, of polygons of any size; points and lines have none.

    Args:
        path: the file.
        starts: (F,) where the corners of each polygon are.
        lengths: (F,) how many each has.
        corners: takes some of `starts`, and their length; returns the corners (K, length).
    """
    sizes = np.maximum(lengths - 2, 0)
    total = int(sizes.sum())
    refuse_too_many(path, total, "triangles")
    claim(path, 110 * total + 60 * len(starts))
    first = np.cumsum(sizes) - sizes
    triangles = np.empty((total, 3), np.int64)
    for length in np.unique(lengths[lengths >= 3]):
        check_time(path)
        these = np.flatnonzero(lengths == length)
        fans = _fans(corners(starts[these], int(length)))
        triangles[(first[these][:, None] + np.arange(length - 2)).ravel()] = fans
    return triangles


def _too_short(path: Path, element: _Element, whole: int | None) -> ConversionError:
    holds = "the file holds fewer" if whole is None else f"the file ends after {whole}"
    return ConversionError(
        f"{path}: the PLY header declares {element.count} {element.name} rows, {holds}: truncated, export it again"
    )
