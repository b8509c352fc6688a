import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.localization.dapo.painted_plates import SIDE, Plates
from tests.localization.tiny_clip import tiny_encoder
from vlm_inspect.array_cache import ArrayCache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.head import spread
from vlm_inspect.localization.dapo.predictor import DapoPredictor, sum_taps
from vlm_inspect.localization.dapo.settings import DapoSettings
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.training.method import Batch, TrainableMethod, TrainingSample
from vlm_inspect.training.methods.dapo import DapoMethod

WORDS = ("scratch", "hole", "stain")
RNG = np.random.default_rng(0)


def batch(count: int = 5, side: int = 32) -> Batch:
    draw = torch.Generator().manual_seed(3)
    types = torch.randint(0, 4, (count, side, side), generator=draw)
    types[0] = 0
    labels = (types > 0).flatten(1).any(1).long()
    return Batch(torch.randn(count, 3, side, side, generator=draw), types, labels, ("plate",) * count)


def test_it_is_trainable_with_the_published_schedule(method: DapoMethod) -> None:
    as_seen_by_the_loop: TrainableMethod = method
    schedule = as_seen_by_the_loop.schedule
    assert (schedule.epochs, schedule.batch_size, schedule.learning_rate) == (5, 8, 1e-3)
    assert (schedule.optimiser, schedule.betas, schedule.decay) == ("adam", (0.5, 0.999), "constant")
    assert (as_seen_by_the_loop.supervision, as_seen_by_the_loop.words) == ("masks", WORDS)
    sample = TrainingSample(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.bool_), None, "plate", "a.png")
    assert method.vary(sample, RNG) is sample


def test_gradients_reach_every_learned_tensor_and_no_tower(method: DapoMethod, encoder: DualEncoder) -> None:
    method.losses(batch(), RNG)["total"].backward()
    for name, tensor in method.learnable.named_parameters():
        assert tensor.grad is not None, name
        assert float(tensor.grad.abs().max()) > 0, name
    assert method.learnable.visual_tokens is not None
    assert (method.learnable.visual_tokens.grad.abs().amax((1, 2)) > 0).all()  # in every block
    assert (method.learnable.prompts.layer_tokens.grad.abs().amax((1, 2)) > 0).all()
    for tower in (encoder.vision.module, encoder.text.module):
        assert all(one.grad is None and not one.requires_grad for one in tower.parameters())


def test_a_checkpoint_holds_the_learned_tensors_alone(method: DapoMethod) -> None:
    assert set(method.learnable.state_dict()) == {
        "prompts.normal_context",
        "prompts.abnormal_context",
        "prompts.layer_tokens",
        "visual_tokens",
        *(f"adapters.{number}.{kind}" for number in range(4) for kind in ("weight", "bias")),
    }


@pytest.mark.parametrize(("micro_batch", "checkpoint_blocks"), [(2, False), (2, True), (None, True), (8, False)])
def test_saving_memory_changes_neither_losses_nor_gradients(
    encoder: DualEncoder, micro_batch: int | None, checkpoint_blocks: bool
) -> None:
    settings = DapoSettings(prompts=2)
    plain = DapoMethod.over(encoder, WORDS, settings, side=32)
    saving = DapoMethod.over(
        encoder, WORDS, settings, side=32, micro_batch=micro_batch, checkpoint_blocks=checkpoint_blocks
    )
    found = []
    for method in (plain, saving):
        losses = method.losses(batch(), RNG)
        losses["total"].backward()
        found.append(({name: loss.detach() for name, loss in losses.items()}, method.learnable.visual_tokens.grad))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_towers_leave_the_learned_tensors_alone(tmp_path: Path, kind: torch.dtype) -> None:
    encoder, found = tiny_encoder(tmp_path), []
    for one in (torch.float32, kind):
        encoder.vision.module.to(one)
        encoder.text.module.to(one)
        method = DapoMethod.over(encoder, WORDS, DapoSettings(prompts=2), side=32)
        loss = method.losses(batch(), RNG)["total"]
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(tensor.dtype == tensor.grad.dtype == torch.float32 for tensor in method.learnable.parameters())
        found.append((loss.detach(), method.learnable.visual_tokens.grad))
    torch.testing.assert_close(found[0], found[1], atol=0.05, rtol=0.02)


def test_settings_are_json(method: DapoMethod, encoder: DualEncoder) -> None:
    settings = json.loads(json.dumps(method.settings()))
    assert settings["towers"] == encoder.identity
    assert settings["side"] == 32
    assert settings["dapo"]["prompts"] == 2


def test_wrong_words_and_micro_batches_are_one_line(encoder: DualEncoder) -> None:
    with pytest.raises(LocalizerError, match="'Hole' stands twice"):
        DapoMethod.over(encoder, ("hole", "Hole"), side=32)
    with pytest.raises(LocalizerError, match="micro_batch 0: must be 1 or more"):
        DapoMethod.over(encoder, WORDS, side=32, micro_batch=0)


def maps_of(method: DapoMethod, plates: Plates, words: tuple[str, ...], cache: ArrayCache) -> torch.Tensor:
    """Return P of each state by place, summed over the taps, (8, 1 + K, SIDE, SIDE)."""
    predictor = DapoPredictor(method.model, cache)
    return spread(sum_taps(predictor.look(plates.batch(method).pixels, predictor.states(words))), (SIDE, SIDE))


def test_overfits_eight_pictures_of_three_kinds(trained: DapoMethod, plates: Plates, cache: ArrayCache) -> None:
    maps = maps_of(trained, plates, WORDS, cache)[:, 1:]
    assert maps.shape == (8, 3, SIDE, SIDE)
    assert roc_auc_score(plates.masks.ravel(), maps.sum(1).numpy().ravel()) > 0.95
    for picture, kind in enumerate(plates.kinds):
        if kind:
            inside = maps[picture][:, torch.from_numpy(plates.masks[picture])].mean(1)
            assert int(inside.argmax()) + 1 == kind


def test_an_unseen_word_is_swapped_in_without_training(trained: DapoMethod, plates: Plates, cache: ArrayCache) -> None:
    before = [one.detach().clone() for one in trained.learnable.parameters()]
    maps = maps_of(trained, plates, ("dent", "scratch", "hole", "stain", "rust"), cache)
    assert maps.shape == (8, 6, SIDE, SIDE)
    torch.testing.assert_close(maps.sum(1), torch.full((8, SIDE, SIDE), 3.0), atol=1e-4, rtol=0)
    unseen = maps_of(trained, plates, ("dent", "rust"), cache)[:, 1:].sum(1).numpy()
    assert roc_auc_score(plates.masks.ravel(), unseen.ravel()) > 0.8
    assert all(torch.equal(one, two) for one, two in zip(before, trained.learnable.parameters(), strict=True))
