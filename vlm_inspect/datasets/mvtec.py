"""MVTec AD's layout: `CLASS/train/good`, `CLASS/test/<type>`, `CLASS/ground_truth/<type>/<name>_mask.png`.

Sources: Bergmann et al., IJCV 129, 2021 (MVTec AD); Jezek et al., ICUMT 2021 (MPDD, the same layout); Mishra et al.,
ISIE 2021 (BTAD: `ok` and `ko` for good and defective, masks named as the image, .bmp images with .png masks); VisA's
prepare_data.py (github.com/amazon-science/spot-diff: the same layout, masks named as the image). Each was checked
against anomalib's readers (mvtecad.py, mpdd.py, btech.py; github.com/open-edge-platform/anomalib).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_inspect.datasets.folder_names import NORMAL, folders_named, is_named
from vlm_inspect.datasets.item import Category, Dataset, Item, Problem, ProblemKind, Split
from vlm_inspect.datasets.listing import classes_in, files_in, folders_in, item_id, match_by_stem
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import DatasetError

_TAIL = "_mask"


@dataclass(frozen=True)
class MvtecFolders:
    """A data set of this layout, or one class folder of it."""

    name: str
    normal: frozenset[str] = NORMAL
    """Names of the folders of normal images, in lower case."""
    mask_layout: str = "ground_truth/TYPE/NAME_mask.png"

    def matches(self, root: Path) -> bool:
        """Return whether a class folder has a test folder, and normal training images or a folder of masks."""
        return bool(self._classes(root))

    def read(self, root: Path) -> Dataset:
        """Return the items; the type is the test folder's name.

        Raises:
            DatasetError: a class has no test image.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in self._classes(root):
            own, odd = self._read_class(folder.parent, folder)
            items += own
            problems += odd
        if not items:
            raise DatasetError(f"{root} is not an MVTec-style folder: it needs images in train/good and test/*")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))

    def _classes(self, root: Path) -> list[Path]:
        return [folder for folder in classes_in(root, "test") if self._is_class(folder)]

    def _is_class(self, folder: Path) -> bool:
        if self._files(folder / "train"):
            return True
        has_normal = bool(self._files(folder / "test")) or self.normal == NORMAL
        return has_normal and bool(folders_in(folder / "ground_truth")) and bool(folders_in(folder / "test"))

    def _read_class(self, root: Path, folder: Path) -> tuple[list[Item], list[Problem]]:
        name = folder.name
        train = self._normal_items(root, folder / "train", name, "train")
        train += self._normal_items(root, folder / "validation", name, "validation")
        test: list[Item] = self._normal_items(root, folder / "test", name, "test")
        problems: list[Problem] = []
        for types in folders_in(folder / "test"):
            if is_named(types, self.normal):
                continue
            own, odd = read_defects(root, types, folder / "ground_truth" / types.name, name)
            test += own
            problems += odd
        if not test:
            raise DatasetError(f"{folder} is not an MVTec-style category: it needs images in train/good and test/*")
        return train + test, problems

    def _normal_items(self, root: Path, folder: Path, category: str, split: Split) -> list[Item]:
        return [Item(item_id(root, path), category, (path,), split, False) for path in self._files(folder)]

    def _files(self, folder: Path) -> list[Path]:
        """Return the normal images of a split."""
        return [path for own in folders_named(folder, self.normal) for path in files_in(own)]


def read_defects(root: Path, images: Path, masks: Path, category: str) -> tuple[list[Item], list[Problem]]:
    """Return the anomalous test items of one type's folder, and a problem for each mask that belongs to no image."""
    by_stem = match_by_stem(masks)
    items = []
    own_images, problems = without_masks(root, files_in(images), category)
    for path in own_images:
        mask = by_stem.pop(path.stem, None)
        own = None if mask is None else ImageMask(mask)
        items.append(Item(item_id(root, path), category, (path,), "test", True, (images.name,), own))
    return items, [*problems, *(orphan(root, path, category) for path in by_stem.values())]


def without_masks(root: Path, files: Sequence[Path], category: str) -> tuple[list[Path], list[Problem]]:
    """Return the files that are no masks of others beside them (NAME_mask beside NAME), and a problem where some are.

    Such masks would be judged as parts.
    """
    stems = {path.stem for path in files}
    masks = [path for path in files if path.stem.endswith(_TAIL) and path.stem.removesuffix(_TAIL) in stems]
    if not masks:
        return list(files), []
    message = f"{len(masks)} masks lie among the images, such as {item_id(root, masks[0])}; they are not read"
    left = [path for path in files if path not in set(masks)]
    return left, [Problem(ProblemKind.MASK_LAYOUT, category, message, tuple(masks))]


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
BTAD = MvtecFolders("btad", frozenset({"ok"}), "ground_truth/TYPE/NAME.png")
