"""What there is to say of the normal frames of a clip, or of normal clips."""

from vlm_inspect.localization.clip_events.camera_words import spans_of
from vlm_inspect.localization.clip_events.curve import frame_times
from vlm_inspect.localization.clip_events.normal_clips import NormalClips

_HOW = "in how long states last"


def left_out_notes(normal: NormalClips) -> tuple[str, ...]:
    """Say which of the frames that were given as normal disagree with the rest; nothing where none does."""
    behaviour = normal.behaviour
    if behaviour.mostly_odd:
        return (
            f"More than half of the normal frames disagree with the rest {_HOW}, so none was left out; give frames "
            "that are all normal.",
        )
    told = []
    for stretch, odd in zip(behaviour.stretches, behaviour.odd_frames, strict=True):
        if odd.any():
            of = "" if len(normal.clips) == 1 else f"of normal clip {stretch.clip + 1} "
            spans = spans_of(odd, frame_times(normal.clips[stretch.clip]), stretch.first)
            told.append(f"Not all normal frames agree: those {of}at {spans} differ {_HOW}, and were left out.")
    return tuple(told)
