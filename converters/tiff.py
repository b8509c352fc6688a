"""TIFF pages to upright 8-bit RGB: tifffile and OpenCV for deep pixels, Pillow for the rest."""

import struct
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from converters.decoding import MAX_PAGES, check_size, open_pillow, opencv_page, pillow_rgb
from converters.errors import ConversionError
from converters.pixels import RawPage, rgb_from, upright

_MINISWHITE, _RGB = 0, 2
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
        decoded = [rgb for index, page in _pages(path, tiff) for rgb in _decode_page(path, index, page)]
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
        return _slices(page)[0] if _has_codec(page) else None


def _pages(path: Path, tiff: Any) -> list[tuple[int, Any]]:
    """The pages that are pictures, with their place in the file."""
    pages = list(islice(enumerate(tiff.pages), 10 * MAX_PAGES))  # a chain of millions of pages is not followed
    if len(pages) < 10 * MAX_PAGES and _next_offset(tiff, pages[-1][1]) >= path.stat().st_size:
        raise OSError(f"the file ends before page {len(pages) + 1}")  # tifffile only logs it
    chosen = [(index, page) for index, page in pages if not (page.subfiletype or 0) & 0b101] or pages[:1]
    check_size(path, sum(_weight(page) for _, page in chosen), len(chosen))
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


def _decode_page(path: Path, index: int, page: Any) -> list[NDArray[np.uint8]]:
    is_deep = page.dtype is not None and page.dtype not in (np.dtype(np.uint8), np.dtype(np.bool_))
    if not is_deep or (page.photometric or 0) > _RGB:
        rgb = _by_pillow(path, index)
        if rgb is not None:
            return [rgb]
    if page.dtype is not None and page.dtype.kind not in "biuf":
        raise ConversionError(f"{path}: pixels of type {page.dtype}: save the magnitude as float32")
    if _has_codec(page):
        orientation = page.tags.valueof(274, default=1)
        return [upright(rgb_from(raw), orientation) for slice_ in _slices(page) for raw in _raw_pages(slice_, page)]
    rgb = _by_pillow(path, index) if page.samplesperpixel == 1 else None
    return [rgb_from(opencv_page(path, index)) if rgb is None else rgb]


def _by_pillow(path: Path, index: int) -> NDArray[np.uint8] | None:
    """Decode one page by Pillow, which also turns it upright; None where Pillow does not know its layout."""
    try:
        with open_pillow(path) as image:
            image.seek(index)
            image.load()
            return pillow_rgb(image)
    except (UnidentifiedImageError, SyntaxError):
        return None


def _has_codec(page: Any) -> bool:
    """Whether tifffile can decode a page without the optional imagecodecs (LZW and JPEG need it)."""
    codecs = tifffile.TIFF
    return page.compression in codecs.DECOMPRESSORS and page.predictor in codecs.UNPREDICTORS


def _slices(page: Any) -> list[NDArray[Any]]:
    """The (H, W, C) slices of a page; almost always one."""
    planes: NDArray[Any] = page.asarray(squeeze=False)  # (planes, depth, height, width, samples)
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
