"""How far a scan is from its references, measured and painted on its depth views. Nothing is learned.

Every point of the scan is as far off as it is from the nearest reference, so what some normal part has is normal.
Missing material has no point of its own: points of the nearest reference that every reference has and the scan does
not are painted where a camera would see them, in front of the scan or beside it. The tolerance comes from the
references themselves: each in turn is taken as the scan and compared with the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import BoxXyxyn, View
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.deviation_picture import deviation_picture
from vlm_inspect.measurement.scan import deviations
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.pose import apply, inverse
from vlm_inspect.registration.surface import Points, Surface, nearest, surface
from vlm_inspect.registration.thinning import thinned
from vlm_inspect.tolerance import Tolerance, tolerance_from_normals

_MOST_POINTS = 60_000
_TOP_SHARE = 0.001
"""The score is the mean of the highest values, as many as this share of the scan's points."""
_LEAST_TOP = 5
_PICTURES = 3
_AS_FINE = 0.8
"""A scan with at least this share of the references' points is as exact as they are."""
_SAME_PLACE = 3.0
"""Point spacings within which two references show the same place."""


@dataclass(frozen=True, eq=False)
class ReferenceSurfaces:
    """References made ready once, for any number of scans."""

    surfaces: tuple[Surface, ...]
    """In the common frame."""
    tolerance: Tolerance | None
    """Of the score; None with one reference, which says nothing about how much normal parts differ."""
    coarser: dict[int, Tolerance] = field(default_factory=dict)
    """Tolerances for scans of fewer points, by their number; filled when the first such scan comes."""


@dataclass(frozen=True, eq=False)
class ViewDeviation:
    """Two layers of one view, each float32 (H, W), in the scan's unit."""

    off: NDArray[np.float32]
    """How far the visible point is from the references; 0 on background."""
    missing: NDArray[np.float32]
    """How far visible material of the references is from the scan; also beside the scan's outline."""


@dataclass(frozen=True, eq=False)
class ScanDeviation:
    """What a scan's comparison with its references gives."""

    maps: list[AnomalyMap]
    """One a depth view; `view` is its index among the views that were given."""
    layers: dict[int, ViewDeviation]
    """By the same index."""
    views: list[View]
    """Colour-coded pictures of the directions that deviate most, kind "deviation"."""
    max_mm: float
    """Largest deviation of the scan from its references, missing material included, in the scan's unit."""
    rms_mm: float
    tolerance: Tolerance | None

    def note(self, view: int, box_xyxyn: BoxXyxyn, unit: str = "mm") -> str:
        """Say what was measured in a box of a view: "0.82 mm away from the reference"."""
        off, missing = (_peak_in(layer, box_xyxyn) for layer in (self.layers[view].off, self.layers[view].missing))
        if missing > 1.3 * off:
            return f"material missing, up to {missing:.2f} {unit} of the reference"
        return f"{off:.2f} {unit} {'below' if missing > 0.6 * off else 'away from'} the reference"


@dataclass(frozen=True, eq=False)
class _Comparison:
    """Deviations of one scan, by point."""

    query: Surface
    off: NDArray[np.float64]
    """(N,), of the query's points."""
    reference: Surface
    """The nearest one."""
    nearest: int
    missing: NDArray[np.float64]
    """(M,), of the nearest reference's points."""

    @property
    def top(self) -> int:
        """How many of the highest values make the score."""
        return max(_LEAST_TOP, round(_TOP_SHARE * len(self.off)))


def prepare_references(
    references: Sequence[PosedCloud],
    remember: Callable[[Callable[[], list[float]]], list[float]] = lambda scores: scores(),
) -> ReferenceSurfaces:
    """Return the surfaces of references (at least one) in their common frame, and the tolerance they set.

    With n >= 2, each in turn is compared with the others: n scores of normal parts. That is slow: `remember` may return
    the scores of an earlier time instead of calling the function that it is given.
    """
    surfaces = tuple(_surface_of(reference) for reference in references)
    if not surfaces:
        raise ValueError("a deviation needs at least one reference")
    if len(surfaces) == 1:
        return ReferenceSurfaces(surfaces, None)
    return ReferenceSurfaces(surfaces, tolerance_from_normals(remember(lambda: _normal_scores(surfaces))))


def tolerance_for(ready: ReferenceSurfaces, points: int) -> Tolerance | None:
    """Return the tolerance for a scan of that many points: a coarser scan than the references is less exact."""
    finest = min(len(one.points) for one in ready.surfaces)
    if ready.tolerance is None or points >= _AS_FINE * finest:
        return ready.tolerance
    step = int(np.floor(np.log(points / finest) / np.log(_AS_FINE) + 1e-9))
    fewer = max(8, int(finest * _AS_FINE**step))
    if fewer not in ready.coarser:
        found = tolerance_from_normals(_normal_scores(ready.surfaces, fewer))
        ready.coarser[fewer] = max(found, ready.tolerance, key=lambda one: one.limit)
    return ready.coarser[fewer]


def _normal_scores(surfaces: tuple[Surface, ...], points: int | None = None) -> list[float]:
    """Return the score of each reference, at that many of its points, against the others."""
    scores = []
    for i, one in enumerate(surfaces):
        query = one if points is None else _coarser(one, points)
        found = _compare(query, surfaces[:i] + surfaces[i + 1 :])
        scores.append(_top_mean(np.concatenate([found.off, found.missing]), found.top))
    return scores


def _coarser(one: Surface, points: int) -> Surface:
    """Return a surface of some of its points, drawn as a scanner would: anywhere. The same ones every time."""
    drawn = np.random.default_rng(0).permutation(len(one.points))[:points]
    return surface(one.points[np.sort(drawn)])


def scan_deviation(
    query: PosedCloud,
    references: Sequence[PosedCloud] | ReferenceSurfaces,
    views: Sequence[View],
    *,
    unit: str = "mm",
) -> ScanDeviation:
    """Return maps, pictures and numbers of a scan's deviation from its references.

    Args:
        query: the scan, posed in the frame of the references.
        references: normal scans posed in that frame, or what `prepare_references` made of them.
        views: the scan's views; those of kind "depth" get a map.
        unit: of the scan's coordinates.
    """
    ready = references if isinstance(references, ReferenceSurfaces) else prepare_references(references)
    own = _surface_of(query)
    found, tolerance = _compare(own, ready.surfaces), tolerance_for(ready, len(own.points))
    back = inverse(query.pose)
    maps, layers = [], {}
    for i, view in enumerate(views):
        if view.kind != "depth" or not isinstance(view.origin, ScanOrigin):
            continue
        layers[i], score = _painted(found, view.origin, view.origin.pose @ back)
        values = np.maximum(layers[i].off, layers[i].missing)
        maps.append(AnomalyMap(i, values, score, "deviation", unit, tolerance, nearest_reference=found.nearest))
    shown = sorted(maps, key=lambda one: -one.score)[:_PICTURES]
    full = max((float(one.values.max()) for one in shown), default=0.0)
    pictures = [deviation_picture(views[one.view], one.values, tolerance, full, unit) for one in shown]
    both = np.concatenate([found.off, found.missing])
    rms = float(np.sqrt((both**2).mean()))
    return ScanDeviation(maps, layers, pictures, float(both.max()), rms, tolerance)


def _surface_of(posed: PosedCloud) -> Surface:
    points = posed.points
    return surface(points[thinned(points, _MOST_POINTS)])


def _compare(query: Surface, references: Sequence[Surface]) -> _Comparison:
    pairs = [deviations(query, reference) for reference in references]
    off = np.min([there for there, _ in pairs], axis=0)
    closest = int(np.argmin([np.hypot(*(np.sqrt((d**2).mean()) for d in pair)) for pair in pairs]))
    missing = pairs[closest][1]
    for i, other in enumerate(references):
        if i != closest:
            gaps, near = (found[:, 0] for found in nearest(other.tree, references[closest].points))
            # Where another normal part has nothing, nothing is missing.
            theirs = np.where(gaps < _SAME_PLACE * other.spacing, pairs[i][1][near], 0.0)
            missing = np.minimum(missing, theirs)
    return _Comparison(query, off, references[closest], closest, missing)


def _painted(found: _Comparison, origin: ScanOrigin, to_camera: NDArray[np.float64]) -> tuple[ViewDeviation, float]:
    """Return the layers of one view and its score; `to_camera` is the pose from the common frame to the camera's."""
    seen = origin.index_hw >= 0
    off = np.zeros(seen.shape, dtype=np.float32)
    posed = apply(origin.pose, origin.points[origin.index_hw[seen]])
    _, near = nearest(found.query.tree, apply(inverse(to_camera), posed))
    off[seen] = found.off[near[:, 0]]
    depth = np.full(seen.shape, np.inf)
    depth[seen] = origin.camera.pixels(posed)[1]
    missing, visible = _missing_layer(found, origin, apply(to_camera, found.reference.points), depth)
    counted = np.concatenate([found.off[np.unique(near)], found.missing[visible]])
    return ViewDeviation(off, missing), _top_mean(counted, found.top)


def _missing_layer(
    found: _Comparison, origin: ScanOrigin, points: Points, depth: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the painted layer (H, W) of missing material, and which points (M,) of the reference it shows.

    A reference point is seen where neither the scan nor the reference itself has a surface nearer to the camera.
    """
    import cv2

    side = origin.camera.size
    xy, far = origin.camera.pixels(points)
    columns, rows = np.floor(xy.T).astype(np.int64)
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    flat = np.where(inside, rows * side + columns, 0)
    radius = max(1, round(1.2 * found.reference.spacing / origin.mm_per_px))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))

    front = np.full(side * side, np.float32(np.finfo(np.float32).max))
    np.minimum.at(front, flat[inside], far[inside].astype(np.float32))
    front_hw = cv2.erode(front.reshape(side, side), disc)
    slack = 2.0 * found.reference.spacing
    visible = inside & (far <= np.minimum(depth, front_hw).ravel()[flat] + slack)

    layer = np.zeros(side * side, dtype=np.float32)
    np.maximum.at(layer, flat[visible], found.missing[visible].astype(np.float32))
    return np.asarray(cv2.dilate(layer.reshape(side, side), disc), dtype=np.float32), visible


def _top_mean(values: NDArray[np.float64], count: int) -> float:
    """Return the mean of the highest values: one noisy point does not decide, a small dent does."""
    count = min(count, len(values))
    return float(np.partition(values, -count)[-count:].mean()) if count else 0.0


def _peak_in(layer: NDArray[np.float32], box_xyxyn: BoxXyxyn) -> float:
    height, width = layer.shape
    x0, y0, x1, y1 = box_xyxyn
    rows = slice(int(y0 * height), max(int(y0 * height) + 1, int(np.ceil(y1 * height))))
    columns = slice(int(x0 * width), max(int(x0 * width) + 1, int(np.ceil(x1 * width))))
    return float(layer[rows, columns].max(initial=0.0))
