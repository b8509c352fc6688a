"""Batches: samples squared, varied, stacked and normalised, in an order that depends on seed and epoch alone.

Nothing here has a state that a checkpoint would have to hold: the order of epoch e comes from (seed, e), what happens
to the i-th sample of it from (seed, e, i). A run that goes on at any step sees what it would have seen.
"""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import TrainingError
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels, resize_square
from vlm_inspect.training.data import TrainingPicture
from vlm_inspect.training.method import Batch, TrainableMethod, TrainingSample

_MOST_KEPT_BYTES = 2**30
"""Squared samples kept in memory: all of MVTec's test pictures at 518 px would be 2.3 GB, at 224 px 0.4 GB."""
_ORDER, _SAMPLE, _STEP = range(3)
"""What a random stream is for, the first part of its key: streams of equal numbers never meet."""


class Samples:
    """The samples of a run at the method's side, each read when it is first needed."""

    def __init__(self, entries: Sequence[TrainingPicture], side: int, most_bytes: int = _MOST_KEPT_BYTES) -> None:
        self._entries = entries
        self._side = side
        self._kept: OrderedDict[int, TrainingSample] = OrderedDict()
        self._most = max(1, most_bytes // (5 * side * side))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> TrainingSample:
        """Return sample `index`, squared.

        Raises:
            TrainingError, ConversionError: its files were changed since they were checked.
        """
        sample = self._kept.pop(index, None)
        if sample is None:
            sample = square(self._entries[index].load(), self._side)
        self._kept[index] = sample
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return sample


def square(sample: TrainingSample, side: int) -> TrainingSample:
    """Return the sample with both sides resized to `side`: the picture bicubic and antialiased, masks to the nearest.

    A defect too small for the nearest pixel keeps one.
    """
    types = sample.mask.astype(np.uint8) if sample.type_map is None else sample.type_map
    squared = _nearest(types, side)
    return replace(
        sample,
        picture=resize_square(sample.picture, side),
        mask=squared > 0,
        type_map=None if sample.type_map is None else squared,
    )


def _nearest(types: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    from PIL import Image

    squared = np.array(Image.fromarray(types).resize((side, side), Image.Resampling.NEAREST))
    for lost in np.setdiff1d(np.unique(types), np.unique(squared)):
        if lost:
            rows, columns = np.nonzero(types == lost)
            height, width = types.shape
            squared[rows[rows.size // 2] * side // height, columns[rows.size // 2] * side // width] = lost
    return squared


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of the samples in an epoch (counted from 0), (count,)."""
    return np.random.default_rng([_ORDER, seed, epoch]).permutation(count)


def sample_generator(seed: int, epoch: int, position: int) -> np.random.Generator:
    """Return the random numbers for the sample at a position of an epoch."""
    return np.random.default_rng([_SAMPLE, seed, epoch, position])


def step_generator(seed: int, step: int, part: int) -> np.random.Generator:
    """Return the random numbers for one part of the batch of a step (counted from 0 over the whole run)."""
    return np.random.default_rng([_STEP, seed, step, part])


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; the last one may be smaller."""
    return -(-count // batch_size)


def batch_samples(
    samples: Samples, method: TrainableMethod, *, seed: int, step: int, batch_size: int
) -> list[TrainingSample]:
    """Return the samples of a step, varied by the method."""
    epoch, index = divmod(step, steps_per_epoch(len(samples), batch_size))
    order = epoch_order(len(samples), seed, epoch)
    positions = range(index * batch_size, min((index + 1) * batch_size, len(samples)))
    return [method.vary(samples[int(order[at])], sample_generator(seed, epoch, at)) for at in positions]


def iterate_batches(
    samples: Samples, method: TrainableMethod, *, seed: int, steps: range, batch_size: int
) -> Generator[tuple[int, list[TrainingSample]]]:
    """Yield each step with its samples; the next ones are read and varied while a step is at work."""

    def make(step: int) -> list[TrainingSample]:
        return batch_samples(samples, method, seed=seed, step=step, batch_size=batch_size)

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        coming = pool.submit(make, steps.start) if steps else None
        for step in steps:
            assert coming is not None
            ready = coming.result()
            coming = pool.submit(make, step + 1) if step + 1 in steps else None
            yield step, ready


def stack(samples: Sequence[TrainingSample], method: TrainableMethod, device: str) -> Batch:
    """Return the samples as the tensors that the method's losses take, on the device.

    Raises:
        TrainingError: a defect's word is none of the method's.
    """
    import torch

    pixels = prepare_pixels([sample.picture for sample in samples], method.side, method.normalisation, device)
    types = torch.from_numpy(np.stack([_types(sample, method.words) for sample in samples])).to(device)
    labels = torch.tensor([int(sample.word is not None) for sample in samples], device=device)
    return Batch(pixels, types, labels, tuple(sample.class_name for sample in samples))


def _types(sample: TrainingSample, words: tuple[str, ...]) -> NDArray[np.int64]:
    """Return (S, S) int64: 0, or 1 + index of the word; 1 on every defect where a method has no words."""
    if not words:
        return sample.mask.astype(np.int64)
    own = sample.type_words if sample.type_map is not None else (sample.word,) if sample.word is not None else ()
    numbers = np.array([0, *(1 + _index(word, words, sample) for word in own)], np.int64)
    types = sample.mask.astype(np.uint8) if sample.type_map is None else sample.type_map
    return np.asarray(numbers[types])


def _index(word: str, words: tuple[str, ...], sample: TrainingSample) -> int:
    if word not in words:
        raise TrainingError(f"{sample.source}: {word!r} is none of the {len(words)} words to train with; add it")
    return words.index(word)
