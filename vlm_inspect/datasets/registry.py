"""The formats by name, and which one a folder is in.

dataset = read_dataset(Path("mvtec_anomaly_detection"))      # or format="mvtec"
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from vlm_inspect.datasets.avenue import Avenue
from vlm_inspect.datasets.deeppcb import DeepPcb
from vlm_inspect.datasets.folder import PlainFolder
from vlm_inspect.datasets.item import Dataset, Item
from vlm_inspect.datasets.kolektor import KolektorSdd
from vlm_inspect.datasets.listing import folders_in
from vlm_inspect.datasets.mmad import Mmad
from vlm_inspect.datasets.mvtec import BTAD, MVTEC
from vlm_inspect.datasets.mvtec_3d import Mvtec3d
from vlm_inspect.datasets.mvtec_ad_2 import MvtecAd2
from vlm_inspect.datasets.mvtec_loco import MvtecLoco
from vlm_inspect.datasets.real3d_ad import Real3dAd
from vlm_inspect.datasets.real_iad import RealIad
from vlm_inspect.datasets.ucsd_ped import UcsdPed
from vlm_inspect.datasets.unread_files import with_unread_files
from vlm_inspect.datasets.visa import Visa
from vlm_inspect.errors import DatasetError


class Format(Protocol):
    """One way to lay out a data set."""

    @property
    def name(self) -> str:
        """What `--format` takes."""
        ...

    def matches(self, root: Path) -> bool:
        """Return whether a folder looks like it; cheap, reads no picture."""
        ...

    def read(self, root: Path) -> Dataset:
        """Return the items; DatasetError where it is not so after all."""
        ...


_FORMATS: tuple[Format, ...] = (
    Mmad(),
    RealIad(),
    Visa(),
    MvtecAd2(),
    MvtecLoco(),
    Mvtec3d(),
    Real3dAd(),
    BTAD,
    MVTEC,
    KolektorSdd(),
    Avenue(),
    UcsdPed(),
    DeepPcb(),
    PlainFolder(),
)
FORMATS: dict[str, Format] = {one.name: one for one in _FORMATS}
"""In the order in which a folder is tried: the most particular first."""
AUTO = "auto"
_MIXED = (None, "mvtec", "btad", "visa", "folder")
"""Formats whose class folders may lie side by side; None: the folder around them is in no format itself."""


def read_dataset(root: Path, *, format: str = AUTO) -> Dataset:  # noqa: A002 (the option's own name)
    """Return a data folder's items.

    Args:
        root: the data set as it was unpacked, one class folder of it, MMAD's JSON, or a folder of class folders in
            several layouts.
        format: a key of `FORMATS`, or "auto".

    Raises:
        DatasetError: an unknown format, or a folder that is not in it.
    """
    whole = root.absolute()
    if format == AUTO:
        return _read_any(whole)
    if format not in FORMATS:
        raise DatasetError(f"no data format {format!r}; there are {AUTO}, {_names()}")
    return _checked(_read(whole, format))


def _read_any(root: Path) -> Dataset:
    """Return a folder in whatever format it is, together with class folders in it that are in another."""
    name = _format_of(root)
    found = None if name is None else _read(root, name)
    if root.is_dir() and name in _MIXED and (found is None or not _is_one_class(found)):
        used = set() if found is None else {_top(found, path) for item in found.items for path in _paths_of(item)}
        for folder in folders_in(root):
            inner = None if folder.name in used else _format_of(folder)
            if inner is None or inner not in _MIXED:
                continue
            other = _read(folder, inner)
            if _is_one_class(other):
                found = other if found is None else _joined(found, other)
                found = replace(found, root=root, name=root.name)
    if found is None:
        raise DatasetError(_no_format(root))
    return _checked(found)


def _format_of(root: Path) -> str | None:
    return next((name for name, one in FORMATS.items() if one.matches(root)), None)


def _read(root: Path, name: str) -> Dataset:
    try:
        return FORMATS[name].read(root)
    except OSError as error:
        raise DatasetError(f"{root} cannot be read as {name}: {error}") from error


def _checked(dataset: Dataset) -> Dataset:
    """Return the data set with what its folders hold beside it, where its layout reads every file of them."""
    layouts = [getattr(FORMATS[name], "mask_layout", "") for name in dataset.format.split("+")]
    return with_unread_files(dataset, " or ".join(layouts)) if all(layouts) else dataset


def _is_one_class(dataset: Dataset) -> bool:
    """Return whether the root is itself a class folder."""
    return [category.name for category in dataset.categories] == [dataset.root.name]


def _paths_of(item: Item) -> tuple[Path, ...]:
    return (*item.paths, *item.references, *(item.mask.paths if item.mask is not None else ()))


def _top(dataset: Dataset, path: Path) -> str:
    return path.relative_to(dataset.root).parts[0] if path.is_relative_to(dataset.root) else ""


def _joined(one: Dataset, other: Dataset) -> Dataset:
    formats = dict.fromkeys([*one.format.split("+"), other.format])
    return Dataset(
        one.name,
        "+".join(formats),
        one.root,
        (*one.items, *other.items),
        (*one.problems, *other.problems),
        one.questions,
        " ".join(note for note in (one.note, other.note) if note),
    )


def _no_format(root: Path) -> str:
    if not root.exists():
        return f"{root} does not exist; give the folder of a data set"
    return f"{root} has no known layout; give the folder of a data set, or name one of {_names()}"


def _names() -> str:
    return ", ".join(FORMATS)
