"""Real3D-AD: `CLASS/train/*template*.pcd`, `CLASS/test/NNN_<type>[_cut].pcd`, `CLASS/gt/NNN_<type>[_cut].txt`.

Source: Liu et al., NeurIPS 2023, with names as in dataset_pc.py and README.md of github.com/M-3LAB/Real3D-AD: four
whole prototypes a class to train with; a test scan is normal where its name says "good"; a ground-truth text holds x,
y, z and 0 or 1 a point, and its points (not those of the .pcd) are what the flags are of.
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem
from vlm_inspect.datasets.listing import classes_in, files_in, item_id
from vlm_inspect.datasets.masks import PointMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

_CLOUDS, _TEXTS = frozenset({".pcd"}), frozenset({".txt"})


class Real3dAd:
    """The data set, or one class folder of it."""

    name = "real3d-ad"

    def matches(self, root: Path) -> bool:
        """Return whether a class folder has test clouds in .pcd."""
        return any(files_in(folder / "test", _CLOUDS) for folder in classes_in(root, "test"))

    def read(self, root: Path) -> Dataset:
        """Return the items; masks are `PointMask`, so points are scored, not pixels.

        Raises:
            DatasetError: there is no cloud.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in classes_in(root, "test"):
            train = files_in(folder / "train", _CLOUDS)
            items += [Item(item_id(folder.parent, path), folder.name, (path,), "train", False) for path in train]
            own, odd = _read_test(folder.parent, folder)
            items += own
            problems += odd
        if not items:
            raise DatasetError(f"{root} has no .pcd file in train or test")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _read_test(root: Path, folder: Path) -> tuple[list[Item], list[Problem]]:
    texts = {path.stem: path for path in files_in(folder / "gt", _TEXTS)}
    items = []
    for path in files_in(folder / "test", _CLOUDS):
        if "temp" in path.stem:  # a prototype that strayed into the test folder; the authors' reader skips it too
            continue
        text, kind = texts.pop(path.stem, None), _type_of(path.stem)
        normal = kind == "good"
        mask = None if text is None or normal else PointMask(text)
        defects = () if normal else (kind,)
        items.append(Item(item_id(root, path), folder.name, (path,), "test", not normal, defects, mask))
    return items, [orphan(root, path, folder.name) for path in texts.values()]


def _type_of(stem: str) -> str:
    """Return the defect type in a name such as "482_bulge_cut"."""
    words = [word for word in stem.split("_") if not word.isdigit() and word not in {"cut", "copy"}]
    return words[0] if words else "unnamed"
