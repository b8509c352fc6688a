"""Batches: squares, orders and random streams that depend on seed and step alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.small_method import SmallMethod
from tests.training.training_folders import small_data
from vlm_inspect.errors import TrainingError
from vlm_inspect.training.batches import Samples, epoch_order, iterate_batches, square, stack, steps_per_epoch
from vlm_inspect.training.method import TrainingSample


def sample(mask: np.ndarray, word: str | None = "spot", **more: object) -> TrainingSample:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
    return TrainingSample(picture, mask, word, "plate", "here", **more)  # type: ignore[arg-type]


def test_square_keeps_a_defect_of_one_pixel() -> None:
    mask = np.zeros((90, 140), bool)
    mask[41, 77] = True
    squared = square(sample(mask), 16)
    assert squared.picture.shape == (16, 16, 3)
    assert squared.mask.sum() == 1
    assert squared.mask[41 * 16 // 90, 77 * 16 // 140]


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
)
def test_square_keeps_every_type_of_an_uncrowded_map(height: int, width: int, side: int, seed: int) -> None:
    types = np.zeros((height, width), np.uint8)
    rng = np.random.default_rng(seed)
    types[rng.integers(height), rng.integers(width)] = 2
    squared = square(sample(types > 0, type_map=types, type_words=("a", "b")), side)
    assert squared.type_map is not None
    assert set(np.unique(squared.type_map)) <= {0, 2}
    assert (squared.type_map == 2).any()
    assert np.array_equal(squared.mask, squared.type_map > 0)


def test_square_of_the_same_side_changes_nothing() -> None:
    mask = np.zeros((16, 16), bool)
    mask[3:5, 4] = True
    before = sample(mask)
    after = square(before, 16)
    assert np.array_equal(after.picture, before.picture)
    assert np.array_equal(after.mask, before.mask)


@given(st.integers(1, 200), st.integers(0, 2**63 - 1), st.integers(0, 50))
def test_an_epoch_sees_every_sample_once(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert sorted(order) == list(range(count))
    assert np.array_equal(order, epoch_order(count, seed, epoch))


def test_orders_of_other_epochs_and_seeds_differ() -> None:
    orders = [tuple(epoch_order(30, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4


@pytest.mark.parametrize("first", [0, 1, 2, 3, 5])
def test_batches_from_any_step_are_those_of_the_whole_run(tmp_path: Path, first: int) -> None:
    data, method = small_data(tmp_path), SmallMethod()
    samples = Samples(data.entries, 16)
    steps = 2 * steps_per_epoch(len(data.entries), 4)
    whole = dict(iterate_batches(samples, method, seed=3, steps=range(steps), batch_size=4))
    part = dict(iterate_batches(Samples(data.entries, 16), method, seed=3, steps=range(first, steps), batch_size=4))
    assert list(part) == list(range(first, steps))
    assert [len(whole[step]) for step in range(3)] == [4, 4, 2]
    for step, batch in part.items():
        for one, other in zip(batch, whole[step], strict=True):
            assert one.source == other.source
            assert np.array_equal(one.picture, other.picture)
            assert np.array_equal(one.mask, other.mask)


def test_samples_beyond_the_memory_are_read_again(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    samples = Samples(data.entries, 16, most_bytes=5 * 16 * 16 * 2)
    first = samples[0]
    assert samples[0] is first
    assert samples[1] is not None
    assert samples[2] is not None
    assert samples[0] is not first
    assert np.array_equal(samples[0].picture, first.picture)


def test_a_fault_while_batches_are_made_reaches_the_loop(tmp_path: Path) -> None:
    data = small_data(tmp_path)
    (data.entries[0].item.path).unlink()
    with pytest.raises(ValueError, match="no such file"):
        list(iterate_batches(Samples(data.entries, 16), SmallMethod(), seed=0, steps=range(3), batch_size=4))


def test_stack_numbers_types_by_the_words_of_the_method() -> None:
    method = SmallMethod(("hole", "spot", "line"))
    mask = np.zeros((16, 16), bool)
    mask[2, 3] = True
    types = np.zeros((16, 16), np.uint8)
    types[5, 5], types[6, 6] = 1, 2
    several = sample(types > 0, "line", type_map=types, type_words=("line", "hole"))
    normal = sample(np.zeros((16, 16), bool), None)
    batch = stack([sample(mask), several, normal], method, "cpu")
    assert batch.types.dtype == torch.int64
    assert batch.types[0, 2, 3] == 2
    assert (batch.types[1, 5, 5], batch.types[1, 6, 6]) == (3, 1)
    assert batch.types.bool().sum().item() == 3
    assert batch.labels.tolist() == [1, 1, 0]
    expected = (normal.picture[4, 5] / 255 - np.array(method.normalisation.mean)) / np.array(method.normalisation.std)
    assert np.allclose(batch.pixels[2, :, 4, 5].numpy(), expected, atol=1e-6)


def test_stack_without_words_marks_every_defect_as_one() -> None:
    mask = np.zeros((16, 16), bool)
    mask[2, 3] = True
    assert stack([sample(mask, "texture")], SmallMethod(()), "cpu").types.sum() == 1


def test_stack_refuses_an_unknown_word() -> None:
    with pytest.raises(TrainingError, match="'dent' is none of the 2 words"):
        stack([sample(np.ones((16, 16), bool), "dent")], SmallMethod(), "cpu")
