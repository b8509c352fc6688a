"""VisA as published: `split_csv/1cls.csv`, images below `CLASS/Data`, and types in `CLASS/image_anno.csv`.

Source: Zou et al., ECCV 2022, github.com/amazon-science/spot-diff: columns `object,split,label,image,mask` with paths
below the root (read the same way by its prepare_data.py), and `image,label,mask` in image_anno.csv, where an image with
several types lists them with commas. Pixel values of a mask name types; any value but 0 is anomalous. The folder form
that prepare_data.py writes is MVTec AD's layout: format "mvtec". Without the split file every image is for the test.
"""

from collections.abc import Iterator
from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind, Split
from vlm_inspect.datasets.listing import classes_in, item_id, read_csv, resolve_below
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import DatasetError

_SPLIT_FILE = Path("split_csv") / "1cls.csv"
_TYPES_FILE = "image_anno.csv"
_COLUMNS = ("object", "split", "label", "image", "mask")
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_UNNAMED = "anomaly"


class Visa:
    """The data set, or one class folder of it, in the one-class split: normal images to train, the rest to test."""

    name = "visa"

    def matches(self, root: Path) -> bool:
        """Return whether the split file is there, or class folders as VisA has them."""
        return (root / _SPLIT_FILE).is_file() or bool(classes_in(root, "Data", "Images"))

    def read(self, root: Path) -> Dataset:
        """Return the items that the split file lists; without one, those that the classes' own lists have.

        Raises:
            DatasetError: a list file is missing, has other columns, or names an unknown split or label.
        """
        folders = classes_in(root, "Data", "Images")
        base = root.parent if folders == [root] else root
        split = base / _SPLIT_FILE
        names = {folder.name for folder in folders} if base != root else None
        if split.is_file():
            rows = [row for row in read_csv(split, _COLUMNS) if names is None or row["object"] in names]
        else:
            rows = [row for folder in folders for row in _rows_of_class(folder)]
        told_by = split if split.is_file() or not folders else folders[0] / _TYPES_FILE
        if not rows:
            raise DatasetError(f"{told_by} lists no image")
        types = {name: _read_types(base, name) for name in sorted({row["object"] for row in rows})}
        items = [_read_row(base, row, types[row["object"]], told_by) for row in rows]
        problems = [_unnamed(item) for item in items if item.defects == (_UNNAMED,) and types[item.category]]
        note = "" if split.is_file() else f"There is no {_SPLIT_FILE}: every image is scored, and none is a reference."
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems), note=note)


def _rows_of_class(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a class's own list as the split file would have them."""
    for row in read_csv(folder / _TYPES_FILE, ("image", "label", "mask")):
        label = "normal" if row["label"].casefold() == "normal" else "anomaly"
        yield {"object": folder.name, "split": "test", "label": label, "image": row["image"], "mask": row["mask"]}


def _read_row(root: Path, row: dict[str, str], types: dict[str, tuple[str, ...]], told_by: Path) -> Item:
    if row["split"] not in _SPLITS or row["label"] not in {"normal", "anomaly"}:
        raise DatasetError(f"{told_by} has split {row['split']!r} and label {row['label']!r} for {row['image']!r}")
    path = resolve_below(root, row["image"], told_by)
    anomalous = row["label"] == "anomaly"
    mask = ImageMask(resolve_below(root, row["mask"], told_by)) if anomalous and row["mask"] else None
    defects = types.get(row["image"], (_UNNAMED,)) if anomalous else ()
    return Item(item_id(root, path), row["object"], (path,), _SPLITS[row["split"]], anomalous, defects, mask)


def _read_types(root: Path, name: str) -> dict[str, tuple[str, ...]]:
    """Return the types of each anomalous image of a class by its path; none where the file is absent."""
    path = resolve_below(root, f"{name}/{_TYPES_FILE}", root / _SPLIT_FILE)
    if not path.is_file():
        return {}
    found = {}
    for row in read_csv(path, ("image", "label")):
        words = {word.strip() for word in row["label"].split(",")} - {"", "normal"}
        if words:
            found[row["image"]] = tuple(sorted(words))
    return found


def _unnamed(item: Item) -> Problem:
    message = f"{item.id} is anomalous, and image_anno.csv does not name its type"
    return Problem(ProblemKind.AMBIGUOUS_LABEL, item.category, message, item.paths)
