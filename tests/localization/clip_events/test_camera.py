"""A camera that shakes is steadied, one that moves is told, and what moves before a still one is neither."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from converters.sample import Frame, VideoClip
from vlm_inspect.localization.clip_events.camera import Anchor, CameraWatch, make_anchor
from vlm_inspect.localization.clip_events.camera_words import moved_words
from vlm_inspect.localization.clip_events.localizer import ClipLocalizer, FittedClips

from .belts import part_of, references_of

FPS, SIZE_HW = 20.0, (120, 180)
Shifts = NDArray[np.float64]


def street(seed: int, count: int, shifts: Shifts | None = None, *, fast_at: range = range(0)) -> VideoClip:
    """Return a clip of a street, on which a dark square walks to and fro, and sometimes runs."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(np.random.default_rng(0).normal(120, 70, SIZE_HW).astype(np.float32), (0, 0), 1.6)
    steps = np.where([k in fast_at for k in range(count)], 7.0, 1.5) + rng.normal(0, 0.05, count)
    path = np.cumsum(steps) + rng.uniform(0, 40)
    frames = []
    for index in range(count):
        picture = ground.copy()
        left = int(abs(path[index] % 280 - 140)) + 10
        picture[60:84, left : left + 12] = 30
        if shifts is not None:
            matrix = np.array([[1.0, 0.0, shifts[index][0]], [0.0, 1.0, shifts[index][1]]])
            picture = np.asarray(cv2.warpAffine(picture, matrix, SIZE_HW[::-1], borderMode=cv2.BORDER_REFLECT))
        noisy = picture + rng.normal(0, 2, SIZE_HW)
        frames.append(np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[..., None], 3, axis=2))

    def read(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        return (Frame(k, k / FPS, one) for k, one in enumerate(frames) if wanted is None or k in wanted)

    return VideoClip(Path(f"street{seed}"), SIZE_HW, count, FPS, read)


def greys(clip: VideoClip) -> list[NDArray[np.uint8]]:
    return [frame.image[..., 0].copy() for frame in clip.frames()]


def anchor_of(clip: VideoClip) -> Anchor:
    found = make_anchor(greys(clip)[:45:5])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def normal() -> FittedClips:
    return ClipLocalizer().fit(references_of(street(1, 200)))


def test_a_shake_is_measured_and_taken_out() -> None:
    shifts = np.random.default_rng(3).normal(0, 1.5, (30, 2))
    anchor = anchor_of(street(1, 60))
    shaken = greys(street(2, 30, shifts))
    found = np.array([anchor.stand(one).shift_xy for one in shaken])
    counted = np.hypot(*shifts.T) > 0.6
    assert np.abs(found - shifts)[counted].max() < 0.35
    watch = CameraWatch(anchor)
    steadied = [watch.follow(one)[0] for one in shaken]
    rest = (slice(8, 50), slice(8, 170))  # where nobody walks
    before, after = (np.mean([np.abs(one[rest].astype(int) - anchor.picture[rest]).mean() for one in frames])
                     for frames in (shaken, steadied))  # fmt: skip
    assert after < 0.5 * before


def test_what_moves_before_a_still_camera_is_no_shake() -> None:
    clip = street(4, 60)
    anchor = anchor_of(clip)
    assert {anchor.stand(one).state for one in greys(clip)} == {"steady"}
    sliding = [np.roll(one, 4 * k, axis=1) for k, one in enumerate(greys(clip)[:9])]
    assert make_anchor(sliding) is None, "a belt that fills the picture is no scene"


def test_a_shaken_clip_shows_its_own_events_alone(normal: FittedClips) -> None:
    shifts = np.random.default_rng(5).normal(0, 1.2, (160, 2))
    quiet = normal.localize(part_of(street(6, 160, shifts)))
    assert quiet.curve is not None
    assert quiet.curve.events == ()
    assert any("camera shakes, by up to" in note for note in quiet.notes)
    assert quiet.mismatch == ""
    busy = normal.localize(part_of(street(6, 160, shifts, fast_at=range(90, 130))))
    assert busy.curve is not None
    assert busy.curve.events
    assert all(85 <= one.peak <= 135 for one in busy.curve.events)


def test_a_camera_that_moves_is_said_and_makes_no_events(normal: FittedClips) -> None:
    shifts = np.zeros((160, 2))
    shifts[100:, 0] = np.minimum(3.0 * np.arange(60), 90)
    found = normal.localize(part_of(street(7, 160, shifts)))
    assert found.curve is not None
    assert [one for one in found.curve.events if one.last >= 100] == []
    assert found.mismatch.startswith("The camera moves or stands elsewhere, ")
    assert "to 7.95 s" in found.mismatch
    assert np.all(found.curve.scores[110:] == pytest.approx(0.5))
    assert found.log_scores is not None
    assert found.log_scores[0] < 0, "what was not compared is neither normal nor anomalous"


def test_where_it_moved_in_words() -> None:
    moved = np.zeros(100, bool)
    assert moved_words(moved, None) == ""
    moved[10:30] = moved[60:70] = True
    assert "frames 10 to 29; frames 60 to 69: 30 of 100 frames" in moved_words(moved, None)
