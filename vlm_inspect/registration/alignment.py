"""Lays one scan onto another, whatever way it lies.

From coarse to fine: starting poses from the principal axes (axes.py), scored on a few hundred points; the best of them
refined on a thin cloud; the best of those on a dense one (icp.py). Where that leaves the scans apart, as with a part
that is only partly seen, poses from points that look alike are tried as well (consensus.py). Every score is taken both
ways and bounded, so missing or extra material costs little and a part does not slide to hide it. Nothing is random: the
same scans give the same pose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud
from vlm_inspect.registration.axes import lookalikes, poses_in_corners, starting_poses
from vlm_inspect.registration.comparison import scan_surface
from vlm_inspect.registration.consensus import cell_side, consensus_poses, described
from vlm_inspect.registration.icp import Pair, refine, residual, residuals
from vlm_inspect.registration.levels import Levels, levels
from vlm_inspect.registration.pose import Pose, apply, inverse, shift, turn_deg
from vlm_inspect.registration.surface import Points, Surface, nearest
from vlm_inspect.registration.thinning import thinned

_SPARSE = 250
_SAME_TURN_DEG = 10.0
_TOLD = 600
"""Points that tell a thread or a tooth from the next."""
_STARTS, _CORNERS = 12, 48
_SECTORS = 24
_TURNS = 12
"""Sectors of turns, either way up, and how many of them are tried."""
_PARTIAL = 0.15
_AGREED = 0.97
"""Overlap both ways from which principal axes have said enough."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """The pose that lays a moving scan onto a fixed one, and how well it does."""

    pose: Pose
    """float64 (4, 4), rigid: x_fixed = pose[:3, :3] @ x_moving + pose[:3, 3]."""
    rms_mm: float
    """RMS distance of the surfaces where they agree, both ways, in the scan's unit."""
    overlap: float
    """Share of points, both ways, within four point spacings of the other surface; in [0, 1]."""
    moving_overlap: float
    """The same of the moving scan's points alone: near 1 for a part of the fixed one, which `overlap` is not."""
    fixed_overlap: float
    """The same of the fixed scan's points alone."""


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

    def surface(self) -> Surface:
        """Return its surface in the common frame; what a sensor saw from one place faces that."""
        own, seen_from = scan_surface(self.points), self.cloud.viewpoint
        return own if seen_from is None else own.seen_from(apply(self.pose, np.array([seen_from]))[0])


def align(moving: Points | Levels, fixed: Points | Levels, *, pieces: bool = True) -> Alignment:
    """Return the alignment of points (N, 3) to points (M, 3), both finite and in the same unit; N, M >= 4.

    Give `levels(points)` instead of the points of a scan that is aligned to several others. A part with a symmetry has
    several equal poses; the lowest residual wins, the first of equals.

    Args:
        moving: points, or their levels.
        fixed: likewise.
        pieces: whether either may be a piece of the other: where principal axes fail, look-alike points are tried.
    """
    a, b, dense = _pair(moving, fixed)
    quick = replace(dense, moving_pick=a.pick[::3], fixed_pick=b.pick[::3])
    found = _settled(dense, quick, _rough(_thin_pair(a, b), b.size, None), b.repeats)
    if pieces and found.overlap < _AGREED:
        thin = _thin_pair(a, b)
        tried = [found]
        for alike in _alike(a, b):
            rough = _rough(thin, b.size, alike)
            if not rough[0]:  # all of them show the sensor the other side
                continue
            tried.append(_settled(dense, quick, rough, b.repeats))
            if tried[-1].fixed_overlap >= _AGREED:  # all of the fixed one is there, whatever else the moving one shows
                break
        if any(_partial(one) for one in tried):
            corners = poses_in_corners(a.thin.points, b.thin.points)
            start = _rough(thin, b.size, corners, count=_CORNERS, back=False)
            tried += [_settled(dense, quick, start, b.repeats, back=False)] if start[0] else []
        poses = _best(dense, [one.pose for one in tried], count=1, back=not any(_partial(one) for one in tried))
        found = next(one for one in tried if one.pose is poses[0])
    return replace(found, pose=shift(b.middle) @ found.pose @ shift(-a.middle))


def agreement(moving: Points | Levels, fixed: Points | Levels) -> Alignment:
    """Return how well two scans agree as they lie; the pose is that of no motion."""
    a, b, dense = _pair(moving, fixed)
    found = _described(dense, shift(a.middle - b.middle))
    return replace(found, pose=np.eye(4))


def _pair(moving: Points | Levels, fixed: Points | Levels) -> tuple[Levels, Levels, Pair]:
    a = moving if isinstance(moving, Levels) else levels(moving)
    b = fixed if isinstance(fixed, Levels) else levels(fixed)
    return a, b, Pair(a.dense, b.dense, a.pick, b.pick, _sensors(a, b))


def _sensors(a: Levels, b: Levels) -> tuple[Points, Points] | None:
    return None if a.towards is None or b.towards is None else (a.towards, b.towards)


def aligned(moving: PointCloud, fixed: PosedCloud) -> PosedCloud:
    """Return a scan posed in the common frame of another."""
    return PosedCloud(moving, align(levels_of(moving), _levels_of_posed(fixed)).pose)


def levels_of(cloud: PointCloud) -> Levels:
    """Return the levels of a scan, with the sensor that saw it from one place."""
    return levels(cloud.points, cloud.viewpoint)


def _levels_of_posed(posed: PosedCloud) -> Levels:
    sensor = posed.cloud.viewpoint
    return levels(posed.points, None if sensor is None else apply(posed.pose, np.array([sensor]))[0])


@lru_cache(maxsize=4)
def common_frame(query: PointCloud, references: tuple[PointCloud, ...]) -> tuple[PosedCloud, tuple[PosedCloud, ...]]:
    """Return a scan and its references (at least one), all laid onto the first reference as it is."""
    first = PosedCloud(references[0], np.eye(4))
    return aligned(query, first), (first, *(aligned(other, first) for other in references[1:]))


def _thin_pair(a: Levels, b: Levels) -> Pair:
    return Pair(a.thin, b.thin, np.arange(len(a.thin.points)), np.arange(len(b.thin.points)), _sensors(a, b))


def _rough(
    pair: Pair, size: float, poses: NDArray[np.float64] | None, *, count: int = _STARTS, back: bool = True
) -> tuple[list[Pose], float]:
    """Return a few poses, refined on the thin clouds, from given ones (K, 4, 4) or from the principal axes."""
    if poses is None:
        starts = _best_starts(pair, limit=0.05 * size, count=count)
    else:
        scores = _coarse_scores(pair, poses, limit=0.05 * size, back=back)
        starts = [poses[i] for i in np.argsort(scores, kind="stable")[:count] if scores[i] < np.inf]
    rough = [refine(pair, pose, gate=0.08 * size, steps=8, back=back) for pose in starts]
    return _apart(_best(pair, rough, count=len(rough), back=back), size)[:4], pair.spacing


def _settled(
    dense: Pair, quick: Pair, rough: tuple[list[Pose], float], repeats: NDArray[np.float64], *, back: bool = True
) -> Alignment:
    """Return the best alignment on the dense clouds from a few rough poses; of a known piece with `back` False."""
    poses, spacing = rough
    fine = [refine(quick, pose, gate=6.0 * spacing, steps=8, back=back) for pose in poses]
    best = _best(quick, fine, count=1, back=back)[0]
    if not back:
        return _described(dense, _last_steps(dense, best, back=False))
    # The thin cloud has lost what tells a thread or a tooth from the next: try those places on the dense one.
    turned = repeats if len(repeats) else lookalikes(dense.fixed.points[dense.fixed_pick])
    if len(turned) > 1:
        back = not _partial(_described(quick, best))
        starts = [best, *_turned(quick, turned @ best, limit=spacing, back=back, sectors=not len(repeats))]
        tried = _best(quick, [refine(quick, pose, gate=2.0 * spacing, steps=4) for pose in starts], count=3, back=back)
        fine = [refine(quick, pose, gate=spacing, steps=8) for pose in tried]
        best = _best(dense, fine, count=1, back=back)[0]
    return _described(dense, _last_steps(dense, best))


def _last_steps(dense: Pair, pose: Pose, *, back: bool = True) -> Pose:
    """Return the pose after the last steps, from where it is and from where trusting steps take it.

    What alone tells the turn of a round part, a flat or a keyway, is a small share of its points: left far off, it
    looks like a defect. Steps that trust large residuals bring it in; those that do not then let go of defects.
    """
    ways = [refine(dense, pose, gate=4.0 * dense.spacing, steps=25, back=back)]
    trusting = refine(dense, ways[0], gate=6.0 * dense.spacing, steps=15, doubt=3.0, back=back)
    ways.append(refine(dense, trusting, gate=4.0 * dense.spacing, steps=25, back=back))
    return _best(dense, ways, count=1, back=back and not _partial(_described(dense, ways[0])))[0]


def _turned(quick: Pair, turned: NDArray[np.float64], *, limit: float, back: bool, sectors: bool) -> list[Pose]:
    """Return the best of turned poses (K, 4, 4), one a sector of a fan in even steps: neighbours say the same."""
    scores = _coarse_scores(quick, turned, limit=limit, few=_TOLD, back=back)
    order = np.argsort(np.arange(len(turned)) % 2, kind="stable")
    groups = np.array_split(order, _SECTORS) if sectors else order[:, None]
    firsts = sorted((group[np.argmin(scores[group])] for group in groups), key=lambda i: float(scores[i]))
    return [turned[i] for i in firsts[:_TURNS] if scores[i] < np.inf]


def _alike(a: Levels, b: Levels) -> Iterator[NDArray[np.float64]]:
    """Yield starting poses from descriptors; a scan that is open leaves its outside in doubt, so both are tried."""
    cell = cell_side(b.dense)
    fixed = described(b.dense, cell)
    sides: list[Surface] = [a.dense, a.dense.turned_inside_out()]
    for side in sides:
        poses = consensus_poses(described(side, cell), fixed, cell, 60)
        if len(poses):
            yield poses


def _best_starts(pair: Pair, *, limit: float, count: int) -> list[Pose]:
    """Return the best starting poses, one for each turn of the part."""
    poses = starting_poses(pair.moving.points, pair.fixed.points)
    scores = _coarse_scores(pair, poses.reshape(-1, 4, 4), limit=limit).reshape(poses.shape[:2])
    best = scores.argmin(axis=1)
    turns = np.argsort(scores.min(axis=1), kind="stable")[:count]
    return [poses[turn, best[turn]] for turn in turns if scores[turn, best[turn]] < np.inf]


def _coarse_scores(
    pair: Pair, poses: NDArray[np.float64], *, limit: float, few: int = _SPARSE, back: bool = True
) -> NDArray[np.float64]:
    """Return one bounded squared distance (K,) for each pose on a few hundred points, both ways unless told not to.

    Infinite where a pose would show the sensor the other side of what it saw: a flat part looks the same turned over.
    """
    total = np.zeros(len(poses))
    ways = [(pair.moving, poses, pair.fixed)]
    if back:
        ways.append((pair.fixed, np.stack([inverse(pose) for pose in poses]), pair.moving))
    for points, there, onto in ways:
        some = points.points[thinned(points.points, few)]
        moved = np.einsum("kij,nj->kni", there[:, :3, :3], some) + there[:, None, :3, 3]
        gaps, _ = nearest(onto.tree, moved.reshape(-1, 3), within=limit)
        total += (np.minimum(gaps, limit) ** 2).reshape(len(poses), -1).mean(axis=1)
    if pair.towards is not None:
        moving, fixed = pair.towards
        total[poses[:, :3, :3] @ moving @ fixed < 0.0] = np.inf
    return total


def _apart(poses: Sequence[Pose], size: float) -> list[Pose]:
    """Leave out poses that are nearly the same as an earlier, better one: the thin cloud does not tell them apart."""
    kept: list[Pose] = []
    for pose in poses:
        steps = [pose @ inverse(other) for other in kept]
        if all(turn_deg(step) > _SAME_TURN_DEG or np.linalg.norm(step[:3, 3]) > 0.05 * size for step in steps):
            kept.append(pose)
    return kept


def _best(pair: Pair, poses: Sequence[Pose], *, count: int, back: bool = True) -> list[Pose]:
    return sorted(poses, key=lambda pose: residual(pair, pose, limit=3.0 * pair.spacing, back=back))[:count]


def _partial(found: Alignment) -> bool:
    """Whether the moving scan shows a piece of the fixed one: what it does not show then says nothing."""
    return found.fixed_overlap < found.moving_overlap - _PARTIAL


def _described(pair: Pair, pose: Pose) -> Alignment:
    near = 4.0 * pair.spacing
    ways = residuals(pair, pose, within=near)
    both = np.concatenate(ways)
    agreeing = both < near
    rms = float(np.sqrt((both[agreeing] ** 2).mean())) if agreeing.any() else float("inf")
    there, back = (float((way < near).mean()) for way in ways)
    return Alignment(pose, rms, float(agreeing.mean()), there, back)
