"""Every file format of a scan to a `RawScan`; which format a file is, is told from its first bytes."""

import math
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.faults import FAULTS
from converters.limits import claim, note
from converters.mesh_files import broken, read_glb, read_obj
from converters.numerals import numbers_of
from converters.off import is_off, read_off
from converters.ply import read_ply
from converters.raw_scan import RawScan, colors_from, refuse_too_many, scan_from_columns
from converters.stl import is_stl, read_stl
from converters.table import Table, read_table

ScanFormat = Literal["ply", "pcd", "npy", "npz", "tiff", "glb", "stl", "off", "obj", "text"]

_SIGNATURES: tuple[tuple[re.Pattern[bytes], ScanFormat], ...] = (
    (re.compile(rb"ply[ \t]*[\r\n]", re.IGNORECASE), "ply"),
    (re.compile(rb"\x93NUMPY"), "npy"),
    (re.compile(rb"PK\x03\x04"), "npz"),
    (re.compile(rb"glTF"), "glb"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "tiff"),
    (re.compile(rb"(\s*#[^\r\n]*[\r\n])*\s*(VERSION\s[^\r\n]*\s+)?FIELDS\s", re.IGNORECASE), "pcd"),
)
_OBJ_WORDS = frozenset({"v", "vn", "vt", "f", "o", "g", "mtllib", "usemtl", "s"})
_BINARY_SUFFIXES = frozenset({".ply", ".pcd", ".glb", ".gltf", ".npy", ".npz", ".tif", ".tiff"})
_CLOUD_ARRAYS = ("points", "xyz", "vertices", "pointcloud", "point_cloud", "cloud", "pos", "coords", "arr_0")


def scan_format(path: Path) -> ScanFormat:
    """Tell the format from the first bytes; text that no format claims is a table of numbers."""
    with path.open("rb") as handle:
        head = handle.read(4096)
    found = format_of_head(head, path.stat().st_size, path.suffix.lower())
    if found is not None:
        return found
    by_suffix: dict[str, ScanFormat] = {".stl": "stl", ".obj": "obj", ".off": "off"}
    return by_suffix.get(path.suffix.lower(), "text")


def format_of_head(head: bytes, size: int, suffix: str = "") -> ScanFormat | None:
    """Return the format that the first bytes of a file show by a word or number of its own; None for other files.

    Args:
        head: up to 4096 bytes.
        size: bytes of the whole file.
        suffix: in small letters; see `stl.is_stl`.
    """
    for pattern, name in _SIGNATURES:
        if pattern.match(head):
            return name
    if is_stl(head, size, suffix):
        return "stl"
    if is_off(head):
        return "off"
    told = (line.split() for line in head.decode("latin-1").splitlines())
    first = next((words[0] for words in told if words and not words[0].startswith("#")), "")
    return "obj" if first in _OBJ_WORDS else None


def read_raw(path: Path) -> RawScan:
    """Read a scan file of any known format.

    Raises:
        ConversionError: the file is missing, broken, larger than `MAX_POINTS`, or holds no coordinates.
    """
    try:
        if path.stat().st_size == 0:
            raise ConversionError(f"{path}: the file is empty: export the scan again")
        return _READERS[scan_format(path)](path)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ConversionError(f"{path}: does not fit in memory: thin the scan out") from error


def _read_pcd(path: Path) -> RawScan:
    """Read a PCD (Point Cloud Library) of version 0.7: ascii, binary or binary_compressed; organised with a HEIGHT."""
    data = path.read_bytes()
    meta, start = _pcd_header(path, data)
    try:
        row = meta.build_dtype()
        refuse_too_many(path, meta.points)
        claim(path, 2 * len(data) + meta.points * (2 * row.itemsize + 110))
        columns = _pcd_columns(path, data[start:], row, meta)
    except ConversionError:
        raise
    except FAULTS as error:
        raise broken(path, "PCD", error) from error
    if not {"x", "y", "z"} <= columns.keys():
        raise ConversionError(f"{path}: this PCD has no fields x, y and z, but {', '.join(columns)[:80]}: rename them")
    points = np.column_stack([columns[name].astype(np.float64) for name in "xyz"])
    size_hw = (meta.height, meta.width) if min(meta.height, meta.width) > 1 else None
    return RawScan(points, _pcd_colors(columns), _pcd_normals(columns), size_hw=size_hw)


def _pcd_header(path: Path, data: bytes):  # type: ignore[no-untyped-def]  # pypcd4's MetaData is untyped here
    """The header, and the byte where the body starts."""
    from pypcd4.pypcd4 import MetaData

    last = re.search(rb"^\s*DATA[ \t]+\w+[ \t]*(\r\n|\n|\r)", data[: 1 << 16].replace(b"\r", b"\n"), re.I | re.M)
    end = len(data) if last is None else last.end()
    if data[end - 1 : end + 1] == b"\r\n":
        end += 1
    lines = data[: min(end, 1 << 16)].decode("ascii", errors="replace").splitlines()
    lines = [line.strip().upper() if line.strip()[:4].upper() == "TYPE" else line.strip().lower() for line in lines]
    fields = next((len(line.split()) - 1 for line in lines if line.startswith("fields")), 0)
    if not any(line.startswith("count") for line in lines):  # as PCL reads it
        lines.insert(-1, "count" + " 1" * fields)
    try:
        meta = MetaData.parse_header(lines)
    except FAULTS as error:
        raise ConversionError(f"{path}: the PCD header is not valid: export the scan again") from error
    if not len(meta.fields) == len(meta.size) == len(meta.type) == len(meta.count):
        raise ConversionError(f"{path}: FIELDS, SIZE, TYPE and COUNT of the PCD header differ in length")
    if meta.points != meta.width * meta.height or sum(meta.count) > 1000:
        raise ConversionError(f"{path}: POINTS, WIDTH, HEIGHT or COUNT of the PCD header are wrong: export it again")
    return meta, end


def _pcd_columns(path: Path, body: bytes, row: "np.dtype[np.void]", meta: Any) -> dict[str, NDArray[np.generic]]:
    if meta.data.value == "ascii":
        return _pcd_text(path, body, row, meta.points)
    packed = meta.data.value != "binary"
    held, size = len(body), meta.points * row.itemsize
    if packed:
        compressed, unpacked = struct.unpack_from("<II", body) if held >= 8 else (0, 0)
        held = unpacked if compressed <= held - 8 and unpacked == size else 0
    if held < size:
        raise ConversionError(f"{path}: the PCD body is shorter than its header declares: truncated, export it again")
    names = row.names or ()
    if not packed:
        if held > size:
            note(f"{held - size} bytes after the last point of the PCD were ignored.")
        rows = np.frombuffer(body, row, meta.points) if meta.points else np.empty(0, row)
        return {name: rows[name] for name in names}
    import lzf

    plain = lzf.decompress(body[8 : 8 + compressed], size) if size else b""
    columns, at = {}, 0
    for name in names:  # compressed, the fields lie one after the other
        columns[name] = np.frombuffer(plain, row[name], meta.points, at)
        at += meta.points * row[name].itemsize
    return columns


def _pcd_text(path: Path, text: bytes, row: np.dtype[np.void], count: int) -> dict[str, NDArray[np.generic]]:
    names = row.names or ()
    numbers = numbers_of(path, text)
    if len(numbers) != count * len(names):
        raise ConversionError(
            f"{path}: the PCD header declares {count} points of {len(names)} numbers, the file holds "
            f"{len(numbers)} numbers: truncated or edited, export it again"
        )
    values = numbers.reshape(count, len(names))
    return {name: values[:, at].astype(row[name]) for at, name in enumerate(names)}


def _pcd_colors(columns: dict[str, NDArray[np.generic]]) -> NDArray[np.uint8] | None:
    """Colours of the packed field rgb or rgba (0xAARRGGBB, stored as float32 or uint32), or of r, g and b."""
    packed = next((columns[name] for name in ("rgb", "rgba") if name in columns), None)
    if packed is not None and packed.dtype.itemsize == 4:
        bits = np.ascontiguousarray(packed).view(np.uint32)
        return np.column_stack([(bits >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)])
    if {"r", "g", "b"} <= columns.keys():
        return colors_from(np.column_stack([columns[name] for name in "rgb"]))
    return None


def _pcd_normals(columns: dict[str, NDArray[np.generic]]) -> NDArray[np.float32] | None:
    for names in (("normal_x", "normal_y", "normal_z"), ("nx", "ny", "nz")):
        if set(names) <= columns.keys():
            return np.column_stack([columns[name].astype(np.float32) for name in names])
    return None


def _read_text(path: Path) -> RawScan:
    if path.suffix.lower() in _BINARY_SUFFIXES:
        raise ConversionError(
            f"{path}: holds no {path.suffix[1:].upper()} data that can be read: export the scan again"
        )
    table = read_table(path)
    refuse_too_many(path, len(table.values))
    if not np.isfinite(table.values).any():
        raise ConversionError(f"{path}: holds no usable point, no value is a finite number: export the scan again")
    if table.values.shape[1] < 3:
        raise ConversionError(f"{path}: a scan needs x, y and z in every row, this table has {table.values.shape[1]}")
    claim(path, table.values.nbytes + 110 * len(table.values))
    if table.announced not in {None, len(table.values)}:
        raise ConversionError(
            f"{path}: announces {table.announced} points and has {len(table.values)}: truncated or joined, export it "
            "again"
        )
    if not table.has_header:
        return scan_from_columns(table.values, is_leica=path.suffix.lower() == ".pts")
    place = _columns(table, ("x", "y", "z"))
    if place is None:
        raise ConversionError(f"{path}: no columns named x, y and z, but {', '.join(table.names)[:80]}: rename them")
    colors = _columns(table, ("r", "g", "b")) or _columns(table, ("red", "green", "blue"))
    normals = _columns(table, ("nx", "ny", "nz")) or _columns(table, ("normal_x", "normal_y", "normal_z"))
    return RawScan(
        table.values[:, place],
        None if colors is None else colors_from(table.values[:, colors]),
        None if normals is None else table.values[:, normals].astype(np.float32),
    )


def _columns(table: Table, names: tuple[str, ...]) -> list[int] | None:
    """Columns of those names; X, "//X" and "x_mm" are x too."""
    have = [name.lower().lstrip("/").strip().removesuffix("_mm").removesuffix("_m") for name in table.names]
    return [have.index(name) for name in names] if set(names) <= set(have) else None


def _read_npy(path: Path) -> RawScan:
    with path.open("rb") as handle:
        return _from_array(path, _load_array(path, handle))


def _load_array(path: Path, handle: BinaryIO) -> NDArray[np.generic]:
    """Load one .npy stream; its shape is checked before memory is taken, and pickled objects are refused."""
    try:
        version = np.lib.format.read_magic(handle)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(handle)
        if not dtype.hasobject and {"x", "y", "z"} <= set(dtype.names or ()):
            count = math.prod(int(side) for side in shape)
            refuse_too_many(path, count)
            claim(path, count * (dtype.itemsize + 110))
            handle.seek(0)
            rows = np.load(handle, allow_pickle=False)
            return np.stack([np.asarray(rows[name], dtype=np.float64) for name in "xyz"], axis=-1)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise ConversionError(f"{path}: holds {dtype} values, not numbers: save it as float32 or float64")
        count = math.prod(int(side) for side in shape)
        refuse_too_many(path, count // 3)
        claim(path, count * (dtype.itemsize + 35))
        handle.seek(0)
        return np.asarray(np.load(handle, allow_pickle=False))
    except ConversionError:
        raise
    except FAULTS as error:
        raise broken(path, "NumPy file", error) from error


def _from_array(path: Path, array: NDArray[np.generic]) -> RawScan:
    if array.ndim == 3 and array.shape[2] == 3:
        return RawScan(array.reshape(-1, 3).astype(np.float64), size_hw=(array.shape[0], array.shape[1]))
    if array.ndim == 2 and array.shape[0] in {3, 4, 6} and array.shape[1] > 10:
        raise ConversionError(f"{path}: an array of shape {array.shape} has a point a column: save it turned, (N, 3)")
    if array.ndim == 2 and array.shape[1] >= 3:
        return scan_from_columns(array.astype(np.float64))
    raise ConversionError(f"{path}: an array of shape {array.shape} is not a scan: save (N, 3), (N, 6) or (H, W, 3)")


def _read_npz(path: Path) -> RawScan:
    try:
        with zipfile.ZipFile(path) as archive:
            stored = {Path(name).stem: name for name in archive.namelist() if name.endswith(".npy")}
            found = next((name for name in _CLOUD_ARRAYS if name in stored), None)
            if found is None:
                raise ConversionError(
                    f"{path}: no array named {', '.join(_CLOUD_ARRAYS[:2])} or arr_0, but {', '.join(stored)[:80]}"
                )
            parts = {}
            for name in {found, "colors", "normals"} & stored.keys():
                with archive.open(stored[name]) as handle:
                    parts[name] = _load_array(path, handle)  # type: ignore[arg-type]  # IO[bytes] reads the same
    except ConversionError:
        raise
    except FAULTS as error:
        raise broken(path, "npz", error) from error
    raw = _from_array(path, parts[found])
    rows = {name: array.reshape(-1, array.shape[-1]) for name, array in parts.items() if array.ndim >= 2}
    for name in {"colors", "normals"} & parts.keys():
        if name not in rows or rows[name].shape[1] < 3 or len(rows[name]) != len(raw.points):
            raise ConversionError(f"{path}: {name} of shape {parts[name].shape} do not fit {len(raw.points)} points")
    colors = colors_from(np.ascontiguousarray(rows["colors"][:, :3])) if "colors" in rows else raw.colors
    normals = rows["normals"][:, :3].astype(np.float32) if "normals" in rows else raw.normals
    return RawScan(raw.points, colors, normals, size_hw=raw.size_hw)


def _read_tiff(path: Path) -> RawScan:
    """Read an organised scan: a TIFF of three float channels x, y, z, as MVTec 3D-AD has."""
    from converters.tiff import read_tiff_array

    try:
        array = read_tiff_array(path)
    except ConversionError:
        raise
    except FAULTS as error:
        raise broken(path, "TIFF", error) from error
    if array is None or array.shape[2] != 3 or array.dtype.kind != "f":
        has = "an unknown compression" if array is None else f"{array.dtype} {array.shape}"
        raise ConversionError(f"{path}: a TIFF of {has} is not a scan (three float channels x, y, z): use --as image")
    return RawScan(array.reshape(-1, 3).astype(np.float64), size_hw=(array.shape[0], array.shape[1]))


_READERS: dict[ScanFormat, Callable[[Path], RawScan]] = {
    "ply": read_ply,
    "pcd": _read_pcd,
    "npy": _read_npy,
    "npz": _read_npz,
    "tiff": _read_tiff,
    "text": _read_text,
    "glb": read_glb,
    "stl": read_stl,
    "off": read_off,
    "obj": read_obj,
}
