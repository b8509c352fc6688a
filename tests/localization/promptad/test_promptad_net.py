"""The tensors: sizes of the report's head, a start from plain features, gradients only where they belong."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.localization.promptad.net import (
    LocalizationHead,
    PromptAdNet,
    VisionFeatures,
    VisionPromptLearner,
    extract_features,
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("clip"))


def random_anchors(classes=1, joint=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(classes, 2, joint, generator=generator), dim=-1)


def make_net(encoder, text_channel="learned", classes=1):
    torch.manual_seed(0)
    return PromptAdNet(encoder.vision.width, random_anchors(classes), prompts=4, text_channel=text_channel)


def random_pixels(count=2, side=32, seed=0):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("channels", "parameters"), [(768, 2_065_665), (512, 1_475_841), (769, 2_067_969)])
def test_the_head_has_the_reported_size(channels, parameters):
    with torch.device("meta"):
        head = LocalizationHead(channels)
    assert sum(p.numel() for p in head.parameters()) == parameters


def test_learnable_parameters_at_the_reports_size():
    with torch.device("meta"):
        net = PromptAdNet(768, torch.empty(1, 2, 512), prompts=4, text_channel="learned")
    sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in net.named_children()}
    assert sizes == {"vision_prompts": 2 * 4 * 768 + 768 * 768, "head": 2_067_969}
    assert net.text_prompts.numel() == 2 * 512


def test_vision_prompts_start_from_the_plain_patches():
    learner = VisionPromptLearner(64, 4)
    patches = torch.randn(2, 9, 64)
    assert torch.equal(learner(patches), patches)
    torch.nn.init.eye_(learner.output.weight)
    assert not torch.allclose(learner(patches), patches)


def test_vision_prompts_follow_their_formula():
    torch.manual_seed(1)
    learner = VisionPromptLearner(8, 3)
    torch.nn.init.normal_(learner.output.weight)
    patches = torch.randn(1, 2, 8)
    with torch.no_grad():
        result = learner(patches)[0, 1]
        one = patches[0, 1]
        ends = [
            torch.softmax(prompts @ one / 8**0.5, dim=0) @ prompts for prompts in (learner.anomalous, learner.normal)
        ]
        expected = one + learner.output.weight @ (ends[0] - ends[1])
    assert torch.allclose(result, expected, atol=1e-5)


def test_features_are_those_of_the_tower(encoder):
    tower, pixels = encoder.vision, random_pixels()
    features = extract_features(tower, pixels)
    tokens = tower.enter(pixels)
    for number in range(1, tower.blocks + 1):
        tokens = tower.block(number, tokens)
    assert torch.allclose(features.patches, tokens[:, 1:], atol=1e-5)
    assert torch.allclose(features.pictures, F.normalize(tower.leave(tokens[:, 0]), dim=-1), atol=1e-5)
    assert features.grid_hw == (4, 4)
    earlier = extract_features(tower, pixels, layer=2)
    assert not torch.allclose(earlier.patches, features.patches)
    assert torch.allclose(earlier.pictures, features.pictures)


@pytest.mark.parametrize("text_channel", ["none", "anchors", "learned"])
def test_maps_have_the_pictures_side_and_gradients_stay_in_the_learnable_part(encoder, text_channel):
    net = make_net(encoder, text_channel)
    features = extract_features(encoder.vision, random_pixels())
    logits = net(features, torch.zeros(2, dtype=torch.long), encoder.vision, side=32, temperature=0.07)
    assert logits.shape == (2, 32, 32)
    logits.square().sum().backward()
    assert net.head[0].weight.grad.abs().sum() > 0
    assert net.vision_prompts.output.weight.grad.abs().sum() > 0
    assert (net.text_prompts.grad is not None) == (text_channel == "learned")
    frozen = [*encoder.vision.module.parameters(), *encoder.text.module.parameters()]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in frozen)


def test_the_text_channel_is_the_difference_of_the_two_likenesses(encoder):
    """A head that passes the last channel through shows what it was given."""
    net = make_net(encoder, "anchors", classes=2).eval()
    net.head = torch.nn.Conv2d(65, 1, 1, bias=False)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.weight[0, -1] = 1.0
        features = extract_features(encoder.vision, random_pixels())
        logits = net(features, torch.tensor([0, 1]), encoder.vision, side=4, temperature=0.5)
        joint = F.normalize(encoder.vision.leave(features.patches), dim=-1)
        for picture in (0, 1):
            normal, anomalous = net.anchors[picture]
            expected = (joint[picture] @ anomalous - joint[picture] @ normal) / 0.5
            assert torch.allclose(logits[picture].flatten(), expected, atol=1e-5)


def test_pictures_of_a_batch_do_not_mix_when_judging(encoder):
    net = make_net(encoder).eval()
    features = extract_features(encoder.vision, random_pixels(3))
    classes = torch.zeros(3, dtype=torch.long)
    together = net(features, classes, encoder.vision, side=32, temperature=0.07)
    one = VisionFeatures(features.patches[1:2], features.pictures[1:2], features.grid_hw)
    alone = net(one, classes[:1], encoder.vision, side=32, temperature=0.07)
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_half_precision_towers_serve_float32_tensors(tmp_path):
    encoder = tiny_encoder(tmp_path / "half")
    encoder.vision.module.to(torch.bfloat16)  # the half precision that a CPU can do
    half = replace(encoder, identity="half")
    features = extract_features(half.vision, random_pixels())
    assert features.patches.dtype == torch.float32
    logits = make_net(half)(features, torch.zeros(2, dtype=torch.long), half.vision, side=32, temperature=0.07)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
