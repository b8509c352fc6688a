"""OFF (Geomview's object file format) as text: vertices with normals and colours, polygons with colours."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.limits import check_time, claim
from converters.numerals import numbers_of, without_padding
from converters.ply import triangles_of
from converters.raw_scan import RawScan, colors_from, refuse_too_many

_KEYWORD = re.compile(rb"\s*(?P<traits>(?:ST)?C?N?)(?P<four>4?)OFF\b[ \t]*(?P<binary>BINARY\b)?", re.IGNORECASE)
_COMMENT = re.compile(rb"#[^\n]*")


def is_off(head: bytes) -> bool:
    """Tell OFF from the first bytes of a file: its keyword comes first, comments apart."""
    return bool(_KEYWORD.match(_COMMENT.sub(b"", head.replace(b"\r", b"\n"))))


def read_off(path: Path) -> RawScan:
    """Read the vertices of an OFF file with their normals and colours, and its polygons, cut into triangles.

    Colours of polygons become those of their vertices; where two meet, the first one stays.

    Raises:
        ConversionError: binary or four-dimensional, shorter than declared, or a word stands where a number should be.
    """
    data = path.read_bytes()
    claim(path, 6 * len(data))
    text = _COMMENT.sub(b"", without_padding(data).replace(b"\r", b"\n"))
    keyword = _KEYWORD.match(text)
    if keyword and (keyword["binary"] or keyword["four"]):
        raise ConversionError(f"{path}: a binary or four-dimensional OFF, which is not read: export it as PLY")
    lines = [line for line in text[keyword.end() if keyword else 0 :].split(b"\n") if line.strip()]
    counts = numbers_of(path, lines[0]) if lines else np.empty(0)
    if len(counts) < 2 or not np.all(counts == np.rint(counts)):
        raise ConversionError(f"{path}: the OFF does not begin with its numbers of vertices and faces: export it again")
    points, faces = int(counts[0]), int(counts[1])
    refuse_too_many(path, points)
    refuse_too_many(path, faces, "faces")
    if len(lines) < 1 + points + faces:
        raise ConversionError(
            f"{path}: the OFF declares {points} vertices and {faces} faces, the file has {len(lines) - 1} lines for "
            "them: truncated, export it again"
        )
    traits = keyword["traits"].upper() if keyword else b""
    scan = _vertices(path, lines[1 : 1 + points], has_normals=b"N" in traits)
    return _with_faces(path, scan, lines[1 + points : 1 + points + faces])


def _vertices(path: Path, lines: Sequence[bytes], *, has_normals: bool) -> RawScan:
    columns = len(lines[0].split()) if lines else 3
    numbers = numbers_of(path, b"\n".join(lines))
    if columns < 3 or len(numbers) != len(lines) * columns:
        raise ConversionError(f"{path}: the vertices of the OFF have not all the same numbers: export it again")
    values = numbers.reshape(len(lines), columns)
    first = 6 if has_normals and columns >= 6 else 3
    colors = colors_from(values[:, first : first + 3]) if columns - first >= 3 else None
    normals = values[:, 3:6].astype(np.float32) if first == 6 else None
    return RawScan(values[:, :3], colors, normals)


def _with_faces(path: Path, scan: RawScan, lines: Sequence[bytes]) -> RawScan:
    if not lines:
        return scan
    numbers = numbers_of(path, b"\n".join(lines))
    widths = np.fromiter((len(line.split()) for line in lines), np.int64, len(lines))
    check_time(path)
    starts = np.cumsum(widths) - widths
    lengths = numbers[starts].astype(np.int64)
    colored = widths - 1 - lengths
    if (lengths < 0).any() or (colored < 0).any():
        raise ConversionError(f"{path}: a face of the OFF names fewer vertices than it declares: export it again")

    def corners(at: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        return np.asarray(numbers[at[:, None] + np.arange(length)].astype(np.int64))

    faces = triangles_of(path, starts + 1, lengths, corners)
    colors = scan.colors
    if colors is None and len(faces) and (colored >= 3).all() and faces.min() >= 0 and faces.max() < len(scan.points):
        own = colors_from(numbers[(starts + 1 + lengths)[:, None] + np.arange(3)])
        of_triangle = np.repeat(own, np.maximum(lengths - 2, 0), axis=0)
        colors = np.zeros((len(scan.points), 3), np.uint8)
        colors[faces[::-1].ravel()] = np.repeat(of_triangle[::-1], 3, axis=0)  # the last one written is the first face
    return RawScan(scan.points, colors, scan.normals, faces)
