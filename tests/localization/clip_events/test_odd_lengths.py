"""A normal beginning that is not normal throughout: what disagrees in it is left out, and said."""

import numpy as np
import pytest

from converters.clip_stretch import beginning_of
from tests.localization.clip_events.belts import SPEED, belt, part_of, references_of
from vlm_inspect.answers.translation import translation_to
from vlm_inspect.localization.clip_events.localizer import ClipLocalizer
from vlm_inspect.localization.clip_events.odd_lengths import find_odd_frames, find_odd_lengths


@pytest.mark.parametrize(
    ("missing_at", "said"),
    [(None, ()), (50, ("Not all normal frames agree: those at 0.96 s to 2.88 s differ in how long states last",))],
)
def test_what_disagrees_in_the_beginning_is_left_out(missing_at: int | None, said: tuple[str, ...]) -> None:
    clip = belt(8, 230, missing_at=missing_at, speeds={range(170, 185): 0.0})
    fitted = ClipLocalizer().fit(references_of(beginning_of(clip, 120)))
    found = fitted.localize(part_of(clip))
    assert found.curve is not None
    assert [170 <= event.peak < 195 for event in found.curve.events] == [True]
    told = [note for note in found.notes if "normal frames" in note]
    assert [note.startswith(start) for note, start in zip(told, said, strict=True)] == [True] * len(said)
    assert (found.curve.scores[:120].max() > 0.9) == bool(said)  # the curve tells it, although it is no event
    assert fitted.level.max() < 0.0  # and it does not widen what is normal


def test_where_more_than_half_disagrees_nothing_is_left_out_and_that_is_said() -> None:
    clip = belt(8, 150, missing_at=30, speeds={range(60, 85): SPEED / 2.5})
    fitted = ClipLocalizer().fit(references_of(beginning_of(clip, 120)))
    assert fitted.normal is not None
    assert not any(one.any() for one in fitted.normal.behaviour.odd_frames)
    assert any(
        note.startswith("More than half of the normal frames disagree") for note in fitted.localize(part_of(clip)).notes
    )


def test_odd_lengths_are_told_by_the_others_of_their_place() -> None:
    key = np.array([0] * 6 + [1] * 6 + [2] * 3)
    length = np.array([9, 10, 9, 11, 21, 10, 4, 9, 20, 5, 30, 8, 5, 5, 50])
    odd = find_odd_lengths(key, length, np.ones(15, bool))
    assert np.flatnonzero(odd).tolist() == [4]  # of the second place too many differ, of the third too few are known
    cut = find_odd_lengths(key[:6], np.array([9, 10, 9, 11, 3, 20]), np.array([True] * 4 + [False] * 2))
    assert np.flatnonzero(cut).tolist() == [5]  # of what is cut off, only too long can be told


def test_frames_are_odd_where_many_places_are() -> None:
    first = np.array([10] * 30 + [40] * 12)
    length = np.array([5] * 20 + [8] * 10 + [6] * 12)
    odd = find_odd_frames(60, 100, (first, length))
    assert np.flatnonzero(odd).tolist() == list(range(10, 18))  # down to a tenth of the places; the second is too few


def test_a_page_in_german_says_it_in_german() -> None:
    german = translation_to("de")
    assert german is not None
    said = "Not all normal frames agree: those of normal clip 2 at frames 24 to 72; frames 90 to 99 differ in how long "
    assert german(said + "states last, and were left out.") == (
        "Nicht alle normalen Bilder stimmen überein; diese weichen darin ab, wie lange Zustände dauern, und wurden "
        "weggelassen: normaler Film 2, Bilder 24 bis 72; Bilder 90 bis 99."
    )
