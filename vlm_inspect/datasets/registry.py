"""The formats by name, and which one a folder is in.

dataset = read_dataset(Path("mvtec_anomaly_detection"))      # or format="mvtec"
"""

from pathlib import Path
from typing import Protocol

from vlm_inspect.datasets.avenue import Avenue
from vlm_inspect.datasets.deeppcb import DeepPcb
from vlm_inspect.datasets.folder import PlainFolder
from vlm_inspect.datasets.item import Dataset
from vlm_inspect.datasets.kolektor import KolektorSdd
from vlm_inspect.datasets.mmad import Mmad
from vlm_inspect.datasets.mvtec import BTAD, MVTEC
from vlm_inspect.datasets.mvtec_3d import Mvtec3d
from vlm_inspect.datasets.mvtec_ad_2 import MvtecAd2
from vlm_inspect.datasets.mvtec_loco import MvtecLoco
from vlm_inspect.datasets.real3d_ad import Real3dAd
from vlm_inspect.datasets.real_iad import RealIad
from vlm_inspect.datasets.ucsd_ped import UcsdPed
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


def detect_format(root: Path) -> str:
    """Return the name of the format that a folder is in.

    Raises:
        DatasetError: there is no such folder, or none fits.
    """
    if not root.exists():
        raise DatasetError(f"{root} does not exist; give the folder of a data set")
    found = next((name for name, one in FORMATS.items() if one.matches(root)), None)
    if found is None:
        raise DatasetError(f"{root} has no known layout; give the folder of a data set, or name one of {_names()}")
    return found


def read_dataset(root: Path, *, format: str = AUTO) -> Dataset:  # noqa: A002 (the option's own name)
    """Return a data folder's items.

    Args:
        root: the data set as it was unpacked, one class folder of it, or MMAD's JSON.
        format: a key of `FORMATS`, or "auto".

    Raises:
        DatasetError: an unknown format, or a folder that is not in it.
    """
    whole = root.absolute()
    name = detect_format(whole) if format == AUTO else format
    if name not in FORMATS:
        raise DatasetError(f"no data format {name!r}; there are {AUTO}, {_names()}")
    try:
        return FORMATS[name].read(whole)
    except OSError as error:
        raise DatasetError(f"{root} cannot be read as {name}: {error}") from error


def _names() -> str:
    return ", ".join(FORMATS)
