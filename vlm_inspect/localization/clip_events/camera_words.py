"""What there is to say of the camera of a clip."""

import numpy as np
from numpy.typing import NDArray

_WORTH_A_WORD = 0.5
"""Pixels that a usual shake must have."""
_LEAST_FRAMES = 3
_APART = 16
"""Frames between two stretches that are told as one."""
_MOST_TOLD = 3


def shake_note(shift: NDArray[np.float32]) -> tuple[str, ...]:
    """Return the note about a camera that shakes; none where it hardly does.

    Args:
        shift: (N,), pixels by which it shook in each frame.
    """
    if not len(shift) or float(np.percentile(shift, 75)) < _WORTH_A_WORD:
        return ()
    return (
        f"The camera shakes, by up to {float(shift.max()):.1f} pixels of the analysed picture; that was taken out.",
    )


def moved_words(moved: NDArray[np.bool_], times_s: NDArray[np.float64] | None) -> str:
    """Return the sentence about a camera that has moved away; "" where it has not.

    Args:
        moved: (N,), in which frames.
        times_s: (N,), their seconds; None where the clip keeps no time.
    """
    count = int(moved.sum())
    if count < _LEAST_FRAMES:
        return ""
    spans = spans_of(moved, times_s)
    return (
        f"The camera moves or stands elsewhere, {spans}: {count} of {len(moved)} frames could not be compared with the "
        "normal ones."
    )


def spans_of(flags: NDArray[np.bool_], times_s: NDArray[np.float64] | None, first: int = 0) -> str:
    """Return the stretches of frames that are flagged, in words; of many the first.

    Args:
        flags: (N,), at least one True.
        times_s: see `moved_words`.
        first: number of the first of these frames in the clip.
    """
    frames = np.flatnonzero(flags) + first
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > _APART) + 1)
    spans = [_span(int(one[0]), int(one[-1]), times_s) for one in parts]
    more = f" and {len(spans) - _MOST_TOLD} times more" if len(spans) > _MOST_TOLD else ""
    return "; ".join(spans[:_MOST_TOLD]) + more


def _span(first: int, last: int, times_s: NDArray[np.float64] | None) -> str:
    if times_s is None:
        return f"frames {first} to {last}"
    return f"{times_s[first]:.2f} s to {times_s[last]:.2f} s"
