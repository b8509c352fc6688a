"""Photographs to views: the whole picture, and overlapping tiles where it is larger than what a model sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.decoding import decode_pages, is_tiff
from converters.errors import ConversionError
from converters.faults import in_one_line, reader_faults
from converters.sample import ImageSample
from converters.view import BoxXyxyn, Place, View, ViewBudget

Window = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of a page; x1 and y1 exclusive."""

OVERLAP = 1 / 8
"""Share of a tile that its neighbour shows too, at least: a defect smaller than that is whole in one of them."""

_WORTHWHILE = 0.8
"""A tile longer than this share of its page shows hardly more than the whole view does."""


@dataclass(frozen=True)
class ImageOrigin:
    """A view that is a window of one page, scaled."""

    window_xyxy: Window
    page: int | None = None
    """Page of a multi-page file, from 0; None for a file of one page."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return the box in pixels of the upright page; pixel i spans i to i + 1."""
        x0, y0, x1, y1 = self.window_xyxy
        width, height = x1 - x0, y1 - y0
        left, top, right, bottom = box_xyxyn
        source_xyxy = (x0 + left * width, y0 + top * height, x0 + right * width, y0 + bottom * height)
        return Place(source_xyxy=source_xyxy, page=self.page)


@dataclass(frozen=True)
class _Page:
    """One page on its way to views; `index` is None where the file has no other."""

    pixels: NDArray[np.uint8]
    index: int | None
    count: int

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def name(self) -> str:
        return "image" if self.index is None else f"page {self.index + 1} of {self.count}"

    def key(self, stem: str) -> str:
        """Page n compares with page n: "image/1"; the first page is "image", like a file of one page."""
        return f"{stem}/{self.index}" if self.index else stem


def read_image(path: Path) -> ImageSample:
    """Read a photograph: every page upright, 8-bit RGB, at full resolution.

    16-bit, 32-bit and float pixels are mapped to 8 bits by a robust range; transparency is laid over white. The frames
    of an animation count as pages. NumPy files of (H, W) or (H, W, 3 or 4) numbers are read too.

    Raises:
        ConversionError: missing, empty, truncated, not an image, or more than `decoding.MAX_PIXELS` pixels.
    """
    try:
        if not path.is_file():
            reason = "is a folder, not an image file" if path.is_dir() else "no such file"
            raise ConversionError(f"{path}: {reason}; give one image file")
        if path.stat().st_size == 0:
            raise ConversionError(f"{path}: the file is empty; export the image again")
        return ImageSample(path=path, pages=tuple(_decode(path)))
    except ConversionError:
        raise
    except reader_faults() as fault:
        raise ConversionError(
            f"{path}: the image is damaged, truncated or of an unknown variant ({in_one_line(fault)}); export it again"
        ) from fault


def render_image(sample: ImageSample, budget: ViewBudget) -> list[View]:
    """Return for each page the whole view, then its tiles, in reading order.

    A page whose long side exceeds `budget.max_side` is shown whole at that size and again in tiles that overlap, at
    full resolution; where that takes more than `budget.max_tiles`, the tiles show more and are scaled down instead, so
    that they still cover all of it. Large pages share the tiles evenly. The whole view's label says what follows.
    """
    several = len(sample.pages) > 1
    pages = [_Page(pixels, index if several else None, len(sample.pages)) for index, pixels in enumerate(sample.pages)]
    large = sum(max(page.size_hw) > budget.max_side for page in pages)
    tiles_a_page = budget.max_tiles // large if large else 0
    return [view for page in pages for view in _render_page(page, budget.max_side, tiles_a_page)]


def render_changed(sample: ImageSample, budget: ViewBudget, before: ImageSample, views: Sequence[View]) -> list[View]:
    """Return the views of a photograph that was changed in places: those that show no change are the same objects.

    Args:
        sample: the changed photograph, its pages as large as before.
        budget: as its views before were rendered with.
        before: the photograph before.
        views: of it, from `render_image`.
    """
    changed = [_changed_window(now, was) for now, was in zip(sample.pages, before.pages, strict=True)]
    found = []
    for view in views:
        origin = view.origin
        assert isinstance(origin, ImageOrigin)
        number = origin.page or 0
        page = _Page(sample.pages[number], origin.page, len(sample.pages))
        touched = _overlap(origin.window_xyxy, changed[number])
        found.append(replace(view, image=_crop(page, origin.window_xyxy, budget.max_side)) if touched else view)
    return found


def _changed_window(now: NDArray[np.uint8], was: NDArray[np.uint8]) -> Window | None:
    """Return the smallest window that holds all pixels that differ; None where none does."""
    if now is was:
        return None
    rows = np.flatnonzero((now != was).reshape(len(now), -1).any(axis=1))
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero((now[top:bottom] != was[top:bottom]).any(axis=0).any(axis=1))
    return int(columns[0]), top, int(columns[-1]) + 1, bottom


def _overlap(window: Window, other: Window | None) -> bool:
    if other is None:
        return False
    (x0, y0, x1, y1), (left, top, right, bottom) = window, other
    return left < x1 and x0 < right and top < y1 and y0 < bottom


def tile_windows(size_hw: tuple[int, int], max_side: int, max_tiles: int) -> list[Window]:
    """Return windows that cover a page of that size and overlap by at least `OVERLAP`; none where no tiles are needed.

    The fewest tiles of at most `max_side` pixels a side; where `max_tiles` are too few for that, the smallest windows
    that cover the page. A row of n windows of side t with overlap t / 8 is t (7 n + 1) / 8 long.
    """
    height, width = size_hw
    if max(size_hw) <= max_side:
        return []
    grids = [(rows, columns) for rows in range(1, max_tiles + 1) for columns in range(1, max_tiles // rows + 1)]
    sides = {(rows, columns): max(_side(height, rows), _side(width, columns)) for rows, columns in grids}
    native = [grid for grid in grids if sides[grid] <= max_side]
    rows, columns = (
        min(native, key=lambda grid: (grid[0] * grid[1], sides[grid]))
        if native
        else min(grids, key=lambda grid: (sides[grid], grid[0] * grid[1]), default=(1, 1))
    )
    side = sides.get((rows, columns), max(size_hw))
    if side > _WORTHWHILE * max(size_hw):
        return []
    return [
        (x, y, min(x + side, width), min(y + side, height))
        for y in _starts(height, side, rows)
        for x in _starts(width, side, columns)
    ]


def _side(length: int, count: int) -> int:
    """Side in pixels of `count` windows in a row that cover a length."""
    return math.ceil(length / (count - (count - 1) * OVERLAP))


def _starts(length: int, side: int, count: int) -> list[int]:
    room = max(0, length - side)
    return [round(i * room / (count - 1)) for i in range(count)] if count > 1 else [0]


def _render_page(page: _Page, max_side: int, max_tiles: int) -> list[View]:
    height, width = page.size_hw
    windows = tile_windows(page.size_hw, max_side, max_tiles)
    whole = _crop(page, (0, 0, width, height), max_side)
    label = f"{page.name}, {width} x {height} px"
    if max(page.size_hw) > max_side:
        label += f", shown at {_percent(whole, width, height)}; " + _announce(windows, max_side)
    views = [View(whole, "image", label, ImageOrigin((0, 0, width, height), page.index), page.key("image"))]
    for number, window in enumerate(windows, start=1):
        tile = _crop(page, window, max_side)
        x0, y0, x1, y1 = window
        label = (
            f"{page.name}, tile {number} of {len(windows)}: x {x0} to {x1}, y {y0} to {y1} px, "
            f"at {_percent(tile, x1 - x0, y1 - y0)}"
        )
        views.append(View(tile, "image", label, ImageOrigin(window, page.index), page.key("tile")))
    return views


def _announce(windows: list[Window], max_side: int) -> str:
    if not windows:
        return "no tiles"
    side = max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in windows)
    return f"{len(windows)} overlapping tiles at {min(1.0, max_side / side):.0%} follow"


def _percent(shown: NDArray[np.uint8], width: int, height: int) -> str:
    return f"{max(shown.shape[:2]) / max(width, height):.0%}"


def _crop(page: _Page, window: Window, max_side: int) -> NDArray[np.uint8]:
    """Cut a window out and shrink it to `max_side`, antialiased (Lanczos); never enlarged."""
    from PIL import Image

    x0, y0, x1, y1 = window
    cut = page.pixels[y0:y1, x0:x1]
    scale = max_side / max(cut.shape[:2])
    if scale >= 1.0:
        return np.ascontiguousarray(cut)
    size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
    return np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def _decode(path: Path) -> list[NDArray[np.uint8]]:
    if not is_tiff(path):
        return decode_pages(path)
    from converters.tiff import decode_tiff

    return decode_tiff(path)
