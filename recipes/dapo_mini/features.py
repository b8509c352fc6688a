"""What dapo-mini's frozen network sees of the painted pictures, computed once: training then takes minutes."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.painting.corpus import Corpus
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.training.method import TrainingSample

MASK_STRIDE = 4
"""Pixels of the pictures in one cell of the masks that are trained on."""
_COVERED = 0.15
"""Share of such a cell that a defect must cover: thin scratches count."""
_SHARD = 25
"""Pairs that one process computes at a time."""
_BATCH = 8


@dataclass(frozen=True, eq=False)
class Features:
    """N pictures of one size, normal and spoiled in turn."""

    stages: tuple[NDArray[np.float16], ...]
    """Each (N, C, h, w): `gather_stages`."""
    rarity: NDArray[np.float16]
    """(N, RARITIES, h, w)."""
    masks: NDArray[np.bool_]
    """(N, side / 4, side / 4)."""
    words: NDArray[np.str_]
    """(N,): the defect's word, "" on normal pictures."""
    families: NDArray[np.str_]
    """(N,)."""
    digest: str
    """Of all pictures and masks, in order."""

    def __len__(self) -> int:
        return len(self.masks)


def compute_features(corpus: Corpus, pairs: int, *, processes: int = 1, folder: Path | None = None) -> Features:
    """Paint pairs 0 to `pairs` - 1 of a corpus and return what the frozen network sees of them.

    Args:
        corpus: what to paint.
        pairs: how many; those whose defect did not come out visible are left out.
        processes: that work side by side; their number changes nothing but the time.
        folder: keeps what is done already, so that a run that was stopped goes on where it was; None: nothing is kept.

    Raises:
        LocalizerError: a package or a picture of the corpus is missing.
    """
    edges = [*range(0, pairs, _SHARD), pairs]
    one = partial(_shard, corpus, folder)
    if processes == 1:
        return _join([one(span) for span in pairwise(edges)])
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return _join(list(pool.map(one, pairwise(edges))))


def shrink_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask (S, S) on the cells of `MASK_STRIDE` pixels."""
    size = mask.shape[1] // MASK_STRIDE, mask.shape[0] // MASK_STRIDE
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > _COVERED)


def samples(corpus: Corpus, indices: Sequence[int]) -> Iterator[TrainingSample]:
    """Yield the pictures of these pairs, normal and spoiled in turn."""
    for index in indices:
        normal, spoiled = corpus.pair(index)
        if spoiled is not None:
            yield normal
            yield spoiled


def _shard(corpus: Corpus, folder: Path | None, span: tuple[int, int]) -> Features:
    path = None if folder is None else folder / f"{_name_of(corpus)}-{span[0]}-{span[1]}.npz"
    if path is not None and path.is_file():
        return _read(path)
    features = _look(list(samples(corpus, range(*span))))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_suffix(".part.npz")
        stages = {f"stage{number}": one for number, one in enumerate(features.stages)}
        rest = {key: getattr(features, key) for key in ("rarity", "masks", "words", "families", "digest")}
        np.savez(partial_path, allow_pickle=False, **stages, **rest)
        partial_path.replace(path)
    return features


def _look(pictures: list[TrainingSample]) -> Features:
    import torch

    from vlm_inspect.localization.dapo_mini.stages import NORMALISATION, load_stages
    from vlm_inspect.localization.dapo_mini.vision import rarities

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = load_stages()
    seen: list[list[NDArray[np.float16]]] = []
    for start in range(0, len(pictures), _BATCH):
        part = [one.picture for one in pictures[start : start + _BATCH]]
        found = network(prepare_pixels(part, part[0].shape[0], NORMALISATION))
        seen.append([one.half().numpy() for one in (*found, rarities(found))])
    joined = [np.concatenate(parts) for parts in zip(*seen, strict=True)]
    digest = hashlib.sha256()
    for one in pictures:
        digest.update(one.picture.tobytes() + one.mask.tobytes() + (one.word or "").encode())
    return Features(
        stages=tuple(joined[:-1]),
        rarity=joined[-1],
        masks=np.stack([shrink_mask(one.mask) for one in pictures]),
        words=np.array([one.word or "" for one in pictures]),
        families=np.array([one.class_name for one in pictures]),
        digest=digest.hexdigest(),
    )


def _read(path: Path) -> Features:
    with np.load(path, allow_pickle=False) as entry:
        count = sum(name.startswith("stage") for name in entry.files)
        stages = tuple(entry[f"stage{number}"] for number in range(count))
        masks, words, families = entry["masks"], entry["words"], entry["families"]
        return Features(stages, entry["rarity"], masks, words, families, str(entry["digest"]))


def _join(parts: list[Features]) -> Features:
    digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
    return Features(
        stages=tuple(np.concatenate(arrays) for arrays in zip(*(part.stages for part in parts), strict=True)),
        rarity=np.concatenate([part.rarity for part in parts]),
        masks=np.concatenate([part.masks for part in parts]),
        words=np.concatenate([part.words for part in parts]),
        families=np.concatenate([part.families for part in parts]),
        digest=digest,
    )


def _name_of(corpus: Corpus) -> str:
    return hashlib.sha256(repr(corpus).encode()).hexdigest()[:16]
