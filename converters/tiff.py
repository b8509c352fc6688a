"""TIFF pages to upright 8-bit RGB: tifffile and OpenCV for deep pixels, Pillow for the rest."""

import struct
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from converters.decoding import MAX_PAGES, check_size, open_pillow, opencv_page, pillow_rgb, silent_stderr
from converters.errors import ConversionError
from converters.faults import reader_faults
from converters.limits import check_time, claim
from converters.pixels import RawPage, rgb_from, upright

_MINISWHITE, _RGB = 0, 2
_UNKNOWN_LAYOUT = (UnidentifiedImageError, SyntaxError, KeyError, NotImplementedError)
"""What libraries raise where they do not know how the pixels lie, rather than where these are damaged."""
_ALPHA = {1, 2}
"""Values of ExtraSamples that mean opacity, premultiplied or not."""


def decode_tiff(path: Path) -> list[NDArray[np.uint8]]:
    """Decode every page to (H, W, 3) uint8 RGB, upright; thumbnails, pyramid levels and masks are left out.

    A page of more bands than colours, and each slice of a volume, becomes one grey page a band.

    Raises:
        ConversionError: too large, too many pages, or pixels that no library here decodes.
        converters.faults.FAULTS: the file is damaged.
    """
    with tifffile.TiffFile(path) as tiff:
        pages = _pages(path, tiff)
        kept = sum(_rgb_bytes(page) for _, page in pages)
        # While one page is decoded: the page twice, and two copies of its colours.
        claim(path, kept + max(2 * _raw_bytes(page) + 9 * page.imagewidth * page.imagelength for _, page in pages))
        decoded = [rgb for index, page in pages for rgb in _decode_page(path, index, page)]
    check_size(path, 1, len(decoded))
    return decoded


def read_tiff_array(path: Path) -> NDArray[Any] | None:
    """Return the numbers of the first page as (H, W, C) in their own type, or None where tifffile has no codec for it.

    For what uses TIFF as a container of numbers: organised scans, depth maps.

    Raises:
        ConversionError: too large.
        converters.faults.FAULTS: the file is damaged.
    """
    with tifffile.TiffFile(path) as tiff:
        _, page = _pages(path, tiff)[0]
        claim(path, 3 * _raw_bytes(page))
        return _slices(page)[0] if _has_codec(page) else None


def _pages(path: Path, tiff: Any) -> list[tuple[int, Any]]:
    """The pages that are pictures, with their place in the file."""
    pages = list(islice(enumerate(tiff.pages), 10 * MAX_PAGES))  # a chain of millions of pages is not followed
    if len(pages) < 10 * MAX_PAGES and _next_offset(tiff, pages[-1][1]) >= path.stat().st_size:
        raise OSError(f"the file ends before page {len(pages) + 1}")  # tifffile only logs it
    chosen = [(index, page) for index, page in pages if not (page.subfiletype or 0) & 0b101] or pages[:1]
    check_size(path, sum(_weight(page) for _, page in chosen), len(chosen))
    size = path.stat().st_size
    for index, page in chosen:
        ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > size:
            raise OSError(f"the pixels of page {index + 1} end after the file does")
    return chosen


def _next_offset(tiff: Any, page: Any) -> int:
    """Where the file says that the page after this one is described; 0 after the last."""
    layout, file = tiff.tiff, tiff.filehandle
    file.seek(page.offset)
    (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(page.offset + layout.tagnosize + tags * layout.tagsize)
    (offset,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    return int(offset)


def _weight(page: Any) -> int:
    """Pixels of a page; bands beyond four weigh as much as further pixels."""
    return int(page.imagewidth * page.imagelength * page.imagedepth * max(1, -(-page.samplesperpixel // 4)))


def _raw_bytes(page: Any) -> int:
    """Bytes of a page as it is decoded."""
    item = page.dtype.itemsize if page.dtype is not None else max(1, -(-page.bitspersample // 8))
    return int(page.imagewidth * page.imagelength * page.imagedepth * page.samplesperpixel * item)


def _rgb_bytes(page: Any) -> int:
    """Bytes that a page leaves behind as 8-bit RGB: one picture a band where the bands are no colours."""
    pictures = page.samplesperpixel if page.samplesperpixel > 4 or page.photometric != _RGB else 1
    return int(3 * page.imagewidth * page.imagelength * page.imagedepth * pictures)


def _decode_page(path: Path, index: int, page: Any) -> list[NDArray[np.uint8]]:
    """Decode one page with the first library that can.

    OpenCV comes last, and only where the others do not know the layout: it would show damaged pixels without a word.
    """
    if page.dtype is not None and page.dtype.kind not in "biuf":
        raise ConversionError(f"{path}: pixels of type {page.dtype}: save the magnitude as float32")
    check_time(path)
    is_deep = page.dtype is not None and page.dtype not in (np.dtype(np.uint8), np.dtype(np.bool_))
    by_tifffile = [_by_tifffile] if _has_codec(page) else []
    first = [] if is_deep and (page.photometric or 0) <= _RGB else [_by_pillow]
    last = [] if first or page.samplesperpixel != 1 else [_by_pillow]
    for decode in (*first, *by_tifffile, *last):
        try:
            return decode(path, index, page)
        except ConversionError:
            raise
        except _UNKNOWN_LAYOUT:
            continue
        except reader_faults():
            if decode is _by_tifffile or not by_tifffile:
                raise
    return _by_opencv(path, index, page)


def _by_pillow(path: Path, index: int, _: Any) -> list[NDArray[np.uint8]]:
    """Decode one page by Pillow, which also turns it upright."""
    with open_pillow(path) as image, silent_stderr():
        image.seek(index)
        image.load()
        return [pillow_rgb(image)]


def _by_tifffile(_: Path, __: int, page: Any) -> list[NDArray[np.uint8]]:
    orientation = page.tags.valueof(274, default=1)
    return [upright(rgb_from(raw), orientation) for slice_ in _slices(page) for raw in _raw_pages(slice_, page)]


def _by_opencv(path: Path, index: int, _: Any) -> list[NDArray[np.uint8]]:
    return [rgb_from(opencv_page(path, index))]


def _has_codec(page: Any) -> bool:
    """Whether tifffile can decode a page without the optional imagecodecs (LZW and JPEG need it)."""
    codecs = tifffile.TIFF
    return page.compression in codecs.DECOMPRESSORS and page.predictor in codecs.UNPREDICTORS


def _slices(page: Any) -> list[NDArray[Any]]:
    """The (H, W, C) slices of a page; almost always one."""
    planes: NDArray[Any] = page.asarray(squeeze=False)  # (planes, depth, height, width, samples)
    if len(planes) == 1:
        return list(planes[0])  # without another copy
    volume = np.moveaxis(planes, 0, -1).reshape(*planes.shape[1:4], -1)
    return list(volume)


def _raw_pages(pixels: NDArray[Any], page: Any) -> list[RawPage]:
    bands = pixels.shape[2]
    colors = 3 if bands >= 3 and (page.photometric == _RGB or bands == 3) else 1
    has_alpha = bands > colors and len(page.extrasamples) > 0 and page.extrasamples[0] in _ALPHA
    white_is_zero = page.photometric == _MINISWHITE
    if bands == colors or has_alpha or colors == 3:
        kept = pixels[:, :, : colors + has_alpha]
        return [RawPage(kept, has_alpha, white_is_zero)]
    return [RawPage(pixels[:, :, band], False, white_is_zero) for band in range(bands)]
