"""Whether the pictures of a folder are the frames of one clip, or photos of many parts."""

import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from converters.faults import reader_faults

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NUMBER = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)", re.DOTALL)
_PHOTO_NAMES = re.compile(
    r"(dsc[fn]?|pxl|photo|foto|part|piece|teil|unit|sample|specimen|pieza|serial|sn)[\W_]*", re.IGNORECASE
)
"""What cameras call photos of their own, and people photos of parts."""
_LOOKED_AT = 40
"""Files whose headers are read, evenly over the folder."""
_MOST_MISSING = 0.2
"""Share of the numbers between the first and the last frame that may be missing."""
_FRAME_NAMES = re.compile(r"(.*[\W_])?(f|fr|frm|frames?|stills?|video|clip)[\W_]*", re.IGNORECASE)
"""What programs call the frames that they take out of a clip."""
_FEWEST = 5
"""Fewest pictures whose likeness to their neighbours says anything."""
_THUMB = 32
"""Side of the pictures that are compared, in pixels."""
_STILL = 1.5
"""Mean difference of grey levels below which nothing changes at all: noise, or a scene that stands still."""
_MOST_APART = 0.6
"""Largest difference of neighbours over that of pictures far apart: clips have 0.08 to 0.25, photos of parts 0.83 to
1.0 (UCSD pedestrians; training pictures of MVTec AD and of magnetic tiles)."""
_CAMERA_TAGS = (0x010F, 0x0110)


def why_no_clip(files: Sequence[Path]) -> str | None:
    """Return why pictures, in natural order, are not the frames of one clip; None where they are.

    Frames have one name but for a number that rises in even steps, one type and one size, and no camera's make in them.
    Where the name does not say that they are frames, each must also be more like its neighbour than like the others.
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
    return None if says_frames(files[0]) else _why_not_continuous(files)


def says_frames(file: Path) -> bool:
    """Return whether the name of a picture says that it is a frame, as frame_0001.png does."""
    found = _NUMBER.fullmatch(file.stem)
    return found is not None and _FRAME_NAMES.fullmatch(found["before"]) is not None


def _why_not_continuous(files: Sequence[Path]) -> str | None:
    import numpy as np

    if len(files) < _FEWEST:
        return None  # too few to tell: a note says what they were taken for
    starts = np.unique(np.linspace(0, len(files) - 2, min(_LOOKED_AT, len(files) - 1)).astype(int))
    pairs = [(_thumb(files[at]), _thumb(files[at + 1])) for at in starts]
    known = [(one, following) for one, following in pairs if one is not None and following is not None]
    if len(known) < _FEWEST - 1:
        return "most of the pictures cannot be read"
    half = len(known) // 2
    near = np.median([np.abs(one - following).mean() for one, following in known])
    far = np.median([np.abs(known[i][0] - known[(i + half) % len(known)][0]).mean() for i in range(len(known))])
    if far > _STILL and near > _MOST_APART * far:
        return "each picture is as unlike the one before as any other"
    return None


def _thumb(file: Path) -> "NDArray[np.float32] | None":
    """Return a picture in grey, float32 (32, 32) in [0, 255]; None where Pillow cannot read it."""
    import numpy as np

    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore")
            image.draft("L", (_THUMB, _THUMB))
            return np.asarray(image.convert("L").resize((_THUMB, _THUMB), Image.Resampling.BOX), np.float32)
    except reader_faults():
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
