"""One stretch beyond the limit that is several events: things in different places whose times differ."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from vlm_inspect.frame_curve import ClipEvent, EventKind
from vlm_inspect.localization.clip_events.curve import ClipCurve
from vlm_inspect.localization.clip_events.events import find_events
from vlm_inspect.localization.clip_events.extent import extent_of, peak_of
from vlm_inspect.localization.clip_events.features import ClipFeatures
from vlm_inspect.localization.clip_events.grid import Floats, LeftOut, frame_scores

FPS = 10.0


@dataclass(frozen=True)
class Told:
    """A channel that only has a name: the heat is given."""

    name: EventKind
    said: str = "it is odd"

    def heat(self, features: ClipFeatures, left_out: LeftOut | None = None) -> Floats:
        raise NotImplementedError


def events_of(*blobs: tuple[int, int, int, float], kind: EventKind = "motion", clock: bool = True) -> list[ClipEvent]:
    """Return the events of 120 frames in which squares are hot: first frame, last frame, column, height."""
    heat = np.zeros((120, 12, 30), np.float32)
    for first, last, column, height in blobs:
        for frame in range(first, last + 1):
            at = column + (frame - first) // 10  # it moves on by a place in a second
            swell = height - 0.2 * abs(frame - (first + last) / 2) / (last - first)
            heat[frame, 4:7, at : at + 3] = np.maximum(heat[frame, 4:7, at : at + 3], swell)
    scores = frame_scores(heat).astype(np.float32)[:, None]

    def heat_at(frame: int) -> NDArray[np.float32]:
        return np.asarray(heat[frame])

    none = np.zeros(120, bool), np.zeros(120, np.float32)
    curve = ClipCurve(np.arange(120) / FPS if clock else None, scores, heat_at, *none)
    return find_events(curve, [Told(kind)])


@pytest.mark.parametrize("clock", [True, False])
def test_two_things_that_overlap_in_time_are_two_events(clock: bool) -> None:
    early, late = events_of((20, 60, 2, 1.6), (50, 90, 20, 1.9), clock=clock)
    assert (early.first, early.last, late.first, late.last) == (20, 60, 50, 90)
    assert (early.peak, late.peak) == (40, 70)
    assert early.score < late.score
    assert early.box_xyxyn[2] < 0.35 < 0.6 < late.box_xyxyn[0]
    assert all(point.box_xyxyn[2] < 0.4 for point in early.track)  # its way, not that of the other


@pytest.mark.parametrize(
    ("blobs", "kind"),
    [
        (((20, 60, 2, 1.6), (25, 62, 20, 1.9)), "motion"),  # they are there together
        (((20, 60, 2, 1.6), (58, 60, 20, 1.9)), "motion"),  # a moment at the end of the other
        (((20, 60, 2, 1.6), (50, 90, 20, 1.9)), "duration"),  # one cause at many places
        (((20, 60, 2, 1.6), (50, 90, 20, 0.9)), "motion"),  # the second one is within the limit
        (((20, 60, 2, 1.6), (62, 90, 6, 1.9)), "motion"),  # out of sight for a moment
    ],
)
def test_what_belongs_together_stays_one_event(blobs: tuple[tuple[int, int, int, float], ...], kind: EventKind) -> None:
    (event,) = events_of(*blobs, kind=kind)
    assert event.first == 20
    assert event.last >= 60


def test_an_event_begins_where_the_curve_rises_and_not_where_it_leaves_zero() -> None:
    assert extent_of(np.array([0.7] * 30 + [1.5] * 10 + [0.7] * 30), 8) == (22, 47)
    assert extent_of(np.array([0.2, 0.7, 1.2, 0.9, 1.1, 0.8, 0.5, 0.9]), 8) == (1, 5)
    (event,) = events_of((10, 70, 5, 0.9), (60, 80, 6, 1.8))
    assert (event.first, event.last) == (55, 80)


def test_the_peak_is_where_most_is_to_be_seen() -> None:
    heat = np.zeros((40, 10, 10), np.float32)
    heat[5:30, 2:5, 2:5] = 1.4
    heat[15:20, 2:9, 2:9] = 1.4
    heat[29, 2:4, 2:4] = 1.9  # the last that is left of it
    scores = frame_scores(heat)
    assert int(scores.argmax()) == 29
    assert peak_of(scores, lambda index: np.asarray(heat[index])) == 15
