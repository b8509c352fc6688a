"""A plain folder: `normal/` and `anomalous/`, and beside them, if wanted, `references/` and `masks/`.

    DIR/[CLASS/]normal/*      DIR/[CLASS/]anomalous/[TYPE/]*
    DIR/[CLASS/]references/*  DIR/[CLASS/]masks/[TYPE/]NAME[_mask].*

`normal` and `anomalous` are the test set, `references` the training one; masks are pictures, 0 where normal. Samples
may be photos, scans, clips or series: anything that `ask` takes. This layout is our own.
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, Split
from vlm_inspect.datasets.listing import PICTURES, classes_in, files_in, folders_in, item_id, match_by_stem
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

SAMPLES = PICTURES | {".ply", ".pcd", ".xyz", ".stl", ".obj", ".off", ".glb", ".npy", ".npz"}
SAMPLES |= {".mp4", ".avi", ".mov", ".mkv", ".webm", ".csv"}
_UNNAMED = "anomaly"


class PlainFolder:
    """Two folders of samples, or a folder a class with two such folders."""

    name = "folder"

    def matches(self, root: Path) -> bool:
        """Return whether there is a folder of normal or of anomalous samples."""
        return bool(_classes(root))

    def read(self, root: Path) -> Dataset:
        """Return the items; the type is the folder below `anomalous`.

        Raises:
            DatasetError: there is no sample to score.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in _classes(root):
            items += _normal_items(folder, "normal", "test") + _normal_items(folder, "references", "train")
            for kind in (folder / "anomalous", *folders_in(folder / "anomalous")):
                own, odd = _read_kind(folder, kind)
                items += own
                problems += odd
        if not any(item.split == "test" for item in items):
            raise DatasetError(f"{root} has no sample in normal or anomalous")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _classes(root: Path) -> list[Path]:
    return sorted({*classes_in(root, "normal"), *classes_in(root, "anomalous")})


def _normal_items(folder: Path, part: str, split: Split) -> list[Item]:
    found = files_in(folder / part, SAMPLES)
    return [Item(item_id(folder.parent, path), folder.name, (path,), split, False) for path in found]


def _read_kind(folder: Path, kind: Path) -> tuple[list[Item], list[Problem]]:
    defect = _UNNAMED if kind.name == "anomalous" and kind.parent == folder else kind.name
    masks = match_by_stem(folder / "masks" / ("" if defect == _UNNAMED else defect))
    items = []
    for path in files_in(kind, SAMPLES):
        mask = masks.pop(path.stem, None)
        own = None if mask is None else ImageMask(mask)
        items.append(Item(item_id(folder.parent, path), folder.name, (path,), "test", True, (defect,), own))
    return items, [orphan(folder.parent, path, folder.name) for path in masks.values()]
