"""Pictures of the places that deviate most, looked at straight on.

The six sides of a part show a flank or a groove at a slant, and a place of 1 mm on a part of 100 mm in five pixels. Of
the strongest finding there is therefore a picture of the whole part from where it is seen straight on, unless one of
the six sides shows it as well; and of the two strongest a closer one: the part, its deviation in colours, and the same
place on two references through the same window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.camera import Camera, DepthMap
from converters.panels import PanelOrigin
from converters.projection import ScanOrigin, zbuffer
from converters.sample import PointCloud
from converters.shading import depth_image, shaded_image, surface_normals
from converters.surface import close_surface, surface_density
from converters.view import View
from vlm_inspect.localization.deviation_picture import deviation_picture
from vlm_inspect.localization.panel_sheet import panel_sheet
from vlm_inspect.localization.sight import Direction, Sight, said, turn_towards, unhidden
from vlm_inspect.registration.findings import Finding
from vlm_inspect.registration.pose import Pose, apply, inverse
from vlm_inspect.registration.surface import Points, Surface, nearest
from vlm_inspect.registration.variation import Variation

_CLOSER = 2
"""Places that get a closer picture."""
_REFERENCES = 2
"""References beside the part."""
_PANEL, _COARSEST = 400, 64
"""Side of a panel in pixels, and the fewest that it is drawn with."""
_AROUND = 1.3
"""Half of what a closer picture shows, in extents of the place,"""
_LEAST, _MOST = 0.09, 0.55
"""at least and at most these shares of the part's size."""
_PIXEL = 0.4
"""Pixels are drawn no finer than this share of the spacing of points, and enlarged: else one looks between points."""
_AWAY = -0.3
"""Cosine below which a point faces away from the viewer."""
_AS_WELL = 0.85
"""A side shows a place as well as the best direction if it shows this share of what that does."""

Paint = Callable[[ScanOrigin], NDArray[np.float32]]
"""From where a picture was taken to its signed deviations (H, W)."""


@dataclass(frozen=True, eq=False)
class EvidenceCamera:
    """Draws a scan, and the references that it was held against, from any direction."""

    own: Surface
    """Of the scan, in the frame of the references."""
    plane: NDArray[np.intp]
    """The place of the anchor that each of its points was held against; it says which way that faces."""
    normal: Variation
    to_scan: Pose
    """From that frame to the scan's own coordinates."""
    to_posed: Pose
    """From that frame to the one in which the six sides are drawn."""
    size: int
    """Side in pixels of a picture of the whole part."""
    paint: Paint
    full: float
    """The largest deviation of all pictures of the part, so that they share one scale."""
    unit: str

    def sight_of(self, finding: Finding) -> Sight:
        """Return what any direction shows of a finding."""
        anchor = self.normal.anchor
        place = apply(inverse(self.to_scan), finding.points)
        outward = anchor.outward[nearest(anchor.tree, place)[1][:, 0]]
        return Sight(place, outward, self.own.points, self.own.spacing)

    def whole(self, finding: Finding, sides: Sequence[View]) -> View | None:
        """Return the whole part with its deviations, seen straight on the finding.

        None where a side shows that as well, or the place lies inside the part.
        """
        sight = self.sight_of(finding)
        best, seen = sight.best()
        enough = _AS_WELL * sight.shows(best)
        origins = [side.origin for side in sides if isinstance(side.origin, ScanOrigin)]
        if not seen or any(sight.shows(-self.to_posed[:3, :3].T @ one.camera.rotation[2]) >= enough for one in origins):
            return None
        low, high = self.own.points.min(axis=0), self.own.points.max(axis=0)
        half = 0.52 * float(np.linalg.norm(high - low))
        name = f"oblique, from {said(best, self.to_posed)}"
        return self._deviation(_Window(self._to_camera(best, (low + high) / 2), half), self.size, name)

    def closer(self, findings: Sequence[Finding]) -> list[View]:
        """Return a closer picture of each of the strongest findings: the part, its deviation, and references."""
        return [self._closer(number, one) for number, one in enumerate(findings[:_CLOSER], start=1)]

    def _closer(self, number: int, finding: Finding) -> View:
        sight = self.sight_of(finding)
        best, seen = sight.best()
        extent = float(np.linalg.norm(np.ptp(self.own.points, axis=0)))
        half = float(np.clip(_AROUND * finding.size, _LEAST * extent, _MOST * extent))
        centre = apply(inverse(self.to_scan), np.array([finding.centre]))[0]
        near = np.inf if seen else sight.cut_at(best) - float(best @ centre)
        window = _Window(self._to_camera(best, centre), half, near)
        deviation = self._deviation(window, _PANEL, "")
        shown = [i for i in range(len(self.normal.references)) if i != self.normal.left_out][:_REFERENCES]
        others = [f"reference {i + 1}" for i in shown]
        drawn = [(self.normal.references[i], self.normal.comparisons[i].plane) for i in shown]
        outward = self.normal.anchor.outward
        pictures = [window.lit(one, outward[plane]) for one, plane in ((self.own, self.plane), *drawn)]
        lit = list(zip(("this part", *others), pictures, strict=True))
        image, panes = panel_sheet([lit[0], ("its deviation", deviation.image), *lit[1:]])
        assert isinstance(deviation.origin, ScanOrigin)
        side = said(best, self.to_posed) + ("" if seen else ", what stands in front of it cut away")
        return View(
            image=image,
            kind="deviation",
            label=f"place {number} straight on, from {side}, {2 * half:.3g} {self.unit} wide: this part, its deviation "
            f"and {' and '.join(others)}; {finding.told(self.unit)}",
            origin=PanelOrigin(panes, (image.shape[0], image.shape[1]), deviation.origin),
            key=f"closer/{number}",
            panes=panes,
        )

    def _deviation(self, window: "_Window", size: int, name: str) -> View:
        """Return the deviations seen through a window."""
        seen = _enlarged(window.seen(self.own, self.normal.anchor.outward[self.plane], size), size)
        points = apply(self.to_scan, self.own.points)
        origin = ScanOrigin(seen.index_hw, points, seen.camera, window.to_camera @ inverse(self.to_scan))
        depth = depth_image(seen, max(window.half, float(np.nanmax(np.abs(seen.depth_hw), initial=0.0))))
        view = View(depth, "depth", f"depth, {name}", origin, f"depth/{name}", seen.mask)
        return deviation_picture(view, self.paint(origin), self.normal.typical, self.full, self.unit)

    def _to_camera(self, direction: Direction, centre: Points) -> Pose:
        """Return the pose from the frame of the references to that of a front view along a direction."""
        pose = np.eye(4)
        pose[:3, :3] = turn_towards(direction, self.to_posed[1, :3])
        pose[:3, 3] = -pose[:3, :3] @ centre
        return pose


@dataclass(frozen=True, eq=False)
class _Window:
    """A square that a camera looks through."""

    to_camera: Pose
    """From the frame of the references to that of a front view, the middle of the square at 0."""
    half: float
    """Half its side."""
    near: float = np.inf
    """What lies nearer to the viewer, over the middle, is cut away."""

    def seen(self, part: Surface, outward: Points, size: int) -> DepthMap:
        """Return what is seen of a surface at `size` pixels a side, or fewer where its points are sparse.

        Points behind others that face away, by their normals (N, 3), are left out: one would look between the points of
        a thin wall.
        """
        posed = apply(self.to_camera, part.points)
        inside = (np.abs(posed[:, :2]) < self.half).all(axis=1) & (posed[:, 2] <= self.near)
        away = np.flatnonzero(inside & (outward @ self.to_camera[2, :3] < _AWAY))
        if len(away):
            front = unhidden(posed[away], posed[inside], np.array([0.0, 0.0, 1.0]), part.spacing)
            inside[away[~front]] = False
        posed[~inside, :2] = 2.0 * self.half  # out of the picture
        side = int(np.clip(2.0 * self.half / (_PIXEL * part.spacing), min(size, _COARSEST), size))
        return close_surface(zbuffer(posed, Camera.facing("front", self.half, side)), surface_density(part.points))

    def lit(self, part: Surface, outward: Points) -> NDArray[np.uint8]:
        """Return the lit surface as a panel (_PANEL, _PANEL, 3)."""
        import cv2

        seen = self.seen(part, outward, _PANEL)
        image = shaded_image(seen, surface_normals(seen), PointCloud(Path("scan"), part.points))
        return np.asarray(cv2.resize(image, (_PANEL, _PANEL), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _enlarged(seen: DepthMap, size: int) -> DepthMap:
    """Return a depth map with `size` pixels a side, each the nearest of its own."""
    if seen.camera.size == size:
        return seen
    place = np.arange(size) * seen.camera.size // size
    rows, columns = place[:, None], place[None]
    camera = replace(seen.camera, size=size)
    return replace(seen, camera=camera, depth_hw=seen.depth_hw[rows, columns], index_hw=seen.index_hw[rows, columns])
