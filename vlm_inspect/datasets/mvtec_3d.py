"""MVTec 3D-AD: `CLASS/{train,validation,test}/<type>/{xyz/NNN.tiff, rgb/NNN.png}`, and `gt/NNN.png` in the test set.

Source: Bergmann et al., VISAPP 2022, with the folders as in anomalib's mvtec_3d.py
(github.com/open-edge-platform/anomalib). The scan is what is inspected: an organised (H, W, 3) float TIFF of x, y, z in
metres, (0, 0, 0) where nothing was seen. The photo of the same pixels goes along as the second path.
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind, Split
from vlm_inspect.datasets.listing import classes_in, files_in, folders_in, item_id, match_by_stem
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_SCANS = frozenset({".tif", ".tiff"})


class Mvtec3d:
    """The data set, or one class folder of it."""

    name = "mvtec-3d"

    def matches(self, root: Path) -> bool:
        """Return whether a class folder has training scans."""
        return bool(classes_in(root, "train", "good", "xyz"))

    def read(self, root: Path) -> Dataset:
        """Return the items; masks have the scan's own (H, W).

        Raises:
            DatasetError: there is no scan.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in classes_in(root, "train", "good", "xyz"):
            for split in _SPLITS:
                for kind in folders_in(folder / split):
                    own, odd = _read_kind(folder.parent, kind, folder.name, split)
                    items += own
                    problems += odd
        if not items:
            raise DatasetError(f"{root} has no scan in train/good/xyz or test/*/xyz")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _read_kind(root: Path, kind: Path, category: str, split: Split) -> tuple[list[Item], list[Problem]]:
    anomalous = kind.name != "good"
    photos, masks = match_by_stem(kind / "rgb", ()), match_by_stem(kind / "gt", ())
    items: list[Item] = []
    problems: list[Problem] = []
    for scan in files_in(kind / "xyz", _SCANS):
        photo, mask = photos.pop(scan.stem, None), masks.pop(scan.stem, None)
        if photo is None:
            message = f"{item_id(root, scan)} has no photo in rgb"
            problems.append(Problem(ProblemKind.MISSING_FILE, category, message, (scan,)))
        paths = (scan,) if photo is None else (scan, photo)
        own = ImageMask(mask) if mask is not None and anomalous else None
        defects = (kind.name,) if anomalous else ()
        items.append(Item(item_id(root, scan), category, paths, split, anomalous, defects, own))
    problems += [orphan(root, path, category) for path in masks.values()]
    return items, problems
