"""Where an alignment starts: every pose under which two parts could look alike, judged by their principal axes.

Principal axes leave the signs open (four proper flips). Where two variances are nearly equal, as across a screw's
shaft, the axes between them are arbitrary, so the part is turned about the third in small steps; where all three are,
the turns cover every direction. A missing tip or a foreign blob moves the centroid, so each turn is tried with the
centroids, the middles, and either end of the main axis laid upon each other.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.pose import Pose
from vlm_inspect.registration.surface import Points

_ALIKE = 1.25
"""Ratio of two standard deviations below which their axes are taken as interchangeable."""
_STEP_DEG = 15.0
_FINE_STEP_DEG = 3.0
_ALL_DIRECTIONS = 160

Matrix = NDArray[np.float64]


def starting_poses(moving: Points, fixed: Points) -> NDArray[np.float64]:
    """Return candidate poses (K, S, 4, 4), moving -> fixed, for two clouds (N, 3) and (M, 3): K turns of S shifts."""
    moving_axes, moving_std = principal_axes(moving)
    fixed_axes, fixed_std = principal_axes(fixed)
    turns = _turns(np.minimum(_ratios(moving_std), _ratios(fixed_std)))
    poses = []
    for turn in turns:
        rotation = fixed_axes @ turn @ moving_axes.T
        poses.append([_pose(rotation, shift) for shift in _shifts(moving @ rotation.T, fixed, fixed_axes)])
    return np.array(poses)


def lookalikes(fixed: Points) -> NDArray[np.float64]:
    """Return motions (K, 4, 4) of a part (N, 3) that may leave it looking the same, the first one none.

    A screw or a gear turned about its axis in steps of 3 degrees, either way up; for other parts only the first.
    """
    axes, std = principal_axes(fixed)
    ratios = _ratios(std)
    if (ratios < _ALIKE).all() or (ratios >= _ALIKE).all():
        return np.eye(4)[None]
    centre = fixed.mean(axis=0)
    turns = [axes @ turn @ axes.T for turn in _fan(2 if ratios[0] < _ALIKE else 0, _FINE_STEP_DEG)]
    return np.array([_pose(turn, centre - turn @ centre) for turn in turns])


def principal_axes(points: Points) -> tuple[Matrix, NDArray[np.float64]]:
    """Return right-handed axes as columns (3, 3), longest first, and the standard deviation along each."""
    variances, axes = np.linalg.eigh(np.cov(points.T))
    axes = axes[:, ::-1]
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    return np.ascontiguousarray(axes), np.sqrt(np.maximum(variances[::-1], 0.0))


def _ratios(std: NDArray[np.float64]) -> NDArray[np.float64]:
    """First to second and second to third standard deviation; infinite for a flat or straight cloud."""
    floor = 1e-9 * max(float(std[0]), 1e-300)
    return np.array([std[0] / max(std[1], floor), std[1] / max(std[2], floor)])


def _turns(ratios: NDArray[np.float64]) -> list[Matrix]:
    from scipy.spatial.transform import Rotation

    if (ratios < _ALIKE).all():
        cube = Rotation.create_group("O").as_matrix()
        anywhere = Rotation.random(_ALL_DIRECTIONS, rng=np.random.default_rng(0)).as_matrix()
        return [*cube, *anywhere]
    if (ratios >= _ALIKE).all():
        return [np.diag(signs) for signs in itertools.product((1.0, -1.0), repeat=3) if np.prod(signs) > 0]
    return _fan(2 if ratios[0] < _ALIKE else 0, _STEP_DEG)


def _fan(axis: int, step_deg: float) -> list[Matrix]:
    """Return the turns about one axis, each with and without turning the part end for end."""
    from scipy.spatial.transform import Rotation

    angles = np.deg2rad(np.arange(0.0, 360.0, step_deg))
    turns = Rotation.from_rotvec(angles[:, None] * np.eye(3)[axis]).as_matrix()
    flip = np.diag([1.0, -1.0, -1.0] if axis == 2 else [-1.0, -1.0, 1.0])
    return [turn @ side for turn in turns for side in (np.eye(3), flip)]


def _shifts(turned: Points, fixed: Points, axes: Matrix) -> list[NDArray[np.float64]]:
    """Return the translations to try for a moving cloud that is already turned."""
    a, b = turned @ axes, fixed @ axes
    centroid = b.mean(axis=0) - a.mean(axis=0)
    low, high = b.min(axis=0) - a.min(axis=0), b.max(axis=0) - a.max(axis=0)
    near_end, far_end = centroid.copy(), centroid.copy()
    near_end[0], far_end[0] = low[0], high[0]
    return [axes @ shift for shift in (centroid, 0.5 * (low + high), near_end, far_end)]


def _pose(rotation: Matrix, shift: NDArray[np.float64]) -> Pose:
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = shift
    return pose
