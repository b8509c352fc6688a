"""What is planted on a clip: the frames that change, what they show then, and that the localizer sees it."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.clip_stretch import ChangedFrames
from converters.sample import VideoClip
from tests.localization.clip_events.belts import GAP, SPEED, belt, part_of, references_of
from vlm_inspect.localization.clip_events.localizer import ClipLocalizer
from vlm_inspect.planting.clip_objects import find_moving, find_objects
from vlm_inspect.planting.clips import FOREIGN_KIND, OBJECT_KINDS, STILL_KINDS, TIME_KINDS
from vlm_inspect.planting.specimen import ClipSpecimen, prepare_specimen

ORIGINAL = belt(1, 80)
Pictures = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def specimen() -> ClipSpecimen:
    found = prepare_specimen(ORIGINAL)
    assert isinstance(found, ClipSpecimen)
    return found


def pictures(clip: VideoClip) -> Pictures:
    return [frame.image for frame in clip.frames()]


def planted_on(specimen: ClipSpecimen, kind: str, seed: int = 3) -> tuple[VideoClip, ChangedFrames, float]:
    made = specimen.plant(kind, 0.15, 1.0, np.random.default_rng(seed))
    assert isinstance(made.sample, VideoClip)
    assert isinstance(made.sample.frames, ChangedFrames)
    return made.sample, made.sample.frames, made.size


def test_a_clip_in_which_things_move_can_have_every_kind(specimen: ClipSpecimen) -> None:
    assert specimen.kinds == (*STILL_KINDS, *TIME_KINDS, *OBJECT_KINDS, FOREIGN_KIND)
    still = belt(2, 40, speeds={range(40): 0.0})
    assert find_moving(still, None) is None


@pytest.mark.parametrize(("kind", "pace"), [("standstill", 0), ("slow", 0.1), ("fast", 3), ("reversed", -1)])
def test_time_runs_otherwise_in_a_stretch_and_goes_on_after_it(specimen: ClipSpecimen, kind: str, pace: float) -> None:
    clip, frames, size = planted_on(specimen, kind)
    own = {picture.tobytes(): index for index, picture in enumerate(pictures(ORIGINAL))}
    shown = [own[picture.tobytes()] for picture in pictures(clip)]
    lasting = frames.end - frames.first
    assert size == pytest.approx(lasting / 80)
    assert len(shown) == clip.frame_count
    steps = [later - earlier for earlier, later in pairwise(shown)]
    inside = steps[frames.first - 1 : frames.end - 1]
    assert np.mean(inside) == pytest.approx(pace, abs=0.1)
    assert {*steps[: frames.first - 1], *steps[frames.end - 1 :]} == {1}
    some = [frame.index for frame in clip.frames(frozenset({0, frames.first, frames.end}))]
    assert some == [0, frames.first, frames.end]


def test_an_object_is_taken_out_or_is_there_twice(specimen: ClipSpecimen) -> None:
    assert specimen.objects is not None
    empty = specimen.objects.background
    for kind, change in ((OBJECT_KINDS[0], -1), (OBJECT_KINDS[1], 1)):
        clip, frames, _ = planted_on(specimen, kind)
        middle = (frames.first + frames.end) // 2
        before, after = pictures(ORIGINAL)[middle], pictures(clip)[middle]
        area = [sum(int(one.sum()) for one in find_objects(picture, empty, None)) for picture in (before, after)]
        assert (area[1] - area[0]) * change > 200, kind
        outside = [k for k in range(80) if not frames.first <= k < frames.end]
        assert all((pictures(clip)[k] == pictures(ORIGINAL)[k]).all() for k in outside[:: len(outside) // 5])
    assert SPEED * 4 < GAP  # boxes are told apart from frame to frame


def test_something_foreign_moves_through(specimen: ClipSpecimen) -> None:
    clip, frames, size = planted_on(specimen, FOREIGN_KIND)
    assert size == 0.15
    middles = []
    for index, (before, after) in enumerate(zip(pictures(ORIGINAL), pictures(clip), strict=True)):
        changed = np.argwhere((before != after).any(axis=2))
        if len(changed):
            middles.append(changed.mean(axis=0))
            assert frames.first <= index < frames.end
    assert len(middles) > 3
    assert np.ptp(middles, axis=0).max() > 40


def test_what_is_planted_is_judged_over_time() -> None:
    normal = ClipLocalizer().fit(references_of(ORIGINAL, belt(2, 80)))
    specimen = ClipSpecimen(ORIGINAL, None)
    base = normal.score([part_of(ORIGINAL)], without=0)
    assert base[0, 0] == normal.level[0, 0]
    for kind in ("standstill", "reversed", OBJECT_KINDS[0], FOREIGN_KIND):
        clip, _, _ = planted_on(specimen, kind)
        assert normal.score([part_of(clip)], without=0)[0, 0] > base[0, 0] + 0.5, kind
