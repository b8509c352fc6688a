"""How a camera has turned, zoomed or shifted against a picture: a similarity of what both show.

Corners of both pictures (ORB: Rublee et al., ICCV 2011) are matched, and the turn, zoom and shift that most matches
share is found by random samples (RANSAC: Fischler & Bolles, Comm. ACM 24(6), 1981). It is asked for only where a mere
shift does not explain a frame, so it costs nothing while a camera stands still.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Pose = NDArray[np.float64]
"""(3, 3): where the pixel (x, y, 1) of a picture lies in another one."""

_CORNERS = 500
_PATCH = 15
"""Pixels a side of what is compared around a corner; at the edge, where none fits, none is looked for."""
_LEAST_MATCHES = 16
_AGREE = 0.4
"""Share of the matches that must share one similarity."""
_NEAR = 2.0
"""Pixels by which they may miss it."""
_MOST_ZOOM = 3.0
_LEAST_SPREAD = 0.1
"""Standard deviation of their places, as a share of the picture's sides: a group that walks is no scene."""
STILL: Final[Pose] = np.eye(3)


class Corners:
    """The corners of a picture, uint8 (h, w)."""

    def __init__(self, picture: Grey) -> None:
        """Find them."""
        import cv2

        finder: Any = cv2.ORB.create(_CORNERS, 1.2, 6, edgeThreshold=_PATCH, patchSize=_PATCH, fastThreshold=8)
        smooth = cv2.GaussianBlur(picture, (0, 0), 0.8)
        points, self._looks = finder.detectAndCompute(smooth, None)
        self._size_wh = np.array(picture.shape[::-1], np.float64)
        self._places = np.array([one.pt for one in points], np.float64).reshape(-1, 2)

    def pose_in(self, other: "Corners") -> Pose | None:
        """Return how this picture lies in another one of its size; None where they do not show the same."""
        import cv2

        if min(len(self._places), len(other._places)) < _LEAST_MATCHES:
            return None
        pairs: Any = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(self._looks, other._looks)
        if len(pairs) < _LEAST_MATCHES:
            return None
        here = self._places[[one.queryIdx for one in pairs]]
        there = other._places[[one.trainIdx for one in pairs]]
        found, agree = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=_NEAR)
        if found is None:
            return None
        inside = np.asarray(agree).ravel().astype(bool)
        zoom = float(np.hypot(found[0, 0], found[1, 0]))
        few = inside.sum() < max(_LEAST_MATCHES, _AGREE * len(pairs))
        if few or not 1 / _MOST_ZOOM < zoom < _MOST_ZOOM:
            return None
        if np.any(here[inside].std(axis=0) < _LEAST_SPREAD * self._size_wh):
            return None
        return np.vstack([np.asarray(found, np.float64), [0.0, 0.0, 1.0]])


def shift_pose(shift_xy: tuple[float, float]) -> Pose:
    """Return the pose of a picture that has only moved."""
    pose = np.eye(3)
    pose[:2, 2] = shift_xy
    return pose


def displacement(pose: Pose, size_hw: tuple[int, int]) -> float:
    """Return by how many pixels the corner of a picture has moved that has moved most."""
    height, width = size_hw
    corners = np.array([[0.0, width, 0.0, width], [0.0, 0.0, height, height], [1.0, 1.0, 1.0, 1.0]])
    return float(np.hypot(*(pose @ corners - corners)[:2]).max())


def turned_back(picture: NDArray[Any], pose: Pose, beside: NDArray[Any]) -> NDArray[Any]:
    """Return a picture as it would be without its pose; what comes in from outside is taken from another one."""
    import cv2

    made = np.ascontiguousarray(beside).copy()
    size_wh = (picture.shape[1], picture.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(picture, pose[:2], size_wh, dst=made, flags=flags, borderMode=cv2.BORDER_TRANSPARENT)
    return made
