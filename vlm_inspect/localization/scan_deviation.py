"""How far a scan is from its references, measured, held against how normal parts differ, and painted on its views.

Every point of the scan has a signed distance to the references; every place of the references has one to the scan,
which tells missing material that has no point of its own. Both are counted in normal spreads of the place
(registration/variation.py) and painted where a camera would see them, as millimetres of a typical place: a deviation of
0.1 mm where normal parts differ by 0.01 mm is hotter than one of 0.3 mm where they differ by 0.1 mm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.projection import ScanOrigin
from converters.view import BoxXyxyn, Place, View
from vlm_inspect.evidence import AnomalyMap, SurfaceDeviation
from vlm_inspect.localization.deviation_picture import deviation_picture
from vlm_inspect.localization.evidence_views import EvidenceCamera
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.comparison import SCALES, far_off, scan_surface
from vlm_inspect.registration.coverage import Coverage, seen_again
from vlm_inspect.registration.findings import Finding, find
from vlm_inspect.registration.judged import Judged
from vlm_inspect.registration.majority import majority_pose
from vlm_inspect.registration.pose import apply, inverse
from vlm_inspect.registration.surface import Points, Surface, nearest
from vlm_inspect.registration.variation import Variation
from vlm_inspect.tolerance import Tolerance

_PICTURES = 3
_FINDINGS = 8
_LEAST_STRENGTH = 4.0
"""Normal spreads below which nothing is a finding, where no tolerance says so."""
_GROSS = ((12.0, 0.25), (4.0, 0.1))
"""Normal spreads, and the share of points beyond them, that make one ask whether the scan is of the part: flanks of a
screw that is mirrored are not far off, but many of them are."""
_ODD = 1.6
"""Times what is usual from which nine in ten points lie far off: sound scans of screws, gears and plates have 0.75 to
1.12, mirrored screws 2.4 from 6,000 points on."""
_FAR, _FAR_SHARE = 0.03, 0.03
"""The same in shares of the part's size: what lies beside the part."""

Layer = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ViewDeviation:
    """Layers of one view, each float32 (H, W), in the scan's unit."""

    values: Layer
    """>= 0: what the map holds, deviations weighed by how much normal parts differ there; also beside the outline."""
    signed: Layer
    """Deviation of the visible point, or of missing material; positive is too much, negative too little."""


@dataclass(frozen=True, eq=False)
class ScanDeviation:
    """What a scan's comparison with its references gives."""

    maps: list[AnomalyMap]
    """One a depth view; `view` is its index among the views that were given."""
    layers: dict[int, ViewDeviation]
    """By the same index."""
    views: list[View]
    """Colour-coded pictures of the directions that deviate most, then closer ones of the strongest findings beside
    references; kind "deviation"."""
    findings: list[Finding]
    """Places of the part that deviate, strongest first."""
    log_scores: NDArray[np.float64]
    """(CHANNELS,), of the whole part."""
    score: float
    """Of the whole part, in normal spreads."""
    surface: SurfaceDeviation
    """Of every point of the scan as it was read."""
    coverage: Coverage
    unit: str
    size: float
    """Of the part of the references, in that unit: the diagonal of its box."""
    odd_throughout: bool
    """Whether most of its points lie farther off than the references' do, as those of a mirror image."""
    _origins: dict[int, ScanOrigin]

    @property
    def off(self) -> NDArray[np.float64]:
        """(N,), >= 0: of every point of the scan as it was read, in normal spreads."""
        return self.surface.spreads

    @property
    def signed(self) -> NDArray[np.float64]:
        """(N,): the same in the scan's unit, positive is material too much."""
        return self.surface.signed

    @property
    def gross(self) -> bool:
        """Whether a large share of the scan's points is off, or some are far off: it may not show the part at all."""
        if self.odd_throughout:
            return True
        wide = any((self.off > spreads).mean() > share for spreads, share in _GROSS)
        return bool(wide or (np.abs(self.signed) > _FAR * self.size).mean() > _FAR_SHARE)

    @property
    def notes(self) -> tuple[str, ...]:
        """What an engineer should know of the comparison as a whole."""
        if not self.coverage.partial:
            return ()
        return (f"The scan shows {100 * self.coverage.share:.0f} % of the part; the rest was not compared.",)

    def note(self, view: int, box_xyxyn: BoxXyxyn) -> str:
        """Say what was measured in a box of a view: "0.82 mm below the reference over 2.1 mm"."""
        found = self._in_box(view, box_xyxyn)
        if found is not None:
            return found.told(self.unit)
        layer = _inside(self.layers[view].signed, box_xyxyn)
        peak = float(layer.flat[np.abs(layer).argmax()])
        return f"{abs(peak):.2f} {self.unit} {'above' if peak > 0.0 else 'below'} the reference"

    def place(self, view: int, box_xyxyn: BoxXyxyn) -> Place | None:
        """Return where on the part the finding of a box lies; None where the box shows none."""
        found = self._in_box(view, box_xyxyn)
        if found is None:
            return None
        return Place(
            point_mm=found.centre,
            size_mm=found.size,
            depth_mm=found.depth,
            box_mm=found.box,
            area_mm2=found.area,
            volume_mm3=None if found.unseen else found.volume,  # how deep a hole is, nobody saw
        )

    def _in_box(self, view: int, box_xyxyn: BoxXyxyn) -> Finding | None:
        """Return the strongest finding of which most points that lie in the view's picture lie in the box."""
        origin = self._origins[view]
        for found in self.findings:
            xy = origin.camera.pixels(apply(origin.pose, found.points))[0] / origin.camera.size
            x0, y0, x1, y1 = box_xyxyn
            inside = (xy[:, 0] >= x0) & (xy[:, 0] <= x1) & (xy[:, 1] >= y0) & (xy[:, 1] <= y1)
            if inside.mean() >= 0.3:
                return found
        return None


def scan_deviation(
    query: PosedCloud,
    normal: Variation,
    views: Sequence[View],
    *,
    unit: str = "mm",
    tolerance: Tolerance | None = None,
    gains: NDArray[np.float64] | None = None,
    in_lengths: bool = False,
) -> ScanDeviation:
    """Return maps, pictures and places of a scan's deviation from its references.

    Args:
        query: the scan, posed in the frame of the references.
        normal: what is normal there.
        views: the scan's views; those of kind "depth" get a map.
        unit: of the scan's coordinates.
        tolerance: of the maps' scores; None: nothing is known of how far normal parts go.
        gains: (CHANNELS,), factors of the channels in the maps; None: they count alike.
        in_lengths: hold plain lengths against the tolerance, wherever they are, as a drawing's limit does.
    """
    judged, own, query = judge(query, normal)
    coverage = seen_again(normal.anchor, judged)
    judged = coverage.counted(judged)
    log_scores, score = judged.log_scores, judged.score(gains)
    if in_lengths:
        judged = judged.in_lengths(normal.typical)
        score = float(np.exp(judged.log_scores[:SCALES].max()))
    if gains is not None:
        judged = judged.weighed(gains)
    painted = _Painted(judged, own, normal)
    back = inverse(query.pose)
    maps, layers, origins = [], {}, {}
    for i, view in enumerate(views):
        if view.kind == "depth" and isinstance(view.origin, ScanOrigin):
            origins[i] = view.origin
            layers[i] = painted.layers(view.origin, view.origin.pose @ back)
            maps.append(_map(i, layers[i], score * normal.typical, unit, tolerance))
    maps = _hottest_tells(maps, score * normal.typical)
    shown = sorted(maps, key=lambda one: -float(one.values.max()))[:_PICTURES]
    full = max((float(np.abs(layers[one.view].signed).max()) for one in shown), default=0.0)
    least = _LEAST_STRENGTH if tolerance is None else tolerance.limit / normal.typical
    findings = find(own, normal.anchor, judged, back, limit=least, most=_FINDINGS)
    pictures = [deviation_picture(views[m.view], layers[m.view].signed, normal.typical, full, unit) for m in shown]
    if origins and findings:
        origin = next(iter(origins.values()))
        camera = EvidenceCamera(
            own=own,
            plane=judged.comparison.plane,
            normal=normal,
            to_scan=back,
            to_posed=origin.pose @ back,
            size=origin.camera.size,
            paint=lambda seen: painted.layers(seen, seen.pose @ back).signed,
            full=full,
            unit=unit,
        )
        oblique = camera.whole(findings[0], [views[one.view] for one in shown])
        pictures = [*([] if oblique is None else [oblique]), *pictures][:_PICTURES] + camera.closer(findings)
    _, near = nearest(own.tree, query.points)
    off, signed = judged.off.max(axis=0)[near[:, 0]], judged.signed[near[:, 0]]
    told = SurfaceDeviation(query.cloud.points, signed, off, normal.typical, unit)
    size = float(np.linalg.norm(np.ptp(normal.anchor.points, axis=0)))
    odd = 0.0 < _ODD * normal.usual_off(own) < far_off(judged.comparison)
    return ScanDeviation(maps, layers, pictures, findings, log_scores, score, told, coverage, unit, size, odd, origins)


def judge(query: PosedCloud, normal: Variation) -> tuple[Judged, Surface, PosedCloud]:
    """Return a scan's deviations, its surface in the frame of the references, and the scan as it lies there.

    A scan that is bent is laid on anew, so that most of it agrees.
    """
    own = scan_surface(query.points)
    judged = normal.judge(own)
    step = majority_pose(judged)
    if step is None:
        return judged, own, query
    query = PosedCloud(query.cloud, step @ query.pose)
    own = scan_surface(query.points)
    return normal.judge(own), own, query


def _map(index: int, layer: ViewDeviation, score: float, unit: str, tolerance: Tolerance | None) -> AnomalyMap:
    # A view shows a part of what the score of the whole part rests on; where it shows less, its own peak counts.
    return AnomalyMap(index, layer.values, min(score, float(layer.values.max())), "deviation", unit, tolerance)


def _hottest_tells(maps: list[AnomalyMap], score: float) -> list[AnomalyMap]:
    """Return the maps; the hottest has the score of the whole part, where no view shows what that rests on."""
    if not maps or max(one.score for one in maps) >= score:
        return maps
    hottest = max(range(len(maps)), key=lambda i: maps[i].score)
    return [replace(one, score=score) if i == hottest else one for i, one in enumerate(maps)]


@dataclass(frozen=True, eq=False)
class _Painted:
    """Paints deviations on views."""

    judged: Judged
    own: Surface
    normal: Variation

    def layers(self, origin: ScanOrigin, to_camera: NDArray[np.float64]) -> ViewDeviation:
        """Return the layers of one view; `to_camera` is the pose from the common frame to the camera's."""
        seen = origin.index_hw >= 0
        values, signed = np.zeros(seen.shape, np.float32), np.zeros(seen.shape, np.float32)
        posed = apply(origin.pose, origin.points[origin.index_hw[seen]])
        near = nearest(self.own.tree, apply(inverse(to_camera), posed))[1][:, 0]
        values[seen] = self.normal.typical * self.judged.off.max(axis=0)[near]
        signed[seen] = self.judged.signed[near]
        depth = np.full(seen.shape, np.inf)
        depth[seen] = origin.camera.pixels(posed)[1]
        less, less_mm = self._lacking(origin, apply(to_camera, self.normal.anchor.points), depth)
        deeper = less > values
        return ViewDeviation(np.where(deeper, less, values), np.where(deeper, -less_mm, signed))

    def _lacking(self, origin: ScanOrigin, points: Points, depth: NDArray[np.float64]) -> tuple[Layer, Layer]:
        """Return the painted layers (H, W) of lacking material: values, and lengths.

        A place of the anchor is seen where neither the scan nor the anchor itself has a surface nearer to the camera.
        """
        import cv2

        side, spacing = origin.camera.size, self.normal.anchor.spacing
        xy, far = origin.camera.pixels(points)
        columns, rows = np.floor(xy.T).astype(np.int64)
        inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
        flat = np.where(inside, rows * side + columns, 0)
        radius = max(1, round(1.2 * spacing / origin.mm_per_px))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        front = np.full(side * side, np.float32(np.finfo(np.float32).max))
        np.minimum.at(front, flat[inside], far[inside].astype(np.float32))
        front_hw = cv2.erode(front.reshape(side, side), disc)
        visible = inside & (far <= np.minimum(depth, front_hw).ravel()[flat] + 2.0 * spacing)
        found = []
        for lengths in (self.normal.typical * self.judged.lacking.max(axis=0), self.judged.depth):
            layer = np.zeros(side * side, dtype=np.float32)
            np.maximum.at(layer, flat[visible], lengths[visible].astype(np.float32))
            found.append(np.asarray(cv2.dilate(layer.reshape(side, side), disc), dtype=np.float32))
        return found[0], found[1]


def _inside(layer: Layer, box_xyxyn: BoxXyxyn) -> Layer:
    height, width = layer.shape
    x0, y0, x1, y1 = box_xyxyn
    rows = slice(int(y0 * height), max(int(y0 * height) + 1, int(np.ceil(y1 * height))))
    columns = slice(int(x0 * width), max(int(x0 * width) + 1, int(np.ceil(x1 * width))))
    return layer[rows, columns]
