"""Heat that stays with what moves is kept, heat that flickers is lowered, and none is told before or after its time."""

import numpy as np
import pytest

from vlm_inspect.localization.clip_events.features import CELL, ClipFeatures
from vlm_inspect.localization.clip_events.paths import along_paths

COUNT, ROWS, COLUMNS = 24, 6, 30


def moving(places_a_frame: float) -> ClipFeatures:
    """Return features of frames in which everything moves to the right."""
    motion = np.zeros((COUNT, ROWS, COLUMNS, 3), np.float32)
    motion[..., 0], motion[..., 1] = 1.0, places_a_frame * CELL
    grey = np.zeros((COUNT, 2 * ROWS, 2 * COLUMNS), np.float32)
    return ClipFeatures(grey, motion, np.zeros(COUNT, np.float32), np.zeros(COUNT, bool))


def spot(frames: range, places_a_frame: float) -> np.ndarray:
    """Return heat (1, N, h, w) of a thing three places wide that moves."""
    heat = np.zeros((1, COUNT, ROWS, COLUMNS), np.float32)
    for frame in frames:
        left = 2 + round(places_a_frame * frame)
        heat[0, frame, 2:5, left : left + 3] = 1.0
    return heat


def test_what_is_hot_all_the_way_stays_hot_and_what_flickers_is_lowered() -> None:
    lasting = along_paths(spot(range(COUNT), 1.0), moving(1.0))
    assert lasting[0, 12, 3, 2 + 12 + 1] == pytest.approx(1.0, abs=0.05)
    brief = along_paths(spot(range(12, 13), 1.0), moving(1.0))
    assert 0.0 < brief[0, 12, 3, 2 + 12 + 1] < 0.3
    beside = along_paths(spot(range(COUNT), 1.0), moving(0.0))  # others who pass at the place are not the same thing
    assert beside[0, 12, 3, 2 + 12 + 1] < 0.6


def test_nothing_is_hot_before_or_after_its_time() -> None:
    heat = spot(range(10, 15), 1.0)
    lasting = along_paths(heat, moving(1.0))
    assert (lasting <= heat).all()
    assert lasting[0, :10].max() == lasting[0, 15:].max() == 0.0


@pytest.mark.parametrize("count", [1, 2])
def test_few_frames_and_several_channels(count: int) -> None:
    heat = np.stack([spot(range(COUNT), 0.0)[0, :count], 2.0 * spot(range(COUNT), 0.0)[0, :count]])
    assert along_paths(heat, moving(0.0).part(0, count)) == pytest.approx(heat)
