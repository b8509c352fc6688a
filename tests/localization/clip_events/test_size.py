"""Size against what is usual that far away: learned from few frames, and what is too large there stands out."""

import numpy as np

from vlm_inspect.localization.clip_events.features import ClipFeatures
from vlm_inspect.localization.clip_events.size import SizeChannel

GRID_HW = (20, 30)


def walkers(seed: int, count: int, *, large_at: range = range(0)) -> ClipFeatures:
    """Return features of dark shapes on grey ground, four times as large near as far; in some frames one is larger."""
    rng = np.random.default_rng(seed)
    grey = 120 + rng.normal(0, 2, (count, 2 * GRID_HW[0], 2 * GRID_HW[1])).astype(np.float32)
    for foot, high, wide in ((12, 3, 2), (24, 6, 3), (38, 9, 6)):
        at = rng.uniform(4, 40)
        for frame in range(count):
            at = 4 + (at - 4 + 0.7) % 44
            across, up = (3 * wide, 2 * high) if foot == 24 and frame in large_at else (wide, high)
            grey[frame, foot - up : foot, int(at) : int(at) + across] = 40
    still = np.zeros((count, *GRID_HW, 3), np.float32)
    return ClipFeatures(grey, still, np.zeros(count, np.float32), np.zeros(count, bool))


def test_what_is_large_for_its_distance_stands_out_though_others_are_larger() -> None:
    channel = SizeChannel([walkers(0, 60)])
    usual = channel.heat(walkers(1, 60)).max(axis=(1, 2))
    found = channel.heat(walkers(1, 60, large_at=range(20, 30)))
    highest = found.max(axis=(1, 2))
    assert highest[20:30].min() > 1.5 * max(usual.max(), highest[:20].max())
    rows = np.unravel_index(int(found[25].argmax()), GRID_HW)[0]
    assert 5 <= rows <= 12, "where it stands"


def test_nothing_is_said_of_size_where_nothing_was_seen() -> None:
    empty = walkers(0, 20)
    nobody = ClipFeatures(np.full_like(empty.grey, 120), empty.motion, empty.shift, empty.moved)
    assert np.all(SizeChannel([nobody]).heat(walkers(1, 20)) == 1.0)
