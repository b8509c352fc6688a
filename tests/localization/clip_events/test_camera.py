"""A camera that shakes is steadied, one that moves is told, and what moves before a still one is neither."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from converters.sample import Frame, VideoClip
from converters.video import read_video
from vlm_inspect.localization.clip_events.camera import Anchor, CameraWatch, make_anchor
from vlm_inspect.localization.clip_events.camera_words import moved_words
from vlm_inspect.localization.clip_events.localizer import ClipLocalizer, FittedClips

from .belts import part_of, references_of

FPS, SIZE_HW = 20.0, (120, 180)
Shifts = NDArray[np.float64]


def street(
    seed: int,
    count: int,
    shifts: Shifts | None = None,
    *,
    fast_at: range = range(0),
    turns_deg: Shifts | None = None,
    zooms: Shifts | None = None,
) -> VideoClip:
    """Return a clip of a street, on which a dark square walks to and fro, and sometimes runs.

    The camera shifts by so many pixels in each frame, turns by so many degrees, and zooms by such a factor.
    """
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
        if turns_deg is not None or zooms is not None:
            angle, zoom = (float(one[index]) if one is not None else default
                           for one, default in ((turns_deg, 0.0), (zooms, 1.0)))  # fmt: skip
            turn = cv2.getRotationMatrix2D((SIZE_HW[1] / 2, SIZE_HW[0] / 2), angle, zoom)
            picture = np.asarray(cv2.warpAffine(picture, turn, SIZE_HW[::-1], borderMode=cv2.BORDER_REFLECT))
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


@pytest.mark.parametrize(
    ("turn_deg", "zoom"),
    [
        pytest.param(12.0, 1.0, id="turn"),
        pytest.param(0.0, 1.5, id="zoom"),
    ],
)
def test_a_camera_that_turns_or_zooms_away_is_said(normal: FittedClips, turn_deg: float, zoom: float) -> None:
    share = np.clip((np.arange(140) - 90) / 25, 0.0, 1.0)
    clip = street(7, 140, turns_deg=turn_deg * share, zooms=1.0 + (zoom - 1.0) * share)
    found = normal.localize(part_of(clip))
    assert found.curve is not None
    assert found.curve.events == ()
    assert found.mismatch.startswith("The camera moves or stands elsewhere, ")
    assert np.all(found.curve.scores[115:] == pytest.approx(0.5))


def test_a_camera_that_swings_a_little_is_steadied(normal: FittedClips) -> None:
    assert normal.normal is not None
    assert normal.normal.anchor is not None
    anchor, watch = normal.normal.anchor, CameraWatch(normal.normal.anchor)
    turns = 2.5 * np.sin(np.arange(30) / 3.0)
    swung = greys(street(2, 30, turns_deg=turns))
    steadied, shifts, gone = zip(*[watch.follow(one) for one in swung], strict=True)
    assert not any(gone)
    assert max(shifts) > 1.5
    rest = (slice(8, 50), slice(8, 170))
    before, after = (np.mean([np.abs(one[rest].astype(int) - anchor.picture[rest]).mean() for one in frames])
                     for frames in (swung, steadied))  # fmt: skip
    assert after < 0.6 * before


def test_beside_a_belt_that_fills_most_of_the_picture_what_stands_still_is_the_scene() -> None:
    belt_frames = [np.roll(one, 4 * k, axis=1) for k, one in enumerate(greys(street(4, 60)))]
    rails = greys(street(8, 1))[0]
    for one in belt_frames:
        one[:28], one[-28:] = rails[:28], rails[-28:]
    anchor = make_anchor(belt_frames[:45:5])
    assert anchor is not None
    assert {anchor.stand(one).state for one in belt_frames} == {"steady"}, "the belt is no camera that moves"
    pushed = np.roll(belt_frames[50], 3, axis=1)
    assert anchor.stand(pushed).shift_xy == pytest.approx((3.0, 0.0), abs=0.4)


def test_straight_rails_beside_a_belt_do_not_tell_where_the_camera_stands(tmp_path: Path) -> None:
    at = np.linspace(0, 119, 9).round().astype(int)
    size_hw = (180, 320)
    rng = np.random.default_rng(4)
    # Written and read again: noise that a codec keeps from frame to frame looks like a scene.
    writer = cv2.VideoWriter(str(tmp_path / "belt.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, size_hw[::-1])
    for index in range(120):
        picture = np.full((*size_hw, 3), 70.0, np.float32)
        picture[30:150] = 110
        for left in range(4 * index % 80 - 80, 400, 80):
            cv2.circle(picture, (left, 90), 22, (60, 160, 200), -1)
            cv2.circle(picture, (left, 90), 8, (30, 60, 90), -1)
        writer.write(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    writer.release()
    wanted = frozenset(at.tolist())
    frames = [one.image[..., 0].copy() for one in read_video(tmp_path / "belt.mp4").frames(wanted)]
    assert make_anchor(frames) is None, "noise along a rail is no scene"
    floor = cv2.GaussianBlur(rng.normal(120, 70, (28, 320)).astype(np.float32), (0, 0), 1.6).astype(np.uint8)
    for one in frames:
        one[:28], one[-28:] = floor, floor[::-1]
    anchor = make_anchor(frames)
    assert anchor is not None
    assert max(np.hypot(*anchor.stand(one).shift_xy) for one in frames) < 1.0


def test_where_it_moved_in_words() -> None:
    moved = np.zeros(100, bool)
    assert moved_words(moved, None) == ""
    moved[10:30] = moved[60:70] = True
    assert "frames 10 to 29; frames 60 to 69: 30 of 100 frames" in moved_words(moved, None)


def test_things_that_are_taken_out_of_a_plain_scene_are_no_camera_that_moves() -> None:
    rng = np.random.default_rng(3)
    wall = np.full(SIZE_HW, 150.0)
    wall[80:] = 190.0
    wall[:, :6] = 40.0
    wall += 6 * cv2.GaussianBlur(rng.standard_normal(SIZE_HW), (0, 0), 2.0) / 0.14
    things = cv2.GaussianBlur(rng.uniform(0, 255, (60, 30)), (0, 0), 1.5)

    def picture(up: int) -> NDArray[np.uint8]:
        frame = wall.copy()
        for left in (30, 110):
            frame[max(0, 50 - up) : 110 - up, left : left + 30] = things[max(0, up - 50) :]
        return np.clip(frame + rng.normal(0, 1, SIZE_HW), 0, 255).astype(np.uint8)

    anchor = make_anchor([picture(0) for _ in range(9)])
    assert anchor is not None
    watch = CameraWatch(anchor)
    assert not any(watch.follow(picture(up))[2] for up in (0, *range(0, 100, 4), 100, 100))
