"""Real-IAD: `realiad_jsons/CLASS.json` with the split, images below `realiad_<size>/CLASS`.

Source: Wang et al., CVPR 2024, with folders and fields as in anomalib's realiad.py
(github.com/open-edge-platform/anomalib): {"meta": {"normal_class": "OK", "prefix": "CLASS/"}, "train": [...], "test":
[...]}, an entry being `category`, `anomaly_class`, `image_path`, `mask_path` (null where there is none). The archive
may repeat a folder's name inside itself. `realiad_jsons_sv` and `realiad_jsons_fuiad_*` are other protocols: point the
root at a folder that has one of them renamed to `realiad_jsons`.
"""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from vlm_inspect.datasets.item import Dataset, Item, Split
from vlm_inspect.datasets.listing import files_in, folders_in, item_id, read_json, resolve_below
from vlm_inspect.datasets.masks import ImageMask
from vlm_inspect.errors import DatasetError

_LISTS = "realiad_jsons"
_JSON = frozenset({".json"})


class _Entry(BaseModel):
    anomaly_class: str
    image_path: str
    mask_path: str | None = None


class _Meta(BaseModel):
    normal_class: str = "OK"
    prefix: str | None = None


class _Lists(BaseModel):
    meta: _Meta = _Meta()
    train: list[_Entry]
    test: list[_Entry]


class RealIad:
    """The data set in its multi-view protocol: each of a part's five photos is an item, the part is their group."""

    name = "real-iad"

    def matches(self, root: Path) -> bool:
        """Return whether there are lists of classes."""
        return bool(_list_files(root))

    def read(self, root: Path) -> Dataset:
        """Return the items of all lists, at the largest image size that is there.

        Raises:
            DatasetError: a list is wrong, or there is no `realiad_<size>` folder.
        """
        images = _image_root(root)
        items = [item for path in _list_files(root) for item in _read_list(root, images, path)]
        return Dataset(root.name, self.name, root, tuple(items), note=f"Images of {images.name}.")


def _read_list(root: Path, images: Path, path: Path) -> list[Item]:
    category = path.stem
    try:
        lists = _Lists.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    prefix = lists.meta.prefix if lists.meta.prefix is not None else f"{category}/"
    splits: dict[Split, list[_Entry]] = {"train": lists.train, "test": lists.test}
    items = []
    for split, entries in splits.items():
        for entry in entries:
            image = resolve_below(images, prefix + entry.image_path, path)
            anomalous = entry.anomaly_class != lists.meta.normal_class
            mask = None
            if anomalous and entry.mask_path:
                mask = ImageMask(resolve_below(images, prefix + entry.mask_path, path))
            items.append(
                Item(
                    item_id(root, image),
                    category,
                    (image,),
                    split,
                    anomalous,
                    (entry.anomaly_class,) if anomalous else (),
                    mask,
                    group=item_id(root, image.parent),
                )
            )
    return items


def _list_files(root: Path) -> list[Path]:
    return files_in(root / _LISTS, _JSON) or files_in(root / _LISTS / _LISTS, _JSON)


def _image_root(root: Path) -> Path:
    """Return the folder of the largest images; "raw" ones are larger than any number says."""
    sizes = {folder.name.removeprefix("realiad_"): folder for folder in folders_in(root)}
    known = {size: folder for size, folder in sizes.items() if size == "raw" or size.isdigit()}
    if not known:
        raise DatasetError(f"{root} has lists in {_LISTS}, but no folder realiad_256, _512, _1024 or _raw with images")
    return known[max(known, key=lambda size: (size == "raw", int(size) if size.isdigit() else 0))]
