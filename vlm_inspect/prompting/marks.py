"""Numbered marks on a second copy of a view, and zoomed places beside the same place of a reference."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxy, BoxXyxyn

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_LINE = (255, 220, 0)
_EDGE = (0, 0, 0)
_PAPER = (255, 255, 255)
_BORDER = (150, 150, 150)
_MARGIN = 4
"""Pixels between a mark's line and the region, so that the line does not cover the edge of a defect."""
_LEAST_SIDE = 14
"""Smallest side of a mark in pixels; a smaller region would vanish under its own line."""
_CONTEXT = 1.0
"""Surroundings shown on each side of a zoomed region, in multiples of its longest side."""
_LEAST_CROP = 64
"""Smallest side of a crop in pixels of the view, before it is enlarged."""
_MOST_ENLARGED = 6
_CAPTION_HEIGHT = 26
_GUTTER = 8


def draw_marks(image: NDArray[np.uint8], boxes: Sequence[tuple[int, BoxXyxyn]]) -> NDArray[np.uint8]:
    """Draw a numbered box for each (number, box) on a copy of the picture (uint8, HWC, RGB).

    Yellow between two black lines stands out on white, on black and on any colour; the number stands outside its box
    where there is room, and off other numbers and boxes.
    """
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(image)  # copies
    draw = ImageDraw.Draw(canvas)
    height, width = image.shape[:2]
    frames = [_frame_of(box, (height, width)) for _, box in boxes]
    for frame in frames:
        _draw_frame(draw, frame)
    font = _font(max(13, min(height, width) // 30))
    taken: list[BoxXyxy] = list(frames)
    for (number, _), frame in zip(boxes, frames, strict=True):
        taken.append(_draw_tag(draw, str(number), frame, taken, (height, width), font))
    return np.asarray(canvas, dtype=np.uint8)


def crop_around(
    image: NDArray[np.uint8], box_xyxyn: BoxXyxyn, side: int | None = None
) -> tuple[NDArray[np.uint8], int]:
    """Cut out a box with its surroundings at native resolution, moved inside the picture where it meets the border.

    Args:
        image: uint8, HWC, RGB.
        box_xyxyn: the box.
        side: side of the square in pixels; None: the box and its context.

    Returns:
        The crop (uint8, HWC, RGB; square unless the picture is smaller), and the side that was asked for.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box_xyxyn
    if side is None:
        longest = max((x1 - x0) * width, (y1 - y0) * height)
        side = max(_LEAST_CROP, math.ceil(longest * (1 + 2 * _CONTEXT)))
    high, wide = min(side, height), min(side, width)
    left = round(min(max((x0 + x1) / 2 * width - wide / 2, 0), width - wide))
    top = round(min(max((y0 + y1) / 2 * height - high / 2, 0), height - high))
    return image[top : top + high, left : left + wide], side


def enlarge(crop: NDArray[np.uint8], side: int = 384) -> NDArray[np.uint8]:
    """Scale a crop (uint8, HWC, RGB) so that its longest side is `side` pixels; at most six times larger."""
    from PIL import Image

    scale = min(side / max(crop.shape[:2]), _MOST_ENLARGED)
    size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    return np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC), dtype=np.uint8)


def place_side_by_side(panels: Sequence[tuple[NDArray[np.uint8], str]]) -> NDArray[np.uint8]:
    """Put pictures (uint8, HWC, RGB) in one row on white, each under its caption."""
    from PIL import Image, ImageDraw

    font = _font(15)
    widths = [max(p.shape[1], math.ceil(font.getlength(caption)) + 4) for p, caption in panels]
    height = max(p.shape[0] for p, _ in panels) + _CAPTION_HEIGHT
    sheet = Image.new("RGB", (sum(widths) + _GUTTER * (len(panels) - 1), height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for (picture, caption), width in zip(panels, widths, strict=True):
        draw.text((left + 2, 4), caption, fill=_EDGE, font=font)
        sheet.paste(Image.fromarray(picture), (left, _CAPTION_HEIGHT))
        corner = left + picture.shape[1] - 1, _CAPTION_HEIGHT + picture.shape[0] - 1
        draw.rectangle((left, _CAPTION_HEIGHT, *corner), outline=_BORDER)
        left += width + _GUTTER
    return np.asarray(sheet, dtype=np.uint8)


def _frame_of(box_xyxyn: BoxXyxyn, size_hw: tuple[int, int]) -> BoxXyxy:
    height, width = size_hw
    x0, x1 = _widened(box_xyxyn[0] * width, box_xyxyn[2] * width, width)
    y0, y1 = _widened(box_xyxyn[1] * height, box_xyxyn[3] * height, height)
    return x0, y0, x1, y1


def _widened(low: float, high: float, limit: int) -> tuple[float, float]:
    missing = max(2 * _MARGIN, _LEAST_SIDE - (high - low))
    return max(low - missing / 2, 0.0), min(high + missing / 2, limit - 1.0)


def _draw_frame(draw: "ImageDraw.ImageDraw", frame: BoxXyxy) -> None:
    x0, y0, x1, y1 = frame
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_EDGE, width=4)
    draw.rectangle(frame, outline=_LINE, width=2)


def _draw_tag(
    draw: "ImageDraw.ImageDraw",
    text: str,
    frame: BoxXyxy,
    taken: Sequence[BoxXyxy],
    size_hw: tuple[int, int],
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
) -> BoxXyxy:
    left, top, right, bottom = font.getbbox(text)
    wide, high = right - left + 7, bottom - top + 7
    x0, y0, x1, y1 = frame
    corners = [
        *((x0, y0 - high - 2), (x0, y1 + 2), (x1 + 2, y0), (x0 - wide - 2, y0)),
        *((x1 - wide, y0 - high - 2), (x1 - wide, y1 + 2), (x0 + 2, y0 + 2)),
    ]
    places = [(x, y, x + wide, y + high) for x, y in corners]
    inside = [p for p in places if p[0] >= 0 and p[1] >= 0 and p[2] < size_hw[1] and p[3] < size_hw[0]]
    place = min(inside or places[-1:], key=lambda p: sum(_overlap(p, other) for other in taken))
    draw.rectangle(place, fill=_LINE, outline=_EDGE)
    draw.text((place[0] + 4 - left, place[1] + 4 - top), text, fill=_EDGE, font=font)
    return place


def _overlap(a: BoxXyxy, b: BoxXyxy) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
