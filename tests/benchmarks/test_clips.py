"""The generated clips of `benchmarks.clips`: what goes wrong is where the truth says, and how events are counted."""

import numpy as np
import pytest

from benchmarks.clips import count_matches
from benchmarks.walkers import VIEWS, WalkwayEvent, film_walkway, make_scene
from vlm_inspect.demo.conveyor import EVENT_KINDS, FPS, BeltEvent, film_events
from vlm_inspect.frame_curve import ClipEvent


def found_at(peak_s: float) -> ClipEvent:
    frame = round(peak_s * FPS)
    return ClipEvent(frame, frame, frame, peak_s, peak_s, peak_s, 0.9, (0.0, 0.0, 1.0, 1.0), "motion", "")


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_an_event_changes_the_frames_in_which_it_can_be_seen_and_no_earlier_ones(kind: str) -> None:
    def frames(wanted: list[tuple[str, float]]) -> list[np.ndarray]:
        film, events = film_events(np.random.default_rng(3), wanted, seconds=3.0, speed_px_s=860.0)
        truth.extend(events)
        return [frame.mean(axis=2) for frame in film]

    truth: list[BeltEvent] = []
    normal, wrong = frames([]), frames([(kind, 2.0)])
    (event,) = truth
    assert event.kind == kind
    assert event.first_s - 0.05 <= 2.0 <= event.last_s + 0.3
    assert len(normal) == len(wrong) == 75
    middle = round(0.5 * (event.first_s + event.last_s) * FPS)
    assert np.abs(wrong[middle] - normal[middle]).mean() > 3.0


def test_each_true_event_counts_once() -> None:
    true = [BeltEvent("slow", 2.0, 3.0), BeltEvent("missing", 6.0, 7.0)]
    assert count_matches([found_at(1.6), found_at(2.5)], true) == ["slow"]
    assert count_matches([found_at(1.4), found_at(7.4)], true) == ["missing"]
    assert count_matches([], true) == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_walkway_shows_its_event_when_the_truth_says_so_and_at_no_other_time(view: str) -> None:
    def films(wanted: list[tuple[str, float]]) -> tuple[list[np.ndarray], list[WalkwayEvent]]:
        rng = np.random.default_rng(5)
        film, events = film_walkway(rng, make_scene(rng, view), wanted, frames=50)
        return [frame.astype(int) for frame in film], events

    (normal, none), (seen, (event,)) = films([]), films([("bicycle", 1.0)])
    assert none == []
    assert event.kind == "bicycle"
    assert 10 <= event.first < event.last <= 49
    change = [int(np.abs(one - other).max()) for one, other in zip(normal, seen, strict=True)]
    assert max(change[: event.first - 2], default=0) < 40  # no more than the sliver that the truth leaves out
    assert min(change[event.first + 3 : event.last - 2]) > 20
    assert normal[0].shape == (160, 240, 3)
