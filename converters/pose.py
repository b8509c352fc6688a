"""`ScanFrame`: how a scan is turned and scaled before it is drawn, so that all its views share one scale.

The posed frame is right-handed: x runs to the right, y up and z towards the viewer of the front view. Its origin is the
centre of the drawn cube. Angles and lengths are kept (rotation and shift only); everything is float64, because a scan
may lie 10^8 mm from its origin.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from converters.sample import PointCloud

_Real = TypeVar("_Real", bound=np.floating[Any])

_MARGIN = 1.06
"""Half side of the drawn cube over half of the part's longest side."""
_STRAY_QUANTILE = 0.001
_STRAY_REACH = 0.25
"""A point counts as stray beyond the 0.1 % and 99.9 % quantiles by more than this share of the range between them."""
_SKEWED = 1e-3
_MAX_POSE_POINTS = 100_000


@dataclass(frozen=True, eq=False)
class ScanFrame:
    """Where a scan lies in the posed frame, and how much of it the views show.

    Two scans of one class compare when they share `half_extent_mm` and `box_half_mm` (then a pixel is as many mm, and a
    grey value as much depth, on both): make the second frame with `dataclasses.replace(frame, pose=...)`.
    """

    pose: NDArray[np.float64]
    """(4, 4), rigid with determinant +1: scan coordinates to posed coordinates."""
    half_extent_mm: float
    """Every view shows the square from -half_extent_mm to +half_extent_mm, in the scan's unit."""
    box_half_mm: tuple[float, float, float] | None = None
    """Half sides of the posed part along x, y and z: they set the depth range and which directions are worth a view.
    None: taken from the scan that is drawn."""

    def posed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (N, 3) of the scan in posed coordinates, float64 (N, 3).

        The scan's middle is taken off before the rotation, so that a far-away origin costs no digits.
        """
        rotation, shift = self.pose[:3, :3], self.pose[:3, 3]
        return rotate(points - (-rotation.T @ shift), rotation)


def rotate(points: NDArray[_Real], rotation: NDArray[np.float64]) -> NDArray[_Real]:
    """Return rotation (3, 3) times each point of (N, 3), in the points' type; its columns are contiguous.

    Written out: for three columns the matrix product of a BLAS library spends its time on starting threads.
    """
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    turned = np.empty((3, len(points)), dtype=points.dtype)
    for axis, (a, b, c) in enumerate(rotation.astype(points.dtype)):
        np.multiply(x, a, out=turned[axis])
        if b:
            turned[axis] += b * y
        if c:
            turned[axis] += c * z
    return turned.T


def canonical_frame(cloud: PointCloud, pca: bool = True) -> ScanFrame:
    """Return the frame in which a scan is drawn when nothing else says how it lies.

    With `pca` the longest principal axis becomes x (horizontal), the second y and the thinnest z, so that the front
    view shows the widest face. Each axis points to the side of its longer tail (positive third moment); the axis whose
    third moment is closest to zero is the one that the right-hand rule decides. Where the scan knows its sensor and
    lies to one side of it, z points to the sensor. Without `pca` the scan keeps its axes and is only centred.
    """
    sample = cloud.points[:: max(1, len(cloud.points) // _MAX_POSE_POINTS)]
    mean = sample.mean(axis=0)
    rotation = _principal_axes(sample - mean, _towards_sensor(cloud, mean)) if pca else np.eye(3)
    low, high = _bounds(cloud.points, rotation, mean)
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = -(low + high) / 2 - rotation @ mean
    half = (high - low) / 2
    return ScanFrame(pose, float(half.max()) * _MARGIN, (float(half[0]), float(half[1]), float(half[2])))


def _towards_sensor(cloud: PointCloud, mean: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Vector from the scan to its sensor; None where unknown, or where the sensor lies within the scan."""
    if cloud.viewpoint is None:
        return None
    ray: NDArray[np.float64] = np.asarray(cloud.viewpoint) - mean
    extent = float(np.ptp(cloud.points, axis=0).max())
    return ray if float(np.linalg.norm(ray)) > 0.75 * extent else None


def _principal_axes(centred: NDArray[np.float64], sensor: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Rotation (3, 3) whose rows are the posed axes in scan coordinates."""
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1].T.copy()
    along = rotate(centred, axes).T
    spread = np.maximum(along.std(axis=1), np.finfo(np.float64).tiny)
    skew = (along * along * along).mean(axis=1) / spread**3
    sure = np.abs(skew)
    if sensor is not None:
        skew[2] = axes[2] @ sensor
        sure[2] = np.inf
    # An axis without skew has no longer tail: its largest component points along the scan's own axis.
    largest = axes[np.arange(3), np.abs(axes).argmax(axis=1)]
    axes *= np.where(np.where(sure > _SKEWED, skew, largest) < 0.0, -1.0, 1.0)[:, None]
    if np.linalg.det(axes) < 0.0:
        axes[int(sure.argmin())] *= -1.0
    return axes


def _bounds(
    points: NDArray[np.float64], rotation: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Box of the turned, centred scan without stray points, which would shrink the part to a dot."""
    along = rotate(points - mean, rotation).T
    low, high = along.min(axis=1), along.max(axis=1)
    thin = along[:, :: max(1, along.shape[1] // _MAX_POSE_POINTS)]
    near, far = np.quantile(thin, [_STRAY_QUANTILE, 1.0 - _STRAY_QUANTILE], axis=1)
    reach = (far - near) * _STRAY_REACH
    # A flat axis has no range to tell strays by: the reach is at least a hundredth of the longest side.
    reach = np.maximum(reach, float((far - near).max()) * 0.01)
    return np.maximum(low, near - reach), np.minimum(high, far + reach)
