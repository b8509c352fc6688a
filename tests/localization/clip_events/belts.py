"""Small clips of a belt with boxes that pass from left to right, from code; what happens on it is known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.sample import Frame, VideoClip
from converters.view import ViewBudget
from vlm_inspect.array_cache import content_of
from vlm_inspect.references import Part, ReferenceSet, present

SIZE_HW = (96, 160)
FPS = 25.0
SPEED = 4.3
"""Pixels a frame."""
GAP = 48.0
"""Pixels from one box to the next."""


def belt(
    seed: int,
    count: int = 100,
    *,
    speeds: dict[range, float] | None = None,
    missing_at: int | None = None,
    mark_at: range = range(0),
) -> VideoClip:
    """Return a clip.

    Args:
        seed: of phase and noise.
        count: of frames.
        speeds: pixels a frame in stretches of frames, else `SPEED`.
        missing_at: frame at which the box that is missing would have been in the middle.
        mark_at: frames in which a dark disc lies on the wall.
    """
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, GAP)
    speed = np.full(count, SPEED)
    for stretch, other in (speeds or {}).items():
        speed[stretch.start : stretch.stop] = other
    moved = np.concatenate([[0.0], np.cumsum(speed)[:-1]])
    places = phase + GAP * np.arange(-int(moved.max() / GAP) - 3, 6)
    if missing_at is not None:
        places = np.delete(places, np.abs(places + moved[missing_at] - SIZE_HW[1] / 2).argmin())
    wall = 120 + 8 * np.random.default_rng(0).standard_normal((*SIZE_HW, 1))
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    disc = (rows - 20) ** 2 + (columns - 120) ** 2 < 100

    def draw(index: int) -> NDArray[np.uint8]:
        frame = wall.copy()
        for left in places + moved[index] - 10:
            across = np.clip(columns[0] + 1 - left, 0, 1) * np.clip(left + 20 - columns[0], 0, 1)
            frame[48:80, :, 0] += across * (215 - frame[48:80, :, 0])
        if index in mark_at:
            frame[disc] = 40
        noise = np.random.default_rng(1000 * seed + index).normal(0, 2, frame.shape)
        return np.repeat(np.clip(frame + noise, 0, 255), 3, axis=2).astype(np.uint8)

    def frames(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        for index in range(count):
            if wanted is None or index in wanted:
                yield Frame(index, index / FPS, draw(index))

    return VideoClip(Path(f"belt{seed}.mp4"), SIZE_HW, count, FPS, frames)


def timeless(clip: VideoClip) -> VideoClip:
    """Return a clip as a folder of frames would be: without a clock."""
    return replace(clip, fps=1.0, time_is_index=True)


def part_of(clip: VideoClip) -> Part:
    return present(clip, ReferenceSet().stage, ViewBudget())


def references_of(*clips: VideoClip) -> ReferenceSet:
    """Return references with digests of what they show: features are remembered under them."""
    digests = [content_of(np.stack([frame.image for frame in clip.frames()])) for clip in clips]
    return ReferenceSet(tuple(part_of(clip) for clip in clips), tuple(digests))
