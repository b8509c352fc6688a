"""PLY (Stanford polygon format): ascii, little and big endian; points and polygons, in any order of elements.

Our own reader, because the declared counts must be checked against the file before memory is taken, and because an
ascii scan of a million points must not take seconds.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.raw_scan import RawScan, colors_from, refuse_too_many

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER = 1 << 16
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
    stop = data.find(b"end_header", 0, _MAX_HEADER)
    end = data.find(b"\n", stop) + 1
    if not data.startswith(b"ply") or stop < 0 or end == 0:
        raise ConversionError(f"{path}: the PLY header has no end_header line: the file is truncated or not a PLY")
    orders: list[str] = []
    elements: list[_Element] = []
    for line in data[:stop].decode("ascii", errors="replace").splitlines()[1:]:
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
            rows = self._take(element, dtype)
            if all(np.all(rows[f"{key} count"] == length) for key, length in lengths.items()):
                return _fans(rows[name].astype(np.int64))
            self._at = start
        return _triangles([row[name] for row in self._walk(element)])

    def skip(self, element: _Element) -> None:
        if not element.has_list:
            self._take(element, element.dtype(self._order, {}))
            return
        for _ in self._walk(element):
            pass

    def finish(self) -> None:
        """Bytes after the last element are allowed: some writers pad."""

    def _take(self, element: _Element, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        end = self._at + element.count * dtype.itemsize
        if end > len(self._data):
            whole = (len(self._data) - self._at) // max(dtype.itemsize, 1)
            raise _too_short(self._path, element, whole)
        rows = np.frombuffer(self._data, dtype, element.count, self._at) if element.count else np.empty(0, dtype)
        self._at = end
        return rows

    def _first_lengths(self, element: _Element) -> dict[str, int]:
        at = self._at
        first = next(iter(self._walk(_Element(element.name, 1, element.properties))))
        self._at = at
        return {name: len(values) for name, values in first.items()}

    def _walk(self, element: _Element) -> "list[dict[str, NDArray[np.int64]]]":
        found = []
        for row in range(element.count):
            lists: dict[str, NDArray[np.int64]] = {}
            for each in element.properties:
                length = int(self._numbers(element, row, each.count_type, 1)[0]) if each.count_type else 1
                values = self._numbers(element, row, each.type, length)
                if each.count_type:
                    lists[each.name] = values.astype(np.int64)
            found.append(lists)
        return found

    def _numbers(self, element: _Element, row: int, type_: str, count: int) -> NDArray[np.generic]:
        dtype: np.dtype[np.generic] = np.dtype(self._order + type_)
        end = self._at + count * dtype.itemsize
        if count < 0 or end > len(self._data):
            raise _too_short(self._path, element, row)
        values = np.frombuffer(self._data, dtype, count, self._at) if count else np.empty(0, dtype)
        self._at = end
        return values


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
        return _triangles([_whole(self._path, row[name]) for row in self._walk(element)])

    def skip(self, element: _Element) -> None:
        if element.has_list:
            self._walk(element)
        else:
            self._take(element, element.count * len(element.properties))

    def finish(self) -> None:
        left = len(self._numbers) - self._at
        if left:
            raise ConversionError(
                f"{self._path}: {left} numbers are left over after what the PLY header declares: its counts are wrong"
            )

    def _walk(self, element: _Element) -> list[dict[str, NDArray[np.float64]]]:
        found = []
        for _ in range(element.count):
            lists: dict[str, NDArray[np.float64]] = {}
            for each in element.properties:
                length = int(_whole(self._path, self._take(element, 1))[0]) if each.count_type else 1
                values = self._take(element, length)
                if each.count_type:
                    lists[each.name] = values
            found.append(lists)
        return found

    def _take(self, element: _Element, count: int) -> NDArray[np.float64]:
        end = self._at + count
        if count < 0 or end > len(self._numbers):
            raise _too_short(self._path, element, None)
        values = self._numbers[self._at : end]
        self._at = end
        return values


def numbers_of(path: Path, text: bytes) -> NDArray[np.float64]:
    """Return the numbers of white-space separated text, float64 (N,).

    Raises:
        ConversionError: a word is not a number; the message names it.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # older NumPy stops at a word with a warning
            return np.fromstring(text, dtype=np.float64, sep=" ") if text.strip() else np.empty(0)
    except (ValueError, DeprecationWarning):
        pass
    words = text.split()
    try:
        return np.array(words, dtype=np.float64)
    except ValueError as error:
        bad = next((word for word in words if not _is_number(word)), b"?").decode("utf-8", errors="replace")
        raise ConversionError(f"{path}: {bad[:40]!r} stands where a number should be") from error


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


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


def _triangles(polygons: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Triangles of polygons of any size; points and lines have none."""
    fans = [_fans(polygon[None]) for polygon in polygons if len(polygon) >= 3]
    return np.concatenate(fans) if fans else np.empty((0, 3), dtype=np.int64)


def _too_short(path: Path, element: _Element, whole: int | None) -> ConversionError:
    holds = "the file holds fewer" if whole is None else f"the file ends after {whole}"
    return ConversionError(
        f"{path}: the PLY header declares {element.count} {element.name} rows, {holds}: truncated, export it again"
    )
