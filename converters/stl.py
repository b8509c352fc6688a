"""STL (stereolithography): triangles, binary or ascii."""

import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.limits import claim, note
from converters.numerals import numbers_of, without_padding
from converters.raw_scan import RawScan, refuse_too_many

HEADER, FACET = 84, 50
"""Bytes before the first triangle of a binary file, and of each triangle."""
_ASCII = re.compile(rb"\s*solid\b[^\r\n]*[\r\n\s]+(facet\s+normal|end\s?solid)\b", re.IGNORECASE)
_WORDS = re.compile(
    rb"\bfacet\s+normal(?:\s+[-+.\dni][^\s]*){0,3}|\bouter\s+loop\b|\bend\s?loop\b|\bend\s?facet\b|\bvertex\b"
    rb"|^\s*(?:end\s?)?solid\b[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)


def is_stl(head: bytes, size: int, suffix: str = "") -> bool:
    """Tell STL from the first bytes of a file, and its size.

    Args:
        head: 84 bytes or more.
        size: bytes of the whole file.
        suffix: of its name; only where it is ".stl" may bytes follow the last triangle.
    """
    if _ASCII.match(head):
        return True
    if len(head) < HEADER:
        return False
    end = HEADER + FACET * int.from_bytes(head[80:84], "little")
    return size == end or (suffix.lower() == ".stl" and size > end > HEADER)


def read_stl(path: Path) -> RawScan:
    """Read the triangles of an STL file, each with corners of its own.

    Raises:
        ConversionError: it ends too early, declares another number of triangles than it holds, or holds a word where a
            coordinate should be.
    """
    data = path.read_bytes()
    claim(path, 4 * len(data))
    corners = _from_text(path, data) if _ASCII.match(data[:4096]) else _from_binary(path, data)
    faces = np.arange(len(corners), dtype=np.int64).reshape(-1, 3)
    claim(path, len(data) + 250 * len(corners))  # with what welding and sampling them takes
    return RawScan(corners, faces=faces)


def _from_binary(path: Path, data: bytes) -> NDArray[np.float64]:
    (declared,) = struct.unpack_from("<I", data, 80) if len(data) >= HEADER else (0,)
    held, left = divmod(max(0, len(data) - HEADER), FACET)
    extra = data[HEADER + FACET * declared :]
    # Padding is zeros or less than a triangle; whole triangles beyond the count mean that the count is wrong.
    if held < declared or (held > declared and not left and extra.strip(b"\0")):
        raise ConversionError(
            f"{path}: the STL header declares {declared} triangles, the file holds {held}: truncated, export it again"
        )
    refuse_too_many(path, declared, "triangles")
    if extra:
        note(f"{len(extra)} byte(s) after the last of {declared} triangles were ignored.")
    row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    facets = np.frombuffer(data, row, declared, HEADER) if declared else np.empty(0, row)
    return facets["corners"].reshape(-1, 3).astype(np.float64)


def _from_text(path: Path, data: bytes) -> NDArray[np.float64]:
    text = without_padding(data.replace(b"\r", b"\n"))
    if not re.search(rb"end\s?solid\b[^\n]*\Z", text[-4096:], re.IGNORECASE):
        raise ConversionError(f"{path}: the STL does not end with an endsolid line: truncated, export it again")
    numbers = numbers_of(path, _WORDS.sub(b" ", text))
    if len(numbers) % 9:
        raise ConversionError(f"{path}: a triangle of the STL has not three corners of x, y and z: export it again")
    return numbers.reshape(-1, 3)
