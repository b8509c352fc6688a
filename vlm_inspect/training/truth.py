"""Where a picture's defect is, as data sets say it: a mask file, or boxes with a defect-free template beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.image import read_image
from vlm_inspect.errors import TrainingError

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import Rgb

DEEPPCB_TYPES = {1: "open", 2: "short", 3: "mousebite", 4: "spur", 5: "copper", 6: "pin_hole"}
_LEAST_DIFFERENCE = 96
"""Grey levels by which a pixel of a board differs from its template: its pictures are black and white."""


@dataclass(frozen=True, eq=False)
class Marks:
    """The marked pixels of one picture."""

    mask: NDArray[np.bool_]
    type_map: NDArray[np.uint8] | None = None
    type_words: tuple[str, ...] = ()
    """See `TrainingSample`."""


class Truth(Protocol):
    """What a data set says of one anomalous picture."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it rests on, for the digest of the data."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """Words of its own, where it names the types; else the folder does."""
        ...

    def read(self, picture: "Rgb", path: Path) -> Marks:
        """Return the marked pixels of a picture, which was read from `path`.

        Raises:
            TrainingError: it cannot be read, or does not fit the picture.
        """
        ...


@dataclass(frozen=True)
class MaskFile:
    """A picture of the same size: 0 where nothing is wrong."""

    path: Path
    words: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Truth.files`."""
        return (self.path,)

    def read(self, picture: "Rgb", path: Path) -> Marks:
        """See `Truth.read`; of a mask up to 255 the upper half counts, of a map of type numbers all but 0."""
        values = _grey_values(self.path)
        if values.shape != picture.shape[:2]:
            (height, width), (own_height, own_width) = values.shape, picture.shape[:2]
            raise TrainingError(
                f"{self.path} is {width} x {height} px, its picture {path} {own_width} x {own_height}; "
                "a mask has the size of its picture"
            )
        most = float(values.max(initial=0))
        return Marks(values > (most / 2 if most > 127 else 0))


@dataclass(frozen=True)
class Boxes:
    """DeepPCB: lines of `x1 y1 x2 y2 type`; what differs from the template inside a box is the defect."""

    path: Path
    template: Path
    word_of: Callable[[str], str]

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Truth.files`."""
        return self.path, self.template

    @cached_property
    def boxes_xyxy(self) -> tuple[tuple[int, int, int, int, str], ...]:
        """Corners in pixels (x1 and y1 exclusive) and the word of each box.

        Raises:
            TrainingError: the file cannot be read, or a line is wrong.
        """
        try:
            lines = self.path.read_text().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"{self.path} cannot be read ({error}); unpack the data set again") from error
        boxes = tuple(self._parse(line, number) for number, line in enumerate(lines, start=1) if line.strip())
        if not boxes:
            raise TrainingError(f"{self.path} names no box; a board without a defect belongs with the normal pictures")
        return boxes

    def _parse(self, line: str, number: int) -> tuple[int, int, int, int, str]:
        try:
            x0, y0, x1, y1, kind = (int(part) for part in line.replace(",", " ").split())
            name = DEEPPCB_TYPES[kind]
        except (ValueError, KeyError) as error:
            raise TrainingError(f"{self.path}, line {number}: needs x1 y1 x2 y2 type (1 to 6), not {line!r}") from error
        return x0, y0, x1, y1, self.word_of(name)

    @property
    def words(self) -> tuple[str, ...]:
        """Its types, the one of the first box first."""
        return tuple(dict.fromkeys(box[4] for box in self.boxes_xyxy))

    def read(self, picture: "Rgb", path: Path) -> Marks:
        """See `Truth.read`; a box in which nothing differs is marked whole."""
        template = read_picture(self.template)
        if template.shape != picture.shape:
            raise TrainingError(f"{self.template} has not the size of {path}; unpack the data set again")
        differs = np.abs(picture.astype(np.int16) - template).max(axis=2) >= _LEAST_DIFFERENCE
        types = np.zeros(picture.shape[:2], np.uint8)
        for x0, y0, x1, y1, word in self.boxes_xyxy:
            place = np.s_[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
            if not types[place].size:
                raise TrainingError(f"{self.path}: the box {x0} {y0} {x1} {y1} lies outside {path}")
            inside = differs[place] if differs[place].any() else np.ones_like(differs[place])
            types[place][inside] = 1 + self.words.index(word)
        return Marks(types > 0, types, self.words)


def read_picture(path: Path) -> "Rgb":
    """Return a picture: uint8 HWC RGB, upright.

    Raises:
        TrainingError: the file holds several pages.
        ConversionError: it is missing, damaged, or no picture.
    """
    pages = read_image(path).pages
    if len(pages) != 1:
        raise TrainingError(f"{path} holds {len(pages)} pages; training takes single pictures")
    return pages[0]


def _grey_values(path: Path) -> NDArray[np.float32]:
    """Return the values of a mask as they are in the file, (H, W); of a colour its largest channel."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            values = np.asarray(file, np.float32)
            if file.mode in ("LA", "RGBA"):
                values = values[..., :-1]
            if file.mode == "1":
                values = values * 255
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{path}: the mask cannot be read ({error}); export it again") from error
    return values.max(axis=2) if values.ndim == 3 else values
