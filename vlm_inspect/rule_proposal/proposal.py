"""`propose_rules`: what a folder of normal parts says of its class."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ConversionError
from converters.registry import read
from converters.sample import Sample, SampleKind, Series
from converters.system_files import is_system_file
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.measured_checks import measure_plainly
from vlm_inspect.measurement.registry import MEASURES, Measure
from vlm_inspect.real_path import real_path
from vlm_inspect.rule_proposal.ranges import Range, Sides, propose_range

MOST_MEASURED = 50
"""Parts that are measured, evenly over the folder; all of them are references."""
_NORMAL_NAMES = frozenset({"good", "normal", "normals", "ok", "pass", "reference", "references", "train", "io"})
"""Folders that say that parts are normal, not what they are."""
_LEFT_OUT = frozenset({"point_spacing"})
"""Measures of the sensor, not of the part."""
_SIDES: Mapping[str, Sides] = {
    "flatness": "max",
    "sharpness": "min",
    "frozen_seconds": "max",
    "black_seconds": "max",
}
_FLAT = 0.05
"""Largest flatness of what may be called flat, as a share of its length."""
_SIGNED = frozenset({"mean_color_a", "mean_color_b", "min", "max"})
_CEILINGS: Mapping[str, float] = {"fill_ratio": 1.0, "mean_color_l": 100.0, "brightness": 255.0}
KIND_WORDS: Mapping[SampleKind, str] = {
    "image": "photos",
    "point_cloud": "scans",
    "video": "clips",
    "series": "curves",
}


@dataclass(frozen=True)
class Proposal:
    """What a folder of normal parts says of its class."""

    class_name: str
    kind: SampleKind
    unit: str
    """Of the coordinates of scans."""
    folder: Path
    files: tuple[Path, ...]
    measured: int
    """Number of parts that were measured."""
    ranges: tuple[Range, ...]
    channels: tuple[str, ...] = ()
    """Of curves."""


def propose_rules(
    folder: Path,
    *,
    class_name: str | None = None,
    unit: str | None = None,
    say: Callable[[str], None] = lambda step: None,
) -> Proposal:
    """Return the proposal.

    Args:
        folder: of normal parts; those in subfolders count.
        class_name: what the parts are called; None: the folder tells.
        unit: of the coordinates of scans; None: mm, and m of glTF, whose standard says so.
        say: told what is being done.

    Raises:
        ReferenceSampleError: no such folder, no part in it, one that cannot be read, or parts of several kinds.
    """
    files = tuple(_parts(folder))
    if not files:
        raise ReferenceSampleError(f"{folder}: no part in it; name a folder of normal parts")
    wanted = files[:: max(1, -(-len(files) // MOST_MEASURED))]
    kinds: dict[SampleKind, Path] = {}
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    channels: Counter[tuple[str, ...]] = Counter()
    own_unit = unit or ("m" if files[0].suffix.lower() in {".glb", ".gltf"} else "mm")
    for number, path in enumerate(wanted, 1):
        say(f"measuring part {number} of {len(wanted)}")
        sample = _read(path)
        kinds.setdefault(sample.kind, path)
        if len(kinds) > 1:
            (one, first), (other, second) = kinds.items()
            raise ReferenceSampleError(
                f"{folder} holds {KIND_WORDS[one]} ({first.name}) and {KIND_WORDS[other]} ({second.name}); a class has "
                "parts of one kind"
            )
        if isinstance(sample, Series):
            channels[sample.names] += 1
        for key, value in _measured(sample, own_unit):
            values[key].append(value)
    return Proposal(
        class_name=class_name or name_of_class(folder),
        kind=next(iter(kinds)),
        unit=own_unit,
        folder=folder,
        files=files,
        measured=len(wanted),
        ranges=tuple(
            _range(key, found)
            for key, found in values.items()
            if len(found) == len(wanted) and _is_telling(key[0], values)
        ),
        channels=channels.most_common(1)[0][0] if channels else (),
    )


def name_of_class(folder: Path) -> str:
    """Return the folder's name in words, or that of the nearest one above that says what the parts are."""
    for place in (real_path(folder), *real_path(folder).parents):
        if place.name and place.name.lower() not in _NORMAL_NAMES:
            return " ".join(place.name.replace("_", " ").replace("-", " ").split())[:200] or "part"
    return "part"


def _parts(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise ReferenceSampleError(f"{folder}: {what}; name a folder of normal parts")
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_system_file(Path(name)))
        yield from (Path(place, name) for name in sorted(names) if not is_system_file(Path(name)))


def _read(path: Path) -> Sample:
    try:
        return read(path)
    except ConversionError as error:
        raise ReferenceSampleError(f"{error}; or take it out of the folder") from error


def _measured(sample: Sample, unit: str) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield measure, channel and unit, and the value, of all that can be measured of a part by itself."""
    for one in MEASURES.values():
        if sample.kind not in one.kinds or one.name in _LEFT_OUT or one.scope.endswith("_to_references"):
            continue
        for channel in _channels(one, sample):
            found = measure_plainly(one.name, sample, unit=unit, channel=channel)
            if found.value is not None:
                yield (one.name, channel or "", found.unit), found.value


def _is_telling(measure: str, values: Mapping[tuple[str, str, str], Sequence[float]]) -> bool:
    """Return whether a measure means something for such parts: only a flat one has a flatness."""
    if measure != "flatness":
        return True
    largest = {name: max(found) for (name, _, _), found in values.items()}
    return largest["flatness"] <= _FLAT * largest.get("length", 0.0)


def _channels(measure: Measure, sample: Sample) -> Sequence[str | None]:
    return sample.names if isinstance(sample, Series) and measure.scope == "channel" else (None,)


def _range(key: tuple[str, str, str], values: Sequence[float]) -> Range:
    measure, channel, unit = key
    least, most = propose_range(
        values,
        sides=_SIDES.get(measure, "both"),
        floor=None if measure in _SIGNED else 0.0,
        ceiling=_CEILINGS.get(measure),
    )
    return Range(measure, channel, unit, len(values), min(values), max(values), least, most)
