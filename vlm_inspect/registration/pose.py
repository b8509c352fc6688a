"""Rigid motions as (4, 4) matrices: x_fixed = pose[:3, :3] @ x_moving + pose[:3, 3]."""

import numpy as np
from numpy.typing import NDArray

Pose = NDArray[np.float64]
Points = NDArray[np.float64]


def apply(pose: Pose, points: Points) -> Points:
    """Return points (N, 3) moved by a pose."""
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3])


def inverse(pose: Pose) -> Pose:
    """Return the pose that undoes this one."""
    back = np.eye(4)
    back[:3, :3] = pose[:3, :3].T
    back[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return back


def shift(by: Points) -> Pose:
    """Return the pose that moves by a vector (3,) without turning."""
    pose = np.eye(4)
    pose[:3, 3] = by
    return pose


def small_motion(turn: Points, by: Points, centre: Points) -> Pose:
    """Return the pose that turns by the vector `turn` (3,), in rad, about the centre (3,), then shifts by (3,)."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec(turn).as_matrix()
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = centre + by - rotation @ centre
    return pose


def turn_deg(pose: Pose) -> float:
    """Return the angle by which a pose turns, 0 to 180 degrees."""
    return float(np.rad2deg(np.arccos(np.clip((np.trace(pose[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))))


def best_rigid(moving: Points, fixed: Points) -> NDArray[np.float64]:
    """Return the motions (K, 4, 4) that lay K sets of paired points (K, n, 3) onto each other in least squares.

    Kabsch, "A solution for the best rotation to relate two sets of vectors" (1976); reflections are left out.
    """
    a, b = moving.mean(axis=1, keepdims=True), fixed.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.matmul((moving - a).transpose(0, 2, 1), fixed - b))
    flip = np.ones((len(moving), 3))
    flip[:, 2] = np.sign(np.linalg.det(np.matmul(u, vt)))
    rotation = np.matmul(vt.transpose(0, 2, 1) * flip[:, None, :], u.transpose(0, 2, 1))
    poses = np.tile(np.eye(4), (len(moving), 1, 1))
    poses[:, :3, :3] = rotation
    poses[:, :3, 3] = b[:, 0] - np.einsum("kij,kj->ki", rotation, a[:, 0])
    return poses
