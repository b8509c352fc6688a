"""KolektorSDD: `kosNN/PartN.jpg` beside `kosNN/PartN_label.bmp`, black where there is no defect.

Source: Tabernik et al., Journal of Intelligent Manufacturing 31, 2020, with names as in anomalib's kolektor.py
(github.com/open-edge-platform/anomalib). The publishers give folds for supervised training, and no split for one class.
Here the normal surfaces of the first half of the items (by name) are for training, everything else is the test.
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind, Split
from vlm_inspect.datasets.listing import files_in, folders_in, item_id
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

_IMAGES, _LABELS = frozenset({".jpg"}), frozenset({".bmp"})
_TAIL = "_label"
_CATEGORY = "commutator"


class KolektorSdd:
    """The data set; its one class is the surface of plastic-embedded commutators."""

    name = "kolektor-sdd"

    def matches(self, root: Path) -> bool:
        """Return whether folders hold surfaces beside labels."""
        return bool(_parts(root))

    def read(self, root: Path) -> Dataset:
        """Return the items; all surfaces of one commutator are a group.

        Raises:
            DatasetError: no surface, or a label that cannot be read.
        """
        parts = _parts(root)
        if not parts:
            raise DatasetError(f"{root} has no folder with PartN.jpg beside PartN_label.bmp")
        items: list[Item] = []
        problems: list[Problem] = []
        for number, folder in enumerate(parts):
            own, odd = _read_part(root, folder, "train" if number < len(parts) / 2 else "test")
            items += own
            problems += odd
        note = (
            "The publishers give no one-class split: normal surfaces of the first half of the items are for training."
        )
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems), note=note)


def _parts(root: Path) -> list[Path]:
    return [folder for folder in folders_in(root) if any(one.stem.endswith(_TAIL) for one in files_in(folder, _LABELS))]


def _read_part(root: Path, folder: Path, split: Split) -> tuple[list[Item], list[Problem]]:
    labels = {path.stem.removesuffix(_TAIL): path for path in files_in(folder, _LABELS)}
    items: list[Item] = []
    problems: list[Problem] = []
    for path in files_in(folder, _IMAGES):
        label = labels.pop(path.stem, None)
        if label is None:  # whether it is normal is told by the label alone
            message = f"{item_id(root, path)} has no label file; it is left out"
            problems.append(Problem(ProblemKind.MISSING_FILE, _CATEGORY, message, (path,)))
            continue
        mask = ImageMask(label)
        anomalous = bool(mask.read().any())
        items.append(
            Item(
                item_id(root, path),
                _CATEGORY,
                (path,),
                "test" if anomalous else split,
                anomalous,
                ("defect",) if anomalous else (),
                mask if anomalous else None,
                group=folder.name,
            )
        )
    return items, [*problems, *(orphan(root, path, _CATEGORY) for path in labels.values())]
