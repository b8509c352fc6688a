"""The reference memory on made-up parts: finds the defect, wherever and however the part lies."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.view import BoxXyxyn, Pane, Place, View
from tests.localization.fitted import localize
from vlm_inspect.array_cache import ENVIRONMENT
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization import memory as memory_module
from vlm_inspect.localization.foreground import find_foreground
from vlm_inspect.localization.framing import Picture, plan_framing
from vlm_inspect.localization.memory import FittedMemory, ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.localization.patch_memory.layer_bank import choose_coreset
from vlm_inspect.localization.regions import find_regions
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.registration.known_scan import Change

cv2 = pytest.importorskip("cv2")


class Somewhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place(source_xyxy=box_xyxyn)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))
    return tmp_path / "cache"


def view(image: NDArray[np.uint8], key: str = "image", **more: object) -> View:
    return View(image, "image", key, Somewhere(), key=key, **more)  # type: ignore[arg-type]  # test shorthand


def weave(seed: int, size_hw: tuple[int, int] = (128, 128)) -> NDArray[np.uint8]:
    """A striped texture with a little noise, which fills the picture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : size_hw[0], 0 : size_hw[1]]
    phase = rng.uniform(0, 6, 2)
    waves = 110 + 30 * np.sin(x / 3.0 + phase[0]) + 30 * np.sin(y / 4.0 + phase[1])
    grey = np.clip(waves + rng.normal(0, 4, size_hw), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def bolt(seed: int, angle_deg: float, defect_at: float | None = None) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A dark bolt with a head on a light table; returns the picture and the place of the defect (or the middle)."""
    rng = np.random.default_rng(seed)
    image = np.full((256, 256, 3), 205, np.float32)
    cv2.rectangle(image, (48, 116), (200, 140), (70, 70, 75), -1)
    cv2.rectangle(image, (196, 98), (220, 158), (60, 60, 66), -1)
    for x in range(54, 130, 8):
        cv2.line(image, (x, 112), (x + 4, 144), (110, 110, 112), 2)
    spot = (48 + 150 * (defect_at or 0.5), 128.0)
    if defect_at is not None:
        cv2.circle(image, (round(spot[0]), 128), 7, (200, 120, 60), -1)
    turn = cv2.getRotationMatrix2D((128, 128), angle_deg, 1.0)
    image = cv2.warpAffine(image, turn, (256, 256), flags=cv2.INTER_LINEAR, borderValue=(205, 205, 205))
    image += rng.normal(0, 2, image.shape)
    place = turn @ np.array([*spot, 1.0])
    return np.clip(image, 0, 255).astype(np.uint8), (float(place[0]), float(place[1]))


def fast() -> ReferenceMemory:
    return ReferenceMemory(MemorySettings(eye="fast"))


def judge(one: View, references: Sequence[View], memory: ReferenceMemory | None = None) -> AnomalyMap:
    (found,) = localize(memory or fast(), [one], [[r] for r in references])
    return found


def peak_xy(found: AnomalyMap) -> tuple[int, int]:
    y, x = np.unravel_index(int(found.values.argmax()), found.values.shape)
    return int(x), int(y)


def test_a_blot_on_a_texture_is_found_and_normals_stay_inside() -> None:
    references = [view(weave(seed)) for seed in range(4)]
    memory = fast()
    normal = judge(view(weave(9)), references, memory)
    image = weave(10)
    image[40:56, 80:96] = 40
    odd = judge(view(image), references, memory)
    assert normal.probability is not None
    assert odd.probability is not None
    assert normal.probability < 0.5 < odd.probability
    assert odd.values.shape == (128, 128)
    assert odd.values.dtype == np.float32
    assert odd.values.min() >= 0.0
    assert 0.9 * odd.values.max() <= odd.score <= odd.values.max() + 1e-4  # the mean of the highest patches
    x, y = peak_xy(odd)
    assert 76 <= x <= 100
    assert 36 <= y <= 60
    (region,) = find_regions(odd, view(image), max_regions=1)
    assert region.match is not None


@pytest.mark.parametrize("angle", [25.0, 100.0, 205.0, 310.0])
def test_a_turned_bolt_is_judged_in_its_own_pose(angle: float) -> None:
    references = [view(bolt(seed, turn)[0]) for seed, turn in enumerate((0.0, 70.0, 160.0, 250.0))]
    memory = fast()
    normal = judge(view(bolt(8, angle)[0]), references, memory)
    image, place = bolt(9, angle, defect_at=0.35)
    odd = judge(view(image), references, memory)
    assert odd.score > 1.3 * normal.score
    x, y = peak_xy(odd)
    assert np.hypot(x - place[0], y - place[1]) < 14


def test_parts_are_framed_alike() -> None:
    framing = plan_framing(
        [Picture(bolt(s, a)[0]) for s, a in enumerate((0.0, 70.0, 160.0))], pixels=128 * 128, parts=True
    )
    assert framing.mode == "part"
    assert framing.turns
    frames = [framing.frame(Picture(bolt(5, angle)[0])) for angle in (10.0, 130.0, 200.0, 290.0)]
    first = frames[0].image.astype(float)
    assert first.shape[1] > 2 * first.shape[0]
    for other in frames[1:]:
        assert other.image.shape == frames[0].image.shape
        assert np.corrcoef(first.ravel(), other.image.astype(float).ravel())[0, 1] > 0.9
    points = np.array([[10.0, 20.0], [100.0, 30.0]])
    np.testing.assert_allclose(frames[2].to_frame(frames[2].to_source(points)), points)


def test_a_part_that_always_lies_alike_is_not_turned() -> None:
    framing = plan_framing([Picture(bolt(s, 1.0 * s)[0]) for s in range(3)], pixels=128 * 128, parts=True)
    assert framing.mode == "part"
    assert not framing.turns


def test_foreground() -> None:
    mask = find_foreground(bolt(0, 40.0)[0])
    assert mask is not None
    assert 0.04 < mask.mean() < 0.16
    assert find_foreground(weave(0)) is None
    assert find_foreground(np.full((64, 64, 3), 90, np.uint8)) is None


def test_masked_pixels_never_count() -> None:
    mask = np.ones((128, 128), bool)
    mask[:, 64:] = False
    references = [view(weave(seed), "depth/front", mask=mask) for seed in range(3)]
    image = weave(7)
    image[30:60, 80:120] = 255
    found = judge(view(image, "depth/front", mask=mask), references)
    assert (found.values[~mask] == 0).all()
    assert found.probability is not None
    assert found.probability < 0.5


def test_panes_are_judged_one_by_one() -> None:
    panes = (Pane((0, 0, 96, 96)), Pane((104, 0, 200, 96)))

    def grid(seed: int, blot: bool = False) -> View:
        image = np.zeros((96, 200, 3), np.uint8)
        image[:, 0:96], image[:, 104:200] = weave(seed, (96, 96)), weave(seed + 50, (96, 96))
        if blot:
            image[30:46, 130:146] = 30
        return view(image, "frames", panes=panes)

    references = [grid(seed) for seed in range(3)]
    found = judge(grid(20, blot=True), references)
    x, y = peak_xy(found)
    assert 124 <= x <= 152
    assert 24 <= y <= 52
    assert (found.values[:, 97:103] == 0).all()
    assert found.matches is not None
    assert np.isfinite(found.matches[5, 20]).all()


def test_views_without_a_counterpart_are_left_out() -> None:
    references = [[view(weave(seed), "a")] for seed in range(2)]
    maps = localize(fast(), [view(weave(5), "b"), view(weave(6), "a")], references)
    assert [one.view for one in maps] == [1]


def test_one_reference_is_not_calibrated_and_none_means_rarity() -> None:
    image = weave(4)
    image[40:56, 80:96] = 40
    alone = judge(view(image), [view(weave(0))])
    assert alone.source == "memory"
    assert alone.tolerance is None
    assert alone.probability is None
    assert alone.nearest_reference == 0
    (rare,) = localize(fast(), [view(image)], [])
    assert (rare.source, rare.tolerance) == ("rarity", None)
    x, y = peak_xy(rare)
    assert 74 <= x <= 102
    assert 34 <= y <= 62


def test_a_second_process_reads_the_memory_from_disk(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references = [view(weave(seed)) for seed in range(2)]
    first = judge(view(weave(5)), references)
    assert len(list(cache_folder.rglob("*.arrays"))) == 1
    monkeypatch.setattr(memory_module, "learn_memory", lambda *_: pytest.fail("computed although it was stored"))
    again = judge(view(weave(5)), references)
    assert again.score == pytest.approx(first.score)
    assert again.tolerance == first.tolerance


def part(image: NDArray[np.uint8]) -> Part:
    return Part(None, (view(image),))


def test_the_fine_eye_scores_by_channels_and_weights_decide_how_they_count(cache_folder: Path) -> None:
    references = ReferenceSet.of_views([[view(weave(seed))] for seed in range(3)])
    fitted = ReferenceMemory().fit(references)
    networks = [prior.network for prior in fitted.priors]
    assert networks == ["lite0", *["dinov2"] * (len(networks) - 1)]
    assert fitted.level.shape == (3, len(networks))
    blot = weave(10)
    blot[40:56, 80:96] = 40
    scores = fitted.score([part(weave(9)), part(blot)])
    assert (scores[1] > scores[0] + 0.2).all()
    found = fitted.localize(part(blot))
    np.testing.assert_allclose(found.log_scores, scores[1], atol=1e-5)
    weights = np.zeros(len(networks))
    weights[0] = 1.0
    lite_alone = fitted.weigh(np.zeros(len(networks)), weights).localize(part(blot)).maps[0]
    assert np.log(lite_alone.score) == pytest.approx(scores[1][0], abs=1e-5)
    for one in (lite_alone, found.maps[0]):
        x, y = peak_xy(one)
        assert 72 <= x <= 104
        assert 32 <= y <= 64
        assert len(one.normal_peaks) == 3
    again = ReferenceMemory().fit(references)
    assert again.identity == fitted.identity
    np.testing.assert_array_equal(again.level, fitted.level)
    np.testing.assert_allclose(again.score([part(blot)]), scores[1:], atol=1e-5)


def test_a_left_out_reference_is_not_found() -> None:
    references = ReferenceSet.of_views([[view(weave(seed))] for seed in range(3)])
    fitted = fast().fit(references)
    own = part(weave(1))
    assert fitted.score([own], without=1)[0, 0] > fitted.score([own])[0, 0] + 1.0
    assert fitted.score([own], without=0)[0, 0] == pytest.approx(fitted.score([own])[0, 0], abs=0.5)


def test_a_scan_that_is_the_reference_left_out_scores_as_it_was_learned() -> None:
    references = ReferenceSet.of_views([[view(weave(seed))] for seed in range(3)])
    fitted = fast().fit(references)
    scan = replace(part(weave(0)), views=references.views[1], change=Change.nothing(np.zeros((4, 3))))
    looked = fitted.score([replace(scan, change=None)], without=1)
    np.testing.assert_allclose(fitted.score([scan], without=1), looked, atol=1e-3)


def test_the_level_tells_what_a_new_part_scores() -> None:
    new = [part(weave(seed)) for seed in range(20, 26)]
    for count in (1, 2, 4):
        fitted = fast().fit(ReferenceSet.of_views([[view(weave(seed))] for seed in range(count)]))
        assert isinstance(fitted, FittedMemory)
        error = fitted.score(new).mean() - fitted.level.mean()
        assert abs(error) < (0.2 if count > 1 else 0.7)


def test_the_coreset_covers_its_rows() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(c, 0.1, (200, 6)) for c in (0, 5, 10)]).astype(np.float32)
    rows[17] = 40.0
    kept = choose_coreset(rows, 40)
    assert len(set(kept.tolist())) == 40
    assert 17 in kept
    far = np.linalg.norm(rows[:, None] - rows[kept][None], axis=2).min(axis=1)
    assert far.max() < 1.0
    np.testing.assert_array_equal(kept, choose_coreset(rows, 40))
    np.testing.assert_array_equal(choose_coreset(rows[:30], 40), np.arange(30))


@pytest.mark.slow(4)
def test_real_bottles(shared_data: Path) -> None:
    from PIL import Image

    folder = shared_data / "mvtec" / "bottle"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    load = lambda path: view(np.asarray(Image.open(path).convert("RGB")))  # noqa: E731  # used thrice
    references = [load(path) for path in sorted((folder / "train" / "good").iterdir())[:4]]
    memory = fast()
    normal = [judge(load(p), references, memory).score for p in sorted((folder / "test" / "good").iterdir())[:3]]
    odd = [judge(load(p), references, memory) for p in sorted((folder / "test" / "broken_large").iterdir())[:3]]
    assert max(normal) < min(one.score for one in odd)
    assert all(one.probability is not None and one.probability > 0.5 for one in odd)
