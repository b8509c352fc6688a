"""The last steps of an alignment: iterative closest point, point to plane, both ways, robust.

Linearised point-to-plane steps after Chen and Medioni, "Object modelling by registration of multiple range images"
(1992), with Geman-McClure weights. Correspondences are taken from the moving cloud to the fixed one and back:
one way alone lets a part that is too short slide inside its reference, because each of its points finds a partner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.pose import Pose, apply, inverse, small_motion
from vlm_inspect.registration.surface import Points, Surface, nearest

_RIM = 1.5
"""A point farther than this many spacings from the middle of its partner's patch, next to a rim, lies past it. Where
points are spread at random, one in twenty is as far from its partner anywhere, and would be held to it."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two surfaces and the points of each that take part."""

    moving: Surface
    fixed: Surface
    moving_pick: NDArray[np.int64]
    fixed_pick: NDArray[np.int64]
    towards: tuple[Points, Points] | None = None
    """(3,) each, unit: from the moving and the fixed surface to their sensors, where both were seen from one place."""

    @property
    def spacing(self) -> float:
        """The larger point spacing of the two, in their unit."""
        return max(self.moving.spacing, self.fixed.spacing)


def refine(pair: Pair, pose: Pose, *, gate: float, steps: int, doubt: float = 0.3, back: bool = True) -> Pose:
    """Return the pose after at most `steps` steps; partners farther apart than the gate do not count.

    The gate (in the scan's unit) shrinks with every step down to four point spacings.

    Args:
        pair: the surfaces.
        pose: to start from.
        gate: largest distance of partners.
        steps: most steps.
        doubt: point spacings up to which a residual counts in full. Small: a defect moves nothing, and neither does a
            flat that alone tells how a round part is turned, where the start leaves it far off.
        back: whether the fixed surface's points ask for partners, too. Those of a piece must not: what lies past its
            rim would draw it there.
    """
    floor = 4.0 * pair.spacing
    for _ in range(steps):
        rows = _correspondences(pair, pose, gate, back=back)
        lever = rows.lever
        if len(lever) < 6:
            return pose
        step = _solve(rows, scale=doubt * pair.spacing)
        pose = step @ pose
        settled = gate <= floor
        gate = max(floor, 0.7 * gate)
        moved = float(np.linalg.norm(apply(step, lever[:100]) - lever[:100], axis=1).max())
        if settled and moved < 1e-3 * pair.spacing:
            break
    return pose


def residual(pair: Pair, pose: Pose, *, limit: float, back: bool = True) -> float:
    """Return the RMS distance between the two surfaces; distances above the limit count as the limit.

    Both ways, or with `back` False that of the moving surface's points alone.
    """
    ways = residuals(pair, pose, within=limit)[: 2 if back else 1]
    return float(np.sqrt(np.mean([(np.minimum(way, limit) ** 2).mean() for way in ways])))


def residuals(pair: Pair, pose: Pose, *, within: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances of the picked moving points to the fixed surface, and of the fixed ones to the moving.

    Those beyond `within` may be infinite.
    """
    there = pair.fixed.distances(apply(pose, pair.moving.points[pair.moving_pick]), within=within)
    back = pair.moving.distances(apply(inverse(pose), pair.fixed.points[pair.fixed_pick]), within=within)
    return there, back


@dataclass(frozen=True, eq=False)
class _Rows:
    """Equations of one step, in the fixed frame: how far a point is off along a direction."""

    lever: Points
    """(N, 3): the point that moves with the part."""
    along: Points
    """(N, 3), unit vectors."""
    off: NDArray[np.float64]
    """(N,), signed, in the scan's unit."""
    scale: NDArray[np.float64]
    """(N,): residuals of more than this count little; NaN: three robust standard deviations of all of those."""


def _correspondences(pair: Pair, pose: Pose, gate: float, *, back: bool) -> _Rows:
    """Return the equations of both ways, or of the moving surface's points alone."""
    here = apply(pose, pair.moving.points[pair.moving_pick])
    there = _one_way(here, pair.fixed, np.eye(4), here, gate, 1.0)
    if not back:
        return _Rows(*there)
    fixed = pair.fixed.points[pair.fixed_pick]
    again = _one_way(apply(inverse(pose), fixed), pair.moving, pose, fixed, gate, -1.0)
    return _Rows(*(np.concatenate(parts) for parts in zip(there, again, strict=True)))


def _one_way(
    asked: Points, onto: Surface, frame: Pose, lever: Points, gate: float, sign: float
) -> tuple[Points, Points, NDArray[np.float64], NDArray[np.float64]]:
    """Return lever arms, directions, residuals and scales of points asked against a surface, in the fixed frame.

    Planes alone let a flat plate slide along itself. A point past the rim of the other surface therefore adds a second
    equation, along the plane, towards that rim.
    """
    gap, near = (found[:, 0] for found in nearest(onto.tree, asked, within=gate))
    kept = gap < gate
    asked, lever, near = asked[kept], lever[kept], near[kept]
    normals = onto.normals[near]
    across = np.einsum("ij,ij->i", asked - onto.centres[near], normals)
    flat = asked - onto.centres[near] - across[:, None] * normals
    beside = np.linalg.norm(flat, axis=1)
    rim = (beside > _RIM * onto.spacing) & onto.rim[near]
    inward = flat[rim] / beside[rim, None]
    turn = frame[:3, :3].T
    return (
        np.concatenate([lever, lever[rim]]),
        np.concatenate([normals, inward]) @ turn,
        sign * np.concatenate([across, beside[rim] - _RIM * onto.spacing]),
        np.concatenate([np.full(len(across), np.nan), np.full(int(rim.sum()), onto.spacing)]),
    )


def _solve(rows: _Rows, *, scale: float) -> Pose:
    """Return the small motion that lowers the weighted residuals most.

    Weights 1 / (1 + (r/c)^2)^2 with c three robust standard deviations of the residuals, at least `scale`. The damping
    keeps still what the surfaces do not fix: a cylinder's turn about its axis.
    """
    plane = np.isnan(rows.scale)
    c = max(3.0 * 1.4826 * float(np.median(np.abs(rows.off[plane]))), scale)
    weights = 1.0 / (1.0 + (rows.off / np.where(plane, c, rows.scale)) ** 2) ** 2
    centre = rows.lever.mean(axis=0)
    size = max(float(np.abs(rows.lever - centre).max()), 1e-12)
    jacobian = np.hstack([np.cross((rows.lever - centre) / size, rows.along), rows.along])
    weighted = jacobian * weights[:, None]
    normal_matrix = weighted.T @ jacobian
    damping = 1e-6 * np.trace(normal_matrix) + 1e-12
    motion = np.linalg.solve(normal_matrix + damping * np.eye(6), -weighted.T @ rows.off)
    return small_motion(motion[:3] / size, motion[3:], centre)
