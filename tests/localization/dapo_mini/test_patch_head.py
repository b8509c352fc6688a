"""dapo-mini over the patches of DINOv2: the head that ships, how it joins Lite0, and what is said without it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import read_header
from vlm_inspect.localization.dapo.settings import DapoMiniSettings
from vlm_inspect.localization.dapo_mini.judge import grid_of, load_dapo_mini
from vlm_inspect.localization.dapo_mini.mixture import MIXTURE, mix
from vlm_inspect.localization.dapo_mini.patch_head import (
    CHANNELS,
    RARITIES,
    PatchHead,
    head_path,
    load_head,
    load_witness,
    patch_rarities,
)
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.subject import Subject
from vlm_inspect.vision import dinov2


def bare(value: float = 0.1, size: int = 8) -> PictureScores:
    heat = np.full((size, size), value, np.float32)
    return PictureScores(value, heat, types=np.stack([heat * 0.75, heat * 0.25]), words=("cut", "stain"), names=False)


def test_the_head_that_ships_says_where_it_comes_from() -> None:
    header = read_header(head_path())
    assert header.settings["held_out"] == ["brushed", "marble", "rod", "tiles"]
    assert not set(header.settings["held_out"]) & set(header.class_names)
    assert header.steps > 0
    assert head_path().stat().st_size < 1e6
    head = load_head(head_path())
    assert not any(one.requires_grad for one in head.parameters())


def test_a_patch_unlike_its_picture_is_rare_and_the_head_is_given_both_views_of_it() -> None:
    torch.manual_seed(0)
    layer = torch.randn(1, 16, 1, 1).expand(1, 16, 12, 12) + 0.1 * torch.randn(1, 16, 12, 12)
    layer = layer.clone()
    layer[0, :, 4, 7] = 3 * torch.randn(16)
    rarity = patch_rarities([layer, layer])
    assert rarity.shape == (1, RARITIES, 12, 12)
    assert divmod(int(rarity[0, 1].argmax()), 12) == (4, 7)
    assert torch.equal(rarity[0, 1], rarity[0, 3])
    head = PatchHead().eval()
    rows = head.rows(torch.zeros(3, CHANNELS), torch.ones(3, CHANNELS), torch.ones(3, CHANNELS), torch.zeros(3, 4))
    assert rows.shape == (3, 2 * CHANNELS + RARITIES)
    assert (rows[:, CHANNELS : 2 * CHANNELS] == -1 / 1.5).all()
    assert head.look(torch.zeros(2, CHANNELS, 5, 6), torch.zeros(2, RARITIES, 5, 6)).shape == (2, 5, 6)


def test_every_witness_raises_a_place_and_words_keep_their_shares() -> None:
    head, rarity = torch.zeros(6, 6), torch.zeros(6, 6)
    plain = mix(bare(), head, rarity)
    spot = torch.zeros(6, 6)
    spot[2, 3] = 4.0
    for changed in (mix(bare(), spot, rarity), mix(bare(), head, spot)):
        assert changed.heat[2, 3] > plain.heat[2, 3]
        assert changed.heat[0, 0] == plain.heat[0, 0]
        assert changed.score > plain.score
        assert changed.types is not None
        np.testing.assert_allclose(changed.types[0], 3 * changed.types[1], rtol=1e-4)
        np.testing.assert_allclose(changed.types.sum(0), changed.heat, rtol=1e-4)
    assert mix(bare(0.5), head, rarity).score > plain.score
    assert 0 <= plain.score <= 1
    least, most = (mix(bare(), torch.full((6, 6), value), rarity) for value in (-90.0, 90.0))
    assert np.isfinite([least.score, most.score]).all()
    assert 0 <= least.heat.min() <= most.heat.max() <= 1
    assert dataclasses.asdict(MIXTURE)["rarity"] > 0


def test_pictures_of_several_sizes_are_judged_together_as_alone() -> None:
    random = np.random.default_rng(0)
    pictures = [random.integers(90, 130, size, np.uint8) for size in ((96, 96, 3), (80, 160, 3), (96, 96, 3))]
    pictures[2][40:60, 40:60] = (250, 30, 30)
    fitted = load_dapo_mini(settings=DapoMiniSettings(sides=(96,))).fit(Subject("part"))
    together = fitted.judge(pictures)
    for picture, one in zip(pictures, together, strict=True):
        (alone,) = fitted.judge([picture])
        assert one.heat.shape == grid_of(picture, 96)
        np.testing.assert_allclose(one.heat, alone.heat, atol=2e-3)  # the network runs in bf16
    assert together[2].score > together[0].score
    assert fitted.judge([]) == []


def test_it_can_be_left_out_and_then_looks_with_lite0_alone() -> None:
    judge = load_dapo_mini(settings=DapoMiniSettings(patches=False))
    assert judge.witness is None
    assert judge.identity != load_dapo_mini().identity
    assert load_dapo_mini().witness is load_witness()


def test_without_the_weights_of_dinov2_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dinov2, "onnx_path", lambda: None)
    monkeypatch.setenv("VLM_INSPECT_DINOV2", str(tmp_path))
    from vlm_inspect.vision import loading

    loading._load.cache_clear()
    load_witness.cache_clear()
    try:
        with pytest.raises(LocalizerError, match="holds no DINOv2"):
            load_dapo_mini()
    finally:
        loading._load.cache_clear()
        load_witness.cache_clear()
