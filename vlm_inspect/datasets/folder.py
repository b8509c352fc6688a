"""A plain folder: `normal/` and `anomalous/`, and beside them, if wanted, `references/` and `masks/`.

    DIR/[CLASS/]normal/*      DIR/[CLASS/]anomalous/[TYPE/]*
    DIR/[CLASS/]references/*  DIR/[CLASS/]masks/[TYPE/]NAME[_mask].*

`normal` and `anomalous` are the test set, `references` the training one; masks are pictures, 0 where normal. Samples
may be photos, scans, clips or series: anything that `ask` takes. This layout is our own. Folders may also be called
good or ok, and bad, ng, defect or anomaly, in any letter case (`folder_names.py`).
"""

from pathlib import Path

from vlm_inspect.datasets.folder_names import ANOMALOUS, MASKS, NORMAL, REFERENCES, folders_named
from vlm_inspect.datasets.item import Dataset, Item, Problem, Split
from vlm_inspect.datasets.listing import PICTURES, files_in, folders_in, item_id, match_by_stem
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.datasets.mvtec import orphan, without_masks
from vlm_inspect.errors import DatasetError

SAMPLES = PICTURES | {".ply", ".pcd", ".xyz", ".pts", ".asc", ".stl", ".obj", ".off", ".glb", ".npy", ".npz"}
SAMPLES |= {".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".csv", ".tsv"}
_UNNAMED = "anomaly"


class PlainFolder:
    """Two folders of samples, or a folder a class with two such folders."""

    name = "folder"
    mask_layout = "masks/[TYPE/]NAME.png"

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
            items += _normal_items(folder, NORMAL, "test") + _normal_items(folder, REFERENCES, "train")
            for anomalous in folders_named(folder, ANOMALOUS):
                for kind in (anomalous, *folders_in(anomalous)):
                    own, odd = _read_kind(folder, kind, _UNNAMED if kind == anomalous else kind.name)
                    items += own
                    problems += odd
        if not any(item.split == "test" for item in items):
            raise DatasetError(f"{root} has no sample in normal or anomalous")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _classes(root: Path) -> list[Path]:
    folders = [root] if folders_named(root, NORMAL | ANOMALOUS) else folders_in(root)
    return [folder for folder in folders if folders_named(folder, NORMAL | ANOMALOUS)]


def _normal_items(folder: Path, names: frozenset[str], split: Split) -> list[Item]:
    found = [path for part in folders_named(folder, names) for path in files_in(part, SAMPLES)]
    return [Item(item_id(folder.parent, path), folder.name, (path,), split, False) for path in found]


def _read_kind(folder: Path, kind: Path, defect: str) -> tuple[list[Item], list[Problem]]:
    masks: dict[str, Path] = {}
    for place in folders_named(folder, MASKS):
        masks |= match_by_stem(place if defect == _UNNAMED else place / defect)
    items = []
    images, problems = without_masks(folder.parent, files_in(kind, SAMPLES), folder.name)
    for path in images:
        mask = masks.pop(path.stem, None)
        own = None if mask is None else ImageMask(mask)
        items.append(Item(item_id(folder.parent, path), folder.name, (path,), "test", True, (defect,), own))
    return items, [*problems, *(orphan(folder.parent, path, folder.name) for path in masks.values())]
