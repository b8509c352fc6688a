"""`ClipLocalizer`: what happens in a clip, against what normally happens, as a localizer."""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from converters.clip_stretch import ChangedFrames, starts_with
from converters.digest import sha256_of
from converters.frame_grid import FrameCell, FramesOrigin
from converters.sample import SampleKind, VideoClip
from converters.video_scan import ScannedFrames
from converters.view import BoxXyxyn, View
from vlm_inspect.array_cache import key_of, user_cache
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.frame_curve import ClipEvent, FrameCurve
from vlm_inspect.localization.clip_events.camera_words import moved_words, shake_note
from vlm_inspect.localization.clip_events.curve import ClipCurve, OwnStretch, score_clip, without_beginning
from vlm_inspect.localization.clip_events.events import find_events
from vlm_inspect.localization.clip_events.features import analysed_size
from vlm_inspect.localization.clip_events.frame_choice import choose_event_frames
from vlm_inspect.localization.clip_events.normal_clips import NormalClips, learn_clips, read_features, without_clip
from vlm_inspect.localization.clip_events.normal_words import left_out_notes
from vlm_inspect.localization.clip_events.normality import LEAST_FRAMES, NARROW
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.sensitivity.learning import ChannelPrior
from vlm_inspect.significant_digits import rounded
from vlm_inspect.tolerance import OVERKILL, Tolerance

NAME: Final = "events"
VERSION: Final = "13"
"""Changes whenever remembered features or scores would no longer be what this code computes."""
_LONG = 2048
"""Frames from which on the scores of a clip are kept, so that a run that broke off goes on where it was."""
_SAME_SHAPE = 0.03
"""Of the ratio of sides: clips that differ by more are not of one camera."""
_SAME_RATE = 0.1
_WATCHED = 4
_CONTEXT = 30
"""Frames before and after a changed stretch that are read with it: states begin and end there."""
_UNFOLLOWED: Final = (
    "Too little stands still in the normal frames to tell whether the camera moved; if it did, the events may be no "
    "more than that."
)
_SPREAD = 0.2
"""Standard deviation of the log score among normal clips of one class: their most unusual moments differ."""


class ClipLocalizer:
    """Looks at every frame: motion, appearance, lengths of states; without normal clips, against the clip itself."""

    name = NAME
    kinds: frozenset[SampleKind] = frozenset({"video"})

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedClips":
        """Learn how the reference clips look and move; what the part is called plays no part."""
        clips = [part.sample for part in references.parts if isinstance(part.sample, VideoClip)]
        digests = references.sha256 if len(references.sha256) == len(clips) else None
        return FittedClips(learn_clips(clips, digests, subject.ignore) if clips else None, subject.ignore)


class FittedClips:
    """Knows what normally happens in the clips of a class."""

    name = NAME

    def __init__(self, normal: NormalClips | None, ignore: Sequence[BoxXyxyn] = ()) -> None:
        """Hold clips against normal ones.

        Args:
            normal: what is known of them; None: a clip is held against itself.
            ignore: boxes of the frame that never count.
        """
        self._normal, self._ignore = normal, tuple(ignore)
        self._watched = lru_cache(maxsize=_WATCHED)(self._watch)
        self._less = lru_cache(maxsize=1)(self._without)

    @property
    def normal(self) -> NormalClips | None:
        """The normal clips; None where there is none, or too few frames to learn from."""
        return self._normal if self._normal is not None and self._normal.known else None

    def localize(self, part: Part) -> Localization:
        """Return a map of every grid of frames, the curve of all frames with its events, and what they are."""
        if not isinstance(part.sample, VideoClip) or not part.views:
            return Localization()
        if (reason := self._why_not(part.sample)) is not None:
            return Localization(notes=(reason,))
        normal, curve, found = self._watched(part.sample)
        tolerance = None
        # One normal clip says how far its own frames go, not the next clip: what exceeds that is NG, nothing is OK.
        if found.calibrated and (len(normal.clips) > 1 or found.events):
            tolerance = Tolerance(limit=1.0, centre=0.5, n=normal.segments, overkill=OVERKILL)
        maps = tuple(_maps(part.views, curve, tolerance))

        def describe(view: int, box_xyxyn: BoxXyxyn) -> str:
            event = _event_in(part.views[view], box_xyxyn, found.events)
            return "" if event is None else f"{event.span}: {event.note}"

        log_scores = np.array([_log_score(curve.scores[~curve.moved])]) if found.calibrated else None
        unfollowed = (_UNFOLLOWED,) if found.events and normal.anchor is None else ()
        odd = left_out_notes(normal) if found.calibrated else ()
        notes = (*_notes(found), *odd, *unfollowed, *shake_note(curve.shift))
        elsewhere = moved_words(curve.moved, curve.times_s) if found.calibrated else ""
        return Localization(
            maps, notes=notes, mismatch=elsewhere, log_scores=log_scores, describe=describe, curve=found
        )

    @property
    def identity(self) -> str:
        """See `ScoredLocalizer.identity`."""
        return f"{NAME}/{VERSION}"

    @property
    def judged_by(self) -> str:
        """See `FittedLocalizer.judged_by`."""
        return f"{NAME} {VERSION}"

    @property
    def priors(self) -> tuple[ChannelPrior, ...]:
        """One channel: the most unusual moment of a clip decides, by whichever evidence."""
        return (ChannelPrior(NAME, _SPREAD),)

    @cached_property
    def level(self) -> NDArray[np.float64]:
        """(n, 1): log scores of the reference clips, each judged without itself."""
        if self._normal is None or not self._normal.known:
            return np.zeros((0, 1))
        rows = np.full((len(self._normal.clips), 1), -np.inf)
        behaviour = self._normal.behaviour
        for number, (one, odd) in enumerate(zip(behaviour.stretches, behaviour.odd_frames, strict=True)):
            rows[one.clip] = np.maximum(rows[one.clip], _log_score(behaviour.left_out(number).scores[~odd]))
        return rows

    def score(self, parts: Sequence[Part], *, without: int | None = None) -> NDArray[np.float64]:
        """See `ScoredLocalizer.score`.

        Of a clip with a stretch that was changed, that stretch is judged; the rest of it scores as the original does.
        """
        judge = self if without is None or self._normal is None or len(self._normal.clips) < 2 else self._less(without)
        rows = []
        for part in parts:
            if not isinstance(part.sample, VideoClip):
                raise ValueError("a part without its clip cannot be held against others")
            rows.append([self._log_score_of_clip(part.sample, judge)])
        return np.array(rows).reshape(-1, 1)

    def _log_score_of_clip(self, clip: VideoClip, judge: "FittedClips") -> float:
        assert self._normal is not None
        if isinstance(clip.frames, ChangedFrames):
            return max(
                judge._log_score_of_change(clip, clip.frames), self._log_score_of_clip(clip.frames.original, judge)
            )
        for number, reference in enumerate(self._normal.clips):
            if reference is clip:
                return float(self.level[number, 0])
        curve = judge._watched(clip)[1]
        return _log_score(curve.scores[~curve.moved])

    def _log_score_of_change(self, clip: VideoClip, frames: ChangedFrames) -> float:
        """Return the log score of what was changed, from its own frames and some around it."""
        assert self._normal is not None
        begin = max(0, frames.first - _CONTEXT)
        end = min(clip.frame_count, frames.end + _CONTEXT)
        around = read_features(clip, (begin, end), analysed_size(self._normal.clip.size_hw), self._normal.anchor)
        until = min(frames.end + NARROW, end) - begin
        found = self._normal.behaviour.judge(around, frames.first - begin, until)
        return _log_score(found.scores[~found.moved])

    def weigh(self, centre: NDArray[np.float64], weights: NDArray[np.float64]) -> "FittedClips":
        """Return itself: there is one channel."""
        return self

    def _without(self, clip: int) -> "FittedClips":
        assert self._normal is not None
        return FittedClips(without_clip(self._normal, clip), self._ignore)

    def frames_to_show(self, part: Part, most: int) -> tuple[int, ...] | None:
        """Return which frames of a clip tell most; None where nothing happens in it, or nothing is known of it."""
        if not isinstance(part.sample, VideoClip) or self._why_not(part.sample) is not None:
            return None
        _, _, found = self._watched(part.sample)
        return choose_event_frames(part.sample, found.events, most) if found.calibrated else None

    def known_events(self, part: Part) -> tuple[ClipEvent, ...] | None:
        """Return the events of a clip; None where it was held against no normal one."""
        if not isinstance(part.sample, VideoClip) or self._why_not(part.sample) is not None:
            return None
        _, _, found = self._watched(part.sample)
        return found.events if found.calibrated else None

    def _why_not(self, clip: VideoClip) -> str | None:
        """Say why a clip cannot be held against the normal ones; None where it can."""
        if self._normal is None:
            few = f"Motion was not compared: a clip of {clip.frame_count} frames is too short; it takes {LEAST_FRAMES}."
            return None if clip.frame_count >= LEAST_FRAMES else few
        reference = self._normal.clip
        ratio = clip.size_hw[1] / clip.size_hw[0] * reference.size_hw[0] / reference.size_hw[1]
        if abs(np.log(ratio)) > _SAME_SHAPE:
            return "Motion was not compared: the frames have another shape than those of the references."
        both_timed = not clip.time_is_index and not reference.time_is_index
        if both_timed and abs(np.log(clip.fps / reference.fps)) > _SAME_RATE:
            return (
                f"Motion was not compared: the clip has {rounded(clip.fps, 3)} frames a second, the references "
                f"{rounded(reference.fps, 3)}; give references of the same rate."
            )
        if not self._normal.known:
            return "Motion was not compared: the references have too few frames; give at least 12."
        return None

    def _watch(self, clip: VideoClip) -> tuple[NormalClips, ClipCurve, FrameCurve]:
        normal = learn_clips([clip], None, self._ignore) if self._normal is None else self._normal
        behaviour = normal.behaviour
        own = _own_stretches(clip, normal) if self._normal is not None else _stretches_of(normal, 0)
        kept = None
        if clip.frame_count > _LONG and isinstance(clip.frames, ScannedFrames) and normal.identity:
            key = key_of(NAME, VERSION, sha256_of(clip.path), clip.frame_count, normal.identity, len(own))
            kept = user_cache(), key
        curve = score_clip(
            clip, behaviour, analysed_size(normal.clip.size_hw), own=own, anchor=normal.anchor, kept=kept
        )
        calibrated = self._normal is not None
        beginning = sum(len(one.heights) for one in own) if calibrated else 0
        shown = curve.probabilities
        if beginning < len(curve):  # what is taken as normal is no event, however unusual it is among the rest of it
            curve = without_beginning(curve, beginning)
        events = tuple(find_events(curve, behaviour.channels)) if calibrated else ()
        return normal, curve, FrameCurve(curve.times_s, shown, events, beginning, calibrated)


def _own_stretches(clip: VideoClip, normal: NormalClips) -> list[OwnStretch]:
    """Return what the normal behaviour was learned of and is part of this clip."""
    for number, reference in enumerate(normal.clips):
        if starts_with(clip, reference) or reference is clip:
            return _stretches_of(normal, number)
    return []


def _stretches_of(normal: NormalClips, clip: int) -> list[OwnStretch]:
    behaviour = normal.behaviour
    return [
        OwnStretch(one.first, behaviour.left_out(number))
        for number, one in enumerate(behaviour.stretches)
        if one.clip == clip
    ]


def _maps(views: Sequence[View], curve: ClipCurve, tolerance: Tolerance | None) -> list[AnomalyMap]:
    """Paint the heat of each frame that is shown into its cell; a grid scores what its stretch of the clip does."""
    grids = [(index, view, view.origin) for index, view in enumerate(views) if isinstance(view.origin, FramesOrigin)]
    starts = [0, *(origin.cells[0].frame for _, _, origin in grids[1:]), len(curve)]
    compared = np.where(curve.moved, 0.0, curve.heights)
    maps = []
    for number, (index, view, origin) in enumerate(grids):
        values = np.zeros(view.size_hw, np.float32)
        for cell in origin.cells:
            _paint(values, cell, curve.heat_at(cell.frame))
        heights = compared[starts[number] : max(starts[number] + 1, starts[number + 1])]
        score = float(_raw(np.asarray(heights)).max())
        maps.append(AnomalyMap(index, values, score, NAME, tolerance=tolerance, peak_tolerance=tolerance))
    return maps


def _log_score(scores: NDArray[np.float32]) -> float:
    """Return the log score of a whole clip from the heights of its frames (N, C)."""
    return float(np.log(2.0) * (scores.max(initial=0.0) - 1.0))


def _raw(height: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return heights as scores >= 0: 0.5 where the height is 0, 1 at the limit."""
    return np.asarray(np.exp2(np.asarray(height, np.float64) - 1.0))


def _paint(values: NDArray[np.float32], cell: FrameCell, heat: NDArray[np.float32]) -> None:
    """Draw the heat of a frame into its cell. In place."""
    import cv2

    x0, y0, x1, y1 = cell.box_xyxy
    drawn = cv2.resize(_raw(heat).astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    values[y0:y1, x0:x1] = drawn


def _event_in(view: View, box_xyxyn: BoxXyxyn, events: Sequence[ClipEvent]) -> ClipEvent | None:
    """Return the event that a box of a grid lies in: of several at that time the one that is nearest to it."""
    place = view.origin.locate(box_xyxyn)
    if place.frame is None:
        return None
    frame, box = place.frame, place.source_xyxy
    then = [event for event in events if event.first <= frame <= event.last]
    if len(then) < 2 or box is None or not isinstance(view.origin, FramesOrigin):
        return then[0] if then else None
    height, width = view.origin.frame_size_hw
    middle = ((box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height)

    def away(event: ClipEvent) -> float:
        x0, y0, x1, y1 = (
            min(event.track, key=lambda one: abs(one.frame - frame)).box_xyxyn if event.track else event.box_xyxyn
        )
        return float(np.hypot((x0 + x1) / 2 - middle[0], (y0 + y1) / 2 - middle[1]))

    return min(then, key=away)


def _notes(found: FrameCurve) -> tuple[str, ...]:
    if not found.calibrated:
        return ("No normal clip was given: each frame was compared with the rest of its own clip.",)
    count = len(found.scores)
    looked = f"All {count} frames were looked at, at low resolution."
    if found.normal_frames:
        looked = f"{looked[:-1]}; the first {found.normal_frames} were taken as normal."
    told = [f"Event {number}: {event.span}: {event.note}." for number, event in enumerate(found.events[:8], 1)]
    more = [f"{len(found.events) - 8} further events."] if len(found.events) > 8 else []
    return (looked, *told, *more)
