"""Several pictures as one view, in captioned panels two a row; a box in any of them is found again on the part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import BoxXyxyn, Pane, Place

_PAPER, _INK = (255, 255, 255), (0, 0, 0)
_CAPTION_SHARE, _GUTTER = 0.055, 8
_COLUMNS = 2


@dataclass(frozen=True, eq=False)
class PanelOrigin:
    """Maps a box in a panel to the part: all panels show the same place through the same window."""

    panes: tuple[Pane, ...]
    size_hw: tuple[int, int]
    """Of the view."""
    origin: ScanOrigin
    """Of one panel."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return the place of a box; the panel that its middle lies in, or nearest to, counts."""
        height, width = self.size_hw
        sides = (width, height, width, height)
        x0, y0, x1, y1 = (share * side for share, side in zip(box_xyxyn, sides, strict=True))
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        left, top, right, bottom = min((pane.box_xyxy for pane in self.panes), key=lambda box: _beside(box, middle))
        wide, high = right - left, bottom - top
        inside = ((x0 - left) / wide, (y0 - top) / high, (x1 - left) / wide, (y1 - top) / high)
        x0, y0, x1, y1 = (min(1.0, max(0.0, value)) for value in inside)
        return self.origin.locate((x0, y0, x1, y1))


def panel_sheet(panels: Sequence[tuple[str, NDArray[np.uint8]]]) -> tuple[NDArray[np.uint8], tuple[Pane, ...]]:
    """Return pictures (uint8, all (S, S, 3)), each under its caption, on white; and where each stands."""
    from PIL import Image, ImageDraw, ImageFont

    side = panels[0][1].shape[0]
    caption, columns = round(side * _CAPTION_SHARE) + 8, min(_COLUMNS, len(panels))
    size = columns * (side + _GUTTER) - _GUTTER, math.ceil(len(panels) / columns) * (side + caption)
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(side * _CAPTION_SHARE)
    panes = []
    for number, (said, picture) in enumerate(panels):
        row, column = divmod(number, columns)
        left, top = column * (side + _GUTTER), row * (side + caption) + caption
        draw.text((left + 2, top - caption + 2), said, fill=_INK, font=font)
        sheet.paste(Image.fromarray(picture), (left, top))
        draw.rectangle((left, top, left + side - 1, top + side - 1), outline=(150, 150, 150))
        panes.append(Pane((left, top, left + side, top + side), said))
    return np.asarray(sheet, dtype=np.uint8), tuple(panes)


def _beside(box_xyxy: tuple[int, int, int, int], point: NDArray[np.float64]) -> float:
    """Return how far a point lies outside a box."""
    left, top, right, bottom = box_xyxy
    return float(np.maximum(0.0, np.maximum([left, top] - point, point - [right, bottom])).sum())
