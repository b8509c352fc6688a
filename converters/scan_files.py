"""Every file format of a scan but PLY, to a `RawScan`; which format a file is, is told from its first bytes."""

import json
import logging
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.faults import FAULTS, in_one_line
from converters.ply import numbers_of, read_ply
from converters.raw_scan import MAX_POINTS, RawScan, colors_from, refuse_too_many, scan_from_columns
from converters.table import Table, read_table

ScanFormat = Literal["ply", "pcd", "npy", "npz", "tiff", "glb", "stl", "off", "obj", "text"]

_MAGIC: tuple[tuple[bytes, ScanFormat], ...] = (
    (b"ply\n", "ply"),
    (b"ply\r", "ply"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
    (b"glTF", "glb"),
    (b"II*\x00", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"MM\x00+", "tiff"),
)
_OBJ_WORDS = frozenset({"v", "vn", "vt", "f", "o", "g", "mtllib", "usemtl", "s"})
_OFF_WORDS = frozenset({"OFF", "COFF", "NOFF", "CNOFF"})
_BINARY_SUFFIXES = frozenset({".ply", ".pcd", ".glb", ".gltf", ".npy", ".npz", ".tif", ".tiff"})
_SILENT = logging.NullHandler()
_STL_HEAD, _STL_FACET = 84, 50
_CLOUD_ARRAYS = ("points", "xyz", "vertices", "pointcloud", "point_cloud", "cloud", "pos", "coords", "arr_0")


def scan_format(path: Path) -> ScanFormat:
    """Tell the format from the first bytes; text that no format claims is a table of numbers."""
    with path.open("rb") as handle:
        head = handle.read(4096)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    lines = [line.split() for line in head.decode("latin-1").splitlines()]
    told = [words for words in lines if words and not words[0].startswith("#")]
    if told and told[0][0] in {"VERSION", "FIELDS"}:
        return "pcd"
    if _is_binary_stl(head, path.stat().st_size) or (head.lstrip()[:5] == b"solid" and b"facet" in head):
        return "stl"
    if told and told[0][0] in _OFF_WORDS:
        return "off"
    if told and told[0][0] in _OBJ_WORDS:
        return "obj"
    suffix = path.suffix.lower()
    return "stl" if suffix == ".stl" else "obj" if suffix == ".obj" else "off" if suffix == ".off" else "text"


def _is_binary_stl(head: bytes, size: int) -> bool:
    return len(head) >= _STL_HEAD and size == _STL_HEAD + _STL_FACET * int.from_bytes(head[80:84], "little")


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
    """Read a PCD (Point Cloud Library) of version 0.7: ascii, binary or binary_compressed."""
    from pypcd4 import PointCloud

    with path.open("rb") as handle:
        meta = _pcd_header(path, handle)
        refuse_too_many(path, meta.points)
        body = path.stat().st_size - handle.tell()
        try:
            row = meta.build_dtype()
            if meta.data.value == "ascii":
                columns = _pcd_text(path, handle.read(), row, meta.points)
            else:
                _check_pcd_size(path, handle, meta.data.value, body, meta.points * row.itemsize)
                handle.seek(0)
                rows = PointCloud.from_fileobj(handle).pc_data
                columns = {name: rows[name] for name in rows.dtype.names or ()}
        except ConversionError:
            raise
        except FAULTS as error:
            raise _broken(path, "PCD", error) from error
    if not {"x", "y", "z"} <= columns.keys():
        raise ConversionError(f"{path}: this PCD has no fields x, y and z, but {', '.join(columns)[:80]}: rename them")
    points = np.column_stack([columns[name].astype(np.float64) for name in "xyz"])
    return RawScan(points, _pcd_colors(columns), _pcd_normals(columns))


def _pcd_header(path: Path, handle: BinaryIO):  # type: ignore[no-untyped-def]  # pypcd4's MetaData is untyped here
    from pypcd4.pypcd4 import MetaData

    lines: list[str] = []
    for raw in handle:
        line = raw[:4096].decode("ascii", errors="replace").strip()
        lines.append(line)
        if line.upper().startswith("DATA") or len(lines) > 100:
            break
    try:
        meta = MetaData.parse_header(lines)
    except FAULTS as error:
        raise ConversionError(f"{path}: the PCD header is not valid: export the scan again") from error
    if not len(meta.fields) == len(meta.size) == len(meta.type) == len(meta.count):
        raise ConversionError(f"{path}: FIELDS, SIZE, TYPE and COUNT of the PCD header differ in length")
    if meta.points != meta.width * meta.height or sum(meta.count) > 1000:
        raise ConversionError(f"{path}: POINTS, WIDTH, HEIGHT or COUNT of the PCD header are wrong: export it again")
    return meta


def _check_pcd_size(path: Path, handle: BinaryIO, encoding: str, body: int, expected: int) -> None:
    """Raise where the body cannot hold what the header declares; a compressed body says its own size."""
    if encoding != "binary":
        packed, unpacked = struct.unpack("<II", handle.read(8)) if body >= 8 else (0, 0)
        body = unpacked if packed <= body - 8 and unpacked == expected else 0
    if body < expected:
        raise ConversionError(f"{path}: the PCD body is shorter than its header declares: truncated, export it again")


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
    if table.values.shape[1] < 3:
        raise ConversionError(f"{path}: a scan needs x, y and z in every row, this table has {table.values.shape[1]}")
    if not table.has_header:
        return scan_from_columns(table.values)
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
            refuse_too_many(path, int(np.prod([float(side) for side in shape])))
            handle.seek(0)
            rows = np.load(handle, allow_pickle=False)
            return np.stack([np.asarray(rows[name], dtype=np.float64) for name in "xyz"], axis=-1)
        if dtype.hasobject or dtype.kind not in "fiub":
            raise ConversionError(f"{path}: holds {dtype} values, not numbers: save it as float32 or float64")
        refuse_too_many(path, int(np.prod([float(side) for side in shape])) // 3)
        handle.seek(0)
        return np.asarray(np.load(handle, allow_pickle=False))
    except ConversionError:
        raise
    except FAULTS as error:
        raise _broken(path, "NumPy file", error) from error


def _from_array(path: Path, array: NDArray[np.generic]) -> RawScan:
    if array.ndim == 3 and array.shape[2] == 3:
        return RawScan(array.reshape(-1, 3).astype(np.float64), size_hw=(array.shape[0], array.shape[1]))
    if array.ndim == 2 and array.shape[1] >= 3:
        return scan_from_columns(array.astype(np.float64))
    raise ConversionError(f"{path}: an array of shape {array.shape} is no scan: save (N, 3), (N, 6) or (H, W, 3)")


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
        raise _broken(path, "npz", error) from error
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
        raise _broken(path, "TIFF", error) from error
    if array is None or array.shape[2] != 3 or array.dtype.kind != "f":
        has = "an unknown compression" if array is None else f"{array.dtype} {array.shape}"
        raise ConversionError(f"{path}: a TIFF of {has} is no scan (three float channels x, y, z): use --as image")
    return RawScan(array.reshape(-1, 3).astype(np.float64), size_hw=(array.shape[0], array.shape[1]))


def _read_mesh(path: Path) -> RawScan:
    """Read stl, obj, off or glb with trimesh; the parts of a scene are placed by its transforms."""
    import trimesh

    # trimesh logs what it also raises; without a handler Python would print it.
    logging.getLogger("trimesh").addHandler(_SILENT)
    kind = scan_format(path)
    _check_mesh_counts(path, kind)
    options: dict[str, bool] = {"skip_materials": True} if kind == "obj" else {}
    try:
        with path.open("rb") as handle:
            scene = trimesh.load_scene(handle, file_type=kind, process=False, **options)
        parts = scene.dump(concatenate=False)
    except FAULTS as error:
        raise _broken(path, kind.upper(), error) from error
    return _joined([_part(part) for part in parts if hasattr(part, "vertices")])


def _part(part) -> RawScan:  # type: ignore[no-untyped-def]  # trimesh's geometry classes are untyped here
    points = np.asarray(part.vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.asarray(part.faces, dtype=np.int64) if hasattr(part, "faces") else None
    colors = getattr(part, "colors", None)
    if hasattr(part, "faces"):
        colors = part.visual.vertex_colors if part.visual.kind == "vertex" else None
    fits = colors is not None and len(colors) == len(points) > 0
    return RawScan(points, np.asarray(colors, dtype=np.uint8)[:, :3] if fits else None, faces=faces)


def _joined(parts: list[RawScan]) -> RawScan:
    """One scan of all parts; colours are kept where every part has them."""
    if not parts:
        return RawScan(np.empty((0, 3)))
    faces, start = [], 0
    for part in parts:
        if part.faces is not None:
            faces.append(part.faces + start)
        start += len(part.points)
    colors = [part.colors for part in parts if part.colors is not None]
    return RawScan(
        np.concatenate([part.points for part in parts]),
        np.concatenate(colors) if len(colors) == len(parts) else None,
        faces=np.concatenate(faces) if faces else None,
    )


def _check_mesh_counts(path: Path, kind: ScanFormat) -> None:
    """Refuse counts that the file cannot hold, before a parser takes memory for them."""
    with path.open("rb") as handle:
        head = handle.read(1 << 12)
        if kind == "glb":
            handle.seek(12)
            length = int.from_bytes(handle.read(4), "little")
            handle.read(4)
            try:
                accessors = json.loads(handle.read(min(length, 1 << 28))).get("accessors", [])
                counts = [int(accessor["count"]) for accessor in accessors]
            except FAULTS as error:
                raise _broken(path, "GLB", error) from error
            refuse_too_many(path, sum(counts) if min(counts, default=0) >= 0 else -1, "values")
    size = path.stat().st_size
    if kind == "stl" and not head.lstrip().startswith(b"solid") and not _is_binary_stl(head, size):
        holds = max(0, size - _STL_HEAD) // _STL_FACET
        declared = int.from_bytes(head[80:84], "little") if len(head) >= _STL_HEAD else 0
        raise ConversionError(
            f"{path}: the STL header declares {declared} triangles, the file holds {holds}: truncated, export it again"
        )
    if size > MAX_POINTS * 40:
        raise ConversionError(f"{path}: {size / 2**30:.1f} GiB of mesh are too much: reduce it")


def _broken(path: Path, kind: str, error: Exception) -> ConversionError:
    return ConversionError(f"{path}: not a readable {kind}: {in_one_line(error)}: export the scan again")


_READERS: dict[ScanFormat, Callable[[Path], RawScan]] = {
    "ply": read_ply,
    "pcd": _read_pcd,
    "npy": _read_npy,
    "npz": _read_npz,
    "tiff": _read_tiff,
    "text": _read_text,
    "glb": _read_mesh,
    "stl": _read_mesh,
    "off": _read_mesh,
    "obj": _read_mesh,
}
