"""Where the frames of a clip come from: a video file, an animated image, or a folder; decoded one at a time."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from converters.errors import ConversionError
from converters.faults import in_one_line, reader_faults
from converters.limits import allow_time, check_time, claim
from converters.system_files import is_system_file
from converters.video_container import identify_container, missing_bytes, shown_share

if TYPE_CHECKING:
    import cv2

MAX_FRAME_PIXELS = 2**26
"""Largest frame, in pixels (8192 x 8192)."""

FRAME_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files of a folder that are frames; everything else in it is left alone."""

_ANIMATED = ("GIF", "WEBP", "PNG")
_FRAME_BYTES = 30
"""Bytes a pixel while a clip is decoded: the frame in three forms, and those that the codec keeps to build on."""
_FRAMES_A_SECOND = 30.0
"""A video file may take as long to read as its frames would at this rate, beside what its size allows."""
_DECODABLE = 0.8
"""Share of a file's packets that must become frames: some codecs keep packets that are never shown, but few."""

Wants = Callable[[int], bool]
Step = tuple[float | None, NDArray[np.uint8] | None]
"""Time in seconds where the source knows it, and the RGB image where it was wanted."""


class FrameSource(Protocol):
    """A clip that can be decoded from its start again and again."""

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    @property
    def expected(self) -> int:
        """Frames that the source announces; what can be decoded may differ."""
        ...

    @property
    def fps(self) -> float:
        """Frames a second that the source announces; 0.0 where it does not."""
        ...

    def walk(self, wants: Wants) -> Iterator[Step]:
        """Yield every frame in order; only those for whose index `wants` is true are converted to RGB."""
        ...


def open_source(path: Path) -> FrameSource:
    """Tell what `path` is and open it.

    Raises:
        ConversionError: no such file, a folder without images, an empty, truncated or unknown file.
    """
    if path.is_dir():
        return _open_folder(path)
    try:
        container = identify_container(path)
        if container is not None:
            return _open_container(path, container)
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not head:
        raise ConversionError(f"{path}: the file is empty; a video was expected")
    if head.startswith((b"GIF8", b"\x89PNG")) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return AnimationSource(path)
    raise ConversionError(f"{path}: not a video; give mp4, mov, avi, mkv, webm, gif or a folder of frames")


@dataclass(frozen=True)
class ContainerSource:
    """A video file, decoded by the FFmpeg inside OpenCV, which also turns it upright."""

    path: Path
    expected: int
    fps: float

    def walk(self, wants: Wants) -> Iterator[Step]:
        """Yield every frame; a file that breaks off is an error."""
        import cv2

        capture = open_capture(self.path)
        index = -1
        try:
            while capture.grab():
                index += 1
                check_time(self.path)
                image = None
                if wants(index):
                    found, image = capture.retrieve()
                    if not found:
                        raise ConversionError(f"{self.path}: frame {index} cannot be decoded; copy or record it again")
                    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0, image
        finally:
            capture.release()
        if index + 1 < _DECODABLE * self.expected:
            raise ConversionError(
                f"{self.path}: damaged: {index + 1} of {self.expected} frames can be decoded; copy or record it again"
            )


def _open_container(path: Path, container: str) -> ContainerSource:
    import cv2

    if missing := missing_bytes(path, container):
        raise ConversionError(f"{path}: truncated: {missing} bytes are missing at its end; copy or record it again")
    capture = open_capture(path)
    try:
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        fps, announced = (capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    if width * height > MAX_FRAME_PIXELS:
        limit = f"{MAX_FRAME_PIXELS / 1e6:.0f} million"
        raise ConversionError(f"{path}: frames of {width} x {height} pixels, more than {limit}: scale it down")
    claim(path, _FRAME_BYTES * width * height)
    # mp4 counts its frames in a table; what other headers say is a guess (0, or duration x rate)
    count = max(_count_packets(path), int(announced) if container == "mp4" else 0)
    allow_time(count / _FRAMES_A_SECOND)
    shown = round(count * shown_share(path)) if container == "mp4" else count
    return ContainerSource(path, shown, fps if 0.0 < fps < 1e5 else 0.0)


def _count_packets(path: Path) -> int:
    """Number of compressed pictures, without decoding them."""
    import cv2

    capture = open_capture(path, (cv2.CAP_PROP_FORMAT, -1))
    try:
        count = 0
        while capture.grab():
            count += 1
            check_time(path)
        return count
    finally:
        capture.release()


def open_capture(path: Path, parameters: tuple[int, ...] = ()) -> "cv2.VideoCapture":
    """Open a file with FFmpeg, which would report every broken picture on stderr, past Python."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first capture is made
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG, list(parameters))
    except cv2.error as error:
        raise ConversionError(f"{path}: cannot be opened: {in_one_line(error)}") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise ConversionError(
            f"{path}: no video that can be decoded in it; it may be truncated: copy or record it again"
        )
    return capture


@dataclass(frozen=True)
class AnimationSource:
    """An animated GIF, WebP or PNG, decoded by Pillow."""

    path: Path
    expected: int = 0
    fps: float = 0.0

    def walk(self, wants: Wants) -> Iterator[Step]:
        """Yield every frame; each is shown for the time that the file says, 0.1 s where it says none."""
        from converters.decoding import pillow_rgb

        time_s = 0.0
        try:
            with _open_animation(self.path) as image:
                for index in range(getattr(image, "n_frames", 1)):
                    check_time(self.path)
                    image.seek(index)
                    image.load()
                    yield time_s, pillow_rgb(image) if wants(index) else None
                    time_s += (image.info.get("duration") or 100.0) / 1000.0
        except ConversionError:
            raise
        except reader_faults() as fault:
            raise ConversionError(
                f"{self.path}: damaged or truncated: {in_one_line(fault)}; export it again"
            ) from fault


def _open_animation(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path, formats=_ANIMATED)
    if image.width * image.height > MAX_FRAME_PIXELS:
        image.close()
        raise ConversionError(f"{path}: frames of {image.width} x {image.height} pixels: scale it down")
    claim(path, _FRAME_BYTES * image.width * image.height)
    return image


@dataclass(frozen=True)
class FolderSource:
    """A folder whose images, in natural order, are the frames."""

    path: Path
    files: tuple[Path, ...]
    fps: float = 0.0

    @property
    def expected(self) -> int:
        """Number of image files."""
        return len(self.files)

    def walk(self, wants: Wants) -> Iterator[Step]:
        """Yield every frame; all have the size of the first."""
        from converters.image import read_image

        size_hw = read_image(self.files[0]).pages[0].shape[:2]
        for index, file in enumerate(self.files):
            check_time(self.path)
            image = read_image(file).pages[0] if wants(index) else None
            if image is not None and image.shape[:2] != size_hw:
                found, first = (f"{w} x {h}" for h, w in (image.shape[:2], size_hw))
                raise ConversionError(
                    f"{file}: {found} pixels, but the first frame has {first}; give frames of one size"
                )
            yield None, image


def _open_folder(path: Path) -> FolderSource:
    files = frame_files(path)
    if not files:
        raise ConversionError(f"{path}: no image in the folder; a clip is a video file or a folder of frames")
    return FolderSource(path, files)


def frame_files(folder: Path) -> tuple[Path, ...]:
    """Return the images of a folder in natural order, without what a system left there."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in FRAME_SUFFIXES and not is_system_file(file))
    return tuple(sorted((file for file in files if file.is_file()), key=_natural_key))


def _natural_key(file: Path) -> list[tuple[int, str]]:
    """Sort key under which frame10 comes after frame9."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-1, file.name)]
