"""What the drawn sheets share: paper, ink and letters that are the same on every machine."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

PAPER, INK, FAINT = (250, 250, 248), (28, 30, 34), (110, 114, 120)


def blank_sheet(width: int, height: int) -> "tuple[Image, ImageDraw]":
    """Return an empty sheet of so many pixels, and what draws on it."""
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (width, height), PAPER)
    return sheet, ImageDraw.Draw(sheet)


def shorten(text: str, draw: "ImageDraw", font: "FreeTypeFont", width: int) -> str:
    """Return a text that is no wider than so many pixels in that font, its end left out where it is."""
    while text and draw.textlength(text, font=font) > width:
        text = text[: max(0, min(len(text) - 2, int(len(text) * 0.95)))].rstrip("…") + "…" if len(text) > 2 else ""
    return text


@cache
def font(size: int, *, bold: bool = False) -> "FreeTypeFont":
    """DejaVu Sans, which comes with matplotlib: the same letters on every machine."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
