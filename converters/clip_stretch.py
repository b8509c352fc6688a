"""Clips made of another one: its beginning, or the same with a stretch that was changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from converters.sample import Frame, FrameReader, VideoClip


@dataclass(frozen=True, eq=False)
class FirstFrames:
    """The `FrameReader` of a clip's beginning."""

    whole: FrameReader
    count: int

    def __call__(self, wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        """Yield the wanted frames among the first `count`, in order."""
        first = frozenset(range(self.count))
        yield from self.whole(first if wanted is None else first & wanted)


@dataclass(frozen=True, eq=False)
class ChangedFrames:
    """The `FrameReader` of a clip of which one stretch was changed."""

    original: VideoClip
    read: FrameReader
    """All frames, changed ones included."""
    first: int
    end: int
    """The changed frames: from the first to before the end. Those after it are the original's, perhaps later."""

    def __call__(self, wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        """Yield the wanted frames in order."""
        yield from self.read(wanted)


def beginning_of(clip: VideoClip, count: int) -> VideoClip:
    """Return the first frames of a clip; of one that is shorter, all of it.

    Args:
        clip: stays on disk.
        count: of frames, >= 1.
    """
    count = min(count, clip.frame_count)
    return replace(clip, frame_count=count, frames=FirstFrames(clip.frames, count))


def starts_with(clip: VideoClip, beginning: VideoClip) -> bool:
    """Tell whether a clip is the one that a beginning was taken of."""
    return isinstance(beginning.frames, FirstFrames) and beginning.frames.whole is clip.frames
