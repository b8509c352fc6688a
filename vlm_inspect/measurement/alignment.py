"""Lays one scan onto another, whatever way it lies.

From coarse to fine: starting poses from the principal axes (orientations.py), scored on a few hundred points; the
best of them refined on a thin cloud; the best of those on a dense one (icp.py). Every score is taken both ways and
bounded, so missing or extra material costs little and a part does not slide to hide it. Nothing is random: the same
scans give the same pose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from vlm_inspect.measurement.icp import Pair, Pose, apply, inverse, refine, residual, residuals
from vlm_inspect.measurement.orientations import lookalikes, starting_poses
from vlm_inspect.measurement.surface import Points, nearest, surface, thinned

_DENSE = 30_000
"""Most points of a cloud that the last steps see."""
_THIN = 1_500
_SPARSE = 250
_PICKED = 5_000
_SAME_TURN_DEG = 10.0


@dataclass(frozen=True, eq=False)
class Alignment:
    """The pose that lays a moving scan onto a fixed one, and how well it does."""

    pose: Pose
    """float64 (4, 4), rigid: x_fixed = pose[:3, :3] @ x_moving + pose[:3, 3]."""
    rms_mm: float
    """RMS distance of the surfaces where they agree, both ways, in the scan's unit."""
    overlap: float
    """Share of points, both ways, within four point spacings of the other surface; in [0, 1]."""


@dataclass(frozen=True, eq=False)
class PosedCloud:
    """A scan and where it lies in the frame that it shares with others."""

    cloud: PointCloud
    pose: Pose
    """float64 (4, 4): the scan's own coordinates -> the common frame."""

    @property
    def points(self) -> Points:
        """(N, 3) in the common frame."""
        return apply(self.pose, self.cloud.points)


def align(moving: Points, fixed: Points) -> Alignment:
    """Return the alignment of points (N, 3) to points (M, 3), both finite and in the same unit; N, M >= 4.

    A part with a symmetry has several equal poses; the lowest residual wins, the first of equals.
    """
    middles = moving.mean(axis=0), fixed.mean(axis=0)  # a scan may lie 10^8 from its origin: leave no digit there
    dense = _dense_pair(moving - middles[0], fixed - middles[1])
    thin = _thin_pair(dense)
    size = float(np.linalg.norm(np.ptp(thin.fixed.points, axis=0)))
    starts = _best_starts(thin, limit=0.05 * size, count=12)
    rough = [refine(thin, pose, gate=0.08 * size, steps=8) for pose in starts]
    rough = _apart(_best(thin, rough, count=len(rough)), size)[:4]
    quick = replace(dense, moving_pick=dense.moving_pick[::3], fixed_pick=dense.fixed_pick[::3])
    fine = [refine(quick, pose, gate=6.0 * thin.spacing, steps=8) for pose in rough]
    best = _best(quick, fine, count=1)[0]
    # The thin cloud has lost what tells a thread or a tooth from the next: try those places on the dense one.
    turned = lookalikes(thin.fixed.points) @ best
    order = np.argsort(_coarse_scores(quick, turned, limit=thin.spacing), kind="stable")
    fine = [best] + [refine(quick, pose, gate=2.0 * thin.spacing, steps=8) for pose in turned[order[:3]]]
    pose = refine(dense, _best(dense, fine, count=1)[0], gate=4.0 * dense.spacing, steps=25)
    found = _described(dense, _with_open3d(dense, pose))
    return replace(found, pose=_shifted(middles[1]) @ found.pose @ _shifted(-middles[0]))


def aligned(moving: PointCloud, fixed: PosedCloud) -> PosedCloud:
    """Return a scan posed in the common frame of another."""
    return PosedCloud(moving, align(moving.points, fixed.points).pose)


@lru_cache(maxsize=4)
def common_frame(query: PointCloud, references: tuple[PointCloud, ...]) -> tuple[PosedCloud, tuple[PosedCloud, ...]]:
    """Return a scan and its references (at least one), all laid onto the first reference as it is."""
    first = PosedCloud(references[0], np.eye(4))
    return aligned(query, first), (first, *(aligned(other, first) for other in references[1:]))


def _dense_pair(moving: Points, fixed: Points) -> Pair:
    a, b = (surface(points[thinned(points, _DENSE)]) for points in (moving, fixed))
    return Pair(a, b, thinned(a.points, _PICKED), thinned(b.points, _PICKED))


def _thin_pair(dense: Pair) -> Pair:
    a, b = (surface(s.points[thinned(s.points, _THIN)]) for s in (dense.moving, dense.fixed))
    return Pair(a, b, np.arange(len(a.points)), np.arange(len(b.points)))


def _shifted(shift: NDArray[np.float64]) -> Pose:
    pose = np.eye(4)
    pose[:3, 3] = shift
    return pose


def _best_starts(pair: Pair, *, limit: float, count: int) -> list[Pose]:
    """Return the best starting poses, one for each turn of the part."""
    poses = starting_poses(pair.moving.points, pair.fixed.points)
    scores = _coarse_scores(pair, poses.reshape(-1, 4, 4), limit=limit).reshape(poses.shape[:2])
    shift = scores.argmin(axis=1)
    turns = np.argsort(scores.min(axis=1), kind="stable")[:count]
    return [poses[turn, shift[turn]] for turn in turns]


def _coarse_scores(pair: Pair, poses: NDArray[np.float64], *, limit: float) -> NDArray[np.float64]:
    """Return one bounded squared distance (K,) for each pose, both ways, on a few hundred points."""
    total = np.zeros(len(poses))
    back = np.stack([inverse(pose) for pose in poses])
    for points, there, onto in ((pair.moving, poses, pair.fixed), (pair.fixed, back, pair.moving)):
        few = points.points[thinned(points.points, _SPARSE)]
        moved = np.einsum("kij,nj->kni", there[:, :3, :3], few) + there[:, None, :3, 3]
        gaps, _ = nearest(onto.tree, moved.reshape(-1, 3))
        total += (np.minimum(gaps, limit) ** 2).reshape(len(poses), -1).mean(axis=1)
    return total


def _apart(poses: Sequence[Pose], size: float) -> list[Pose]:
    """Leave out poses that are nearly the same as an earlier, better one: the thin cloud does not tell them apart."""
    kept: list[Pose] = []
    for pose in poses:
        steps = [pose @ inverse(other) for other in kept]
        if all(_turn_deg(step) > _SAME_TURN_DEG or np.linalg.norm(step[:3, 3]) > 0.05 * size for step in steps):
            kept.append(pose)
    return kept


def _turn_deg(pose: Pose) -> float:
    return float(np.rad2deg(np.arccos(np.clip((np.trace(pose[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))))


def _best(pair: Pair, poses: Sequence[Pose], *, count: int) -> list[Pose]:
    return sorted(poses, key=lambda pose: residual(pair, pose, limit=3.0 * pair.spacing))[:count]


def _described(pair: Pair, pose: Pose) -> Alignment:
    both = np.concatenate(residuals(pair, pose))
    agreeing = both < 4.0 * pair.spacing
    rms = float(np.sqrt((both[agreeing] ** 2).mean())) if agreeing.any() else float("inf")
    return Alignment(pose=pose, rms_mm=rms, overlap=float(agreeing.mean()))


def _with_open3d(pair: Pair, pose: Pose) -> Pose:
    """Return the pose after Open3D's ICP where it is installed and its pose fits better, both ways; else this one."""
    try:
        import open3d
    except (ImportError, OSError):  # not installed, or installed without the system libraries it links to
        return pose
    registration = open3d.pipelines.registration
    clouds = []
    for one in (pair.moving, pair.fixed):
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(one.points))
        cloud.normals = open3d.utility.Vector3dVector(one.normals)
        clouds.append(cloud)
    loss = registration.TukeyLoss(k=3.0 * pair.spacing)
    plane = registration.TransformationEstimationPointToPlane(loss)
    found = registration.registration_icp(clouds[0], clouds[1], 4.0 * pair.spacing, pose, plane)
    other = np.array(found.transformation, dtype=np.float64)
    limit = 3.0 * pair.spacing
    return other if residual(pair, other, limit=limit) < residual(pair, pose, limit=limit) else pose
