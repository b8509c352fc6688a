"""Whether the pictures of a folder are the frames of one clip, or photos of many parts."""

import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image

from converters.faults import reader_faults

_NUMBER = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)", re.DOTALL)
_PHOTO_NAMES = re.compile(
    r"(dsc[fn]?|pxl|photo|foto|part|piece|teil|unit|sample|specimen|pieza|serial|sn)[\W_]*", re.IGNORECASE
)
"""What cameras call photos of their own, and people photos of parts."""
_LOOKED_AT = 40
"""Files whose headers are read, evenly over the folder."""
_MOST_MISSING = 0.2
"""Share of the numbers between the first and the last frame that may be missing."""
_CAMERA_TAGS = (0x010F, 0x0110)


def why_no_clip(files: Sequence[Path]) -> str | None:
    """Return why pictures, in natural order, are not the frames of one clip; None where they are.

    Frames have one name but for a number that rises in even steps, one type and one size, and no camera's make in them.
    """
    if len(files) < 2:
        return "it holds one picture"
    named = [_NUMBER.fullmatch(file.stem) for file in files]
    known = [match for match in named if match is not None]
    if len(known) < len(files) or len({(match["before"], match["after"]) for match in known}) > 1:
        return "the names are not numbered in one sequence"
    if len({file.suffix.lower() for file in files}) > 1:
        return "the files are of several types"
    if _PHOTO_NAMES.fullmatch(known[0]["before"]):
        return f"files called {files[0].name} are photos"
    numbers = sorted({int(match["number"]) for match in known})
    steps = sorted(later - earlier for earlier, later in pairwise(numbers))
    usual = steps[(len(steps) - 1) // 2] if steps else 0
    if len(numbers) < len(files) or len(files) < (1 - _MOST_MISSING) * ((numbers[-1] - numbers[0]) / usual + 1):
        return "numbers are missing between the names"
    chosen = files[:: max(1, len(files) // _LOOKED_AT)]
    looks = [look for file in chosen if (look := _look(file)) is not None]
    if len({size for size, _ in looks}) > 1:
        return "the pictures have several sizes"
    if any(by_camera for _, by_camera in looks):
        return "the pictures name the camera that took them"
    return None


def _look(file: Path) -> tuple[tuple[int, int], bool] | None:
    """Width and height of a picture, and whether it names a camera; None where Pillow cannot tell."""
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore")
            exif = image.getexif()
            return image.size, any(tag in exif for tag in _CAMERA_TAGS)
    except reader_faults():
        return None
