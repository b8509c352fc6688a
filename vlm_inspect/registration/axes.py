"""Where an alignment starts: every pose under which two parts could look alike, judged by their principal axes.

Principal axes leave the signs open (four proper flips). Where two variances are nearly equal, as across a screw's
shaft, the axes between them are arbitrary, so the part is turned about the third in small steps; where all three are,
the turns cover every direction. A missing tip or a foreign blob moves the centroid, so each turn is tried with the
centroids, the middles, and either end of the main axis laid upon each other.
"""

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.pose import Pose
from vlm_inspect.registration.surface import Points, nearest

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_ALIKE = 1.25
"""Ratio of two standard deviations below which their axes are taken as interchangeable."""
_STEP_DEG = 15.0
_FINE_STEP_DEG = 3.0
_ALL_DIRECTIONS = 160
_REPEAT_STEP_DEG = 1.0
_REPEAT_REACH_DEG = 30.0
_REPEATS = 0.6
"""A turn after which a part lies so much nearer to itself than after others within that reach is one of its repeats."""

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


def poses_in_corners(moving: Points, fixed: Points) -> NDArray[np.float64]:
    """Return candidate poses (K, 4, 4) of a piece (N, 3) of a part (M, 3): its box in every corner, edge and face.

    A piece has other principal axes than its part, often the same ones in another order. So it is turned onto the
    part's axes in all 24 ways, and laid flush with either end, or in the middle, along each.
    """
    from scipy.spatial.transform import Rotation

    moving_axes, fixed_axes = principal_axes(moving)[0], principal_axes(fixed)[0]
    there = fixed @ fixed_axes
    low, high = there.min(axis=0), there.max(axis=0)
    poses = []
    for turn in Rotation.create_group("O").as_matrix():
        rotation = fixed_axes @ turn @ moving_axes.T
        here = moving @ rotation.T @ fixed_axes
        ends = low - here.min(axis=0), high - here.max(axis=0)
        ways = np.stack([ends[0], (ends[0] + ends[1]) / 2.0, ends[1]])
        for chosen in itertools.product(range(3), repeat=3):
            poses.append(_pose(rotation, fixed_axes @ ways[list(chosen), range(3)]))
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


def repeats(fixed: Points, tree: "cKDTree", some: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the motions (K, 4, 4) after which a part lies on itself again, but for details: a gear's, tooth by tooth.

    Coarse steps miss the teeth, and a pose that is half a tooth off hides a keyway. Empty for a part that no turn
    brings back, and for one that every turn does.

    Args:
        fixed: (N, 3), points spread evenly over the part.
        tree: of them.
        some: which of them to turn; some hundred do.
    """
    axes, std = principal_axes(fixed)
    ratios = _ratios(std)
    if (ratios < _ALIKE).all() or (ratios >= _ALIKE).all():
        return np.zeros((0, 4, 4))
    centre = fixed.mean(axis=0)
    fan = _fan(2 if ratios[0] < _ALIKE else 0, _REPEAT_STEP_DEG)
    turns = np.array([axes @ turn @ axes.T for turn in fan])
    moved = np.einsum("kij,nj->kni", turns, fixed[some] - centre) + centre
    off = nearest(tree, moved.reshape(-1, 3))[0].reshape(len(turns), -1).mean(axis=1)
    again = [turn for side in (0, 1) for turn in turns[side::2][_dips(off[side::2])]]
    return np.array([_pose(turn, centre - turn @ centre) for turn in again]) if len(again) > 2 else np.zeros((0, 4, 4))


def _dips(off: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where a closed curve (K,) dips well below its highest values on either side."""
    reach = round(_REPEAT_REACH_DEG / _REPEAT_STEP_DEG)
    back, ahead = (np.stack([np.roll(off, sign * step) for step in range(1, reach + 1)]) for sign in (1, -1))
    near = np.concatenate([back[:3], ahead[:3]]).min(axis=0)
    return np.flatnonzero((off <= near) & (off < _REPEATS * np.minimum(back.max(axis=0), ahead.max(axis=0))))


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
