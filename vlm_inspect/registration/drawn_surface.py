"""The surface of a drawing: its triangles, to which the distance of a point is exact.

Planes fitted to points that are sampled on a mesh cut its edges off: beside a sharp one a scan that fits exactly seems
to be off by a third of the spacing of points. A drawing has no noise that planes would average out, so that a scan's
points are held against its triangles as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.sample import Mesh
from vlm_inspect.registration.alignment import PosedCloud
from vlm_inspect.registration.pose import apply
from vlm_inspect.registration.surface import Gaps, Points, Surface, nearest

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_PIECES = 60_000
"""How many pieces of equal sides would cover a drawing: triangles are cut until no side is longer than theirs."""
_TRIED = (8, 32, 128, 512)
"""Pieces, the nearest middles first, among which the nearest one is looked for, until no other can be nearer."""
_NEAR = 3.0
"""Radii of a piece beyond which the first of these are enough: an error is a small share of such a distance."""
_BLOCK = 20_000
"""Points that are measured at a time, so that memory does not grow with their number."""


@dataclass(frozen=True, eq=False)
class Triangles:
    """Pieces of the triangles of a drawing, none of them large."""

    corners: NDArray[np.float64]
    """(P, 3 corners, 3)."""
    normals: Points
    """(P, 3): unit vectors, by the order of the corners."""
    triangle: NDArray[np.intp]
    """(P,): which triangle each is a piece of."""
    radius: float
    """Of the largest piece: most distance of a corner from its middle."""
    tree: "cKDTree"
    """Over the middles."""

    def signed(self, points: Points) -> NDArray[np.float64]:
        """Return the distance of each point (N, 3) to the nearest triangle; positive on the side of its normal."""
        return self.nearest_to(points)[0]

    def nearest_to(self, points: Points, *, tried: Sequence[int] = _TRIED) -> tuple[Points, NDArray[np.intp]]:
        """Return the same, and the piece (N,) that is nearest; with fewer `tried` a little too far at single points."""
        starts = range(0, max(len(points), 1), _BLOCK)
        found = [self._nearest_to(points[i : i + _BLOCK], tried) for i in starts]
        return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])

    def _nearest_to(self, points: Points, tried: Sequence[int]) -> tuple[Points, NDArray[np.intp]]:
        found = _Found.of(len(points))
        rows, first = np.arange(len(points)), 0
        for count in tried:
            far, near = nearest(self.tree, points[rows], count)
            for pieces in near[:, first:].T:
                offset = points[rows] - _closest(points[rows], self.corners[pieces])
                found.keep(rows, pieces, offset, self.normals[pieces])
            reached = np.sqrt(found.squared[rows])
            rows = rows[(far[:, -1] < reached + self.radius) & (reached < _NEAR * self.radius)]
            first = count
            if not len(rows) or count >= len(self.corners):
                break
        return np.sqrt(found.squared) * np.where(found.along < 0.0, -1.0, 1.0), found.piece


@dataclass(frozen=True, eq=False)
class _Found:
    """The nearest piece so far of N points; filled in as pieces are tried."""

    squared: NDArray[np.float64]
    """(N,): squared distance."""
    along: NDArray[np.float64]
    """(N,): how far the point lies in front of the piece."""
    piece: NDArray[np.intp]

    @classmethod
    def of(cls, count: int) -> "_Found":
        return cls(np.full(count, np.inf), np.zeros(count), np.zeros(count, dtype=np.intp))

    def keep(self, rows: NDArray[np.intp], pieces: NDArray[np.intp], offset: Points, normals: Points) -> None:
        """Keep the piece of each of some points where it is nearer than the one so far."""
        squared, along = np.einsum("ij,ij->i", offset, offset), np.einsum("ij,ij->i", offset, normals)
        # At an edge two triangles are equally near: the one that the point lies more in front of tells the side.
        same = np.abs(squared - self.squared[rows]) <= 1e-9 * squared
        better = (squared < self.squared[rows]) & ~same | same & (np.abs(along) > np.abs(self.along[rows]))
        kept = rows[better]
        self.squared[kept], self.along[kept], self.piece[kept] = squared[better], along[better], pieces[better]


@dataclass(frozen=True, eq=False)
class DrawnSurface(Surface):
    """Planes of points sampled on a drawing, for all that asks for planes, and the triangles for distances to it."""

    triangles: Triangles

    def held_against(self, scan: Surface) -> Points:
        """Return the points of a scan as they are."""
        return scan.points

    def gaps_to(self, points: Points, near: NDArray[np.intp], *, signed: bool = True) -> Gaps:
        """Return where each point lies against the triangles; the plane is that of the nearest sample."""
        off = self.triangles.signed(points)
        return Gaps(off if signed else np.abs(off), np.zeros(len(points)), near[:, 0].copy())


def drawn_surface(posed: PosedCloud, sampled: Surface) -> Surface:
    """Return the surface of a drawing, from planes of its samples; of a scan without a mesh that surface itself.

    Args:
        posed: the drawing, in the frame that it shares with scans.
        sampled: planes of its points in that frame.
    """
    if posed.cloud.mesh is None:
        return sampled
    found = triangles_of(Mesh(apply(posed.pose, posed.cloud.mesh.vertices), posed.cloud.mesh.faces))
    # A mesh may be turned inside out, or list the corners of single triangles the wrong way round: planes tell.
    outward = sampled.outward[nearest(sampled.tree, found.corners.mean(axis=1))[1][:, 0]]
    agrees = np.bincount(found.triangle, np.einsum("ij,ij->i", outward, found.normals))[found.triangle]
    turned = replace(found, normals=found.normals * np.where(agrees < 0.0, -1.0, 1.0)[:, None])
    drawn = DrawnSurface(**{one.name: getattr(sampled, one.name) for one in fields(sampled)}, triangles=turned)
    drawn.__dict__["outward"] = sampled.outward
    return drawn


def triangles_of(mesh: Mesh) -> Triangles:
    """Return the triangles of a mesh that have an area, cut into pieces."""
    from scipy.spatial import cKDTree

    corners = mesh.vertices[mesh.faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    corners, cross, area = (one[area > 0.0] for one in (corners, cross, area))
    # An equilateral triangle of side s has an area of 0.43 s^2, and `area` is twice that of a triangle.
    pieces, parents = _cut(corners, float(np.sqrt(0.5 * area.sum() / (0.43 * _PIECES))))
    middles = pieces.mean(axis=1)
    radius = float(np.linalg.norm(pieces - middles[:, None], axis=2).max())
    return Triangles(pieces, (cross / area[:, None])[parents], parents, radius, cKDTree(middles))


def _cut(corners: NDArray[np.float64], longest: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return triangles (F, 3, 3) cut across their longest side until none is longer, and what each was cut of."""
    done, parents = [np.zeros((0, 3, 3))], [np.zeros(0, dtype=np.intp)]
    left, of = corners, np.arange(len(corners))
    while len(left):
        sides = np.linalg.norm(left - np.roll(left, -1, axis=1), axis=2)
        large = sides.max(axis=1) > longest
        done.append(left[~large])
        parents.append(of[~large])
        start = sides[large].argmax(axis=1)
        order = (start[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(left[large], order[:, :, None], axis=1).transpose(1, 0, 2)
        middle = (a + b) / 2.0
        left = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
        of = np.tile(of[large], 2)
    return np.concatenate(done), np.concatenate(parents)


def _closest(points: Points, corners: NDArray[np.float64]) -> Points:
    """Return the point of a triangle (N, 3 corners, 3) of its own that lies closest to each point (N, 3)."""
    a, b, c = (corners[:, i] for i in range(3))
    normal = np.cross(b - a, c - a)
    best, least = np.zeros_like(points), np.full(len(points), np.inf)
    inside = np.ones(len(points), dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        side, to = end - start, points - start
        inside &= np.einsum("ij,ij->i", np.cross(normal, side), to) >= 0.0
        share = np.einsum("ij,ij->i", to, side) / np.maximum(np.einsum("ij,ij->i", side, side), 1e-300)
        on_side = start + np.clip(share, 0.0, 1.0)[:, None] * side
        squared = ((points - on_side) ** 2).sum(axis=1)
        nearer = squared < least
        best[nearer], least[nearer] = on_side[nearer], squared[nearer]
    height = np.einsum("ij,ij->i", points - a, normal) / np.einsum("ij,ij->i", normal, normal)
    best[inside] = points[inside] - height[inside, None] * normal[inside]
    return best
