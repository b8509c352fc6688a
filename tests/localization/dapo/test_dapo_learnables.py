import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPConfig, CLIPModel

from vlm_inspect.localization.dapo.head import judge_tokens
from vlm_inspect.localization.dapo.learnables import DapoLearnables
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dapo.towers import DapoTowers, TowerSizes, sizes_of, towers_of
from vlm_inspect.localization.dapo.vision_path import PictureTokens, VisionPath
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.dual_encoder.hugging_face import HuggingFaceText, HuggingFaceVision


def full_size() -> CLIPModel:
    """ViT-L/14 at 336 px as it is published, on the meta device: sizes without numbers."""
    config = CLIPConfig(
        vision_config={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 336,
            "patch_size": 14,
            "projection_dim": 768,
        },
        text_config={
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "projection_dim": 768,
        },
        projection_dim=768,
    )
    with torch.device("meta"):
        return CLIPModel(config)


def test_full_size_learns_3_360_768_numbers() -> None:
    model = full_size()
    path = VisionPath(HuggingFaceVision(model))
    towers = DapoTowers(path, HuggingFaceText(model, lambda texts, most: []), "meta", "ViT-L/14@336")
    with torch.device("meta"):
        learnables = DapoLearnables(sizes_of(towers), DapoSettings())
    assert path.side == 518
    assert len(learnables.adapters) == 4
    assert sum(one.numel() for one in learnables.parameters()) == 3_360_768


def test_real_size_fits_24_gb_with_checkpointed_blocks() -> None:
    """Bytes that the vision path keeps for the backward pass of 8 pictures at 518 px, counted without numbers."""
    model = full_size()
    own = {one.untyped_storage()._cdata for one in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor  # keeping it keeps its address from being used again
        return tensor

    path = VisionPath(HuggingFaceVision(model), checkpoint_blocks=True)
    tokens = torch.empty(24, 4, 1024, device="meta", requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        seen = path.encode(torch.empty(8, 3, 518, 518, device="meta"), tokens)
    assert seen.grid_hw == (37, 37)
    assert seen.taps[0].shape == (8, 1369, 1024)
    size = sum(one.untyped_storage().nbytes() for address, one in kept.items() if address not in own)
    assert 24 * 8 * 1374 * 1024 * 4 <= size < 1.2 * 2**30


def test_dapo_costs_little_more_than_the_plain_tower() -> None:
    """Multiplications of one picture at 518 px against 20 words, text features cached."""
    tower = HuggingFaceVision(full_size())
    learnables = DapoLearnables(TowerSizes(768, 12, 768, (24, 1024), (1024,) * 4), DapoSettings())
    pixels, visual_tokens = torch.empty(1, 3, 518, 518, device="meta"), torch.empty(24, 4, 1024, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as plain:
        run_plain(tower, pixels)
    with torch.no_grad(), FlopCounterMode(display=False) as dapo:
        seen = VisionPath(tower).encode(pixels, visual_tokens)
        taps = [torch.zeros(tap.shape) for tap in seen.taps]  # autocast, which the head switches off, knows no meta
        judge_tokens(PictureTokens(torch.zeros(1, 768), taps, seen.grid_hw), learnables, torch.zeros(21, 768), 0.07)
    assert 1 < dapo.get_total_flops() / plain.get_total_flops() < 1.05


def run_plain(tower: HuggingFaceVision, pixels: torch.Tensor) -> None:
    states = tower.enter(pixels)
    for number in range(1, 1 + tower.blocks):
        states = tower.block(number, states)
    tower.leave(states[:, 0])


def test_draw_is_the_same_for_a_seed_and_leaves_the_random_state(encoder: DualEncoder) -> None:
    sizes = sizes_of(towers_of(encoder, DapoSettings(), side=32))
    one, two, three = (DapoLearnables(sizes, DapoSettings()) for _ in range(3))
    before = torch.random.get_rng_state()
    one.draw(encoder.text.embeddings, 5)
    two.draw(encoder.text.embeddings, 5)
    three.draw(encoder.text.embeddings, 6)
    assert torch.equal(before, torch.random.get_rng_state())
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])
        assert not torch.equal(tensor, three.state_dict()[name])


def test_draw_follows_the_token_embeddings_and_the_patch_rule() -> None:
    matrix = torch.randn(500, 16) * torch.linspace(0.1, 2, 16) + torch.linspace(-3, 3, 16)
    learnables = DapoLearnables(TowerSizes(16, 2, 8, (6, 1024), (1024,)), DapoSettings(prompts=64, context=64))
    learnables.draw(matrix, 0)
    drawn = learnables.prompts.abnormal_context.detach().flatten(0, 1)
    torch.testing.assert_close(drawn.mean(0), matrix.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.std(0), matrix.std(0), atol=0.1, rtol=0)
    assert learnables.visual_tokens is not None
    assert 0.0605 < float(learnables.visual_tokens.detach().abs().max()) <= 0.0611


def test_a_path_without_tokens_or_a_space_of_its_own_is_sized_accordingly() -> None:
    learnables = DapoLearnables(TowerSizes(16, 2, 8, None, (24, 40), summary=40), DapoSettings())
    assert learnables.visual_tokens is None
    assert [tuple(one.weight.shape) for one in learnables.adapters] == [(8, 24), (8, 40)]
    assert learnables.summary_adapter is not None
    assert tuple(learnables.summary_adapter.weight.shape) == (8, 40)
