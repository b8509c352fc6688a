"""Pictures of several callers judged together: the same maps as one by one, and an error stays with its caller."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from converters.image import ImageOrigin
from converters.view import View
from tests.localization.tiny_clip import build_tiny_clip
from tests.waiting import LONGEST_S
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization import load_localizer
from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.localizer import batch_of
from vlm_inspect.localization.picture_batch import BatchedJudge
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.settings import LocalizerSettings
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.text_localizer import TextLocalizer
from vlm_inspect.references import Part, ReferenceSet

PARTS = 5


class Slow:
    """A judge that waits in its first call until all others have come."""

    def __init__(self, others: int) -> None:
        self.others, self.sizes, self.come = others, list[int](), threading.Semaphore(0)
        self.stopped = False

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        self.sizes.append(len(pictures))
        if not self.stopped:
            self.stopped = True
            for _ in range(self.others):
                assert self.come.acquire(timeout=LONGEST_S)
        if any(picture.max() == 255 for picture in pictures):
            raise LocalizerError("a picture of 255 cannot be judged")
        return [PictureScores(float(picture.mean()) / 255, picture[..., 0] / np.float32(255)) for picture in pictures]


def grey(value: int) -> Rgb:
    return np.full((8, 8, 3), value, np.uint8)


def test_callers_who_wait_share_a_batch_and_an_error_fails_its_caller_alone() -> None:
    slow = Slow(others=PARTS)
    judge = BatchedJudge(slow, most=4)

    def call(value: int) -> float | str:
        if value:
            threading.Timer(0.3, slow.come.release).start()  # by then this caller waits
        try:
            return judge.judge([grey(value)])[0].score * 255
        except LocalizerError as error:
            return str(error)

    with ThreadPoolExecutor(PARTS + 1) as pool:
        first = pool.submit(call, 0)
        while not slow.stopped:
            threading.Event().wait(0.01)
        rest = list(pool.map(call, (10, 20, 255, 30, 40)))
    assert first.result() == 0
    assert [one for one in rest if not isinstance(one, str)] == pytest.approx([10, 20, 30, 40])
    assert "255" in str(rest[2])
    assert slow.sizes[0] == 1
    assert slow.sizes[1] == 4, "those who came meanwhile go together"
    assert sum(slow.sizes) == 1 + 4 + 4 + 1, "the batch with the wrong picture was done again, one by one"


def test_a_caller_with_more_pictures_than_a_batch_is_not_taken_apart() -> None:
    slow = Slow(others=0)
    assert len(BatchedJudge(slow, most=2).judge([grey(1), grey(2), grey(3)])) == 3
    assert slow.sizes == [3]


def part(seed: int) -> Part:
    """A photo with two tiles, as text localizers are given them."""
    random = np.random.default_rng(seed)
    image = np.clip(random.normal(120, 9, (64, 96, 3)), 0, 255).astype(np.uint8)
    image[10:30, 10 * seed + 5 : 10 * seed + 25] = (200, 40, 30)
    whole = View(image, "image", "photo", ImageOrigin((0, 0, 96, 64)), "image")
    tile = View(image[:32, :48].copy(), "image", "tile", ImageOrigin((0, 0, 48, 32)), "image")
    return Part(None, (whole, tile))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny", layers=4)


@pytest.mark.parametrize(("name", "references"), [("winclip", 0), ("winclip", 2), ("alfa", 2), ("dapo", 0)])
def test_maps_are_those_of_one_by_one(
    name: str, references: int, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path))
    parts = [part(seed) for seed in range(PARTS)]
    known = ReferenceSet.of_views([part(20 + seed).views for seed in range(references)])

    def maps(batch: int) -> list[AnomalyMap]:
        settings = LocalizerSettings(clip=None if name == "dapo" else str(clip), batch=batch)
        localizer = load_localizer(name, settings, device="cpu")
        assert isinstance(localizer, TextLocalizer)
        assert batch_of(localizer) == batch
        localizer._cache = ArrayCache(tmp_path / str(batch))
        fitted = localizer.fit(known, Subject("plate", ("scratch", "stain")))
        with ThreadPoolExecutor(PARTS if batch > 1 else 1) as pool:
            return [one for found in pool.map(fitted.localize, parts) for one in found.maps]

    for alone, together in zip(maps(1), maps(8), strict=True):
        np.testing.assert_allclose(together.values, alone.values, atol=1e-5)
        assert together.score == pytest.approx(alone.score, abs=1e-5)
        assert together.normal_scores == pytest.approx(alone.normal_scores, abs=1e-5)
        assert together.notes == alone.notes
