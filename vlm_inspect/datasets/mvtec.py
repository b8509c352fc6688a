"""MVTec AD's layout: `CLASS/train/good`, `CLASS/test/<type>`, `CLASS/ground_truth/<type>/<name>_mask.png`.

Sources: Bergmann et al., IJCV 129, 2021 (MVTec AD); Jezek et al., ICUMT 2021 (MPDD, the same layout); Mishra et al.,
ISIE 2021 (BTAD: `ok` and `ko` for good and defective, masks named as the image, .bmp images with .png masks); VisA's
prepare_data.py (github.com/amazon-science/spot-diff: the same layout, masks named as the image). Each was checked
against anomalib's readers (mvtecad.py, mpdd.py, btech.py; github.com/open-edge-platform/anomalib).
"""

from dataclasses import dataclass
from pathlib import Path

from vlm_inspect.datasets.item import Category, Dataset, Item, Problem, ProblemKind, Split
from vlm_inspect.datasets.listing import classes_in, files_in, folders_in, item_id, match_by_stem
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import DatasetError


@dataclass(frozen=True)
class MvtecFolders:
    """A data set of this layout, or one class folder of it."""

    name: str
    normal: str = "good"
    """Name of the folders of normal images."""

    def matches(self, root: Path) -> bool:
        """Return whether a class folder has normal training images and a test folder."""
        found = classes_in(root, "train", self.normal)
        return any((folder / "test").is_dir() and files_in(folder / "train" / self.normal) for folder in found)

    def read(self, root: Path) -> Dataset:
        """Return the items; the type is the test folder's name.

        Raises:
            DatasetError: a class has no training or no test image.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in classes_in(root, "train", self.normal):
            own, odd = self._read_class(folder.parent, folder)
            items += own
            problems += odd
        if not items:
            raise DatasetError(f"{root} is no MVTec-style folder: it needs images in train/{self.normal} and test/*")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))

    def _read_class(self, root: Path, folder: Path) -> tuple[list[Item], list[Problem]]:
        name = folder.name
        train = self._normal_items(root, folder / "train" / self.normal, name, "train")
        train += self._normal_items(root, folder / "validation" / self.normal, name, "validation")
        test, problems = [], []
        for types in folders_in(folder / "test"):
            if types.name == self.normal:
                test += self._normal_items(root, types, name, "test")
                continue
            own, odd = read_defects(root, types, folder / "ground_truth" / types.name, name)
            test += own
            problems += odd
        if not train or not test:
            raise DatasetError(
                f"{folder} is no MVTec-style category: it needs images in train/{self.normal} and test/*"
            )
        return train + test, problems

    @staticmethod
    def _normal_items(root: Path, folder: Path, category: str, split: Split) -> list[Item]:
        return [Item(item_id(root, path), category, (path,), split, False) for path in files_in(folder)]


def read_defects(root: Path, images: Path, masks: Path, category: str) -> tuple[list[Item], list[Problem]]:
    """Return the anomalous test items of one type's folder, and a problem for each mask that belongs to no image."""
    by_stem = match_by_stem(masks)
    items = []
    for path in files_in(images):
        mask = by_stem.pop(path.stem, None)
        own = None if mask is None else ImageMask(mask)
        items.append(Item(item_id(root, path), category, (path,), "test", True, (images.name,), own))
    return items, [orphan(root, path, category) for path in by_stem.values()]


def orphan(root: Path, mask: Path, category: str) -> Problem:
    """Return the problem of a mask without image."""
    message = f"{item_id(root, mask)} is a mask, and its image is missing"
    return Problem(ProblemKind.MASK_WITHOUT_IMAGE, category, message, (mask,))


def read_category(folder: Path) -> Category:
    """Return the images of one class folder.

    Raises:
        DatasetError: there is no `train/good`, or no test image.
    """
    return MVTEC.read(folder).category(folder.name)


MVTEC = MvtecFolders("mvtec")
BTAD = MvtecFolders("btad", normal="ok")
