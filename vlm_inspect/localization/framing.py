"""How every picture is cropped, turned and scaled before its features are taken.

The choice is made once, from the references: pictures of one part on a plain background are cropped to the part, and
turned to one pose where the references show an elongated part lying at any angle; everything else is taken whole. The
pixels that a crop saves go into resolution, so that small defects survive at the same cost.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.foreground import find_foreground

_MARGIN = 0.06
"""Background kept around the part, as a fraction of its longer side."""
_MOST_ENLARGED = 2.0
_ELONGATED = 1.7
"""Least ratio of the mask's principal axes (standard deviations) at which its angle is well defined."""
_SAME_ANGLE_DEG = 8.0
"""References within this of each other lie alike on purpose: lying otherwise is then an anomaly, not a pose."""
_SAME_ANGLE_OF_TWO_DEG = 3.0
"""Likewise of two: thrown down at random, they lie within 8 degrees of their mean in 1 case of 6."""
_SAME_ASPECT = 1.08
_MASK_MARGIN = 8
"""Framed pixels by which the part's mask is widened: its outline is part of it."""
_STEADY_LIGHT = 0.12
"""Standard deviation of the log brightness among references above which their light is not controlled."""
_GREY = 8.0
"""Mean difference between colour channels below which pictures are grey: colour is evidence, and stays."""
_TEMPLATE_SIDE = 64


@dataclass(frozen=True, eq=False)
class Picture:
    """One independent picture: a view or one pane of it. `image` uint8 HWC RGB; `mask` bool HW or None."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None = None

    @cached_property
    def foreground(self) -> NDArray[np.bool_] | None:
        """Mask of the part, bool HW, or None where there is no plain background; found once."""
        return find_foreground(self.image)


@dataclass(frozen=True, eq=False)
class Framed:
    """A picture as the backbone sees it."""

    image: NDArray[np.uint8]
    """uint8 HWC RGB, sides multiples of 16."""
    mask: NDArray[np.bool_]
    """bool HW: where a score counts."""
    from_source: NDArray[np.float64]
    """(2, 3) affine map from source pixels to framed pixels (pixel centres at integers + 0.5)."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in framed pixels."""
        return self.mask.shape[1], self.mask.shape[0]

    def to_frame(self, points_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map source points (N, 2) to framed points."""
        return np.asarray(points_xy @ self.from_source[:, :2].T + self.from_source[:, 2])

    def to_source(self, points_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map framed points (N, 2) to source points."""
        return np.asarray((points_xy - self.from_source[:, 2]) @ np.linalg.inv(self.from_source[:, :2]).T)


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a part lies in its picture: the box of its mask in axes turned by `angle` (radians)."""

    center_xy: tuple[float, float]
    size_wh: tuple[float, float]
    angle: float
    elongation: float


@dataclass(frozen=True, eq=False)
class Framing:
    """How the pictures of one class are framed; made by `plan_framing`."""

    mode: str
    """"whole" or "part"."""
    scale: float
    """Framed pixels per source pixel; for mode "whole" with `size_wh` it follows from the size instead."""
    size_wh: tuple[int, int] | None
    """Framed size; None: each picture's own size times the scale."""
    turns: bool = False
    """Whether parts are turned so that their long axis lies level."""
    flat: bool = False
    """Whether slow shading is taken out: where the references' own brightness differs, brightness says nothing."""
    aligned: bool = False
    """Whether equal places of two framed pictures show the same place of the part."""
    multiple: int = 16
    """Sides of framed pictures in pixels are multiples of this."""
    template: NDArray[np.float32] | None = None
    """Mean framed reference in grey, which tells the two ways round of a turned part apart."""

    def frame(self, picture: Picture) -> Framed:
        """Return the picture as the backbone shall see it."""
        if self.mode == "part" and (mask := picture.foreground) is not None:
            return self._frame_part(picture, mask)
        return self._frame_whole(picture)

    def covers(self, pictures: Sequence[Picture]) -> float:
        """Return what share of the pictures' area (their median) a framed picture shows; 1.0 of whole pictures."""
        if self.mode == "whole" or self.size_wh is None:
            return 1.0
        own = float(np.median([picture.image.shape[0] * picture.image.shape[1] for picture in pictures]))
        return self.size_wh[0] * self.size_wh[1] / (self.scale**2 * own)

    def places(self, framed: Framed, cells_xy: NDArray[np.float64]) -> NDArray[np.float32]:
        """Map points in [0, 1] of a framed picture to offsets from its middle, in longer sides of this framing."""
        side = max(self.size_wh or framed.size_wh)
        offsets: NDArray[np.float32] = ((cells_xy - 0.5) * np.array(framed.size_wh) / side).astype(np.float32)
        return offsets

    def _frame_whole(self, picture: Picture) -> Framed:
        import cv2

        height, width = picture.image.shape[:2]
        if self.mode == "whole" and self.size_wh is not None:
            size = self.size_wh
        else:
            size = _snap(width * self.scale, self.multiple), _snap(height * self.scale, self.multiple)
        shrinks = size[0] * size[1] < width * height
        image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        mask = np.ones(size[::-1], bool)
        if picture.mask is not None:
            mask = cv2.resize(picture.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        image = flatten_light(image) if self.flat else image
        affine = np.array([[size[0] / width, 0, 0], [0, size[1] / height, 0]], np.float64)
        return Framed(image, mask, affine)

    def _frame_part(self, picture: Picture, mask: NDArray[np.bool_]) -> Framed:
        pose = find_pose(mask, turned=self.turns)
        framed = self._warp(picture, mask, pose, 0.0)
        if not self.turns or self.template is None:
            return framed
        other = self._warp(picture, mask, pose, math.pi)
        return framed if self._likeness(framed) >= self._likeness(other) else other

    def _warp(self, picture: Picture, mask: NDArray[np.bool_], pose: Pose, turn: float) -> Framed:
        import cv2

        size = self._part_size(pose)
        cos, sin = math.cos(pose.angle + turn) * self.scale, math.sin(pose.angle + turn) * self.scale
        turn_matrix = np.array([[cos, sin], [-sin, cos]])
        shift = np.array(size) / 2 - turn_matrix @ np.array(pose.center_xy)
        affine = np.column_stack([turn_matrix, shift])
        centred = affine.copy()  # OpenCV counts pixel centres at integers, we at integers + 0.5
        centred[:, 2] += turn_matrix @ np.array([0.5, 0.5]) - 0.5
        source = picture.image
        if self.scale < 0.75:
            source = cv2.GaussianBlur(source, (0, 0), 0.4 / self.scale)
        image = cv2.warpAffine(source, centred, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if picture.mask is not None:
            mask = mask & picture.mask
        warped = cv2.warpAffine(mask.astype(np.uint8), centred, size, flags=cv2.INTER_NEAREST)
        side = 2 * _MASK_MARGIN + 1
        wide = cv2.dilate(warped, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
        return Framed(image, wide > 0, affine)

    def _part_size(self, pose: Pose) -> tuple[int, int]:
        """Return the framed size: the references', or more where this part (or what sticks to it) reaches further."""
        assert self.size_wh is not None
        margin = _MARGIN * max(pose.size_wh)
        width, height = ((side + 2 * margin) * self.scale for side in pose.size_wh)
        grown = (max(own, min(seen, 1.6 * own)) for own, seen in zip(self.size_wh, (width, height), strict=True))
        return _snap(next(grown), self.multiple), _snap(next(grown), self.multiple)

    def _likeness(self, framed: Framed) -> float:
        assert self.template is not None
        return float((_thumbnail(framed) * self.template).mean())


def plan_framing(pictures: Sequence[Picture], *, pixels: int, parts: bool, multiple: int = 16) -> Framing:
    """Choose the framing of a class from its reference pictures.

    Args:
        pictures: at least one.
        pixels: how many pixels a framed picture may have, about.
        parts: whether cropping to the part is allowed: not for tiles, scan views or panes, whose place is known.
        multiple: sides of framed pictures are multiples of this many pixels.
    """
    masks = [p.foreground for p in pictures] if parts else []
    found = [m for m in masks if m is not None]
    if parts and len(found) == len(pictures):
        return _plan_part(pictures, found, pixels, multiple)
    sizes = np.array([p.image.shape[:2] for p in pictures], np.float64)
    area = float(np.exp(np.log(sizes.prod(axis=1)).mean()))
    scale = _step(min(math.sqrt(pixels / area), _MOST_ENLARGED))
    flat = _light_differs(pictures)
    aspects = sizes[:, 1] / sizes[:, 0]
    if aspects.max() / aspects.min() > _SAME_ASPECT:
        return Framing("whole", scale, None, flat=flat, multiple=multiple)
    height, width = np.median(sizes, axis=0)
    size = _snap(width * scale, multiple), _snap(height * scale, multiple)
    return Framing("whole", scale, size, flat=flat, multiple=multiple)


def flatten_light(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture's brightness over its slow part, as grey RGB: homomorphic filtering, uint8 HWC.

    The ratio is taken in logarithms (Oppenheim, Schafer and Stockham, Proc. IEEE 56(8), 1968): illumination
    multiplies, and varies slower than an eighth of the picture.
    """
    import cv2

    grey = np.log(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) + 8.0)
    slow = cv2.GaussianBlur(grey, (0, 0), max(image.shape) / 8, borderType=cv2.BORDER_REFLECT)
    ratio = np.clip((grey - slow) * 120.0 + 120.0, 0, 255).astype(np.uint8)
    return np.repeat(ratio[:, :, None], 3, axis=2)


def _light_differs(pictures: Sequence[Picture]) -> bool:
    """Tell whether the brightness of the references differs by more than a lamp's steadiness, all being grey."""
    if len(pictures) < 2:
        return False
    means = [float(p.image.mean() if p.mask is None else p.image[p.mask].mean()) for p in pictures]
    if np.log(np.array(means) + 8.0).std() <= _STEADY_LIGHT:
        return False
    return max(float(np.ptp(p.image.astype(np.int16), axis=2).mean()) for p in pictures) < _GREY


def _plan_part(pictures: Sequence[Picture], masks: Sequence[NDArray[np.bool_]], pixels: int, multiple: int) -> Framing:
    turned = [find_pose(mask, turned=True) for mask in masks]
    turns = min(pose.elongation for pose in turned) >= _ELONGATED and _angles_differ([pose.angle for pose in turned])
    poses = turned if turns else [find_pose(mask, turned=False) for mask in masks]
    sizes = np.array([pose.size_wh for pose in poses])
    sizes = sizes + 2 * _MARGIN * sizes.max(axis=1, keepdims=True)
    width, height = sizes.max(axis=0)
    scale = _step(min(math.sqrt(pixels / (width * height)), _MOST_ENLARGED))
    size = _snap(width * scale, multiple), _snap(height * scale, multiple)
    plan = Framing("part", scale, size, turns, multiple=multiple)
    if not turns:
        return plan
    template: NDArray[np.float32] | None = None
    for picture in pictures:  # each reference is turned to fit those before it
        framed = replace(plan, template=template).frame(picture)
        own = _thumbnail(framed)
        template = own if template is None else template + own
    return replace(plan, aligned=True, template=template)


def find_pose(mask: NDArray[np.bool_], *, turned: bool) -> Pose:
    """Return where the part lies; `turned` measures its box along its principal axis, else along the picture's."""
    y, x = np.nonzero(mask)
    points = np.column_stack([x, y]) + 0.5
    values, vectors = np.linalg.eigh(np.cov(points.T) + 1e-6 * np.eye(2))
    axis = vectors[:, 1]
    angle = math.atan2(axis[1], axis[0]) if turned else 0.0
    cos, sin = math.cos(angle), math.sin(angle)
    along = points @ np.array([[cos, -sin], [sin, cos]])
    low, high = along.min(axis=0) - 0.5, along.max(axis=0) + 0.5
    middle = (low + high) / 2
    center = (cos * middle[0] - sin * middle[1], sin * middle[0] + cos * middle[1])
    return Pose(center, (high[0] - low[0], high[1] - low[1]), angle, math.sqrt(values[1] / values[0]))


def _angles_differ(angles: Sequence[float]) -> bool:
    """Tell whether axes (angles modulo pi) spread over more than the tolerance; of one reference alone they may."""
    most = _SAME_ANGLE_OF_TWO_DEG if len(angles) == 2 else _SAME_ANGLE_DEG
    doubled = np.exp(2j * np.array(angles))
    off = np.abs(np.angle(doubled / doubled.mean())) / 2 if len(angles) > 1 else np.array([math.pi])
    return bool(np.degrees(off.max()) > most)


def _thumbnail(framed: Framed) -> NDArray[np.float32]:
    """Return the framed picture in grey, standardised to mean 0 and deviation 1, float32 (64, 64)."""
    import cv2

    grey = cv2.cvtColor(framed.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (_TEMPLATE_SIDE, _TEMPLATE_SIDE), interpolation=cv2.INTER_AREA)
    result: NDArray[np.float32] = (small - small.mean()) / (small.std() + 1e-6)
    return result


def _snap(side: float, multiple: int) -> int:
    return max(2, round(side / multiple)) * multiple


def _step(scale: float) -> float:
    """Return the scale rounded down to a step of 1/16 octave: references of one class drawn anew are framed alike."""
    return float(2.0 ** (math.floor(16 * math.log2(scale) + 1e-9) / 16))
