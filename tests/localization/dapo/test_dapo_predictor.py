from pathlib import Path

import pytest
import torch

from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.localization.dapo.model import DapoModel
from vlm_inspect.localization.dapo.predictor import DapoPredictor, anomaly_scores, identity_of, sum_taps
from vlm_inspect.training.methods.dapo import DapoMethod

WORDS = ("scratch", "hole", "stain")


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def maps(predictor: DapoPredictor, pixels: torch.Tensor, words: tuple[str, ...]) -> torch.Tensor:
    return sum_taps(predictor.look(pixels, predictor.states(words)))


def test_states_share_every_place(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    found = maps(predictor, pixels, WORDS)
    assert found.shape == (2, 4, 4, 4)
    assert 0 <= float(found.min()) <= float(found.max()) <= 4
    torch.testing.assert_close(found.sum(1), torch.full((2, 4, 4), 4.0), atol=1e-5, rtol=0)


def test_the_score_is_the_softmax_of_the_whole_picture(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    output = predictor.look(pixels, predictor.states(WORDS))
    torch.testing.assert_close(anomaly_scores(output), output.logits.softmax(-1)[:, 1])


def test_maps_follow_the_order_of_the_words(predictor: DapoPredictor, pixels: torch.Tensor) -> None:
    turned = maps(predictor, pixels, ("stain", "scratch", "hole"))
    torch.testing.assert_close(turned, maps(predictor, pixels, WORDS)[:, [0, 3, 1, 2]], atol=1e-5, rtol=1e-4)


def test_states_are_encoded_once_and_found_on_disk(
    method: DapoMethod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DapoPredictor(method.model, ArrayCache(tmp_path)).states(WORDS)

    def never(model: DapoModel, words: tuple[str, ...]) -> torch.Tensor:
        raise AssertionError(f"{words} were encoded again")

    monkeypatch.setattr(DapoModel, "encode_words", never)
    again = DapoPredictor(method.model, ArrayCache(tmp_path))
    assert torch.equal(again.states(WORDS), first)
    with pytest.raises(AssertionError, match="encoded again"):
        again.states(("scratch",))


def test_identity_rests_on_tensors_settings_and_towers(method: DapoMethod) -> None:
    was = identity_of(method.model)
    assert was == identity_of(method.model)
    with torch.no_grad():
        method.learnable.adapters[0].bias[0] += 1e-3
    assert identity_of(method.model) != was
    assert method.model.towers.identity in was
