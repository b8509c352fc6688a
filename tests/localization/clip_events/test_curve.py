"""The curve of a clip: the same in pieces as in one, and a run that broke off goes on where it was."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.sample import Frame
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.localization.clip_events import curve as curves
from vlm_inspect.localization.clip_events.curve import score_clip
from vlm_inspect.localization.clip_events.features import analysed_size
from vlm_inspect.localization.clip_events.normal_clips import NormalClips, learn_clips

from .belts import SIZE_HW, belt

SIZE_WH = analysed_size(SIZE_HW)


@pytest.fixture(scope="module")
def normal() -> NormalClips:
    return learn_clips([belt(1), belt(2)], None)


def test_pieces_give_the_same_curve_as_the_whole(normal: NormalClips, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = belt(8, 300, missing_at=128, mark_at=range(200, 210))
    whole = score_clip(clip, normal.behaviour, SIZE_WH)
    monkeypatch.setattr(curves, "PIECE", 64)
    monkeypatch.setattr(curves, "_READ", 24)
    pieces = score_clip(clip, normal.behaviour, SIZE_WH)
    assert np.allclose(whole.scores, pieces.scores, atol=0.05)
    assert np.allclose(whole.heat_at(205), pieces.heat_at(205), atol=0.1)


def test_a_run_that_broke_off_goes_on_where_it_was(
    normal: NormalClips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "PIECE", 64)
    clip = belt(8, 300)
    decoded: list[int] = []

    def breaking(last: int) -> object:
        def frames(wanted: frozenset[int] | None = None) -> Iterator[Frame]:
            for frame in clip.frames(wanted):
                if frame.index > last:
                    raise ConversionError("the disk has gone")
                decoded.append(frame.index)
                yield frame

        return frames

    kept = ArrayCache(tmp_path), "key"
    with pytest.raises(ConversionError):
        score_clip(replace(clip, frames=breaking(250)), normal.behaviour, SIZE_WH, kept=kept)  # type: ignore[arg-type]
    again = ArrayCache(tmp_path), "key"
    decoded.clear()
    found = score_clip(replace(clip, frames=breaking(300)), normal.behaviour, SIZE_WH, kept=again)  # type: ignore[arg-type]
    assert min(decoded) > 0
    assert np.allclose(found.scores, score_clip(clip, normal.behaviour, SIZE_WH).scores, atol=0.05)


def test_pieces_of_a_long_clip_do_not_gather_in_memory(normal: NormalClips, tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    score_clip(belt(8, 60), normal.behaviour, SIZE_WH, kept=(cache, "key"))
    assert len(list(tmp_path.rglob("*.arrays"))) == 1
    assert not cache._recent
