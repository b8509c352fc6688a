"""A clip's own beginning as its normal reference: `--normal-until 60` (frames) or `6s`."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from converters.clip_stretch import beginning_of
from converters.sample import Sample, SampleKind, VideoClip
from converters.video_scan import ScannedFrames
from converters.video_source import FolderSource, open_source
from converters.view import ViewBudget
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.references import Part, ReferenceSet, present
from vlm_inspect.significant_digits import rounded

LEAST_FRAMES = 12
"""Normal frames that a beginning must have."""
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(s?)", re.ASCII)


@dataclass(frozen=True)
class NormalSpan:
    """How much of a clip's beginning is normal: so many frames, or so many seconds."""

    frames: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `60` (frames) or `6s`.

        Raises:
            ValueError: it is neither.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None or (not found[2] and "." in found[1]) or len(found[1]) > 12 or float(found[1]) <= 0:
            raise ValueError(f"write a number of frames, such as 60, or of seconds, such as 6s, not {text!r}")
        return cls(seconds=float(found[1])) if found[2] else cls(frames=int(found[1]))

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"{self.seconds:g}s" if self.frames is None else str(self.frames)

    def count(self, clip: VideoClip) -> int:
        """Return how many frames of a clip that is.

        Raises:
            ReferenceSampleError: the clip keeps no time to count seconds by, or too few or all of its frames are meant.
        """
        count = self._frames_of_seconds(clip) if self.frames is None else self.frames
        self._check_count(count, clip.path, clip.frame_count, self._length_of(clip))
        return count

    def check_before_reading(self, path: Path, kind: SampleKind) -> None:
        """Find out without decoding a clip whether it can have such a beginning, as far as that can be told.

        Raises:
            ReferenceSampleError: it cannot; see `count` and `with_beginning`.
            ConversionError: it cannot be opened.
        """
        if kind != "video":
            raise self.no_clip(path)
        source = open_source(path)
        if isinstance(source, FolderSource):
            if self.frames is None:
                raise self._no_clock(path)
            self._check_count(self.frames, path, source.expected)
        elif self.frames is not None:  # how many frames a file has, its header does not say reliably
            self._check_count(self.frames, path, None)

    def _check_count(self, count: int, path: Path, frame_count: int | None, length: str | None = None) -> None:
        if frame_count is not None and count >= frame_count:
            length = length or f"has {frame_count} frame{'' if frame_count == 1 else 's'}"
            advice = "give a smaller value" if frame_count > LEAST_FRAMES else "give a longer clip"
            raise ReferenceSampleError(f"--normal-until {self}: {path} {length}, so nothing is left to judge; {advice}")
        if count < LEAST_FRAMES:
            said = "1 frame is" if count == 1 else f"{count} frames are"
            raise ReferenceSampleError(f"--normal-until {self}: {said} too few; give at least {LEAST_FRAMES} frames")

    def _length_of(self, clip: VideoClip) -> str | None:
        """Return how long a clip is in the unit that was given; None: in frames."""
        if self.seconds is None or clip.fps <= 0:
            return None
        return f"is {rounded(clip.frame_count / clip.fps, 4)} s long"

    def _no_clock(self, path: Path) -> ReferenceSampleError:
        return ReferenceSampleError(
            f"--normal-until {self}: {path} keeps no time; give a number of frames, such as --normal-until 60"
        )

    def no_clip(self, path: Path) -> ReferenceSampleError:
        """Return the error of a part that is no clip."""
        return ReferenceSampleError(f"--normal-until {self} is for clips; {path} is none, so leave it out")

    def _frames_of_seconds(self, clip: VideoClip) -> int:
        assert self.seconds is not None
        if clip.time_is_index:
            raise self._no_clock(clip.path)
        if isinstance(clip.frames, ScannedFrames):
            return int(np.searchsorted(clip.frames.scan.times_s, self.seconds))
        return int(min(self.seconds * clip.fps, clip.frame_count))


def with_beginning(
    references: ReferenceSet, sample: Sample, sha256: str, span: NormalSpan, budget: ViewBudget
) -> ReferenceSet:
    """Return the references and, as a further one, the beginning of the clip that is judged.

    Args:
        references: other normal clips; may be none.
        sample: the part.
        sha256: digest of its file.
        span: how much of it is normal.
        budget: how many pictures the beginning may become.

    Raises:
        ReferenceSampleError: the part is no clip, or has too few frames.
    """
    if not isinstance(sample, VideoClip):
        raise span.no_clip(sample.path)
    count = span.count(sample)
    beginning = present(beginning_of(sample, count), references.stage, budget)
    digest = hashlib.sha256(f"{sha256} frames 0 to {count - 1}".encode()).hexdigest()
    kept = references.without(sha256)  # a clip is never judged by the whole of itself
    parts: tuple[Part, ...] = (*kept.parts, beginning)
    return ReferenceSet(parts, (*kept.sha256, digest), kept.stage)
