"""Features of sentences: computed once, and honest about what was cut."""

import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder import text_features
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.localization.prompt_bank.embeddings import embed, token_counts


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return tiny_encoder(tmp_path_factory.mktemp("clip"))


def test_features_are_of_length_one_and_those_of_the_tower(encoder: DualEncoder, tmp_path: Path) -> None:
    sentences = ["a normal nut", "an abnormal nut with a bent tooth"]
    features = embed(encoder, sentences, ArrayCache(tmp_path)).features
    plain = text_features.encode_texts(encoder.text, sentences)
    torch.testing.assert_close(features, torch.nn.functional.normalize(plain, dim=-1))


def test_they_are_computed_once_for_a_list_of_sentences(encoder: DualEncoder, tmp_path: Path) -> None:
    first = embed(encoder, ["one", "two"], ArrayCache(tmp_path))
    with patch.object(text_features, "encode_texts", side_effect=AssertionError("computed again")):
        again = embed(encoder, ["one", "two"], ArrayCache(tmp_path))
        with pytest.raises(AssertionError):
            embed(encoder, ["two", "one"], ArrayCache(tmp_path))
    np.testing.assert_array_equal(first.features.numpy(), again.features.numpy())
    shutil.rmtree(tmp_path)


def test_a_sentence_that_was_cut_is_named_every_time(encoder: DualEncoder, tmp_path: Path) -> None:
    long = "a photo of a " + "very " * 200 + "long nut"
    with pytest.warns(text_features.CutPrompt, match="very very"):
        first = embed(encoder, ["a nut", long], ArrayCache(tmp_path))
    again = embed(encoder, ["a nut", long], ArrayCache(tmp_path))
    assert first.notes == again.notes
    (note,) = first.notes
    assert "1 of 2 prompts have more than 77 tokens and were cut, the first: 'a photo of a very very" in note
    assert embed(encoder, ["a nut"], ArrayCache(tmp_path)).notes == ()


def test_an_empty_sentence_is_an_error(encoder: DualEncoder, tmp_path: Path) -> None:
    with pytest.raises(LocalizerError, match="prompt 2 of 2 is empty"):
        embed(encoder, ["a nut", " "], ArrayCache(tmp_path))
    with pytest.raises(LocalizerError):
        embed(encoder, [], ArrayCache(tmp_path))


def test_tokens_are_counted_without_start_and_end(encoder: DualEncoder) -> None:
    assert token_counts(encoder, ["ab", "ab cd", "ab " * 75, "ab " * 76, "ab " * 300]) == [1, 2, 75, 77, 77]
    assert token_counts(encoder, []) == []
