"""All pictures of a request on one square sheet, in numbered fields."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlm_inspect.backends.hf.families import load_words

if TYPE_CHECKING:
    from PIL import Image

_PAPER = (255, 255, 255)
_INK = (0, 0, 0)
_BORDER = (150, 150, 150)
_CAPTION_SHARE = 0.07
_GUTTER_SHARE = 0.02


def compose_sheet(pictures: "Sequence[Image.Image]", side: int) -> "Image.Image":
    """Put pictures on a white square of `side` x `side` pixels, in reading order, each whole and under its number.

    Square, because processors of such models cut or squeeze what is not.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = math.ceil(math.sqrt(len(pictures)))
    cell = side // columns
    caption, gutter = max(10, round(cell * _CAPTION_SHARE)), max(1, round(cell * _GUTTER_SHARE))
    room = cell - caption - 2 * gutter
    sheet = Image.new("RGB", (side, side), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(caption * 0.85)
    for number, picture in enumerate(pictures, start=1):
        row, column = divmod(number - 1, columns)
        left, top = column * cell + gutter, row * cell + gutter
        draw.text((left, top), load_words().field.format(number=number), fill=_INK, font=font)
        shown = _fit(picture, room)
        place = (left + (room - shown.width) // 2, top + caption)
        sheet.paste(shown, place)
        draw.rectangle((place[0] - 1, place[1] - 1, place[0] + shown.width, place[1] + shown.height), outline=_BORDER)
    return sheet


def square(picture: "Image.Image") -> "Image.Image":
    """Squeeze a picture to a square of its longer side: boxes in per mille stay true, and no edge is cut."""
    from PIL import Image

    side = max(picture.size)
    return picture if picture.width == picture.height else picture.resize((side, side), Image.Resampling.LANCZOS)


def _fit(picture: "Image.Image", room: int) -> "Image.Image":
    from PIL import Image

    scale = room / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)
