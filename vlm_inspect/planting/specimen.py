"""A specimen: a normal sample made ready to have defects planted on it, whatever kind of sample it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from converters.sample import ImageSample, PointCloud, Sample, Series, VideoClip
from converters.view import BoxXyxyn
from vlm_inspect.localization.foreground import find_foreground
from vlm_inspect.planting.clip_objects import MovingObjects, find_moving
from vlm_inspect.planting.clips import kinds_of, plant_on_clip
from vlm_inspect.planting.curves import CURVE_KINDS, plant_on_curve
from vlm_inspect.planting.picture import kinds_for, plant
from vlm_inspect.planting.scans import SCAN_DEFECTS, ScanDefect
from vlm_inspect.planting.scans import plant as plant_on_scan
from vlm_inspect.planting.surface import Mask, Surface, see_surface
from vlm_inspect.registration.known_scan import Change


@dataclass(frozen=True, eq=False)
class PlantedSample:
    """A sample with one planted defect."""

    sample: Sample
    kind: str
    size: float
    """As measured: diameter of the disc of equal area as a share of the part's longer side; of a curve, and of what
    goes wrong in a clip in time, the share of its length."""
    size_in_unit: float | None = None
    """The same in the unit of a scan (mm), or in seconds of a curve; None of pictures, whose scale is not known."""
    mask: Mask | None = None
    """(H, W) of the picture: where it lies."""
    page: int = 0
    """Which page of a picture file."""
    change: Change | None = None
    """Of a scan: which of its points tell it from the sound one."""


class Specimen(Protocol):
    """A normal sample that defects can be planted on, again and again; it is never changed."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of defects that it can have."""
        ...

    @property
    def compactness(self) -> float:
        """Diameter of the disc of the part's area over its longer side, in (0, 1]; 1 where only one side is known."""
        ...

    def plant(self, kind: str, size: float, contrast: float, generator: np.random.Generator) -> PlantedSample:
        """Return the sample with one defect.

        Args:
            kind: one of `kinds`.
            size: as in `PlantedSample`, in (0, 1).
            contrast: strength, from hardly visible to 1.
            generator: source of every choice.
        """
        ...


@dataclass(frozen=True, eq=False)
class PictureSpecimen:
    """A photograph; of several pages, one is chosen each time."""

    sample: ImageSample
    surfaces: tuple[Surface, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """See `Specimen.kinds`: those that every page can have."""
        return tuple(kind for kind in kinds_for(self.surfaces[0]) if all(kind in kinds_for(s) for s in self.surfaces))

    @property
    def compactness(self) -> float:
        """See `Specimen.compactness`: the mean of the pages."""
        return float(np.mean([surface.compactness for surface in self.surfaces]))

    def plant(self, kind: str, size: float, contrast: float, generator: np.random.Generator) -> PlantedSample:
        """See `Specimen.plant`."""
        page = int(generator.integers(len(self.surfaces)))
        planted = plant(self.surfaces[page], kind, size, contrast, generator)
        pages = (*self.sample.pages[:page], planted.picture, *self.sample.pages[page + 1 :])
        return PlantedSample(replace(self.sample, pages=pages), kind, planted.size, mask=planted.mask, page=page)


@dataclass(frozen=True, eq=False)
class ClipSpecimen:
    """A clip: the defect is in a stretch of its frames; see `clips.py`."""

    sample: VideoClip
    counted: Mask | None
    compactness: float = 1.0

    @cached_property
    def objects(self) -> MovingObjects | None:
        """What moves in it."""
        return find_moving(self.sample, self.counted)

    @property
    def kinds(self) -> tuple[str, ...]:
        """See `Specimen.kinds`."""
        return kinds_of(self.objects)

    def plant(self, kind: str, size: float, contrast: float, generator: np.random.Generator) -> PlantedSample:
        """See `Specimen.plant`; the size is a share of the frame's longer side, or of the clip's length."""
        made = plant_on_clip(self.sample, kind, size, contrast, generator, counted=self.counted, objects=self.objects)
        return PlantedSample(made.clip, kind, made.size)


@dataclass(frozen=True, eq=False)
class CurveSpecimen:
    """A curve."""

    sample: Series
    kinds: tuple[str, ...] = tuple(CURVE_KINDS)
    compactness: float = 1.0

    def plant(self, kind: str, size: float, contrast: float, generator: np.random.Generator) -> PlantedSample:
        """See `Specimen.plant`."""
        curve, share = plant_on_curve(self.sample, kind, size, contrast, generator)
        length_s = float(self.sample.time_s[-1] - self.sample.time_s[0])
        return PlantedSample(curve, kind, share, None if self.sample.time_is_index else share * length_s)


@dataclass(frozen=True, eq=False)
class ScanSpecimen:
    """A scan; the contrast says how deep or high a defect is, up to half its diameter."""

    sample: PointCloud
    longer_side: float
    """Of the scan's box, in its own unit."""
    kinds: tuple[str, ...] = SCAN_DEFECTS
    compactness: float = 1.0

    def plant(self, kind: str, size: float, contrast: float, generator: np.random.Generator) -> PlantedSample:
        """See `Specimen.plant`."""
        diameter = size * self.longer_side
        depth = 0.5 * contrast * diameter
        chosen = SCAN_DEFECTS[SCAN_DEFECTS.index(cast(ScanDefect, kind))]
        cloud, truth = plant_on_scan(self.sample, chosen, diameter, generator, depth_mm=depth)
        return PlantedSample(cloud, kind, size, diameter, change=truth.change)


def prepare_specimen(sample: Sample, ignore: Sequence[BoxXyxyn] = ()) -> Specimen | None:
    """Return the specimen of a normal sample; None where nothing can be planted on it.

    Args:
        sample: as read.
        ignore: boxes of the whole picture that never count: no defect is planted there.
    """
    if isinstance(sample, ImageSample):
        return _prepare_picture(sample, ignore)
    if isinstance(sample, VideoClip):
        counted = _counted(sample.size_hw, ignore)
        return ClipSpecimen(sample, counted) if counted is None or counted.any() else None
    if isinstance(sample, Series):
        return CurveSpecimen(sample)
    side = float(np.ptp(sample.points, axis=0).max())
    return ScanSpecimen(sample, side) if side > 0 else None


def _prepare_picture(sample: ImageSample, ignore: Sequence[BoxXyxyn]) -> PictureSpecimen | None:
    surfaces = []
    for page in sample.pages:
        counted = _counted(page.shape[:2], ignore)
        part = find_foreground(page)
        if counted is not None and not (counted if part is None else counted & part).any():
            return None
        surfaces.append(see_surface(page, part, counted=counted))
    return PictureSpecimen(sample, tuple(surfaces))


def _counted(size_hw: tuple[int, ...], ignore: Sequence[BoxXyxyn]) -> NDArray[np.bool_] | None:
    """Return where a picture counts; None: everywhere."""
    if not ignore:
        return None
    height, width = size_hw[0], size_hw[1]
    counted = np.ones((height, width), bool)
    for x0, y0, x1, y1 in ignore:
        counted[int(y0 * height) : int(np.ceil(y1 * height)), int(x0 * width) : int(np.ceil(x1 * width))] = False
    return counted
