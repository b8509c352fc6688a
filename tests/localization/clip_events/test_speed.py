"""Speed against what is usual that far away: perspective is learned from few frames, and a faster one stands out."""

import numpy as np

from vlm_inspect.localization.clip_events.features import ClipFeatures, Floats
from vlm_inspect.localization.clip_events.grid import frame_scores, smooth
from vlm_inspect.localization.clip_events.speed import SpeedChannel

GRID_HW = (20, 30)


def features_of(grey: Floats, motion: Floats) -> ClipFeatures:
    """Return features of a camera that stands still."""
    return ClipFeatures(grey, motion, np.zeros(len(grey), np.float32), np.zeros(len(grey), bool))


def walkers(seed: int, count: int, *, fast_at: range = range(0), factor: float = 2.5) -> ClipFeatures:
    """Return features of things that cross, three times as fast below as above; in some frames one is faster."""
    rng = np.random.default_rng(seed)
    motion = np.zeros((count, *GRID_HW, 3), np.float32)
    for row in range(2, 18, 3):
        at = rng.uniform(0, GRID_HW[1])
        for frame in range(count):
            speed = (1 + 2 * row / GRID_HW[0]) * rng.normal(1.0, 0.1)
            if row == 5 and frame in fast_at:
                speed *= factor
            at = (at + speed / 8) % (GRID_HW[1] - 3)
            motion[frame, row : row + 2, int(at) : int(at) + 3] = (0.6, 0.6 * speed, 0.0)
    return features_of(np.zeros((count, 2 * GRID_HW[0], 2 * GRID_HW[1]), np.float32), motion)


def test_what_is_fast_for_its_distance_stands_out_though_others_are_faster() -> None:
    channel = SpeedChannel([walkers(0, 30)])
    heat = channel.heat(walkers(1, 80, fast_at=range(40, 60)))
    assert heat.shape == (80, *GRID_HW)
    assert heat.min() == 1.0
    scores = frame_scores(smooth(heat))
    assert scores[44:56].min() > 1.2 * max(scores[:36].max(), scores[64:].max())
    place = np.unravel_index(int(heat[50].argmax()), GRID_HW)
    assert 3 <= place[0] <= 8


def test_where_nothing_moves_nothing_is_fast() -> None:
    still = features_of(np.zeros((20, 40, 60), np.float32), np.zeros((20, *GRID_HW, 3), np.float32))
    channel = SpeedChannel([still])
    assert (channel.heat(still) == 1.0).all()
    assert channel.heat(walkers(0, 20)).max() > 3.0
