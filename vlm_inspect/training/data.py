"""Training data: what lies in the data folders, checked once before the first step, and read again as it is needed.

Every picture and mask is decoded before training starts: what is wrong with the data shows in the first minute and not
in the third hour. What could be used but was not is named in `TrainingData.left_out`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from converters.digest import sha256_of
from vlm_inspect.datasets.defect_words import word_of_folder
from vlm_inspect.errors import TrainingError
from vlm_inspect.localization.checkpoint import DataFacts
from vlm_inspect.real_path import real_path
from vlm_inspect.training.method import TrainingSample
from vlm_inspect.training.pictures import LabelledPicture, Selection, Supervision, WordOf, read_picture, select_pictures


@dataclass(frozen=True)
class TrainingPicture:
    """One picture that is trained on."""

    item: LabelledPicture
    source: str
    """Where it lies: a path relative to the folder above the data folder."""
    sha256: str

    def load(self) -> TrainingSample:
        """Read the picture and what is wrong with it.

        Raises:
            TrainingError: the mask is of another size.
            DatasetError: the mask cannot be read.
            ConversionError: the picture cannot be read.
        """
        item = self.item
        picture = read_picture(item.path)
        marks = item.read_marks(picture)
        return TrainingSample(
            picture, marks.mask, item.word, item.class_name, self.source, marks.type_map, marks.type_words
        )


@dataclass(frozen=True)
class TrainingData:
    """All pictures of a run, in a fixed order."""

    entries: tuple[TrainingPicture, ...]
    facts: tuple[DataFacts, ...]
    """One for each data folder."""
    left_out: tuple[str, ...] = ()
    folder_words: Mapping[str, str] = field(default_factory=dict)
    """The word of each defect folder, by CLASS/FOLDER."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all defects, sorted."""
        return tuple(sorted({word for entry in self.entries for word in entry.item.words}))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({entry.item.class_name for entry in self.entries}))

    @property
    def picture_digests(self) -> tuple[str, ...]:
        """sha256 (hex) of every picture's file."""
        return tuple(entry.sha256 for entry in self.entries)

    def renamed(self, class_name: str) -> "TrainingData":
        """Return the data with its one class called otherwise.

        Raises:
            TrainingError: it holds several classes.
        """
        if len(self.class_names) > 1:
            names = ", ".join(self.class_names)
            raise TrainingError(f"--class-name names one class, but the data holds {names}; give one class folder")
        entries = tuple(replace(entry, item=replace(entry.item, class_name=class_name)) for entry in self.entries)
        return replace(self, entries=entries)


def read_data(
    folders: Sequence[Path],
    supervision: Supervision,
    word_of: WordOf = word_of_folder,
    progress: Callable[[str], None] = lambda step: None,
) -> TrainingData:
    """Return the pictures of the data folders, each checked.

    Args:
        folders: class folders, or folders of class folders; see `vlm_inspect.datasets`.
        supervision: "masks": normal and anomalous test pictures; "synthetic": normal training pictures.
        word_of: the word of a class's defect folder.
        progress: told what is being read.

    Raises:
        TrainingError: a folder is missing, empty or given twice; a mask is missing or of another size; there is no
            anomalous or no normal picture.
        DatasetError: a folder has no known layout, or a mask or a list cannot be read.
        ConversionError: a picture cannot be read.
    """
    places = [real_path(folder) for folder in folders]
    for i, place in enumerate(places):
        if any(place == other or other in place.parents or place in other.parents for other in places[:i]):
            raise TrainingError(f"{folders[i]} is given twice, or inside another data folder; name each once")
    read = [_read_folder(folder, supervision, word_of, progress) for folder in folders]
    return TrainingData(
        tuple(entry for entries, _, _ in read for entry in entries),
        tuple(facts for _, facts, _ in read),
        tuple(note for _, _, selection in read for note in selection.left_out),
        {name: word for _, _, selection in read for name, word in selection.folder_words.items()},
    )


def _read_folder(
    folder: Path, supervision: Supervision, word_of: WordOf, progress: Callable[[str], None]
) -> tuple[list[TrainingPicture], DataFacts, Selection]:
    selection = select_pictures(real_path(folder) if folder.is_dir() else folder, supervision, word_of)
    pictures = selection.pictures
    _check_counts(folder, pictures, supervision)
    entries, notes = [], list(selection.left_out)
    total = hashlib.sha256()
    for number, item in enumerate(pictures, start=1):
        progress(f"checking {folder.name}: {number} of {len(pictures)} pictures")
        entry = TrainingPicture(item, _relative(item.path, real_path(folder)), sha256_of(item.path))
        if item.word is not None and not entry.load().mask.any():
            notes.append(f"{entry.source}: its mask is empty")
            continue
        if item.word is None:
            read_picture(item.path)
        entries.append(entry)
        digests = [entry.sha256, *map(sha256_of, item.files)]
        total.update(f"{entry.source}\0{item.word}\0{' '.join(digests)}\n".encode())
    anomalous = sum(entry.item.word is not None for entry in entries)
    if supervision == "masks" and not anomalous:
        raise TrainingError(f"{folder}: every mask is empty; a mask is above 0 on the defect")
    name = real_path(folder).name
    facts = DataFacts(name=name, sha256=total.hexdigest(), normal=len(entries) - anomalous, anomalous=anomalous)
    return entries, facts, replace(selection, left_out=tuple(notes))


def _check_counts(folder: Path, items: Sequence[LabelledPicture], supervision: Supervision) -> None:
    normal = sum(item.word is None for item in items)
    if supervision == "synthetic":
        if not normal:
            raise TrainingError(f"{folder} has no normal training picture; put some in train/good, or normal")
    elif not items:
        raise TrainingError(f"{folder} has no pictures; it needs normal ones, and anomalous ones with masks")
    elif normal == len(items):
        raise TrainingError(f"{folder} has no anomalous picture; put some in test/<type>, or anomalous, with masks")
    elif not normal:
        raise TrainingError(f"{folder} has no normal picture; put some in test/good, or normal")


def _relative(path: Path, folder: Path) -> str:
    """Return the path with the data folder's name before it; the record of the run, which is UTF-8, names it."""
    relative = f"{folder.name}/{path.relative_to(folder).as_posix()}"
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        raise TrainingError(f"{relative}: the name is not UTF-8, so that no record can name it; rename it") from error
    return relative
