"""How a clip's own beginning is named."""

from pathlib import Path

import pytest

from converters.sample import VideoClip
from vlm_inspect.clip_beginning import NormalSpan
from vlm_inspect.errors import ReferenceSampleError


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("60", NormalSpan(frames=60)),
        ("6s", NormalSpan(seconds=6.0)),
        (" 2.5 s ", NormalSpan(seconds=2.5)),
    ],
)
def test_frames_or_seconds(text: str, span: NormalSpan) -> None:
    assert NormalSpan.parse(text) == span
    assert NormalSpan.parse(str(span)) == span


@pytest.mark.parametrize("text", ["", "s", "-3", "1.5", "0", "0s", "6 min", "1e9", "nan", "9" * 40, "٦s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 60"):
        NormalSpan.parse(text)


@pytest.mark.parametrize(
    ("span", "frames", "said"),
    [
        ("6s", 40, "part.mp4 is 4 s long, so nothing is left to judge; give a smaller value"),
        ("60", 40, "part.mp4 has 40 frames, so nothing is left to judge; give a smaller value"),
        ("60", 1, "part.mp4 has 1 frame, so nothing is left to judge; give a longer clip"),
        ("1", 40, "1 frame is too few; give at least 12 frames"),
    ],
)
def test_what_leaves_nothing_to_judge_says_how_long_the_clip_is(span: str, frames: int, said: str) -> None:
    clip = VideoClip(Path("part.mp4"), (48, 64), frames, 10.0, lambda wanted=None: iter(()))
    with pytest.raises(ReferenceSampleError) as error:
        NormalSpan.parse(span).count(clip)
    assert str(error.value).endswith(said)
