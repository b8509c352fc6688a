"""Sentences equal the library's own features; the mask is never implied; cut and empty prompts are named."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import DualEncoder
from vlm_inspect.localization.dual_encoder.text_features import (
    CutPrompt,
    attention_mask,
    encode_embedded,
    encode_texts,
)

TEXTS = ["a photo of a scratched screw", "a normal nut", "damaged", "a close-up photo of the M4 x 20 washer, bent"]


@pytest.fixture(scope="module")
def tokenizer(openai_folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(openai_folder)


def test_ids_are_those_of_the_library(encoder: DualEncoder, tokenizer: Any) -> None:
    sentences = encoder.text.tokenize(TEXTS)
    theirs = tokenizer(TEXTS)["input_ids"]
    for row, ids in enumerate(theirs):
        assert sentences.ids[row, : len(ids)].tolist() == ids
        assert sentences.ends[row] == len(ids) - 1
        assert sentences.mask[row].sum() == len(ids)
    assert sentences.cut == ()
    assert sentences.ids.shape[1] == max(map(len, theirs))


def test_features_are_those_of_the_library(encoder: DualEncoder, reference: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        theirs = reference.get_text_features(**tokenizer(TEXTS, padding=True, return_tensors="pt")).pooler_output
    torch.testing.assert_close(encode_texts(encoder.text, TEXTS), theirs, atol=1e-5, rtol=1e-5)


def test_batches_keep_the_order(encoder: DualEncoder) -> None:
    many = [f"{'a very ' * (index % 5)}bent part {index}" for index in range(23)]
    at_once = encode_texts(encoder.text, many)
    torch.testing.assert_close(encode_texts(encoder.text, many, batch=4), at_once, atol=1e-5, rtol=1e-5)
    for index in (0, 7, 22):
        torch.testing.assert_close(encode_texts(encoder.text, [many[index]])[0], at_once[index], atol=1e-5, rtol=1e-5)
    assert not at_once.requires_grad


def test_without_the_causal_mask_it_is_another_function(encoder: DualEncoder) -> None:
    sentences = encoder.text.tokenize(TEXTS)
    embedded = encoder.text.embeddings[sentences.ids]
    options = embedded, sentences.ends, sentences.mask
    causal = encode_embedded(encoder.text, *options, causal=True)
    torch.testing.assert_close(causal, encode_texts(encoder.text, TEXTS), atol=1e-5, rtol=1e-5)
    assert (causal - encode_embedded(encoder.text, *options, causal=False)).abs().max() > 1e-2


@pytest.mark.parametrize("causal", [True, False])
def test_padding_changes_nothing(encoder: DualEncoder, causal: bool) -> None:
    sentences = encoder.text.tokenize(TEXTS)
    embedded = encoder.text.embeddings[sentences.ids]
    before = encode_embedded(encoder.text, embedded, sentences.ends, sentences.mask, causal=causal)
    other = torch.where(sentences.mask[..., None], embedded, torch.randn_like(embedded))
    after = encode_embedded(encoder.text, other, sentences.ends, sentences.mask, causal=causal)
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_masks_are_spelled_out() -> None:
    mask = torch.tensor([[True, True, True], [True, True, False]])
    inf = torch.inf
    expected = torch.tensor([[0, -inf, -inf], [0, 0, -inf], [0, 0, 0]])
    assert torch.equal(attention_mask(mask, causal=True)[0, 0], expected)
    both = attention_mask(mask, causal=False)
    assert both.shape == (2, 1, 1, 3)
    assert torch.equal(both[:, 0, 0], torch.tensor([[0, 0, 0], [0, 0, -inf]]))


@pytest.mark.parametrize("causal", [True, False])
def test_gradients_reach_the_embeddings_and_nothing_after_the_end(encoder: DualEncoder, causal: bool) -> None:
    sentences = encoder.text.tokenize(TEXTS)
    embedded = encoder.text.embeddings[sentences.ids].clone().requires_grad_()
    encode_embedded(encoder.text, embedded, sentences.ends, sentences.mask, causal=causal).sum().backward()
    assert embedded.grad is not None
    felt = embedded.grad.abs().sum(-1) > 0
    assert torch.equal(felt, sentences.mask)


def test_a_prompt_over_the_context_is_cut_and_named(encoder: DualEncoder) -> None:
    long = "scratched " * 80
    with pytest.warns(CutPrompt, match=r"longer than 77 tokens.*'scratched scratched"):
        features = encode_texts(encoder.text, ["a nut", long])
    sentences = encoder.text.tokenize(["a nut", long])
    assert sentences.cut == (long,)
    assert sentences.ids.shape == (2, 77)
    assert sentences.ends.tolist() == [sentences.mask[0].sum() - 1, 76]
    end = sentences.ids[0, sentences.ends[0]]
    assert sentences.ids[1, 76] == end
    assert torch.isfinite(features).all()


def test_a_prompt_of_exactly_the_context_is_not_cut(encoder: DualEncoder) -> None:
    words = ["a"] * 75  # one token each, and start and end
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_texts(encoder.text, [" ".join(words)])
    with pytest.warns(CutPrompt):
        encode_texts(encoder.text, [" ".join([*words, "a"])])


def test_many_cut_prompts_are_counted(encoder: DualEncoder) -> None:
    with pytest.warns(CutPrompt, match="and 2 more") as caught:
        encode_texts(encoder.text, [f"{letter} " * 90 for letter in "abcde"])
    assert len(caught) == 1


@pytest.mark.parametrize("texts", [["a nut", ""], ["a nut", " \n\t"], []])
def test_an_empty_prompt_is_an_error(encoder: DualEncoder, texts: list[str]) -> None:
    with pytest.raises(LocalizerError, match=r"prompt 2 of 2 is empty|there is no prompt"):
        encode_texts(encoder.text, texts)


def test_embeddings_longer_than_the_context_are_an_error(encoder: DualEncoder) -> None:
    embedded, ends = torch.zeros(1, 78, 48), torch.tensor([77])
    with pytest.raises(LocalizerError, match="78 tokens does not fit the text tower's 77"):
        encode_embedded(encoder.text, embedded, ends, torch.ones(1, 78, dtype=torch.bool), causal=True)
