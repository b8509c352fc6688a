"""Layers and values equal the library's own tensors."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import DualEncoder
from vlm_inspect.localization.dual_encoder.image_features import encode_image, last_values


def hidden_states(reference: Any, pixels: torch.Tensor, **options: Any) -> Any:
    with torch.no_grad():
        return reference.vision_model(pixel_values=pixels, output_hidden_states=True, **options).hidden_states


def test_layers_are_the_hidden_states(encoder: DualEncoder, reference: Any, pixels: torch.Tensor) -> None:
    theirs = hidden_states(reference, pixels)
    ours = encode_image(encoder.vision, pixels, range(5), drop_cls=False)
    assert list(ours.layers) == [0, 1, 2, 3, 4]
    assert ours.grid_hw == (4, 4)
    for number, tokens in ours.layers.items():
        torch.testing.assert_close(tokens, theirs[number], atol=1e-5, rtol=1e-5)
    assert encode_image(encoder.vision, pixels, [2]).layers[2].shape == (3, 16, 64)
    torch.testing.assert_close(encode_image(encoder.vision, pixels, [2]).layers[2], theirs[2][:, 1:])


def test_cls_is_the_image_feature(encoder: DualEncoder, reference: Any, pixels: torch.Tensor) -> None:
    with torch.no_grad():
        theirs = reference.get_image_features(pixel_values=pixels).pooler_output
    torch.testing.assert_close(encode_image(encoder.vision, pixels).cls, theirs, atol=1e-5, rtol=1e-5)


def test_layers_differ_and_can_be_changed_in_place(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    features = encode_image(encoder.vision, pixels, [1, 2, 3, 4])
    kept = {number: tokens.clone() for number, tokens in features.layers.items()}
    assert all((kept[number] - kept[number + 1]).abs().mean() > 0.05 for number in (1, 2, 3))
    features.layers[1].zero_()
    for number in (2, 3, 4):
        torch.testing.assert_close(features.layers[number], kept[number])


class InPlace:
    """A tower that overwrites its input, as some do to save memory."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.blocks, self.patch = inner, inner.blocks, inner.patch
        self.enter, self.leave = inner.enter, inner.leave

    def block(self, number: int, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.copy_(self.inner.block(number, tokens))


def test_layers_survive_a_tower_that_works_in_place(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    ours = encode_image(InPlace(encoder.vision), pixels, range(5), drop_cls=False)
    for number, tokens in encode_image(encoder.vision, pixels, range(5), drop_cls=False).layers.items():
        torch.testing.assert_close(ours.layers[number], tokens)


def test_larger_pictures_resize_the_positions(encoder: DualEncoder, reference: Any) -> None:
    large = torch.randn(2, 3, 72, 72, generator=torch.Generator().manual_seed(2))
    theirs = hidden_states(reference, large, interpolate_pos_encoding=True)
    ours = encode_image(encoder.vision, large, range(5), drop_cls=False)
    assert ours.grid_hw == (9, 9)
    for number, tokens in ours.layers.items():
        torch.testing.assert_close(tokens, theirs[number], atol=1e-5, rtol=1e-5)


def test_pictures_of_a_batch_do_not_interact(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    together = encode_image(encoder.vision, pixels, [4])
    for index in range(len(pixels)):
        alone = encode_image(encoder.vision, pixels[index : index + 1], [4])
        torch.testing.assert_close(alone.cls[0], together.cls[index], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone.layers[4][0], together.layers[4][index], atol=1e-5, rtol=1e-5)


def test_patches_run_row_by_row(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    changed = pixels.clone()
    changed[:, :, 8:16, 24:32] += 2  # row 1, column 3 of a 4 x 4 grid
    before, after = (encode_image(encoder.vision, one, [0]).layers[0] for one in (pixels, changed))
    moved = (before - after).abs().sum(dim=(0, 2)) > 1e-4
    assert torch.nonzero(moved).flatten().tolist() == [1 * 4 + 3]


def test_the_order_of_the_tokens_counts(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    turned = encode_image(encoder.vision, pixels.flip(-1)).cls
    assert (turned - encode_image(encoder.vision, pixels).cls).abs().max() > 1e-2


def test_last_values_equal_a_hook_on_the_value_projection(
    encoder: DualEncoder, reference: Any, pixels: torch.Tensor
) -> None:
    seen: list[torch.Tensor] = []
    attention = reference.vision_model.encoder.layers[-1].self_attn
    handle = attention.v_proj.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    hidden_states(reference, pixels)
    handle.remove()
    with torch.no_grad():
        theirs = reference.visual_projection(reference.vision_model.post_layernorm(attention.out_proj(seen[0])))
    before_last = encode_image(encoder.vision, pixels, [3], drop_cls=False).layers[3]
    ours = last_values(encoder.vision, before_last)
    assert ours.shape == (3, 17, 32)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    few = before_last[:, [0, 5, 6]]  # any number of tokens: values do not depend on each other
    torch.testing.assert_close(last_values(encoder.vision, few), ours[:, [0, 5, 6]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layers", [[5], [-1], [1, 25]])
def test_a_layer_that_is_not_there_is_an_error(encoder: DualEncoder, pixels: torch.Tensor, layers: list[int]) -> None:
    with pytest.raises(LocalizerError, match=r"has 4 blocks; there is no block (5|-1|25)"):
        encode_image(encoder.vision, pixels, layers)
    with pytest.raises(LocalizerError, match="there is no block 0"):
        encoder.vision.block(0, torch.zeros(1, 3, 64))


@pytest.mark.parametrize("shape", [(1, 3, 30, 32), (1, 1, 32, 32), (3, 32, 32)])
def test_pictures_that_are_not_whole_patches_are_an_error(encoder: DualEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(LocalizerError, match="a multiple of 8 is needed"):
        encode_image(encoder.vision, torch.zeros(shape))


def test_the_weights_are_frozen_and_gradients_reach_inserted_tokens(encoder: DualEncoder, pixels: torch.Tensor) -> None:
    assert not any(one.requires_grad for one in encoder.vision.module.parameters())
    assert not any(one.requires_grad for one in encoder.text.module.parameters())
    assert not encode_image(encoder.vision, pixels).cls.requires_grad
    learned = torch.zeros(1, 2, 64, requires_grad=True)
    tokens = torch.cat([encoder.vision.enter(pixels), learned.expand(3, -1, -1)], dim=1)
    for number in range(1, 5):
        tokens = encoder.vision.block(number, tokens)
    encoder.vision.leave(tokens[:, 0]).sum().backward()
    assert learned.grad is not None
    assert learned.grad.abs().sum() > 0


def test_the_activation_reaches_the_features(tmp_path: Path, pixels: torch.Tensor) -> None:
    """The same weights under the other activation give other features: the two styles are two models."""
    quick, plain = (tiny_encoder(tmp_path / style, style=style) for style in ("openai", "laion"))
    for (_, ours), (_, theirs) in zip(
        quick.vision.module.named_parameters(), plain.vision.module.named_parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    apart = encode_image(quick.vision, pixels).cls - encode_image(plain.vision, pixels).cls
    assert apart.abs().max() > 1e-3
