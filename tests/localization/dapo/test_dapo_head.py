import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vlm_inspect.localization.dapo.head import DapoOutput, judge_tokens, spread
from vlm_inspect.localization.dapo.learnables import DapoLearnables
from vlm_inspect.localization.dapo.losses import dapo_losses, dice_loss, focal_loss
from vlm_inspect.localization.dapo.predictor import sum_taps
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.towers import TowerSizes
from vlm_inspect.localization.dapo.vision_path import PictureTokens


def scene(count: int, seed: int = 0, taps: int = 4) -> tuple[PictureTokens, DapoLearnables, torch.Tensor]:
    """Two pictures of 3 x 4 patches, and `count` words."""
    draw = torch.Generator().manual_seed(seed)
    tokens = PictureTokens(
        torch.randn(2, 8, generator=draw), [torch.randn(2, 12, 6, generator=draw) for _ in range(taps)], (3, 4)
    )
    learnables = DapoLearnables(TowerSizes(5, 1, 8, None, (6,) * taps), DapoSettings())
    learnables.draw(torch.randn(9, 5, generator=draw), seed)
    learnables.requires_grad_(False)
    return tokens, learnables, F.normalize(torch.randn(1 + count, 8, generator=draw), dim=-1)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 5))
def test_probabilities_sum_to_one_and_sums_over_taps_stay_in_range(count: int, seed: int) -> None:
    output = judge_tokens(*scene(count, seed), temperature=0.07)
    for one in output.maps:
        assert one.shape == (2, 1 + count, 3, 4)
        torch.testing.assert_close(one.sum(1), torch.ones(2, 3, 4))
        torch.testing.assert_close(spread(one, (9, 11)).sum(1), torch.ones(2, 9, 11))
    total = sum_taps(output)
    assert float(total.min()) >= 0
    assert float(total.max()) <= 4 + 1e-5


def test_head_is_the_equations_written_out() -> None:
    tokens, learnables, states = scene(3)
    output = judge_tokens(tokens, learnables, states, temperature=0.1)
    for picture in range(2):
        feature = tokens.summary[picture] / tokens.summary[picture].norm()
        mean = states[1:].mean(0)
        wanted = torch.stack([feature @ states[0], feature @ (mean / mean.norm())]) / 0.1
        torch.testing.assert_close(output.logits[picture], wanted)
        torch.testing.assert_close(output.state_logits[picture], states @ feature / 0.1)
    patch = learnables.adapters[2](tokens.taps[2][1, 6])  # row 1, column 2
    wanted = torch.softmax(states @ (patch / patch.norm()) / 0.1, dim=0)
    torch.testing.assert_close(output.maps[2][1, :, 1, 2], wanted)


def test_the_head_stays_in_float32_under_autocast() -> None:
    tokens, learnables, states = scene(3)
    wanted = judge_tokens(tokens, learnables, states, temperature=0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = judge_tokens(tokens, learnables, states, temperature=0.07)
    assert torch.equal(output.logits, wanted.logits)
    assert torch.equal(output.maps[0], wanted.maps[0])


def test_spread_puts_corners_on_corners() -> None:
    grid = torch.tensor([[[[0.0, 1.0], [0.2, 0.6]]]])
    wide = spread(grid, (5, 9))
    assert wide[0, 0, 0, 0] == 0
    assert wide[0, 0, 0, -1] == 1
    assert wide[0, 0, 0, 4] == pytest.approx(0.5)
    assert wide[0, 0, -1, -1] == pytest.approx(0.6)


def naive_focal(found: torch.Tensor, types: torch.Tensor) -> float:
    """The formula place by place, with its smoothed one-hot target."""
    classes, smooth, total = found.shape[1], 1e-5, 0.0
    for b, y, x in torch.cartesian_prod(*(torch.arange(n) for n in types.shape)).tolist():
        onehot = [1 - smooth if k == types[b, y, x] else smooth / (classes - 1) for k in range(classes)]
        p = sum(o * float(found[b, k, y, x]) for k, o in enumerate(onehot)) + smooth
        total -= (1 - p) ** 2 * math.log(p)
    return total / types.numel()


@pytest.mark.parametrize("classes", [2, 5])
def test_focal_loss_is_the_formula(classes: int) -> None:
    draw = torch.Generator().manual_seed(0)
    found = torch.softmax(torch.randn(2, classes, 3, 4, generator=draw), 1)
    types = torch.randint(0, classes, (2, 3, 4), generator=draw)
    assert float(focal_loss(found, types)) == pytest.approx(naive_focal(found, types), rel=1e-5)


def test_dice_loss_on_tensors_made_by_hand() -> None:
    found = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.0]]])
    wanted = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    # picture 1: (2 + 1) / (2 + 1 + 1); picture 2: 1 / (0.5 + 0 + 1)
    assert float(dice_loss(found, wanted)) == pytest.approx(1 - (3 / 4 + 1 / 1.5) / 2)
    assert float(dice_loss(wanted, wanted)) == pytest.approx(0)


def test_perfect_maps_cost_nothing_and_the_weights_add_up() -> None:
    types = torch.zeros(1, 4, 4, dtype=torch.long)
    types[0, :2] = 2
    perfect = F.one_hot(types, 3).permute(0, 3, 1, 2).float()
    output = DapoOutput(torch.tensor([[0.0, 30.0]]), torch.zeros(1, 3), [perfect, perfect])
    losses = dapo_losses(output, types, torch.tensor([1]), 4.0)
    assert all(float(loss) == pytest.approx(0, abs=1e-5) for loss in losses.values())
    wrong = DapoOutput(torch.tensor([[0.0, 0.0]]), torch.zeros(1, 3), [perfect.roll(1, 1)])
    losses = dapo_losses(wrong, types, torch.tensor([1]), 4.0)
    assert float(losses["global"]) == pytest.approx(math.log(2))
    assert losses["focal"] > 5
    torch.testing.assert_close(losses["total"], 4 * (losses["focal"] + losses["dice"]) + losses["global"])
