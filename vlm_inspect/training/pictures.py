"""Which pictures of a data set are trained on, and where their defects are.

What is read follows from what a method learns from: `masks`, the test pictures, normal and anomalous, as in the
zero-shot protocol (AnomalyCLIP, DAPO); `synthetic`, normal pictures only: those for training, or all where none is.
The template of a board is a normal picture, too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from converters.image import read_image
from vlm_inspect.datasets.defect_words import word_of_folder
from vlm_inspect.datasets.item import Dataset, Item
from vlm_inspect.datasets.listing import PICTURES
from vlm_inspect.datasets.masks import BoxMask, Mask
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.errors import TrainingError

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import Rgb

Supervision = Literal["masks", "synthetic"]
WordOf = Callable[[str, str], str]
"""A class and the name of a folder or label in it, to the word that prompts use."""
_CLASS_NAMES = {"deeppcb": "circuit board"}
"""Of the formats whose class has no folder of its own."""
_LEAST_DIFFERENCE = 96
"""Grey levels by which a pixel of a board differs from its template: its pictures are black and white."""


@dataclass(frozen=True, eq=False)
class Marks:
    """The marked pixels of one picture."""

    mask: NDArray[np.bool_]
    type_map: NDArray[np.uint8] | None = None
    type_words: tuple[str, ...] = ()
    """See `TrainingSample`."""


@dataclass(frozen=True)
class LabelledPicture:
    """One picture of a data folder, not yet read."""

    path: Path
    class_name: str
    word: str | None = None
    """None: normal."""
    mask: Mask | None = None
    """Where the defect is; None: normal."""
    template: Path | None = None
    """The same board without defects."""
    box_words: tuple[str, ...] = ()
    """The word of each box of a `BoxMask`."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its defects, the first one first; empty: normal."""
        return tuple(dict.fromkeys(self.box_words)) or (() if self.word is None else (self.word,))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that its marks rest on, for the digest of the data."""
        told = () if self.mask is None else self.mask.paths
        return told if self.template is None else (*told, self.template)

    def read_marks(self, picture: "Rgb") -> Marks:
        """Return the marked pixels of the picture, which was read from `path`.

        Raises:
            DatasetError: the mask cannot be read.
            TrainingError: it does not fit the picture.
        """
        if self.mask is None:
            return Marks(np.zeros(picture.shape[:2], bool))
        if isinstance(self.mask, BoxMask) and self.template is not None:
            return _marks_in_boxes(self, self.mask, picture)
        found = self.mask.read()
        if found.shape != picture.shape[:2]:
            (height, width), (own_height, own_width) = found.shape, picture.shape[:2]
            raise TrainingError(
                f"{self.mask.paths[0]} is {width} x {height} px, its picture {self.path} {own_width} x {own_height}; "
                "a mask has the size of its picture"
            )
        return Marks(found)


@dataclass(frozen=True)
class Selection:
    """The pictures of one folder, and what was left out of it, in words."""

    pictures: tuple[LabelledPicture, ...]
    left_out: tuple[str, ...] = ()
    folder_words: dict[str, str] = field(default_factory=dict)
    """The word of each defect folder, by CLASS/FOLDER."""


def select_pictures(folder: Path, supervision: Supervision, word_of: WordOf = word_of_folder) -> Selection:
    """Return the pictures of one class folder, or of all of a data set, class by class, normal ones first.

    Raises:
        TrainingError: the folder is missing, or an anomalous picture has no mask.
        DatasetError: it has no known layout, or a file that describes it is wrong.
    """
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "no such folder"
        raise TrainingError(f"{folder}: {reason}; name a folder of training pictures")
    dataset = read_dataset(folder)
    items = [item for item in dataset.items if item.path.suffix.lower() in PICTURES]
    normal = [item for item in items if item.anomalous is False]
    if supervision == "synthetic":
        chosen = [item for item in normal if item.split == "train"] or normal
        boards = [_template(dataset, item) for item in items if item.references]
        return Selection((*(_normal(dataset, item) for item in chosen), *boards))
    tested = [item for item in items if item.split == "test"]
    single = [item for item in tested if not item.anomalous or len(item.defects) == 1 or _has_boxes(item)]
    pictures = [picture for item in single for picture in _pictures_of(dataset, item, word_of)]
    pictures.sort(key=lambda picture: (picture.class_name, picture.word is not None and not _is_board(picture)))
    odd = {(item.category, name) for item in single for name in item.defects}
    words = {f"{category}/{name}": word_of(_class_name(dataset, category), name) for category, name in sorted(odd)}
    return Selection(tuple(pictures), tuple(_left_out(tested, single)), words)


def _pictures_of(dataset: Dataset, item: Item, word_of: WordOf) -> Iterator[LabelledPicture]:
    if not item.anomalous:
        yield _normal(dataset, item)
        return
    if item.mask is None or not all(path.is_file() for path in item.mask.paths):
        wanted = f"no {item.mask.paths[0]}" if item.mask is not None else f"none is named after {item.path.stem}"
        raise TrainingError(f"{item.path} has no mask ({wanted}); add it, or take the picture away")
    name = _class_name(dataset, item.category)
    if isinstance(item.mask, BoxMask) and item.references:
        yield _template(dataset, item)
        words = tuple(word_of(name, kind) for kind in item.mask.types)
        yield LabelledPicture(item.path, name, words[0], item.mask, item.references[0], words)
    else:
        yield LabelledPicture(item.path, name, word_of(name, item.defects[0]), item.mask)


def _normal(dataset: Dataset, item: Item) -> LabelledPicture:
    return LabelledPicture(item.path, _class_name(dataset, item.category))


def _template(dataset: Dataset, item: Item) -> LabelledPicture:
    return LabelledPicture(item.references[0], _class_name(dataset, item.category))


def _has_boxes(item: Item) -> bool:
    return isinstance(item.mask, BoxMask)


def _is_board(picture: LabelledPicture) -> bool:
    return picture.template is not None


def _left_out(tested: list[Item], single: list[Item]) -> Iterator[str]:
    """Yield how many pictures of each class have several defect types: their masks do not tell them apart."""
    kept = {item.id for item in single}
    categories = sorted({item.category for item in tested})
    for category in categories:
        count = sum(item.id not in kept for item in tested if item.category == category)
        if count:
            yield f"{category}: {count} pictures with several defect types"


def _class_name(dataset: Dataset, category: str) -> str:
    """Return a class as words."""
    return _CLASS_NAMES.get(dataset.format) or category.rsplit("/", 1)[-1].replace("_", " ").lower()


def _marks_in_boxes(labelled: LabelledPicture, boxes: BoxMask, picture: "Rgb") -> Marks:
    """Return what differs from the template inside each box; a box in which nothing differs is marked whole."""
    assert labelled.template is not None
    template = read_picture(labelled.template)
    if template.shape != picture.shape:
        raise TrainingError(f"{labelled.template} has not the size of {labelled.path}; unpack the data set again")
    differs = np.abs(picture.astype(np.int16) - template).max(axis=2) >= _LEAST_DIFFERENCE
    types = np.zeros(picture.shape[:2], np.uint8)
    for (x0, y0, x1, y1), word in zip(boxes.boxes_xyxy, labelled.box_words, strict=True):
        place = np.s_[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
        if not types[place].size:
            raise TrainingError(f"{boxes.path}: the box {x0} {y0} {x1} {y1} lies outside {labelled.path}")
        inside = differs[place] if differs[place].any() else np.ones_like(differs[place])
        types[place][inside] = 1 + labelled.words.index(word)
    return Marks(types > 0, types, labelled.words)


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
