"""MVTec AD 2: `CLASS/train/good`, `validation/good`, `test_public/{good,bad,ground_truth/bad}` and two private tests.

Source: Heckler-Kram et al., arXiv 2503.21622, with the folders as in anomalib's mvtecad2.py
(github.com/open-edge-platform/anomalib). `test_private` and `test_private_mixed` come without labels: their items are
"unlabelled", are listed, and are never scored.
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, Split
from vlm_inspect.datasets.listing import classes_in, files_in, item_id
from vlm_inspect.datasets.mvtec import read_defects
from vlm_inspect.errors import DatasetError

_NORMAL: dict[str, Split] = {"train/good": "train", "validation/good": "validation", "test_public/good": "test"}
_PRIVATE = ("test_private", "test_private_mixed")


class MvtecAd2:
    """The data set, or one class folder of it."""

    name = "mvtec-ad-2"

    def matches(self, root: Path) -> bool:
        """Return whether a class folder has a public test set."""
        return bool(classes_in(root, "test_public"))

    def read(self, root: Path) -> Dataset:
        """Return the items; the one defect type is "bad".

        Raises:
            DatasetError: there is no image.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in classes_in(root, "test_public"):
            name, base = folder.name, folder.parent
            for part, split in _NORMAL.items():
                items += [Item(item_id(base, path), name, (path,), split, False) for path in files_in(folder / part)]
            public = folder / "test_public"
            own, odd = read_defects(base, public / "bad", public / "ground_truth" / "bad", name)
            items += own
            problems += odd
            for part in _PRIVATE:
                found = files_in(folder / part)
                items += [Item(item_id(base, path), name, (path,), "unlabelled", None) for path in found]
        if not any(item.split == "test" for item in items):
            raise DatasetError(f"{root} has no image in test_public/good or test_public/bad")
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))
