"""Origins as data: how the pixels of a kept view map back to the part, the same to the last digit.

Of a scan only the points are kept that some view shows: no other is ever looked up. They are shared by its views.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from converters.frame_grid import FramesOrigin
from converters.image import ImageOrigin
from converters.series_plot import PlotOrigin
from converters.view import BoxXyxyn, Origin, Pane, Place, View
from vlm_inspect.errors import StoreError
from vlm_inspect.store.files import Bundle, FileFolder

if TYPE_CHECKING:
    from converters.projection import ScanOrigin

Entry = dict[str, Any]
_PLAIN: dict[str, type[Any]] = {"image": ImageOrigin, "frames": FramesOrigin, "plot": PlotOrigin}


@dataclass(frozen=True)
class UnknownOrigin:
    """Origin of a reference's view in a record, whose places on the reference are not kept."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return a place of which nothing is known."""
        return Place()


def pack_origins(views: Sequence[View], bundle: Bundle) -> list[Entry]:
    """Return the origins of the views of one part; their arrays go into the bundle.

    Raises:
        StoreError: an origin of another kind than the converters'.
    """
    from converters.panels import PanelOrigin
    from converters.projection import ScanOrigin

    panels = {index: view.origin for index, view in enumerate(views) if isinstance(view.origin, PanelOrigin)}
    scans = {index: view.origin for index, view in enumerate(views) if isinstance(view.origin, ScanOrigin)}
    packed = _pack_scans(scans | {index: one.origin for index, one in panels.items()}, bundle)
    for index, one in panels.items():
        panes = [asdict(pane) for pane in one.panes]
        packed[index] = {"kind": "panels", "panes": panes, "size_hw": list(one.size_hw), "of": packed[index]}
    return [packed[index] if index in packed else _pack_plain(view.origin) for index, view in enumerate(views)]


def unpack_origin(entry: Entry, files: FileFolder) -> Origin:
    """Return the origin that was packed.

    Raises:
        StoreError: its arrays are gone or damaged.
        pydantic.ValidationError, KeyError: the entry is none.
    """
    if entry["kind"] == "unknown":
        return UnknownOrigin()
    if entry["kind"] == "scan":
        return _unpack_scan(entry, files)
    if entry["kind"] == "panels":
        from converters.panels import PanelOrigin

        panes, size_hw = TypeAdapter(tuple[Pane, ...]), TypeAdapter(tuple[int, int])
        shown = panes.validate_python(entry["panes"]), size_hw.validate_python(entry["size_hw"])
        return PanelOrigin(*shown, _unpack_scan(entry["of"], files))
    origin: Origin = TypeAdapter(_PLAIN[entry["kind"]]).validate_python(entry["data"])
    return origin


def _pack_plain(origin: Origin) -> Entry:
    for kind, known in _PLAIN.items():
        if isinstance(origin, known):
            return {"kind": kind, "data": asdict(origin)}
    raise StoreError(f"a view whose origin is a {type(origin).__name__} cannot be kept; convert it with converters")


def _pack_scans(scans: "Mapping[int, ScanOrigin]", bundle: Bundle) -> dict[int, Entry]:
    shown: dict[int, NDArray[np.bool_]] = {}
    for origin in scans.values():
        seen = shown.setdefault(id(origin.points), np.zeros(len(origin.points), dtype=np.bool_))
        seen[origin.index_hw[origin.index_hw >= 0]] = True
    clouds = {
        id(origin.points): bundle.add_arrays({"points": origin.points[shown[id(origin.points)]]})
        for origin in scans.values()
    }
    entries = {}
    for number, origin in scans.items():
        new_row = np.cumsum(shown[id(origin.points)], dtype=np.int32) - 1
        index_hw = np.where(origin.index_hw >= 0, new_row[origin.index_hw], np.int32(-1))
        camera = origin.camera
        entries[number] = {
            "kind": "scan",
            "index": bundle.add_arrays({"index_hw": index_hw.astype(np.int32)}),
            "points": clouds[id(origin.points)],
            "pose": origin.pose.tolist(),
            "direction": camera.direction,
            "rotation": camera.rotation.tolist(),
            "centre": camera.centre.tolist(),
            "half_extent_mm": camera.half_extent_mm,
            "size": camera.size,
        }
    return entries


def _unpack_scan(entry: Entry, files: FileFolder) -> "ScanOrigin":
    from converters.projection import Camera, ScanOrigin

    camera = Camera(
        direction=entry["direction"],
        rotation=np.array(entry["rotation"], dtype=np.float64),
        centre=np.array(entry["centre"], dtype=np.float64),
        half_extent_mm=entry["half_extent_mm"],
        size=entry["size"],
    )
    return ScanOrigin(
        index_hw=files.arrays(entry["index"])["index_hw"],
        points=files.arrays(entry["points"])["points"],
        camera=camera,
        pose=np.array(entry["pose"], dtype=np.float64),
    )
