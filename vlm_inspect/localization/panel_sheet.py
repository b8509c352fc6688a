"""Several pictures as one, in captioned panels two a row."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from converters.view import Pane

_PAPER, _INK = (255, 255, 255), (0, 0, 0)
_CAPTION_SHARE, _GUTTER = 0.055, 8
_COLUMNS = 2


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
