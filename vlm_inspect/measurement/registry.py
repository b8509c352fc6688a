"""Every measure by name: what a rule's `check: {measure: ...}` may ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from converters.sample import SampleKind
from vlm_inspect.measurement import image, mesh, partial, scan, series, video
from vlm_inspect.measurement.partial import SeenValue

Scope = Literal["sample", "sample_to_references", "page", "page_to_references", "channel"]
"""What the function takes: the sample; the sample and posed references; a page; a page and reference pages; times and
values of a channel."""

_KIND_NAMES: dict[SampleKind, str] = {
    "point_cloud": "scans",
    "image": "images",
    "video": "videos",
    "series": "curves",
}


@dataclass(frozen=True)
class Measure:
    """One measurable quantity."""

    name: str
    function: Callable[..., float]
    unit: str
    """"{unit}" stands for the unit of a scan, "{channel}" for that of a curve's channel; "" is a plain number."""
    kinds: tuple[SampleKind, ...]
    scope: Scope
    description: str
    side: Callable[..., str] | None = None
    """Of the same arguments: what the value alone does not say, in words."""
    of_whole: bool = True
    """Whether it means nothing where a scan does not show all of the part."""
    of_seen: Callable[..., SeenValue] | None = None
    """Of the posed scan, its posed references and what it shows of the part: what is known then; None: nothing."""

    takes_time: bool = False
    """Whether it is another value where times are in another unit."""

    @property
    def compares(self) -> bool:
        """Whether it needs references."""
        return self.scope.endswith("_to_references")


_SCAN: tuple[SampleKind, ...] = ("point_cloud",)
_IMAGE: tuple[SampleKind, ...] = ("image",)
_VIDEO: tuple[SampleKind, ...] = ("video",)
_SERIES: tuple[SampleKind, ...] = ("series",)

_ALL = (
    Measure(
        "length",
        scan.length,
        "{unit}",
        _SCAN,
        "sample",
        "longest side of the smallest box around the part",
        of_seen=partial.length,
    ),
    Measure("width", scan.width, "{unit}", _SCAN, "sample", "middle side of the smallest box", of_seen=partial.width),
    Measure(
        "height", scan.height, "{unit}", _SCAN, "sample", "shortest side of the smallest box", of_seen=partial.height
    ),
    Measure("volume", mesh.volume, "{unit}^3", _SCAN, "sample", "volume of a closed mesh"),
    Measure("area", mesh.area, "{unit}^2", _SCAN, "sample", "surface area of a closed mesh"),
    Measure("hole_count", scan.hole_count, "", _SCAN, "sample", "number of through holes"),
    Measure(
        "flatness",
        scan.flatness,
        "{unit}",
        _SCAN,
        "sample",
        "peak to valley from the least-squares plane",
        of_whole=False,
    ),
    Measure(
        "point_spacing",
        scan.point_spacing,
        "{unit}",
        _SCAN,
        "sample",
        "median distance to the nearest point",
        of_whole=False,
    ),
    Measure(
        "max_deviation",
        scan.max_deviation,
        "{unit}",
        _SCAN,
        "sample_to_references",
        "largest distance to the nearest reference (of a mesh, its triangles), without sign; the reason says whether "
        "material is missing",
        scan.deviation_side,
        of_seen=partial.max_deviation,
    ),
    Measure(
        "rms_deviation",
        scan.rms_deviation,
        "{unit}",
        _SCAN,
        "sample_to_references",
        "RMS distance to the nearest reference",
    ),
    Measure("part_count", image.part_count, "", _IMAGE, "page", "number of separate parts on the background"),
    Measure("fill_ratio", image.fill_ratio, "", _IMAGE, "page", "share of the picture that parts cover"),
    Measure("mean_color_l", image.mean_color_l, "", _IMAGE, "page", "mean lightness L* of the part, 0 to 100"),
    Measure("mean_color_a", image.mean_color_a, "", _IMAGE, "page", "mean a* of the part, green to red"),
    Measure("mean_color_b", image.mean_color_b, "", _IMAGE, "page", "mean b* of the part, blue to yellow"),
    Measure(
        "color_distance",
        image.color_distance,
        "",
        _IMAGE,
        "page_to_references",
        "CIEDE2000 distance of the mean colour to the nearest reference",
    ),
    Measure("sharpness", image.sharpness, "", _IMAGE, "page", "variance of the Laplacian of the grey picture"),
    Measure("brightness", image.brightness, "", _IMAGE, "page", "mean grey level, 0 to 255"),
    Measure("frame_rate", video.frame_rate, "1/s", _VIDEO, "sample", "frames a second"),
    Measure("frozen_seconds", video.frozen_seconds, "s", _VIDEO, "sample", "time without any motion"),
    Measure("black_seconds", video.black_seconds, "s", _VIDEO, "sample", "time with a black picture"),
    Measure("duration", video.duration, "s", (*_VIDEO, *_SERIES), "sample", "length in seconds", takes_time=True),
    Measure("min", series.minimum, "{channel}", _SERIES, "channel", "smallest value"),
    Measure("max", series.maximum, "{channel}", _SERIES, "channel", "largest value"),
    Measure("rms", series.rms, "{channel}", _SERIES, "channel", "root mean square"),
    Measure("peak_count", series.peak_count, "", _SERIES, "channel", "number of prominent peaks"),
    Measure(
        "dominant_frequency",
        series.dominant_frequency,
        "Hz",
        _SERIES,
        "channel",
        "frequency of most power",
        takes_time=True,
    ),
)

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}


def known_measures() -> str:
    """List the names by kind of input: "scans: length, ...; images: ..."."""
    groups = []
    for kind, title in _KIND_NAMES.items():
        names = [measure.name for measure in _ALL if kind in measure.kinds]
        groups.append(f"{title}: {', '.join(names)}")
    return "; ".join(groups)


def kind_names(measure: Measure) -> str:
    """Name the kinds of input that a measure is for: "videos or curves"."""
    return " or ".join(_KIND_NAMES[kind] for kind in measure.kinds)
