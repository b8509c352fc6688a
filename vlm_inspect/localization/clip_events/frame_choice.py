"""Which frames of a clip are shown: before, at and after every event, the highest first, beside normal moments."""

from collections.abc import Sequence

import numpy as np

from converters.sample import VideoClip
from vlm_inspect.frame_curve import ClipEvent

_NORMAL_SHARE = 1 / 3
"""Of the frames, evenly spaced over the clip, whatever happens in it."""
_BEFORE_S = 0.4
_BEFORE_FRAMES = 6
"""How long before an event begins and after it ends a frame is taken."""


def choose_event_frames(clip: VideoClip, events: Sequence[ClipEvent], most: int) -> tuple[int, ...] | None:
    """Return at most `most` frames in order; None where nothing happens, so that any choice is as good.

    Every event gives its peak first, then its surroundings, then frames inside it; the highest events come first.
    """
    if not events or clip.frame_count <= most:
        return None
    return choose_frames_within(clip, events, most, (0, clip.frame_count - 1))


def choose_frames_within(
    clip: VideoClip, events: Sequence[ClipEvent], most: int, span: tuple[int, int]
) -> tuple[int, ...]:
    """Return at most `most` frames of a stretch of a clip in order; see `choose_event_frames`.

    Args:
        clip: the clip.
        events: of the whole clip; those that reach into the stretch count. Without one the frames are evenly spaced.
        most: how many, >= 1.
        span: first and last frame of the stretch; the first one is always among those that are returned.
    """
    first, last = span
    ranked = sorted((one for one in events if one.first <= last and one.last >= first), key=lambda event: -event.score)
    margin = max(1, round(_BEFORE_S * clip.fps)) if not clip.time_is_index else _BEFORE_FRAMES
    evenly = max(2, round(most * _NORMAL_SHARE)) if ranked else most
    chosen: set[int] = set(np.linspace(first, last, evenly).round().astype(int).tolist()[:most])
    wanted = [one.peak for one in ranked]
    for one in ranked:
        wanted += [one.first - margin, one.last + margin, one.first, one.last]
    for one in ranked:
        wanted += np.linspace(one.first, one.last, 6).round().astype(int).tolist()
    for frame in wanted:
        if len(chosen) >= most:
            break
        chosen.add(min(last, max(first, frame)))
    return tuple(sorted(chosen))
