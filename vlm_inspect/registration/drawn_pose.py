"""The last steps of an alignment onto a drawing, by its triangles.

An alignment compares planes of points, which cut edges off, so that a turn by one tooth of a gear may seem as good as
none where the teeth are alike and a detail tells them apart. To triangles a sound scan is as near as its noise.
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.drawn_surface import Triangles
from vlm_inspect.registration.levels import Levels
from vlm_inspect.registration.pose import Points, Pose, apply, shift, small_motion
from vlm_inspect.registration.thinning import thinned

_FEW, _MANY = 300, 4000
"""Points that turns are told apart by at first, and that take part in the last steps."""
_TURNS, _STEPS = 4, 8
_TRIED = (8, 24)
"""Pieces of the drawing that a point is held against."""
_CAP = 2.0
"""Point spacings from which a distance counts no more: that of a defect."""
_DOUBT = 3.0
"""Robust standard deviations beyond which a residual counts little."""
_BETTER = 0.95
"""Share of the residual of the pose as it was below which another turn is taken."""


def settled_on(points: Points, pose: Pose, drawing: Triangles, turns: NDArray[np.float64], spacing: float) -> Pose:
    """Return the pose of a scan on a drawing after the last steps, from where it is or turned onto itself.

    Args:
        points: (N, 3), of the scan.
        pose: (4, 4), from the scan's coordinates to those of the drawing, as an alignment left it.
        drawing: its triangles.
        turns: (K, 4, 4), motions after which the drawing nearly lies on itself, in its coordinates.
        spacing: of the points.
    """
    few, many = points[thinned(points, _FEW)], points[thinned(points, _MANY)]
    cap = _CAP * spacing
    turned = sorted(
        (turn @ pose for turn in turns if len(turns) > 1), key=lambda one: _residual(few, one, drawing, cap)
    )[:_TURNS]
    first, *others = (_stepped(many, one, drawing, spacing) for one in (pose, *turned))
    least = _BETTER * _residual(many, first, drawing, cap)
    best, score = first, least
    for one in others:
        own = _residual(many, one, drawing, cap)
        if own < score:
            best, score = one, own
    return best


def turns_of(drawing: Levels) -> NDArray[np.float64]:
    """Return the motions (K, 4, 4) after which a drawing nearly lies on itself, in its own coordinates."""
    return np.asarray(shift(drawing.middle) @ drawing.repeats @ shift(-drawing.middle))


def _residual(points: Points, pose: Pose, drawing: Triangles, cap: float) -> float:
    off = drawing.nearest_to(apply(pose, points), tried=_TRIED)[0]
    return float(np.sqrt((np.minimum(np.abs(off), cap) ** 2).mean()))


def _stepped(points: Points, pose: Pose, drawing: Triangles, spacing: float) -> Pose:
    """Return the pose after point-to-plane steps onto the nearest triangles, Geman-McClure weights."""
    for _ in range(_STEPS):
        here = apply(pose, points)
        off, piece = drawing.nearest_to(here, tried=_TRIED)
        normals = drawing.normals[piece]
        centre = here.mean(axis=0)
        lever = here - centre
        reach = max(float(np.abs(lever).max()), 1e-300)
        rows = np.hstack([np.cross(lever / reach, normals), normals])
        scale = max(_DOUBT * 1.4826 * float(np.median(np.abs(off))), 1e-6 * spacing)
        weights = 1.0 / (1.0 + (off / scale) ** 2) ** 2
        matrix = (rows * weights[:, None]).T @ rows
        step = -np.linalg.solve(matrix + 1e-9 * np.trace(matrix) * np.eye(6), (rows * weights[:, None]).T @ off)
        pose = small_motion(step[:3] / reach, step[3:], centre) @ pose
        if np.abs(step).max() < 1e-4 * spacing:
            break
    return pose
