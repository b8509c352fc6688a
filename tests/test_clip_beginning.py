"""How a clip's own beginning is named."""

import pytest

from vlm_inspect.clip_beginning import NormalSpan


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
