"""MVTec LOCO AD: MVTec AD's folders, one mask file a region, and `defects_config.json` with what a region saturates at.

    CLASS/train/good  CLASS/validation/good  CLASS/test/{good,logical_anomalies,structural_anomalies}
    CLASS/ground_truth/<type>/<image's name>/000.png, 001.png, ...  CLASS/defects_config.json

Source: Bergmann et al., IJCV 130, 2022, and the evaluation code published with the data (one channel is one region; its
pixel value names the defect in defects_config.json: `defect_name`, `pixel_value`, `saturation_threshold`,
`relative_saturation`); folders checked against anomalib's mvtec_loco.py.
"""

from pathlib import Path

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from vlm_inspect.datasets.item import Dataset, Item, Problem, Split
from vlm_inspect.datasets.listing import classes_in, files_in, folders_in, item_id, read_json
from vlm_inspect.datasets.masks import RegionMask, Saturation
from vlm_inspect.datasets.mvtec import orphan
from vlm_inspect.errors import DatasetError

LOGICAL, STRUCTURAL = "logical_anomalies", "structural_anomalies"
_NORMAL: dict[str, Split] = {"train/good": "train", "validation/good": "validation", "test/good": "test"}

_Saturations = tuple[tuple[int, Saturation], ...]


class _Defect(BaseModel):
    """One entry of defects_config.json."""

    defect_name: str
    pixel_value: int = Field(ge=1, le=255)
    saturation_threshold: float = Field(gt=0)
    relative_saturation: bool


class MvtecLoco:
    """The data set, or one class folder of it."""

    name = "mvtec-loco"

    def matches(self, root: Path) -> bool:
        """Return whether a class folder tells logical from structural anomalies."""
        return bool(classes_in(root, "test", LOGICAL) or classes_in(root, "test", STRUCTURAL))

    def read(self, root: Path) -> Dataset:
        """Return the items; the type is logical_anomalies or structural_anomalies, masks are `RegionMask`.

        Raises:
            DatasetError: no image, or a defects_config.json that is missing or wrong.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for folder in classes_in(root, "test"):
            name, base = folder.name, folder.parent
            for part, split in _NORMAL.items():
                items += [Item(item_id(base, path), name, (path,), split, False) for path in files_in(folder / part)]
            own, odd = _read_anomalies(base, folder)
            items += own
            problems += odd
        if not items:
            raise DatasetError(f"{root} has no image in train/good or test/*")
        note = "Report AU-sPRO at FPR limit 0.05, and logical and structural anomalies apart (Bergmann et al. 2022)."
        return Dataset(root.name, self.name, root, tuple(items), tuple(problems), note=note)


def _read_anomalies(root: Path, folder: Path) -> tuple[list[Item], list[Problem]]:
    saturations = _read_config(folder / "defects_config.json") if (folder / "ground_truth").is_dir() else ()
    items: list[Item] = []
    problems: list[Problem] = []
    for kind in (LOGICAL, STRUCTURAL):
        channels = {one.name: files_in(one) for one in folders_in(folder / "ground_truth" / kind)}
        for path in files_in(folder / "test" / kind):
            own = channels.pop(path.stem, [])
            mask = RegionMask(tuple(own), saturations) if own else None
            items.append(Item(item_id(root, path), folder.name, (path,), "test", True, (kind,), mask))
        problems += [orphan(root, paths[0], folder.name) for paths in channels.values() if paths]
    return items, problems


def _read_config(path: Path) -> _Saturations:
    try:
        entries = TypeAdapter(list[_Defect]).validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"{path}: {where or 'the file'}: {first['msg']}") from error
    odd = next((one for one in entries if one.relative_saturation and one.saturation_threshold > 1), None)
    if odd is not None:
        raise DatasetError(f"{path}: {odd.defect_name}: a relative saturation is a share of the area, at most 1")
    return tuple(
        (one.pixel_value, Saturation(one.defect_name, one.saturation_threshold, one.relative_saturation))
        for one in entries
    )
