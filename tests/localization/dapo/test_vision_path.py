import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.token_mixing import mix_tokens
from vlm_inspect.localization.dapo.vision_path import VisionPath, even_taps
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder


def pixels(count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def tokens(encoder: DualEncoder, count: int = 4) -> torch.Tensor:
    shape = (encoder.vision.blocks, count, encoder.vision.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5))
def test_inserted_tokens_stand_between_first_token_and_the_rest_in_order(batch: int, length: int, count: int) -> None:
    states = torch.arange(batch * length * 2.0).reshape(batch, length, 2)
    new = -1 - torch.arange(count * 2.0).reshape(count, 2)
    mixed = mix_tokens(states, new, True, 0.3)
    assert torch.equal(torch.cat([mixed[:, :1], mixed[:, 1 + count :]], dim=1), states)
    assert torch.equal(mixed[:, 1 : 1 + count], new.expand(batch, -1, -1))


def test_later_blocks_replace_the_tokens_but_for_alpha() -> None:
    states = torch.ones(1, 4, 2)
    mixed = mix_tokens(states, torch.full((2, 2), 3.0), False, 0.25)
    assert mixed[0, :, 0].tolist() == [1.0, 2.5, 2.5, 1.0]


def test_without_tokens_it_is_the_plain_tower(encoder: DualEncoder) -> None:
    tower, path = encoder.vision, VisionPath(encoder.vision, side=32)
    seen = path.encode(pixels(), None)
    states, outputs = tower.enter(pixels()), []
    for number in range(1, 5):
        states = tower.block(number, states)
        outputs.append(states[:, 1:])
    assert all(torch.equal(tap, wanted) for tap, wanted in zip(seen.taps, outputs, strict=True))
    assert torch.equal(seen.summary, tower.leave(states[:, 0]))
    assert seen.grid_hw == (4, 4)
    assert not torch.equal(seen.taps[0], seen.taps[3])


def test_alpha_one_is_insert_once(encoder: DualEncoder) -> None:
    tower, learned = encoder.vision, tokens(encoder)
    seen = VisionPath(tower, side=32, alpha=1.0).encode(pixels(), learned)
    states = tower.enter(pixels())
    states = torch.cat([states[:, :1], learned[0].expand(2, -1, -1), states[:, 1:]], dim=1)
    for number in range(1, 5):
        states = tower.block(number, states)
    torch.testing.assert_close(seen.taps[-1], states[:, 5:])
    torch.testing.assert_close(seen.summary, tower.leave(states[:, 0]))


def test_patches_keep_their_places(encoder: DualEncoder) -> None:
    path = VisionPath(encoder.vision, side=32, taps=(1,))
    plain, changed = pixels(1), pixels(1)
    changed[:, :, 8:16, 24:] += 3  # row 1, column 3 of the 4 x 4 grid
    moved = path.encode(changed, tokens(encoder)).taps[0] - path.encode(plain, tokens(encoder)).taps[0]  # (1, 16, D)
    assert int(moved.norm(dim=-1).argmax()) == 7


def test_pictures_of_a_batch_do_not_meet(encoder: DualEncoder) -> None:
    path = VisionPath(encoder.vision, side=32)
    both, alone = path.encode(pixels(), tokens(encoder)), path.encode(pixels()[1:], tokens(encoder))
    torch.testing.assert_close(both.taps[-1][1:], alone.taps[-1])
    torch.testing.assert_close(both.summary[1:], alone.summary)


@pytest.mark.parametrize(
    ("blocks", "taps"), [(24, (6, 12, 18, 24)), (12, (3, 6, 9, 12)), (4, (1, 2, 3, 4)), (3, (1, 2, 3)), (1, (1,))]
)
def test_taps_are_quarters_of_the_tower(blocks: int, taps: tuple[int, ...]) -> None:
    assert even_taps(blocks) == taps


def test_side_is_518_or_the_nearest_that_fits(encoder: DualEncoder) -> None:
    assert VisionPath(encoder.vision).side == 520  # 65 patches of 8
    seen = VisionPath(encoder.vision, side=48).encode(pixels(1, 48), tokens(encoder))
    assert seen.grid_hw == (6, 6)
    assert seen.taps[0].shape == (1, 36, 64)


def test_wrong_side_and_wrong_taps_are_refused(encoder: DualEncoder) -> None:
    with pytest.raises(LocalizerError, match="side 33: must be a multiple of the patch, 8 px"):
        VisionPath(encoder.vision, side=33)
    with pytest.raises(LocalizerError, match="has blocks 1 to 4"):
        VisionPath(encoder.vision, side=32, taps=(2, 5))


def test_checkpointed_blocks_give_the_same_values_and_gradients(encoder: DualEncoder) -> None:
    results = []
    for again in (False, True):
        learned = tokens(encoder).requires_grad_()
        seen = VisionPath(encoder.vision, side=32, checkpoint_blocks=again).encode(pixels(), learned)
        (seen.summary.square().sum() + seen.taps[1].square().sum()).backward()
        results.append((seen.summary.detach(), learned.grad))
    torch.testing.assert_close(results[0], results[1])
