from pathlib import Path

import pytest
import torch

from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.method import DapoMethod
from vlm_inspect.localization.dapo.model import DapoModel
from vlm_inspect.localization.dapo.predictor import DapoPredictor, identity_of
from vlm_inspect.localization.dapo.vocabulary import DefectVocabulary

VOCABULARY = DefectVocabulary(("scratch", "hole", "stain"), {}, {"plate": ("stain", "scratch")})


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_binary_maps_are_the_defects_summed_over_the_taps(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    binary = predictor.binary(pixels, VOCABULARY)
    types = predictor.multi_type(pixels, VOCABULARY)
    assert binary.maps.shape == (2, 32, 32)
    assert 0 <= float(binary.maps.min()) <= float(binary.maps.max()) <= 4
    torch.testing.assert_close(types.maps[:, 1:].sum(1), binary.maps)
    torch.testing.assert_close(4 - types.maps[:, 0], binary.maps, atol=1e-5, rtol=0)
    assert ((binary.scores >= 0) & (binary.scores <= 1)).all()
    assert torch.equal(types.labels, types.maps.argmax(1))


def test_scores_are_the_two_softmaxes_of_the_whole_picture(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    output = predictor.look(pixels, predictor.states(VOCABULARY.words))
    torch.testing.assert_close(predictor.binary(pixels, VOCABULARY).scores, output.logits.softmax(-1)[:, 1])
    single = output.state_logits.softmax(-1)[:, 1:].sum(1)
    torch.testing.assert_close(predictor.multi_type(pixels, VOCABULARY).scores, single)


def test_the_oracle_list_is_a_vocabulary_of_its_own(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    oracle = predictor.multi_type(pixels, VOCABULARY, product="plate")
    own = predictor.multi_type(pixels, DefectVocabulary.of_words(("stain", "scratch")))
    assert oracle.words == ("stain", "scratch")
    torch.testing.assert_close(oracle.maps, own.maps, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(oracle.scores, own.scores, atol=1e-5, rtol=1e-4)
    with pytest.raises(LocalizerError, match="no list of defects for product 'bottle'"):
        predictor.multi_type(pixels, VOCABULARY, product="bottle")


def test_maps_follow_the_order_of_the_words(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    maps = predictor.multi_type(pixels, VOCABULARY).maps
    turned = predictor.multi_type(pixels, DefectVocabulary.of_words(("stain", "scratch", "hole"))).maps
    torch.testing.assert_close(turned, maps[:, [0, 3, 1, 2]], atol=1e-5, rtol=1e-4)


def test_any_size_of_map(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    assert predictor.binary(pixels, VOCABULARY, (7, 9)).maps.shape == (2, 7, 9)
    assert predictor.multi_type(pixels, VOCABULARY, size_hw=(7, 9)).maps.shape == (2, 4, 7, 9)


def test_states_are_encoded_once_and_found_on_disk(
    method: DapoMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DapoPredictor(method.model, ArrayCache(tmp_path)).states(VOCABULARY.words)

    def never(model: DapoModel, words: tuple[str, ...]) -> torch.Tensor:
        raise AssertionError(f"{words} were encoded again")

    monkeypatch.setattr(DapoModel, "encode_words", never)
    again = DapoPredictor(method.model, ArrayCache(tmp_path))
    assert torch.equal(again.states(VOCABULARY.words), first)
    with pytest.raises(AssertionError, match="encoded again"):
        again.states(("scratch",))


def test_identity_rests_on_tensors_settings_and_towers(method: DapoMethod) -> None:
    was = identity_of(method.model)
    assert was == identity_of(method.model)
    with torch.no_grad():
        method.learnable.adapters[0].bias[0] += 1e-3
    assert identity_of(method.model) != was
    assert method.model.towers.identity in was
