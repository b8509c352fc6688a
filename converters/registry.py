"""Any input file to a sample, and a sample to views.

    convert(path) == render(read(path))

`READERS` and `RENDERERS` are the whole registry: one entry a kind. Which kind a file is, is told from its content
(`detect_kind`), so that a `.csv` of x, y, z columns is a cloud and any other `.csv` a series.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.detection import detect_kind
from converters.errors import ConversionError
from converters.faults import in_one_line, reader_faults, why_missing
from converters.limits import ReadLimits, reading
from converters.sample import Sample, SampleKind
from converters.view import View, ViewBudget

__all__ = ["READERS", "RENDERERS", "convert", "detect_kind", "read", "render"]


def _read_image(path: Path) -> Sample:
    from converters.image import read_image

    return read_image(path)


def _read_point_cloud(path: Path) -> Sample:
    from converters.point_cloud import read_point_cloud

    return read_point_cloud(path)


def _read_video(path: Path) -> Sample:
    from converters.video import read_video

    return read_video(path)


def _read_series(path: Path) -> Sample:
    from converters.series import read_series

    return read_series(path)


def _render_image(sample: Any, budget: ViewBudget) -> list[View]:
    from converters.image import render_image

    return render_image(sample, budget)


def _render_point_cloud(sample: Any, budget: ViewBudget) -> list[View]:
    from converters.point_cloud import render_point_cloud

    return render_point_cloud(sample, budget)


def _render_video(sample: Any, budget: ViewBudget) -> list[View]:
    from converters.video import render_video

    return render_video(sample, budget)


def _render_series(sample: Any, budget: ViewBudget) -> list[View]:
    from converters.series import render_series

    return render_series(sample, budget)


READERS: dict[SampleKind, Callable[[Path], Sample]] = {
    "image": _read_image,
    "point_cloud": _read_point_cloud,
    "video": _read_video,
    "series": _read_series,
}
"""Each imports its module when it is called: reading a csv loads no image library."""

RENDERERS: dict[SampleKind, Callable[[Any, ViewBudget], list[View]]] = {
    "image": _render_image,
    "point_cloud": _render_point_cloud,
    "video": _render_video,
    "series": _render_series,
}
"""Each takes a sample of its own kind."""


def read(path: Path | str, as_kind: str | None = None, limits: ReadLimits | None = None) -> Sample:
    """Read any input file, or a folder of frames.

    Args:
        path: the file or folder.
        as_kind: "image", "point_cloud", "video" or "series", where the content should not decide.
        limits: most memory and time that it may take; default: those of the environment (see `limits`).

    Raises:
        ConversionError: missing, empty, damaged, beyond the limits, or of no known kind; one line.
    """
    path = Path(path)
    kind = next((known for known in READERS if known == as_kind), None)
    if as_kind is not None and kind is None:
        raise ConversionError(f"unknown kind {as_kind!r}: --as takes {', '.join(READERS)}")
    _check_place(path, kind)
    try:
        # Bits that are no number (signalling NaN) make NumPy warn where they are copied; readers leave such rows out.
        with reading(path, limits) as current, np.errstate(invalid="ignore", over="ignore"):
            told = _how_a_folder_was_taken(path) if kind is None and path.is_dir() else ()
            kind = kind or detect_kind(path)
            sample = READERS[kind](path)
            return replace(sample, notes=(*told, *sample.notes, *current.notes))
    except ConversionError:
        raise
    except reader_faults() as fault:
        what = kind or "input"
        raise ConversionError(
            f"{path}: cannot be read as {what} ({in_one_line(fault)}); check the file, or name its kind with --as"
        ) from fault


def _how_a_folder_was_taken(path: Path) -> tuple[str, ...]:
    """Say that pictures were taken for frames, where their names do not say so themselves."""
    from converters.frame_folder import says_frames
    from converters.video_source import frame_files

    frames = frame_files(path)
    if not frames or says_frames(frames[0]):
        return ()
    return (
        f"the {len(frames)} pictures of {path.name} were taken for the frames of one clip; where they are photos of "
        f"{len(frames)} parts, give the folder to `vlm-inspect batch`",
    )


def _check_place(path: Path, kind: SampleKind | None) -> None:
    """Refuse what is not there, and what never ends: reading a pipe or a device could wait for ever."""
    try:
        found = path.exists()
    except (OSError, ValueError) as fault:  # a link to itself, a name that is too long, a zero byte in it
        raise ConversionError(f"{path}: cannot be opened ({in_one_line(fault)}); check the path") from fault
    if not found:
        raise ConversionError(why_missing(path))
    if path.is_dir() and kind not in {None, "video"}:
        raise ConversionError(f"{path}: is a folder, which only a video may be; give one file")
    if not path.is_file() and not path.is_dir():
        raise ConversionError(f"{path}: neither a file nor a folder; save it to a file first")


def render(sample: Sample, budget: ViewBudget) -> list[View]:
    """Turn a sample into views, the most telling first; never empty."""
    return RENDERERS[sample.kind](sample, budget)


def convert(path: Path | str, as_kind: str | None = None, budget: ViewBudget | None = None) -> list[View]:
    """Read any input file and turn it into views.

    Raises:
        ConversionError: see `read`.
    """
    return render(read(path, as_kind), budget or ViewBudget())
