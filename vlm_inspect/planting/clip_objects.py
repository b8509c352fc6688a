"""Objects that move in a clip: found against what usually stands there, followed, taken out, or shown twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Frame, VideoClip

_BACKGROUND = 21
"""Frames whose median is the empty scene."""
_PROBES = 6
"""Frames in which objects are looked for."""
_SIDE = 240
"""Longest side in pixels at which objects are found and followed."""
_LEAST_CHANGE = 18.0
"""Grey levels by which a pixel of an object differs from the empty scene."""
_AREA = (0.002, 0.25)
"""Least and greatest share of the frame that one object covers."""
_ALIKE = 1.8
"""By what factor an object's area may change from frame to frame; beyond it, it has met another or the edge."""
_SHORTEST = 4
_APART = 1.25
"""Of its own extent: how far the second copy of a doubled object lies from the first."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FollowedObject:
    """One object over some frames."""

    masks: dict[int, Flags]
    """By frame, (h, w) at the size at which it was followed."""
    background: NDArray[np.uint8]
    """(H, W, 3): the empty scene."""
    size: float
    """Diameter of the disc of its area, as a share of the frame's longer side."""

    @property
    def first(self) -> int:
        """Its first frame."""
        return min(self.masks)

    @property
    def end(self) -> int:
        """The frame after its last one."""
        return max(self.masks) + 1


@dataclass(frozen=True, eq=False)
class MovingObjects:
    """What moves in a clip."""

    clip: VideoClip
    background: NDArray[np.uint8]
    counted: Flags | None
    """(H, W), where objects count; None: everywhere."""
    seen_in: tuple[int, ...]
    """Frames in which there is an object."""

    def follow(self, generator: np.random.Generator, most: int) -> FollowedObject:
        """Return one object and where it is before and after the frame in which it was chosen; at most `most` frames.

        Of all objects of that frame the one that is seen longest.
        """
        frame = int(generator.choice(self.seen_in))
        first, end = max(0, frame - most // 2), min(self.clip.frame_count, frame + most // 2)
        seen = {one.index: self._objects(one.image) for one in self.clip.frames(frozenset(range(first, end)))}
        masks = max((_follow(seen, frame, one) for one in seen[frame]), key=len)
        height, width = self.clip.size_hw
        area = float(np.mean([mask.mean() for mask in masks.values()])) * height * width
        return FollowedObject(masks, self.background, float(np.sqrt(4 * area / np.pi)) / max(height, width))

    def _objects(self, image: NDArray[np.uint8]) -> list[Flags]:
        return find_objects(image, self.background, self.counted)


def find_moving(clip: VideoClip, counted: Flags | None) -> MovingObjects | None:
    """Return what moves in a clip; None where no object stands apart in any of the frames that are looked at."""
    starts = np.linspace(0, clip.frame_count, _BACKGROUND, endpoint=False)
    spread = np.random.default_rng(0).uniform(0, clip.frame_count / _BACKGROUND, _BACKGROUND)
    chosen = np.unique((starts + spread).astype(int))  # evenly spaced ones may meet a cycle in the same state
    images = {frame.index: frame.image for frame in clip.frames(frozenset(chosen.tolist()))}
    if len(images) < _SHORTEST:
        return None
    background = np.median(np.stack(list(images.values())), axis=0).astype(np.uint8)
    probes = list(images)[1 : -1 : max(1, len(images) // _PROBES)]
    seen = tuple(index for index in probes if find_objects(images[index], background, counted))
    return MovingObjects(clip, background, counted, seen) if seen else None


def find_objects(image: NDArray[np.uint8], background: NDArray[np.uint8], counted: Flags | None) -> list[Flags]:
    """Return the objects of a frame as masks (h, w), at most `_SIDE` pixels on the longer side."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small, empty = (cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.int16) for one in (image, background))
    change = np.abs(small - empty).max(axis=2).astype(np.float32)
    noise = 1.4826 * float(np.median(change))
    flags = (cv2.blur(change, (3, 3)) > max(_LEAST_CHANGE, 4 * noise)).astype(np.uint8)
    if counted is not None:
        flags &= cv2.resize(counted.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    flags = cv2.morphologyEx(flags, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flags, connectivity=8)
    share = stats[:, cv2.CC_STAT_AREA] / flags.size
    return [labels == k for k in range(1, count) if _AREA[0] <= share[k] <= _AREA[1]]


def _follow(seen: Mapping[int, list[Flags]], frame: int, chosen: Flags) -> dict[int, Flags]:
    """Return where an object of one frame is in it and in those before and after."""
    masks = {frame: chosen}
    for step in (1, -1):
        mask, index = chosen, frame + step
        while (following := _same(mask, seen.get(index, []))) is not None:
            mask = masks[index] = following
            index += step
    return masks


def _same(mask: Flags, candidates: list[Flags]) -> Flags | None:
    """Return the object of the next frame that lies most where this one was; None where there is none like it."""
    import cv2

    wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    best = max(candidates, key=lambda one: int((one & wide).sum()), default=None)
    if best is None or not (best & wide).any():
        return None
    return best if 1 / _ALIKE < best.sum() / mask.sum() < _ALIKE else None


def take_out(followed: FollowedObject) -> Callable[[Frame], Frame]:
    """Return what puts the empty scene where the object is."""

    def change(frame: Frame) -> Frame:
        opacity = _opacity(followed, frame)
        return frame if opacity is None else replace(frame, image=_blend(frame.image, followed.background, opacity))

    return change


def double(followed: FollowedObject) -> Callable[[Frame], Frame]:
    """Return what shows the object a second time, behind itself on its way, or beside it where it stands."""
    import cv2

    middles = {index: np.argwhere(mask).mean(axis=0) for index, mask in followed.masks.items()}
    way = middles[followed.end - 1] - middles[followed.first]
    length = float(np.hypot(*way))
    along = way / length if length > 1 else np.array([0.0, 1.0])
    some = followed.masks[followed.first]
    rows, columns = np.nonzero(some)
    extent = abs(along[0]) * (np.ptp(rows) + 1) + abs(along[1]) * (np.ptp(columns) + 1)
    offset = -along * _APART * extent / np.array(some.shape)  # a share of the frame, down and across

    def change(frame: Frame) -> Frame:
        opacity = _opacity(followed, frame)
        if opacity is None:
            return frame
        height, width = frame.image.shape[:2]
        shift = np.array([[1, 0, offset[1] * width], [0, 1, offset[0] * height]], np.float32)
        moved, where = (cv2.warpAffine(one, shift, (width, height)) for one in (frame.image, opacity))
        return replace(frame, image=_blend(frame.image, moved, where))

    return change


def _opacity(followed: FollowedObject, frame: Frame) -> NDArray[np.float32] | None:
    """Return where the object and its edge are, (H, W) in [0, 1]; None in frames without it."""
    import cv2

    mask = followed.masks.get(frame.index)
    if mask is None:
        return None
    wide = cv2.dilate(mask.astype(np.float32), np.ones((5, 5), np.uint8))
    size = frame.image.shape[1], frame.image.shape[0]
    return np.asarray(cv2.GaussianBlur(cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR), (0, 0), 1.5), np.float32)


def _blend(under: NDArray[np.uint8], over: NDArray[np.uint8], opacity: NDArray[np.float32]) -> NDArray[np.uint8]:
    below = under.astype(np.float32)
    return np.asarray(np.rint(below + opacity[..., None] * (over - below)), np.uint8)
