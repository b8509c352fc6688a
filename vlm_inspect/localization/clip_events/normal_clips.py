"""Normal clips read for learning: all frames of short ones, evenly spaced stretches of long ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from converters.sample import VideoClip
from converters.view import BoxXyxyn
from vlm_inspect.array_cache import Arrays, key_of, user_cache
from vlm_inspect.localization.clip_events.camera import ANCHOR_FRAMES, ANCHOR_SPAN, Anchor, make_anchor
from vlm_inspect.localization.clip_events.features import ClipFeatures, FeatureReader, analysed_size, reduce_frame
from vlm_inspect.localization.clip_events.normality import LEAST_FRAMES, NormalBehaviour, Stretch

_VERSION = "4"
_MOST = 1500
"""Normal frames that are learned from, over all clips."""
_LEAST = 150
"""Frames of one clip that are always learned from."""
_STRETCHES = 10
_GAP_S = 0.5
_GAP_FRAMES = 8
"""Frames around a normal one that are no other look at the same process."""


@dataclass(frozen=True, eq=False)
class NormalClips:
    """What was read of the normal clips of a class."""

    clips: tuple[VideoClip, ...]
    stretches: tuple[Stretch, ...]
    identity: str
    """Hash of what it was learned of; "" where that is not known."""
    ignore: tuple[BoxXyxyn, ...] = ()
    anchor: Anchor | None = None
    """The scene of the first of them; None where the camera does not stand still in it."""

    @property
    def clip(self) -> VideoClip:
        """The first of them: it says which size and rate the others have."""
        return self.clips[0]

    @property
    def known(self) -> bool:
        """Whether there is enough to learn from."""
        return sum(len(one.features) for one in self.stretches) >= LEAST_FRAMES

    @property
    def segments(self) -> int:
        """About how many independent looks at the process they are."""
        return max(1, sum(len(one.features) for one in self.stretches) // 10)

    @cached_property
    def behaviour(self) -> NormalBehaviour:
        """What they amount to; slow the first time."""
        gap = _GAP_FRAMES if self.clip.time_is_index else max(_GAP_FRAMES, round(_GAP_S * self.clip.fps))
        return NormalBehaviour(self.stretches, gap, self.ignore)


def without_clip(normal: NormalClips, clip: int) -> NormalClips:
    """Return the same without one of the clips, of which there are at least two."""
    left = [k for k in range(len(normal.clips)) if k != clip]
    stretches = [replace(one, clip=left.index(one.clip)) for one in normal.stretches if one.clip != clip]
    identity = key_of(normal.identity, "without", clip) if normal.identity else ""
    return NormalClips(tuple(normal.clips[k] for k in left), tuple(stretches), identity, normal.ignore, normal.anchor)


def learn_clips(
    clips: Sequence[VideoClip], digests: Sequence[str] | None, ignore: Sequence[BoxXyxyn] = ()
) -> NormalClips:
    """Read what is learned of normal clips; features of a clip whose digest is known are kept.

    Args:
        clips: at least one; those whose frames have another shape than the first one's are scaled to it.
        digests: of the clips; None: not known.
        ignore: boxes of the frame that never count.
    """
    size_wh = analysed_size(clips[0].size_hw)
    most = max(_LEAST, _MOST // len(clips))
    anchor = find_anchor(clips[0], size_wh)
    stretches: list[Stretch] = []
    for number, clip in enumerate(clips):
        spans = _spans(clip.frame_count, most)
        for first, end in spans:
            known = None if digests is None else key_of(digests[0], digests[number])
            features = _features(clip, (first, end), size_wh, anchor, known)
            stretches.append(Stretch(features, number, first))
    identity = "" if digests is None else key_of(_VERSION, list(digests), repr((size_wh, most, tuple(ignore))))
    return NormalClips(tuple(clips), tuple(stretches), identity, tuple(ignore), anchor)


def find_anchor(clip: VideoClip, size_wh: tuple[int, int]) -> Anchor | None:
    """Return the scene of a clip, from some frames of its beginning; None where the camera does not stand still."""
    count = min(clip.frame_count, ANCHOR_SPAN)
    wanted = frozenset(np.linspace(0, count - 1, min(count, ANCHOR_FRAMES)).round().astype(int).tolist())
    return make_anchor([reduce_frame(frame.image, size_wh) for frame in clip.frames(wanted)])


def _spans(count: int, most: int) -> list[tuple[int, int]]:
    """Return first frame and end of what is learned of a clip."""
    if count <= most:
        return [(0, count)]
    length = most // _STRETCHES
    starts = np.linspace(0, count - length, _STRETCHES).round().astype(int)
    return [(int(start), int(start) + length) for start in starts]


def read_features(
    clip: VideoClip, span: tuple[int, int], size_wh: tuple[int, int], anchor: Anchor | None
) -> ClipFeatures:
    """Return the features of the frames from the first to before the end of a span.

    Args:
        clip: stays on disk.
        span: first frame and end.
        size_wh: at which its frames are analysed.
        anchor: the normal scene, which the camera is followed against; None: it is not.
    """
    first, end = span
    begin = max(0, first - 1)
    images = (frame.image for frame in clip.frames(frozenset(range(begin, end))))
    reader = FeatureReader(size_wh, anchor)
    if begin < first:
        reader.read(images, 1)
    found = reader.read(images, end - first)
    assert found is not None
    return found


def _features(
    clip: VideoClip, span: tuple[int, int], size_wh: tuple[int, int], anchor: Anchor | None, known: str | None
) -> ClipFeatures:
    def read() -> ClipFeatures:
        return _unpack(_pack(read_features(clip, span, size_wh, anchor)))  # rounded as it will be when it is read

    if known is None:
        return read()
    key = key_of("features", _VERSION, known, *span, *size_wh)
    return user_cache().value("clips", key, read, _pack, _unpack)


def _pack(features: ClipFeatures) -> Arrays:
    small = {name: getattr(features, name).astype(np.float16) for name in ("grey", "motion", "shift")}
    return {**small, "moved": features.moved}


def _unpack(arrays: Arrays) -> ClipFeatures:
    grey, motion, shift, moved = (arrays[name] for name in ("grey", "motion", "shift", "moved"))
    alike = len(grey) == len(motion) == len(shift) == len(moved) and moved.dtype == np.bool_
    if grey.ndim != 3 or motion.ndim != 4 or motion.shape[3] != 3 or not alike:
        raise ValueError("the arrays are not the features of a clip")
    return ClipFeatures(grey.astype(np.float32), motion.astype(np.float32), shift.astype(np.float32), moved)
