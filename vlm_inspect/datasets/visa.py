"""VisA as published: `split_csv/1cls.csv`, images below `CLASS/Data`, and types in `CLASS/image_anno.csv`.

Source: Zou et al., ECCV 2022, github.com/amazon-science/spot-diff: columns `object,split,label,image,mask` with paths
below the root (read the same way by its prepare_data.py), and `image,label,mask` in image_anno.csv, where an image with
several types lists them with commas. Pixel values of a mask name types; any value but 0 is anomalous. The folder form
that prepare_data.py writes is MVTec AD's layout: format "mvtec".
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind, Split
from vlm_inspect.datasets.listing import item_id, read_csv, resolve_below
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import DatasetError

_SPLIT_FILE = Path("split_csv") / "1cls.csv"
_COLUMNS = ("object", "split", "label", "image", "mask")
_SPLITS: dict[str, Split] = {"train": "train", "test": "test"}
_UNNAMED = "anomaly"


class Visa:
    """The data set, in the one-class split: normal images to train with, the rest to test."""

    name = "visa"

    def matches(self, root: Path) -> bool:
        """Return whether the split file is there."""
        return (root / _SPLIT_FILE).is_file()

    def read(self, root: Path) -> Dataset:
        """Return the items that the split file lists.

        Raises:
            DatasetError: a list file is missing, has other columns, or names an unknown split or label.
        """
        rows = read_csv(root / _SPLIT_FILE, _COLUMNS)
        if not rows:
            raise DatasetError(f"{root / _SPLIT_FILE} lists no image")
        types = {name: _read_types(root, name) for name in sorted({row["object"] for row in rows})}
        items = [_read_row(root, row, types[row["object"]]) for row in rows]
        problems = [_unnamed(item) for item in items if item.defects == (_UNNAMED,) and types[item.category]]
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _read_row(root: Path, row: dict[str, str], types: dict[str, tuple[str, ...]]) -> Item:
    told_by = root / _SPLIT_FILE
    if row["split"] not in _SPLITS or row["label"] not in {"normal", "anomaly"}:
        raise DatasetError(f"{told_by} has split {row['split']!r} and label {row['label']!r} for {row['image']!r}")
    path = resolve_below(root, row["image"], told_by)
    anomalous = row["label"] == "anomaly"
    mask = ImageMask(resolve_below(root, row["mask"], told_by)) if anomalous and row["mask"] else None
    defects = types.get(row["image"], (_UNNAMED,)) if anomalous else ()
    return Item(item_id(root, path), row["object"], (path,), _SPLITS[row["split"]], anomalous, defects, mask)


def _read_types(root: Path, name: str) -> dict[str, tuple[str, ...]]:
    """Return the types of each anomalous image of a class by its path; none where the file is absent."""
    path = resolve_below(root, f"{name}/image_anno.csv", root / _SPLIT_FILE)
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
