"""`as_file`: a part that is in memory (bytes, picture, array, cloud, mesh) as a file, which every reader takes.

What a part is stays told in one place: bytes are read like the file that they are the content of, an array like the
`.npy` file that `numpy.save` would make of it. So all checks and limits of the readers hold, and the digest in the
record is that of bytes that can be kept.
"""

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.faults import in_one_line, reader_faults
from converters.sample import SampleKind

if TYPE_CHECKING:
    from PIL.Image import Image


class HasPoints(Protocol):
    """A cloud of Open3D; of its tensor classes, what `to_legacy` returns."""

    @property
    def points(self) -> Any:
        """(N, 3) coordinates."""
        ...


class HasVertices(Protocol):
    """A cloud, mesh or scene of trimesh, or a mesh of Open3D."""

    @property
    def vertices(self) -> Any:
        """(N, 3) coordinates."""
        ...


Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, "Image", NDArray[Any], HasPoints, HasVertices]
"""A part: a path, or the part itself. Arrays of colours are RGB, not OpenCV's BGR."""

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_AS_PNG = {"La": "LA", "RGBa": "RGBA"}
_Written = tuple[bytes, str, SampleKind | None]
"""Content of a file, what it was in words, and its kind where the content leaves that open."""


def path_of(source: Source) -> Path | None:
    """Return the path that a source names; None where it is the part itself."""
    return Path(source) if isinstance(source, str | os.PathLike) else None


@contextmanager
def as_file(source: Source) -> Iterator[tuple[Path, SampleKind | None]]:
    """Give a part as a file: its own, or one that is there until the block ends.

    Args:
        source: see `Source`.

    Yields:
        The file, and the kind of the part where that is known; errors of its readers name the part, not the file.

    Raises:
        ConversionError: the part is of a type that is not known, or cannot be written.
    """
    path = path_of(source)
    if path is not None:
        yield path, None
        return
    content, named, kind = _written(source)
    with tempfile.TemporaryDirectory(prefix="vlm-inspect-") as folder:
        file = Path(folder, "part")
        file.write_bytes(content)
        try:
            yield file, kind
        except ConversionError as error:
            raise type(error)(str(error).replace(str(file), named)) from error


def _written(source: Any) -> _Written:
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            return bytes(source), "bytes", None
        if isinstance(source, np.ndarray):
            return _npy(source), "array", None
        if hasattr(source, "save") and hasattr(source, "getexif"):
            return _picture(source), "picture", "image"
        if hasattr(source, "to_legacy"):
            source = source.to_legacy()
        if hasattr(source, "to_mesh"):
            source = source.to_mesh()
        if hasattr(source, "points") or hasattr(source, "vertices"):
            return _ply(source), "scan", "point_cloud"
    except ConversionError:
        raise
    except reader_faults() as fault:
        raise ConversionError(f"{type(source).__name__}: cannot be taken as a part ({in_one_line(fault)})") from fault
    raise ConversionError(
        f"{type(source).__name__} is no part: give a path, bytes, a PIL image, a NumPy array, or a cloud or mesh of "
        "Open3D or trimesh"
    )


def _npy(array: NDArray[Any]) -> bytes:
    if array.dtype.hasobject:
        raise ConversionError("array: holds Python objects; give one of numbers")
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array) if array.ndim else array, allow_pickle=False)
    return file.getvalue()


def _picture(image: "Image") -> bytes:
    """Return a picture as PNG, or as TIFF where its numbers have 32 bits: no bit of it is lost."""
    file = io.BytesIO()
    if image.mode in {"I", "F"}:
        image.save(file, "TIFF")
        return file.getvalue()
    shown = image if image.mode in _PNG_MODES else image.convert(_AS_PNG.get(image.mode, "RGB"))
    shown.save(file, "PNG", compress_level=1, exif=image.getexif())  # the EXIF says how it is turned
    return file.getvalue()


def _ply(scan: Any) -> bytes:
    """Return a cloud or mesh as binary PLY with coordinates of 64 bits."""
    is_mesh = hasattr(scan, "vertices")
    points = _rows(scan.vertices if is_mesh else scan.points, 3)
    faces = _first(scan, ("faces", "triangles"), np.int64)
    fields: list[tuple[str, str]] = [(name, "<f8") for name in "xyz"]
    columns: list[NDArray[Any]] = [points]
    normals = _first(scan, ("normals",), np.float64)
    if not is_mesh and normals is not None and len(normals) == len(points):
        fields += [(name, "<f4") for name in ("nx", "ny", "nz")]
        columns.append(normals)
    colors = _colors(scan)
    if colors is not None and len(colors) == len(points):
        fields += [(name, "u1") for name in ("red", "green", "blue")]
        columns.append(colors)
    rows = np.empty(len(points), dtype=fields)
    for (name, _), column in zip(fields, (column for block in columns for column in block.T), strict=True):
        rows[name] = column
    return _ply_header(len(rows), fields, faces) + rows.tobytes() + _ply_faces(faces)


def _ply_header(count: int, fields: Sequence[tuple[str, str]], faces: NDArray[Any] | None) -> bytes:
    words = {"<f8": "double", "<f4": "float", "u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    lines += [f"property {words[kind]} {name}" for name, kind in fields]
    if faces is not None:
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    return ("\n".join([*lines, "end_header"]) + "\n").encode()


def _ply_faces(faces: NDArray[Any] | None) -> bytes:
    if faces is None:
        return b""
    rows = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    rows["count"], rows["corners"] = 3, faces
    return rows.tobytes()


def _first(scan: Any, names: Sequence[str], kind: Any) -> NDArray[Any] | None:
    """Return the first of the attributes that has rows of three numbers; None where none has."""
    found = (np.asarray(given, dtype=kind) for name in names if (given := getattr(scan, name, None)) is not None)
    return next((rows for rows in found if rows.ndim == 2 and len(rows)), None)


def _colors(scan: Any) -> NDArray[np.uint8] | None:
    """Return the colours of the points, (N, 3) uint8; Open3D keeps them as floats from 0 to 1."""
    given = next(
        (found for name in ("colors", "vertex_colors") if (found := getattr(scan, name, None)) is not None), None
    )
    if given is None and getattr(getattr(scan, "visual", None), "kind", None) == "vertex":
        given = scan.visual.vertex_colors
    if given is None or not len(given):
        return None
    colors = _rows(given, 3, 4)[:, :3]
    if np.asarray(given).dtype.kind == "f":
        colors = colors * 255
    return np.clip(np.rint(colors), 0, 255).astype(np.uint8)


def _rows(values: Any, *widths: int) -> NDArray[np.float64]:
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] not in widths:
        raise ConversionError(f"scan: {rows.shape} are no coordinates; give (N, {widths[0]})")
    return rows
