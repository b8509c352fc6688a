"""How data folders are laid out: MVTec AD, VisA, plain folders, DeepPCB; one reader a layout, files in sorted order.

    MVTec AD   train/good, test/good, test/<type>, ground_truth/<type>/<name>_mask.png (or <name>.png, as VisA's copies)
    VisA       Data/Images/{Normal,Anomaly}, Data/Masks/Anomaly, image_anno.csv; ../split_csv/1cls.csv where it is there
    plain      normal, anomalous[/<type>], masks[/<type>]/<name>.png
    DeepPCB    <name>_temp.jpg (normal), <name>_test.jpg, <name>.txt (boxes)

Which pictures are read follows from what a method learns from: `masks`, the test pictures, normal and anomalous, as in
the zero-shot protocol (AnomalyCLIP, DAPO); `synthetic`, the normal training pictures only.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from vlm_inspect.errors import TrainingError
from vlm_inspect.training.truth import Boxes, MaskFile, Truth

Supervision = Literal["masks", "synthetic"]
WordOf = Callable[[str, str], str]
"""A class and the name of a folder or label in it, to the word that prompts use."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_NORMAL = frozenset({"good", "normal", "ok"})
_NAMELESS = frozenset({"", "anomalous", "anomaly", "bad", "defect", "defective", "ng"})
ANY_DEFECT = "damage"
"""The word for a folder whose name only says that something is wrong."""
BOARD = "circuit board"
"""DeepPCB's class."""


@dataclass(frozen=True)
class Item:
    """One picture of a data folder, not yet read."""

    path: Path
    class_name: str
    word: str | None = None
    """None: normal."""
    truth: Truth | None = None
    """Where the defect is; None: normal."""


@dataclass(frozen=True)
class Listing:
    """The pictures of one folder, and what was left out of it, in words."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()


def plain_word(_class_name: str, name: str) -> str:
    """Return a folder's name as a word: lower case, spaces for underscores; "damage" where it names no type."""
    words = " ".join(name.replace("_", " ").lower().split())
    return ANY_DEFECT if words in _NAMELESS else words


def list_folder(folder: Path, supervision: Supervision, word_of: WordOf) -> Listing:
    """Return the pictures of one class folder, or of all class folders in a data set's folder.

    Raises:
        TrainingError: the folder is missing, of no known layout, or a file that belongs to a picture is missing.
    """
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "no such folder"
        raise TrainingError(f"{folder}: {reason}; name a folder of training pictures")
    reader = _reader_of(folder)
    if reader is not None:
        return reader(folder, supervision, word_of)
    inner = [(child, found) for child in _folders(folder) if (found := _reader_of(child)) is not None]
    if not inner:
        raise TrainingError(
            f"{folder}: no training pictures found; it needs test/<type> with ground_truth/<type> (MVTec AD), "
            "Data/Images (VisA), normal with anomalous and masks, or DeepPCB's *_temp.jpg"
        )
    listings = [read(child, supervision, word_of) for child, read in inner]
    return Listing(
        tuple(item for listing in listings for item in listing.items),
        tuple(note for listing in listings for note in listing.left_out),
    )


def _reader_of(folder: Path) -> "Callable[[Path, Supervision, WordOf], Listing] | None":
    if (folder / "test").is_dir() or (folder / "train").is_dir():
        return _list_mvtec
    if (folder / "Data" / "Images").is_dir():
        return _list_visa
    if (folder / "anomalous").is_dir() or (folder / "normal").is_dir():
        return _list_plain
    if next(folder.glob("*_temp.jpg"), None) is not None:
        return _list_deeppcb
    return None


def _list_mvtec(folder: Path, supervision: Supervision, word_of: WordOf) -> Listing:
    name = _spaced(folder)
    if supervision == "synthetic":
        normal = [child for child in _folders(folder / "train") if child.name.lower() in _NORMAL]
        return Listing(tuple(Item(path, name) for child in normal for path in pictures_in(child)))
    items = []
    for child in _folders(folder / "test"):
        for path in pictures_in(child):
            if child.name.lower() in _NORMAL:
                items.append(Item(path, name))
            else:
                mask = _mask_of(path, folder / "ground_truth" / child.name)
                items.append(Item(path, name, word_of(name, child.name), MaskFile(mask)))
    return Listing(tuple(items))


def _list_plain(folder: Path, supervision: Supervision, word_of: WordOf) -> Listing:
    name = _spaced(folder)
    items = [Item(path, name) for path in pictures_in(folder / "normal")]
    if supervision == "synthetic":
        return Listing(tuple(items))
    anomalous = folder / "anomalous"
    for child in [anomalous, *_folders(anomalous)]:
        kind = "" if child == anomalous else child.name
        for path in pictures_in(child):
            items.append(Item(path, name, word_of(name, kind), MaskFile(_mask_of(path, folder / "masks" / kind))))
    return Listing(tuple(items))


def _list_visa(folder: Path, supervision: Supervision, word_of: WordOf) -> Listing:
    """Read VisA's own layout; pictures with several defect types are left out: their masks do not tell them apart."""
    name = _spaced(folder)
    wanted = "train" if supervision == "synthetic" else "test"
    split = _visa_split(folder)
    normal, anomalous = [], []
    left_out = 0
    for label, path, mask in _visa_rows(folder):
        if split and split.get(_visa_name(path, folder)) != wanted:
            continue
        if label.lower() == "normal":
            normal.append(Item(path, name))
        elif "," in label:
            left_out += 1
        elif mask is None:
            raise TrainingError(f"{path} has no mask, see {folder / 'image_anno.csv'}; unpack the data set again")
        else:
            anomalous.append(Item(path, name, word_of(name, label.strip()), MaskFile(mask)))
    note = (f"{folder.name}: {left_out} pictures with several defect types",) if left_out else ()
    if supervision == "synthetic":
        return Listing(tuple(normal))
    return Listing((*anomalous, *normal), note)


def _visa_rows(folder: Path) -> Iterator[tuple[str, Path, Path | None]]:
    """Yield label, picture and mask (None: no such file) of every row of `image_anno.csv`, sorted by picture."""
    table = folder / "image_anno.csv"
    rows = _read_table(table, ("image", "label", "mask"))
    root = folder.parent
    for row in sorted(rows, key=lambda row: row["image"]):
        path = root / row["image"]
        if not path.is_file():
            raise TrainingError(f"{path}: no such picture, but {table} names it; unpack the data set again")
        mask = root / row["mask"]
        yield row["label"], path, mask if mask.is_file() else None


def _visa_split(folder: Path) -> dict[str, str]:
    """Return "train" or "test" by picture name of the one-class split; empty where it is not there."""
    table = folder.parent / "split_csv" / "1cls.csv"
    if not table.is_file():
        return {}
    return {row["image"]: row["split"] for row in _read_table(table, ("image", "split"))}


def _visa_name(path: Path, folder: Path) -> str:
    return path.relative_to(folder.parent).as_posix()


def _read_table(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{table} cannot be read ({error}); unpack the data set again") from error
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise TrainingError(f"{table} needs the columns {', '.join(columns)} in every row; unpack the data set again")
    return rows


def _list_deeppcb(folder: Path, supervision: Supervision, word_of: WordOf) -> Listing:
    """Read template and test pairs; the original's box files lie in a folder of the same name with "_not"."""
    items = []
    for template in sorted(folder.glob("*_temp.jpg")):
        stem = template.name.removesuffix("_temp.jpg")
        items.append(Item(template, BOARD))
        if supervision == "synthetic":
            continue
        test = folder / f"{stem}_test.jpg"
        boxes = [place / f"{stem}.txt" for place in (folder, folder.with_name(f"{folder.name}_not"))]
        found = next((path for path in boxes if path.is_file()), None)
        if not test.is_file() or found is None:
            raise TrainingError(f"{template} needs {test.name} and {stem}.txt beside it; unpack the data set again")
        truth = Boxes(found, template, partial(word_of, BOARD))
        items.append(Item(test, BOARD, truth.words[0], truth))
    return Listing(tuple(items))


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures directly in a folder, sorted by name; none where it does not exist."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and path.name[0] != ".")


def _mask_of(path: Path, folder: Path) -> Path:
    names = [f"{path.stem}{ending}{suffix}" for ending in ("_mask", "") for suffix in (".png", ".bmp", ".tif", ".tiff")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise TrainingError(f"{path} has no mask: no {names[0]} in {folder}; add it, or take the picture away")
    return found


def _spaced(folder: Path) -> str:
    """Return the class that a folder is named after; the name is looked up where the path ends in "." or ".."."""
    return folder.resolve().name.replace("_", " ").lower()
