"""Folders laid out as MVTec AD: `train/good`, `test/<defect>`, `ground_truth/<defect>/<name>_mask.png`."""

from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_NORMAL = "good"


@dataclass(frozen=True)
class Item:
    """One image of a category. `defect` is the folder's name, "good" for normal ones."""

    path: Path
    defect: str
    mask_path: Path | None = None
    """Mask of the defect; None for normal images, and where the data set has none."""

    @property
    def anomalous(self) -> bool:
        """Whether the folder says that it is no normal sample."""
        return self.defect != _NORMAL


@dataclass(frozen=True)
class Category:
    """The images of one class of parts, each list sorted by path."""

    name: str
    train: tuple[Item, ...]
    test: tuple[Item, ...]

    @property
    def has_masks(self) -> bool:
        """Whether every anomalous test image has a mask, so that pixels can be scored."""
        odd = [item for item in self.test if item.anomalous]
        return bool(odd) and all(item.mask_path is not None for item in odd)


def read_category(folder: Path) -> Category:
    """Return the images of one category folder.

    Raises:
        FileNotFoundError: there is no `train/good`, or no test image.
    """
    train = _images(folder / "train" / _NORMAL, folder)
    defects = sorted(p for p in (folder / "test").glob("*") if p.is_dir())
    test = tuple(item for defect in defects for item in _images(defect, folder))
    if not train or not test:
        raise FileNotFoundError(f"{folder} is no MVTec-style category: it needs images in train/good and test/*")
    return Category(folder.name, train, test)


def _images(folder: Path, category: Path) -> tuple[Item, ...]:
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES)
    return tuple(Item(path, folder.name, _mask_of(path, category)) for path in paths)


def _mask_of(path: Path, category: Path) -> Path | None:
    if path.parent.name == _NORMAL:
        return None
    mask = category / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
    return mask if mask.is_file() else None
