"""Which kind of input a file is, told from its content; the suffix decides only where the content does not say."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.faults import FAULTS, why_missing
from converters.limits import claim, reading
from converters.sample import SampleKind
from converters.system_files import is_system_file

SUPPORTED = (
    "images (png, jpg, tif, webp, bmp, hdr ...), scans (ply, pcd, xyz, pts, asc, stl, obj, off, glb, npy, npz), "
    "clips (mp4, avi, mov, mkv, webm, gif, a folder of frames), curves (csv, txt, npy, npz)"
)

_HEAD = 4096

_FILE_TYPE = re.compile(rb"....ftyp(?P<brand>....)", re.DOTALL)
_HEIF = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
_OBJ = re.compile(rb"^v[ \t]+[-+.\d]\S*[ \t]+[-+.\d]\S*[ \t]+[-+.\d]", re.MULTILINE)

_SUFFIXES: dict[str, SampleKind] = {
    **dict.fromkeys(("ply", "pcd", "xyz", "pts", "asc", "stl", "obj", "off", "glb"), "point_cloud"),
    **dict.fromkeys(("mp4", "m4v", "avi", "mov", "mkv", "webm", "mpg", "mpeg", "ts", "wmv"), "video"),
    **dict.fromkeys(("png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif", "webp", "jp2", "avif", "tga", "hdr"), "image"),
    **dict.fromkeys(("csv", "tsv", "txt", "dat", "npy", "npz"), "series"),
}

_AXIS = re.compile(r"[/#\s]*(?P<axis>[xyz])([\s_]*(mm|cm|m|um|µm|in))?", re.IGNORECASE)
_TIME = re.compile(
    r"[/#\s]*(t|times?|timestamp|date|datetime|seconds?|elapsed|s|ms|us)([\s_]*(s|ms|us|µs|ns|sec|min|h))?",
    re.IGNORECASE,
)
_CLOUD_KEYS = {"points", "xyz", "vertices", "pointcloud", "point_cloud", "cloud", "pos", "coords"}
_SERIES_KEYS = {"time", "t", "time_s", "values", "signal", "series", "fs", "sample_rate"}
_FEWEST_PIXELS, _SAW_NOTHING = 16, 0.01
"""Pixels other than 0 from which a plane can be fitted, and the share of all below which they show nothing."""
_IMAGE_COLUMNS = 64
"""A table of more columns is a picture: no curve has that many channels."""


def detect_kind(path: Path) -> SampleKind:
    """Tell what a file or folder holds.

    A folder whose images are numbered in one sequence is a clip (`frame_folder`). Tables: x, y and z by name, or
    without a header three or six columns of which the first is no evenly rising time, are a cloud; others are series.
    NumPy arrays: (H, W, 1 to 4) and large (H, W) are an image, unless they are coordinates (`is_organised_scan`);
    (N, 3 or 6) floats are a cloud by the rule for tables; others are series. TIFF is an image unless it holds
    coordinates.

    Raises:
        ConversionError: missing, empty, or of no known kind.
    """
    try:
        if path.is_dir():
            return _kind_of_folder(path)
        if not path.exists():
            raise ConversionError(why_missing(path))
        if not path.is_file():
            raise ConversionError(f"{path}: neither a file nor a folder; save it to a file first")
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as fault:
        raise ConversionError(f"{path}: cannot be read: {fault.strerror or fault}") from fault
    if not head.strip():
        raise ConversionError(f"{path}: the file is empty; copy or export it again")
    with reading(path):
        return _kind_of_known_format(path, head) or _kind_of_text(path, head)


def _kind_of_folder(path: Path) -> SampleKind:
    from converters.decoding import identify
    from converters.frame_folder import why_no_clip
    from converters.video_source import frame_files

    files = sorted(entry for entry in path.iterdir() if entry.is_file() and not is_system_file(entry))
    if not files:
        raise ConversionError(f"{path}: the folder holds no file; give one file, or a folder of frames")
    frames = frame_files(path)
    if frames:
        reason = why_no_clip(frames)
        if reason is None:
            return "video"
        if len(frames) == 1:
            raise ConversionError(f"{path}: one photo in a folder is not a clip; give the photo itself, {frames[0]}")
        raise ConversionError(
            f"{path}: {len(frames)} photos in a folder are not a clip ({reason}); give one of them, or all to "
            "`vlm-inspect batch`; where they are the frames of one clip, say --as video"
        )
    if any(identify(file) for file in files):
        raise ConversionError(f"{path}: holds no frames of a clip, but pictures of other types; give one of them")
    raise ConversionError(
        f"{path}: no file in the folder is an image ({files[0].name} is none); give one file, or a folder of frames"
    )


def _kind_of_known_format(path: Path, head: bytes) -> SampleKind | None:
    from converters.scan_files import format_of_head

    if head.startswith(b"\x93NUMPY"):
        return _kind_of_array(path, _load_array(path))
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_archive(path)
    scan = format_of_head(head, path.stat().st_size, path.suffix.lower())
    if scan in {"ply", "pcd", "glb", "stl", "off"}:
        return "point_cloud"
    return _kind_of_media(path, head)


def _kind_of_media(path: Path, head: bytes) -> SampleKind | None:
    from converters.decoding import identify, is_text
    from converters.video_container import identify_container

    header = identify(path)
    if header is not None:
        if header.format == "TIFF":
            return _kind_of_tiff(path)
        return "video" if header.is_animated else "image"
    if (box := _FILE_TYPE.match(head)) and box["brand"] in _HEIF:
        raise ConversionError(f"{path}: a HEIF or AVIF photo that cannot be read; convert it to JPEG or PNG")
    if not is_text(head) and identify_container(path):  # "t;a;skip" in a csv would pass for a QuickTime box
        return "video"
    return None


def _kind_of_tiff(path: Path) -> SampleKind:
    from converters.tiff import read_tiff_array

    try:
        array = read_tiff_array(path)
    except FAULTS:  # too large or damaged: the image reader says so
        return "image"
    return "point_cloud" if array is not None and is_organised_scan(array) else "image"


def is_organised_scan(array: NDArray[Any]) -> bool:
    """Tell (H, W, 3) float coordinates from float RGB.

    True where a value is NaN or negative, which colours never are; where nearly every pixel is 0, as of a sensor that
    saw nothing: its reader says that no point is there, and a photo would show nothing either; else where two of the
    channels run linearly across the picture (r² >= 0.9 of a plane fitted over the pixels that are not all zero), as x
    and y of a depth camera do.
    """
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind != "f":
        return False
    step = max(1, int(np.sqrt(array.shape[0] * array.shape[1] / 2**16)))
    grid = np.asarray(array[::step, ::step], dtype=np.float64)
    rows, columns = np.indices(grid.shape[:2])
    values = grid.reshape(-1, 3)
    if np.isnan(values).any() or (values < 0).any():
        return True
    known = np.isfinite(values).all(axis=1) & values.any(axis=1)
    if known.sum() < _FEWEST_PIXELS:
        return bool(known.sum() < _SAW_NOTHING * len(values))
    design = np.stack([rows.ravel()[known], columns.ravel()[known], np.ones(known.sum())], axis=1)
    values = values[known] - values[known].mean(axis=0)
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    spread = (values**2).sum(axis=0)
    linear = (spread > 0) & ((residual**2).sum(axis=0) <= 0.1 * spread)
    return int(linear.sum()) >= 2


def _load_array(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FAULTS as fault:
        raise ConversionError(
            f"{path}: not a NumPy array of numbers, or truncated; save it again with numpy.save"
        ) from fault


def _kind_of_array(path: Path, array: NDArray[Any]) -> SampleKind:
    if array.dtype.names:
        return "point_cloud" if {"x", "y", "z"} <= set(array.dtype.names) else "series"
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise ConversionError(f"{path}: {array.dtype} {array.shape} holds no numbers to inspect; save numbers")
    if array.ndim == 3 and array.shape[2] <= 4:
        return "point_cloud" if is_organised_scan(array) else "image"
    if array.ndim == 2 and array.shape[1] > _IMAGE_COLUMNS and array.shape[0] > _IMAGE_COLUMNS:
        return "image"
    if array.ndim == 2 and array.dtype.kind == "f":
        return kind_of_columns(np.asarray(array[:200], dtype=np.float64))
    if array.ndim > 2:
        raise ConversionError(
            f"{path}: an array of shape {array.shape} is not a known kind; save (N, 3), (H, W, 3) or (N,)"
        )
    return "series"


def _kind_of_archive(path: Path) -> SampleKind:
    """An npz: its names decide; where they say nothing, its first array of numbers does."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # closed even where load fails
            names = list(archive.files)
            lower = {name.lower() for name in names}
            if lower & _CLOUD_KEYS or {"x", "y", "z"} <= lower:
                return "point_cloud"
            if lower & _SERIES_KEYS:
                return "series"
            claim(path, 2 * max((member.file_size for member in archive.zip.infolist()), default=0))
            first = archive[names[0]] if names else np.empty(0)
    except ConversionError:
        raise
    except FAULTS as fault:
        raise ConversionError(
            f"{path}: a zip file that is not a NumPy npz; unpack it, and give one file of it"
        ) from fault
    return _kind_of_array(path, first)


def _kind_of_text(path: Path, head: bytes) -> SampleKind:
    from converters.table import read_table

    by_suffix = _SUFFIXES.get(path.suffix.lower().lstrip("."))
    if _OBJ.search(head):
        return "point_cloud"
    try:
        table = read_table(path, max_rows=200)
    except ConversionError:
        if by_suffix == "series":
            raise  # it names the line that is no number
        if by_suffix is not None:
            return by_suffix  # its reader says what is wrong
        raise ConversionError(
            f"{path}: neither its content nor its suffix says what it is; supported are {SUPPORTED}; "
            "name the kind with --as image|point_cloud|video|series"
        ) from None
    columns = table.values.shape[1]
    if path.suffix.lower() in {".xyz", ".pts"} or (table.announced is not None and columns >= 3):
        return "point_cloud"
    if 0 in table.timestamps:
        return "series"
    is_scan = path.suffix.lower() == ".asc" and columns >= 3 and not any(table.names)
    return kind_of_columns(table.values, table.names, (columns,) if is_scan else (3, 6))


def kind_of_columns(
    values: NDArray[np.float64], names: Sequence[str] = (), widths: Sequence[int] = (3, 6)
) -> SampleKind:
    """Tell a cloud from a series by the (N, C) numbers and the names of their columns ("" where there is none).

    With names: x, y and z make a cloud, unless the first column is a time. Without: as many columns as `widths` names
    do, unless the first rises evenly.
    """
    if any(names):
        axes = {match["axis"].lower() for name in names if (match := _AXIS.fullmatch(name))}
        return "point_cloud" if len(axes) == 3 and not _TIME.fullmatch(names[0]) else "series"
    return "point_cloud" if values.shape[1] in widths and not _rises_evenly(values[:, 0]) else "series"


def _rises_evenly(column: NDArray[np.float64]) -> bool:
    steps = np.diff(column)
    if not steps.size or not np.isfinite(steps).all():
        return False
    typical = float(np.median(steps))
    return typical > 0 and bool((np.abs(steps - typical) <= 0.05 * typical).all())
