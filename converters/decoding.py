"""Image files to pages of upright 8-bit RGB, by Pillow, tifffile or OpenCV, whichever keeps every bit."""

import io
import logging
import os
import re
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from converters.errors import ConversionError
from converters.faults import reader_faults
from converters.limits import check_time, claim
from converters.pixels import RawPage, flattened, over_white, rgb_from, upright

MAX_PIXELS = 178_000_000
"""Most pixels of one file, over all of its pages; told from the header, before anything is decoded.

A little under the number at which Pillow itself refuses untrusted files. 534 MB as 8-bit RGB.
"""

MAX_PAGES = 64
"""Most pages of one file; each becomes at least one view."""

FORMATS = """
    AVIF BLP BMP CUR DCX DDS DIB FLI FTEX GBR GIF ICNS ICO IM JPEG JPEG2000 MSP PCX PIXAR PNG PPM PSD QOI SGI SUN
    TIFF WEBP XBM XPM
""".split()  # noqa: SIM905 - a table of thirty strings on thirty lines hides what is missing
"""What Pillow may open. Not EPS (it would run Ghostscript), nor formats that Pillow only knows by name."""

_NO_MAGIC = {".tga": "TGA", ".icb": "TGA", ".vda": "TGA", ".vst": "TGA"}
"""Formats without a signature: believed only where the suffix says so."""

_ANIMATED = frozenset({"GIF", "PNG", "WEBP"})
_PAGED = _ANIMATED | {"AVIF", "DCX", "FLI"}
"""Formats whose frames are pages. The others' further frames are previews, depth maps, sizes or layers."""

_OPENCV_SIZES = (
    re.compile(rb"#\?(RADIANCE|RGBE)\s.*?[-+]Y (?P<h>\d+) [-+]X (?P<w>\d+)", re.DOTALL),
    re.compile(rb"PF\s+(?P<w>\d+)\s+(?P<h>\d+)\s"),
    re.compile(rb"P7\n.*?WIDTH\s+(?P<w>\d+)\s+HEIGHT\s+(?P<h>\d+)", re.DOTALL),
)
"""Headers of what OpenCV reads and Pillow does not, and where they hold the size."""

_PILLOW_BYTES = 10
"""Bytes a pixel while Pillow decodes 8-bit colour: 4 of its own, and two copies of 3."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf"})
"""What of a PNG's ancillary chunks changes its picture; text, colour profiles and clocks do not."""
_HEAD = 4096
_PROCESS_WIDE = threading.RLock()
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else its remarks go to stderr


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about itself before it is decoded."""

    format: str
    """Pillow's name of the format, or "OPENCV"."""
    is_animated: bool = False


def identify(path: Path) -> ImageHeader | None:
    """Tell an image file from its first bytes; None where it is none that can be read."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if any(size.match(head) for size in _OPENCV_SIZES):
        return ImageHeader("OPENCV")
    if is_tiff(path):
        return ImageHeader("TIFF")
    try:
        with open_pillow(path) as image:
            animated = image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1
            return ImageHeader(image.format or "", animated)
    except UnidentifiedImageError:
        return None
    except reader_faults():  # a known signature before a broken body: reading it will say what is wrong
        return None if is_text(head) else ImageHeader("")  # text: a table whose first name is "P1" or "BM"


def is_text(head: bytes) -> bool:
    """Tell 8-bit text from the first bytes of a file: no control characters but white space."""
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


def is_tiff(path: Path) -> bool:
    """Tell classic TIFF and BigTIFF, of both byte orders, from the first bytes."""
    with path.open("rb") as file:
        return file.read(4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def decode_pages(path: Path) -> list[NDArray[np.uint8]]:
    """Decode every page of an image file to (H, W, 3) uint8 RGB, upright; TIFF is `tiff.decode_tiff`'s.

    Raises:
        ConversionError: more than `MAX_PIXELS` pixels or `MAX_PAGES` pages, or no image at all.
        converters.faults.FAULTS: the file is damaged; what the library at work raised.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\x93NUMPY"):
        return [rgb_from(_numpy_page(path))]
    for size in _OPENCV_SIZES:
        if found := size.match(head):
            pixels = int(found["w"]) * int(found["h"])
            check_size(path, pixels)
            claim(path, pixels * 4 * 8)
            return [rgb_from(opencv_page(path))]
    return _decode_pillow(path)


def check_size(path: Path, pixels: int, pages: int = 1) -> None:
    """Refuse a file whose header announces more than can be handled, or nothing.

    Raises:
        ConversionError: no pixel, more than `MAX_PIXELS`, or more than `MAX_PAGES` pages.
    """
    if pixels <= 0 or pages <= 0:
        raise ConversionError(f"{path}: an image without a pixel; export it again")
    if pixels > MAX_PIXELS:
        raise ConversionError(
            f"{path}: {pixels / 1e6:.0f} million pixels, over the limit of {MAX_PIXELS / 1e6:.0f} million: "
            "crop or shrink it"
        )
    if pages > MAX_PAGES:
        raise ConversionError(f"{path}: {pages} pages, over the limit of {MAX_PAGES}: split the file")


@contextmanager
def open_pillow(path: Path, file: BinaryIO | None = None) -> Iterator[ImageFile.ImageFile]:
    """Open a file with Pillow, its warnings silenced; the lock is there because the filters are one per process.

    Args:
        path: the file; a suffix without a signature (TGA) is told from it.
        file: what to read in place of the file's own bytes.
    """
    formats = [*FORMATS, *([_NO_MAGIC[path.suffix.lower()]] if path.suffix.lower() in _NO_MAGIC else [])]
    with _PROCESS_WIDE, warnings.catch_warnings(), file or path.open("rb") as opened:
        warnings.simplefilter("ignore")
        with Image.open(opened, formats=formats) as image:
            yield image


def _decode_pillow(path: Path) -> list[NDArray[np.uint8]]:
    try:
        try:
            return _pillow_pages(path)
        except reader_faults() as fault:
            core = _png_core(path)
            if core is None or isinstance(fault, ConversionError | Image.DecompressionBombError):
                raise
            return _pillow_pages(path, core)
    except Image.DecompressionBombError as bomb:
        raise ConversionError(
            f"{path}: over the limit of {MAX_PIXELS / 1e6:.0f} million pixels: crop or shrink it"
        ) from bomb
    except UnidentifiedImageError as fault:
        raise ConversionError(f"{path}: not an image that Pillow or OpenCV reads; export it as PNG or TIFF") from fault


def _pillow_pages(path: Path, file: BinaryIO | None = None) -> list[NDArray[np.uint8]]:
    with open_pillow(path, file) as image:
        count = getattr(image, "n_frames", 1) if image.format in _PAGED else 1
        pixels = image.width * image.height
        check_size(path, pixels * count, count)
        claim(path, pixels * (3 * count + _PILLOW_BYTES))
        pages = []
        for index in range(count):
            check_time(path)
            if count > 1:
                image.seek(index)
            orientation = _orientation(image)
            pages.append(upright(_page_of(path, image), orientation))
        return pages


def _png_core(path: Path) -> BinaryIO | None:
    """Return a PNG with only those chunks that make its picture; None for another file, or one that ends too early.

    Pillow refuses a whole file for a long text, a broken colour profile or a checksum in a chunk that shows nothing.
    """
    data = path.read_bytes()
    if not data.startswith(_PNG):
        return None
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        is_critical = kind[:1].isupper()
        if end > len(data) and is_critical:
            return None
        is_whole = end <= len(data) and zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if is_critical or (kind in _PNG_CHUNKS and is_whole):
            kept.append(data[at:end])
        if kind == b"IEND":
            return io.BytesIO(b"".join(kept))
        at = end
    return None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except reader_faults():  # broken EXIF does not make the picture unreadable
        return 1


def _page_of(path: Path, image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    is_cut = _is_cut_to_8bit(image)
    image.load()  # all of it: a truncated file is an error, never a picture with a grey half
    return rgb_from(opencv_page(path)) if is_cut else pillow_rgb(image)


def _is_cut_to_8bit(image: ImageFile.ImageFile) -> bool:
    """True for 16-bit colour, of which Pillow keeps the upper byte; asked before `load`, which forgets the tiles."""
    if image.mode not in {"LA", "RGB", "RGBA"} or not image.tile:
        return False
    arguments: Any = image.tile[0].args
    if image.format == "PPM":
        return image.tile[0].codec_name.startswith("ppm") and bool(arguments[1] > 255)
    return image.format == "PNG" and ";16" in str(arguments)


def pillow_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a loaded Pillow image of any mode to (H, W, 3) uint8 RGB; transparency is laid over white."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return rgb_from(RawPage(np.asarray(image)))
    if image.mode in {"La", "RGBa"}:
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"))
        flatten = flattened if image.mode in {"LA", "RGBA"} else over_white  # of a colour key all may be meant
        return flatten(pixels[:, :, :3], pixels[:, :, 3])
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def opencv_page(path: Path, index: int = 0) -> RawPage:
    """Decode one page with OpenCV, at full depth; it turns TIFF pages upright and nothing else.

    Raises:
        OSError: OpenCV cannot decode it.
    """
    import cv2

    data = np.fromfile(path, np.uint8)  # not imread: its file names are not unicode everywhere
    with _PROCESS_WIDE, silent_stderr():
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            found, pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(index, index + 1))
        finally:
            cv2.utils.logging.setLogLevel(level)
    if not found or not pages:
        raise OSError("OpenCV cannot decode it")
    pixels: NDArray[Any] = pages[0]
    if pixels.ndim == 3 and pixels.shape[2] in {3, 4}:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]  # OpenCV's order is BGR
    return RawPage(pixels, has_alpha=pixels.ndim == 3 and pixels.shape[2] == 4)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what C libraries (libtiff, libpng) write past Python off the process's stderr."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, AttributeError, ValueError):  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _numpy_page(path: Path) -> RawPage:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if (
        array.dtype.kind not in "biuf"
        or array.ndim not in {2, 3}
        or (array.ndim == 3 and array.shape[2] not in {1, 3, 4})
    ):
        raise ConversionError(
            f"{path}: {array.dtype} {array.shape} is not an image: give (H, W), (H, W, 3) or (H, W, 4) numbers"
        )
    check_size(path, array.shape[0] * array.shape[1])
    claim(path, array.size * (1 + array.itemsize) + 8 * array.shape[0] * array.shape[1])
    return RawPage(array, has_alpha=array.ndim == 3 and array.shape[2] == 4)
