"""WinCLIP as a judge: by words alone, and with normal pictures."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.localization.alfa.colour_towers import colour_encoder
from tests.localization.alfa.surfaces import green_surface, peak_xy, with_square
from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.array_cache import ENVIRONMENT, ArrayCache, user_cache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.winclip import picture_features
from vlm_inspect.localization.winclip.judge import WinClip, abnormal_share
from vlm_inspect.localization.winclip.memory import associate, compare_with_normals, fuse
from vlm_inspect.localization.winclip.picture_features import recall_normals, see_in_batches
from vlm_inspect.localization.winclip.settings import WinClipSettings
from vlm_inspect.localization.winclip.windows import spread_harmonically, unit

NUT = Subject("metal nut")
SPOT = (40, 16, 56, 32)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    torch.set_num_threads(1)
    return tiny_encoder(tmp_path_factory.mktemp("clip"), side=64)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "cache"))


def test_words_alone_find_the_place_where_the_towers_know_the_words() -> None:
    normal, damaged = WinClip(colour_encoder()).fit(NUT).judge([green_surface(0), with_square(green_surface(1), SPOT)])
    x, y = peak_xy(damaged.heat)
    assert SPOT[0] <= x <= SPOT[2]
    assert SPOT[1] <= y <= SPOT[3]
    assert damaged.score > normal.score
    assert damaged.heat.max() > 2 * normal.heat.max()


def test_a_few_normal_pictures_find_a_pasted_square(encoder: DualEncoder) -> None:
    normals = [green_surface(seed) for seed in range(3)]
    judge = WinClip(encoder)
    clean, damaged = judge.fit(NUT, normals).judge([green_surface(7), with_square(green_surface(8), SPOT)])
    told = judge.fit(NUT).judge([with_square(green_surface(8), SPOT)])[0]
    gained = damaged.heat - 0.5 * told.heat  # what the memory adds
    x, y = peak_xy(gained)
    assert SPOT[0] <= x <= SPOT[2]
    assert SPOT[1] <= y <= SPOT[3]
    assert gained.max() > 5 * np.median(gained)
    assert damaged.score > clean.score


def test_scores_are_probabilities_on_the_towers_grid(encoder: DualEncoder) -> None:
    (wide,) = WinClip(encoder).fit(NUT).judge([green_surface(0)[:30]])
    assert wide.heat.shape == (8, 8)
    assert wide.heat.dtype == np.float32
    assert 0.0 <= wide.heat.min() <= wide.heat.max() <= 1.0
    assert 0.0 <= wide.score <= 1.0
    (finer,) = WinClip(encoder, WinClipSettings(side=96, scales=(2, 4))).fit(NUT).judge([green_surface(0)])
    assert finer.heat.shape == (12, 12)


def test_the_map_is_the_harmonic_mean_of_windows_and_picture(encoder: DualEncoder) -> None:
    (answer,) = WinClip(encoder).fit(NUT).judge([green_surface(0)])
    (without,) = WinClip(encoder, WinClipSettings(with_picture=False)).fit(NUT).judge([green_surface(0)])
    np.testing.assert_allclose(3 / answer.heat, 2 / without.heat + 1 / answer.score, rtol=1e-4)


def test_batches_change_nothing(encoder: DualEncoder) -> None:
    pictures = [with_square(green_surface(seed), (8 * seed, 8, 8 * seed + 16, 24)) for seed in range(4)]
    together = WinClip(encoder, WinClipSettings(most_tokens=10**9)).fit(NUT).judge(pictures)
    alone = WinClip(encoder, WinClipSettings(most_tokens=1)).fit(NUT).judge(pictures)
    for one, other in zip(together, alone, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        np.testing.assert_allclose(one.heat, other.heat, atol=1e-5)
    assert WinClip(encoder).fit(NUT).judge([]) == []


def test_what_is_seen_of_a_picture_comes_from_the_blocks_that_it_names(encoder: DualEncoder) -> None:
    vision = encoder.vision
    (seen,) = see_in_batches(encoder, [green_surface(0)], WinClipSettings(), with_values=True)
    with torch.inference_mode():
        pixels = prepare_pixels([green_surface(0)], 64, vision.normalisation)
        tokens = vision.enter(pixels)
        for number in range(1, vision.blocks):
            tokens = vision.block(number, tokens)
        last = vision.block(vision.blocks, tokens)
    torch.testing.assert_close(seen.whole, unit(vision.leave(last[:, 0])), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(seen.patches, unit(last[:, 1:]), atol=1e-5, rtol=1e-4)
    values = vision.leave(vision.merge_heads(vision.blocks, vision.attention(vision.blocks, tokens).values))
    assert seen.values is not None
    torch.testing.assert_close(seen.values, unit(values), atol=1e-5, rtol=1e-4)


def test_normal_pictures_are_seen_once(encoder: DualEncoder) -> None:
    normals = [green_surface(seed) for seed in range(3)]
    settings, cache = WinClipSettings(), user_cache()
    all_three = recall_normals(encoder, normals, settings, cache)
    with patch.object(picture_features, "see_pictures", side_effect=AssertionError("seen again")):
        two = recall_normals(encoder, [normals[2], normals[0].copy()], settings, ArrayCache(cache.home))
        with pytest.raises(AssertionError):
            recall_normals(encoder, [green_surface(3)], settings, cache)
        with pytest.raises(AssertionError):
            recall_normals(encoder, normals[:1], WinClipSettings(side=96), cache)
    per_picture = len(all_three.patches) // 3
    assert per_picture == 64
    torch.testing.assert_close(two.patches[per_picture:], all_three.patches[:per_picture], rtol=0, atol=0)
    torch.testing.assert_close(two.windows[1][:36], all_three.windows[1][72:], rtol=0, atol=0)


def test_a_normal_picture_is_unlike_nothing_in_a_memory_that_holds_it(encoder: DualEncoder) -> None:
    settings = WinClipSettings()
    normals = [green_surface(0), green_surface(1)]
    memory = recall_normals(encoder, normals, settings, user_cache())
    (seen,) = see_in_batches(encoder, [normals[1], green_surface(2)], settings, with_values=False)
    unlike = compare_with_normals(seen, memory, settings)
    assert float(unlike[0].max()) < 1e-5
    assert float(unlike[1].min()) > 1e-5


def test_the_association_is_half_the_cosine_distance_to_the_nearest() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = unit(torch.randn(2, 5, 7, generator=generator))
    bank = unit(torch.randn(11, 7, generator=generator))
    expected = torch.stack([torch.stack([0.5 * min(1 - q @ b for b in bank) for q in row]) for row in queries])
    torch.testing.assert_close(associate(queries, bank), expected)


def test_the_memory_map_is_the_mean_over_scales_and_patches(encoder: DualEncoder) -> None:
    settings = WinClipSettings()
    memory = recall_normals(encoder, [green_surface(0)], settings, user_cache())
    (seen,) = see_in_batches(encoder, [green_surface(2)], settings, with_values=False)
    parts = [
        spread_harmonically(associate(seen.windows[i].features, memory.windows[i]), (8, 8), scale)
        for i, scale in enumerate((2, 3))
    ]
    parts.append(associate(seen.patches, memory.patches).view(1, 8, 8))
    torch.testing.assert_close(compare_with_normals(seen, memory, settings), torch.stack(parts).mean(dim=0))


def test_maps_fuse_by_either_mean() -> None:
    one, other = torch.tensor([[[0.2]]]), torch.tensor([[[0.6]]])
    assert float(fuse(one, other, "mean")) == pytest.approx(0.4)
    assert float(fuse(one, other, "harmonic")) == pytest.approx(0.3)


def test_the_share_is_the_softmax_over_both_anchors() -> None:
    anchors = torch.eye(3)[:2]
    share = abnormal_share(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), anchors, 0.5)
    torch.testing.assert_close(share, torch.tensor([1 / (1 + np.exp(2.0)), 0.5], dtype=torch.float32))


def test_the_identity_changes_with_settings_and_weights(encoder: DualEncoder) -> None:
    plain = WinClip(encoder)
    assert plain.identity == WinClip(encoder).identity
    assert plain.identity != WinClip(encoder, WinClipSettings(temperature=0.01)).identity
    assert plain.identity != WinClip(replace(encoder, identity="others")).identity
    assert (plain.name, plain.uses_normals) == ("winclip", True)


@pytest.mark.parametrize(
    "wrong",
    [{"scales": ()}, {"scales": (2, 2)}, {"scales": (0,)}, {"temperature": 0.0}, {"least": 0.0}],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WinClipSettings.model_validate(wrong)


def test_what_the_tower_cannot_do_is_said(encoder: DualEncoder) -> None:
    with pytest.raises(LocalizerError, match="not a multiple of the patch"):
        WinClip(encoder, WinClipSettings(side=60)).fit(NUT).judge([green_surface(0)])
    with pytest.raises(LocalizerError, match="do not fit the grid of 8 x 8"):
        WinClip(encoder, WinClipSettings(scales=(9,))).fit(NUT).judge([green_surface(0)])
    with pytest.raises(LocalizerError, match="no name"):
        WinClip(encoder).fit(Subject(" ")).judge([green_surface(0)])
    with pytest.raises(LocalizerError, match="not uint8 RGB"):
        WinClip(encoder).fit(NUT).judge([green_surface(0)[..., 0]])


def test_features_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    broken = tiny_encoder(tmp_path / "clip", side=64)
    with torch.no_grad():
        next(broken.vision.module.parameters()).fill_(float("nan"))
    with pytest.raises(LocalizerError, match="not numbers"):
        WinClip(broken).fit(NUT).judge([green_surface(0)])


def test_a_class_name_that_is_far_too_long_is_cut_and_named(encoder: DualEncoder) -> None:
    long = Subject("nut " + "with a very long description " * 8)
    judge = WinClip(encoder)
    with pytest.warns(UserWarning, match="the end was cut off"):
        (first,) = judge.fit(long).judge([green_surface(0)])
    (note,) = first.notes
    assert "242 of 242 prompts" in note
    assert "nut with a very long" in note
