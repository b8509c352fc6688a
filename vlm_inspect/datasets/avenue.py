"""CUHK Avenue: `training_videos/NN.avi`, `testing_videos/NN.avi`, masks in `testing_label_mask/N_label.mat`.

Source: Lu et al., ICCV 2013, with names as in anomalib's avenue.py (github.com/open-edge-platform/anomalib): `volLabel`
holds one mask a frame, and the published folder of masks may lie in `ground_truth_demo`. ShanghaiTech-like frames with
`_gt` folders are format "ucsd-ped".
"""

from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind
from vlm_inspect.datasets.listing import files_in, item_id
from vlm_inspect.datasets.masks import ClipMask
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

_CLIPS, _MATLAB = frozenset({".avi", ".mp4"}), frozenset({".mat"})
_CATEGORY = "avenue"
_TAIL = "_label"


class Avenue:
    """Every clip is an item; it is anomalous where any of its frames is, and `mask.read()` tells which."""

    name = "avenue"

    def matches(self, root: Path) -> bool:
        """Return whether there are test clips."""
        return bool(files_in(root / "testing_videos", _CLIPS))

    def read(self, root: Path) -> Dataset:
        """Return the clips; those without a mask file are "unlabelled".

        Raises:
            DatasetError: no clip, or a mask file that cannot be read.
        """
        train = files_in(root / "training_videos", _CLIPS)
        items = [Item(item_id(root, path), _CATEGORY, (path,), "train", False) for path in train]
        problems: list[Problem] = []
        masks = _masks(root)
        for path in files_in(root / "testing_videos", _CLIPS):
            mask = masks.pop(path.stem.lstrip("0"), None)
            if mask is None:
                items.append(Item(item_id(root, path), _CATEGORY, (path,), "unlabelled", None))
                message = f"{item_id(root, path)} has no mask file and is not scored"
                problems.append(Problem(ProblemKind.MISSING_FILE, _CATEGORY, message, (path,)))
                continue
            anomalous = bool(mask.read().any())
            defects = ("event",) if anomalous else ()
            own = mask if anomalous else None
            items.append(Item(item_id(root, path), _CATEGORY, (path,), "test", anomalous, defects, own))
        if not items:
            raise DatasetError(f"{root} has no clip in training_videos or testing_videos")
        problems += [orphan(root, mask.path, _CATEGORY) for mask in masks.values()]
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems))


def _masks(root: Path) -> dict[str, ClipMask]:
    """Return the mask files by the clip's number without leading zeros."""
    for folder in (root / "testing_label_mask", root / "ground_truth_demo" / "testing_label_mask"):
        found = files_in(folder, _MATLAB)
        if found:
            return {path.stem.removesuffix(_TAIL).lstrip("0"): ClipMask(path) for path in found}
    return {}
