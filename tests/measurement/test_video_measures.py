"""Frozen and black time of clips whose frames are made here, and of a real file."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.sample import Frame, Series, VideoClip
from vlm_inspect.errors import MeasurementError
from vlm_inspect.measurement import video


def clip_of(frames: list[np.ndarray], fps: float = 10.0) -> VideoClip:
    def read(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
        for i, picture in enumerate(frames):
            if wanted is None or i in wanted:
                yield Frame(i, i / fps, picture)

    return VideoClip(Path("clip.mp4"), frames[0].shape[:2] if frames else (1, 1), len(frames), fps, read)


def scene(step: int, *, noise_seed: int | None = None) -> np.ndarray:
    """A small bright part on a grey belt; its place depends on the step."""
    picture = np.full((90, 160, 3), 110, dtype=np.uint8)
    x = 5 + 3 * step
    picture[40:48, x : x + 8] = 220
    if noise_seed is not None:
        noise = np.random.default_rng(noise_seed).normal(0, 1.0, picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return picture


def test_a_moving_clip_is_neither_frozen_nor_black() -> None:
    clip = clip_of([scene(i, noise_seed=i) for i in range(40)])
    assert video.frozen_seconds(clip) == 0.0
    assert video.black_seconds(clip) == 0.0
    assert video.frame_rate(clip) == 10.0
    assert video.duration(clip) == pytest.approx(4.0)


def test_a_stop_is_timed_and_a_short_one_is_not() -> None:
    steps = [*range(10), *[9] * 12, *range(10, 20), *[19] * 3, *range(20, 30)]
    clip = clip_of([scene(step, noise_seed=i) for i, step in enumerate(steps)])
    assert video.frozen_seconds(clip) == pytest.approx(1.2)


def test_black_frames_are_timed_even_with_a_little_light_in_them() -> None:
    black = np.full((90, 160, 3), 6, dtype=np.uint8)
    black[:5, :5] = 255
    clip = clip_of([scene(1), *[black] * 7, scene(2)])
    assert video.black_seconds(clip) == pytest.approx(0.7)


def test_a_clip_without_frames_cannot_be_measured() -> None:
    with pytest.raises(MeasurementError, match="no frame"):
        video.black_seconds(clip_of([]))


def test_a_curve_has_a_duration_where_it_has_a_time_axis() -> None:
    time = np.linspace(2.0, 5.5, 8)
    curve = Series(Path("a.csv"), time, np.zeros((8, 1)), ("x",), ("",))
    assert video.duration(curve) == pytest.approx(3.5)
    with pytest.raises(MeasurementError, match="no time column"):
        video.duration(Series(Path("a.csv"), time, np.zeros((8, 1)), ("x",), ("",), time_is_index=True))


def test_a_real_file_with_a_frozen_stretch(tmp_path: Path) -> None:
    from converters.video import read_video

    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (160, 90))
    for step in [*range(20), *[19] * 30, *range(20, 40)]:
        writer.write(scene(step))
    writer.release()
    clip = read_video(path)
    assert video.frozen_seconds(clip) == pytest.approx(1.5, abs=0.06)
    assert video.frame_rate(clip) == pytest.approx(20.0)
