"""`cut_out`: a place of a view at the full resolution of what was inspected, with its surroundings.

A view is shrunk to what a model is sent; the source has more to show. A photograph and a frame are cut at their own
pixels, a scan is drawn anew as finely as its points allow, a curve is plotted over a shorter time. Where the source is
not at hand or shows no more, the view itself is cut.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from converters.sample import ImageSample, PointCloud, Sample, Series, VideoClip
from converters.view import BoxXyxyn, View, ViewBudget
from vlm_inspect.prompting.assembly import picture_of
from vlm_inspect.prompting.marks import crop_around

if TYPE_CHECKING:
    from converters.projection import Camera, ScanOrigin
    from converters.series_plot import PlotOrigin

MOST_PIXELS = 768
"""Longest side in pixels of a scan or a plot that is drawn anew."""
_CONTEXT = 1.0
"""Surroundings on each side of a box, in multiples of its longest side."""
_LEAST_SHARE = 0.06
"""Smallest part of a scan's view or of a curve's time that is drawn anew."""
_WORTHWHILE = 1.2
"""A scan is drawn anew where that gives so many times the pixels of the view, at least."""


@dataclass(frozen=True, eq=False)
class Lens:
    """How a place was cut out, so that the same place of another sample is cut out alike."""

    share: float = 0.0
    """Side of the square, in shares of the longest side of the picture that it was cut from."""
    camera: "Camera | None" = None
    half_depth_mm: float = 0.0
    span_s: tuple[float, float] | None = None
    value_limits: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Channel -> lowest and highest value of its axis."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A place of a view, larger."""

    image: NDArray[np.uint8]
    """uint8, HWC, RGB."""
    from_source: bool
    """False where it is a piece of the view itself."""
    lens: Lens


def cut_out(view: View, box_xyxyn: BoxXyxyn, sample: Sample | None, lens: Lens | None = None) -> Cutout:
    """Return a box of a view with its surroundings, from the sample that the view was made of.

    Args:
        view: the view.
        box_xyxyn: the box on it.
        sample: what the view was made of; None: it is not at hand.
        lens: of a cut-out of another sample that this one shall compare with; None: fitted to the box.

    Raises:
        ConversionError: a clip cannot be decoded any more.
    """
    drawn = None
    if isinstance(sample, PointCloud):
        drawn = _of_scan(view, box_xyxyn, sample, lens)
    elif isinstance(sample, Series):
        drawn = _of_curve(view, box_xyxyn, sample, lens)
    if drawn is not None:
        return drawn
    picture, inside = _source_picture(view, box_xyxyn, sample)
    from_source = picture is not None
    if picture is None:
        picture, inside = picture_of(view, box_xyxyn)
    longest = max(picture.shape[:2])
    share = lens.share if lens is not None else 0.0
    crop, side = crop_around(picture, inside, max(1, round(share * longest)) if share else None)
    return Cutout(crop, from_source, Lens(share=side / longest))


def _source_picture(
    view: View, box_xyxyn: BoxXyxyn, sample: Sample | None
) -> tuple[NDArray[np.uint8] | None, BoxXyxyn]:
    """Return the page or frame at its own resolution, and the box on it; None where there is none."""
    picture: NDArray[np.uint8] | None = None
    place = view.origin.locate(box_xyxyn)
    if isinstance(sample, ImageSample) and (place.page or 0) < len(sample.pages):
        picture = sample.pages[place.page or 0]
    elif isinstance(sample, VideoClip) and place.frame is not None:
        picture = next((frame.image for frame in sample.frames(frozenset({place.frame}))), None)
    if picture is None or place.source_xyxy is None:
        return None, box_xyxyn
    height, width = picture.shape[:2]
    sides = (width, height, width, height)
    shares = (min(1.0, max(0.0, at / side)) for at, side in zip(place.source_xyxy, sides, strict=True))
    return picture, cast("BoxXyxyn", tuple(shares))


def _of_scan(view: View, box_xyxyn: BoxXyxyn, cloud: PointCloud, lens: Lens | None) -> Cutout | None:
    """Draw a scan anew through a narrower camera; None for a kind of view that is not drawn from the points alone."""
    from converters.projection import ScanOrigin, zbuffer
    from converters.shading import depth_image, normals_image, shaded_image, surface_normals
    from converters.surface import close_surface

    look, origin = view.key.partition("/")[0], view.origin
    if look not in {"depth", "shaded", "normals"} or not isinstance(origin, ScanOrigin):
        return None
    density = _density(cloud)
    if lens is None:
        lens = _scan_lens(origin, box_xyxyn, density)
    if lens is None or lens.camera is None:
        return None
    posed = (cloud.points @ origin.pose[:3, :3].T + origin.pose[:3, 3]).astype(np.float32)
    seen = close_surface(zbuffer(posed, lens.camera), density)
    if not seen.mask.any():
        return None
    if look == "depth":
        return Cutout(depth_image(seen, lens.half_depth_mm), True, lens)
    normals = surface_normals(seen)
    return Cutout(normals_image(normals) if look == "normals" else shaded_image(seen, normals, cloud), True, lens)


def _scan_lens(origin: "ScanOrigin", box_xyxyn: BoxXyxyn, density: float) -> Lens | None:
    """Return the camera that sees a box and its surroundings; None where the points show no more than the view does."""
    camera = origin.camera
    x0, y0, x1, y1 = box_xyxyn
    side = min(1.0, max(_LEAST_SHARE, max(x1 - x0, y1 - y0) * (1 + 2 * _CONTEXT)))
    middle = [min(1 - side / 2, max(side / 2, centre)) for centre in ((x0 + x1) / 2, (y0 + y1) / 2)]
    half_mm = side * camera.half_extent_mm
    size = min(MOST_PIXELS, round(2 * half_mm * math.sqrt(density)))
    if size < _WORTHWHILE * side * camera.size:
        return None
    low, high = ((m - side / 2) * camera.size for m in middle), ((m + side / 2) * camera.size for m in middle)
    (left, top), (right, bottom) = (map(math.floor, low), map(math.ceil, high))
    rows = origin.index_hw[top:bottom, left:right]
    if not (rows >= 0).any():
        return None
    points = origin.points[rows[rows >= 0]] @ origin.pose[:3, :3].T + origin.pose[:3, 3]
    depth = camera.pixels(points)[1]
    nearest, farthest = float(depth.min()), float(depth.max())
    shift = np.array([*((m - 0.5) * 2 * camera.half_extent_mm for m in middle), (nearest + farthest) / 2])
    moved = replace(camera, centre=camera.centre + camera.rotation.T @ shift, half_extent_mm=half_mm, size=size)
    return Lens(camera=moved, half_depth_mm=max(0.55 * (farthest - nearest), 0.05 * half_mm))


@lru_cache(maxsize=8)
def _density(cloud: PointCloud) -> float:
    from converters.surface import surface_density

    return surface_density(cloud.points)


def _of_curve(view: View, box_xyxyn: BoxXyxyn, series: Series, lens: Lens | None) -> Cutout | None:
    """Plot the channels of a view over the time of a box and as much before and after it; None for other views."""
    from converters.series_plot import PlotOrigin, draw_panels

    origin = view.origin
    if not isinstance(origin, PlotOrigin):
        return None
    span = lens.span_s if lens is not None and lens.span_s is not None else _time_span(origin, box_xyxyn)
    inside = (series.time_s >= span[0]) & (series.time_s <= span[1])
    if int(inside.sum()) < 2:
        return None
    piece = replace(series, time_s=series.time_s[inside], values=series.values[inside])
    own = {panel.channel: (panel.y0, panel.y1) for panel in origin.panels}
    limits = own if lens is None else own | {k: v for k, v in lens.value_limits.items() if k in own}
    shown = [channel for channel in limits if channel < series.values.shape[1]]
    if not shown:
        return None
    ranges = [limits.get(channel, (-1.0, 1.0)) for channel in range(max(shown) + 1)]
    drawn = draw_panels(piece, range(min(shown), max(shown) + 1), ranges, ViewBudget(MOST_PIXELS), is_split=True)
    return Cutout(drawn.image, True, Lens(span_s=span, value_limits=limits))


def _time_span(origin: "PlotOrigin", box_xyxyn: BoxXyxyn) -> tuple[float, float]:
    panel = origin.panels[0]
    left, _, right, _ = panel.box_xyxy
    low, high = (min(1.0, max(0.0, (x * origin.size_hw[1] - left) / (right - left))) for x in box_xyxyn[::2])
    middle, half = (low + high) / 2, max(_LEAST_SHARE, (high - low) * (1 + 2 * _CONTEXT)) / 2
    start, length = panel.t0, panel.t1 - panel.t0
    return start + max(0.0, middle - half) * length, start + min(1.0, middle + half) * length
