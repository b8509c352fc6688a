"""Trains dapo-mini's head over the patches of DINOv2, on painted pictures.

    python -m recipes.dapo_mini.patches --boards DEEPPCB --out dapo_mini_patches.safetensors [--work DIR]

Pictures are painted in pairs and looked at once; some patches of each are kept, all anomalous ones up to a number among
them, and a head of one hidden layer is trained with binary cross-entropy in seconds. Four families of scenes are left
out, so that what it is worth can be told on pictures of a kind that it never saw. Equal arguments give equal weights on
one machine.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.features import MASK_STRIDE, samples, shrink_mask
from recipes.dapo_mini.painting.corpus import Corpus, board_pictures, textile_pictures
from recipes.dapo_mini.painting.scenes import DEFECTS
from recipes.dapo_mini.training import AREA_DEFECTS
from vlm_inspect.localization.dapo_mini.patch_head import (
    CHANNELS,
    METHOD,
    NETWORK,
    RARITIES,
    PatchHead,
    see_patches,
)
from vlm_inspect.training.method import TrainingSample
from vlm_inspect.vision import load_network

SIDE = 384
"""Of the painted pictures in pixels: a grid of 24 x 24 patches."""
STRIDE = 16
HELD_OUT = ("brushed", "marble", "rod", "tiles")
"""Families that are not trained on: every fifth of all by name, from the third."""
_COVERED = 0.12
"""Share of a patch that a defect must cover."""
_BATCH = 8
Half = NDArray[np.float16]


@dataclass(frozen=True)
class PatchPlan:
    """How much is painted, and how the head is trained."""

    names: tuple[str, ...] = ("c384", "l384")
    """Of the corpora, for the files in --work."""
    seeds: tuple[int, ...] = (12, 13)
    pairs: tuple[int, ...] = (700, 260)
    growths: tuple[float, ...] = (1.0, 5.0)
    """As in `PaintingPlan`."""
    block: int = 20
    """Pairs of one file in --work."""
    anomalous: int = 24
    """Most patches on the defect that are kept of a picture."""
    normal_beside: int = 14
    """Patches off the defect that are kept of the same picture."""
    normal: int = 24
    """Patches that are kept of a normal picture."""
    seed: int = 31
    passes: int = 6
    batch: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.1


@dataclass(frozen=True, eq=False)
class Block:
    """The features of some pairs, normal and spoiled in turn."""

    features: Half
    """(N, CHANNELS + RARITIES, h, w)."""
    masks: NDArray[np.bool_]
    """(N, side / 4, side / 4)."""
    families: NDArray[np.str_]
    anomalous: NDArray[np.bool_]
    """(N,)."""

    @property
    def covered(self) -> NDArray[np.float64]:
        """(N, h, w): share of each patch that the defect covers."""
        cells = STRIDE // MASK_STRIDE
        count, height, width = self.masks.shape
        return np.asarray(self.masks.reshape(count, height // cells, cells, width // cells, cells).mean((2, 4)))


@dataclass(frozen=True, eq=False)
class Rows:
    """N patches to train on."""

    patches: Half
    """(N, CHANNELS)."""
    mean: Half
    """(N, CHANNELS), of the patch's picture; `spread` likewise."""
    spread: Half
    rarity: Half
    """(N, RARITIES)."""
    anomalous: NDArray[np.float32]
    """(N,), 0 or 1."""


def make_corpora(plan: PatchPlan, boards: Path) -> list[Corpus]:
    """Return what is painted.

    Raises:
        LocalizerError: the textiles or the boards are missing.
    """
    textiles, scans = tuple(textile_pictures()), tuple(board_pictures(boards))
    return [
        Corpus(
            seed,
            SIDE,
            words=tuple(DEFECTS) if growth == 1 else AREA_DEFECTS,
            textiles=textiles,
            boards=scans,
            growth=growth,
        )
        for seed, growth in zip(plan.seeds, plan.growths, strict=True)
    ]


def blocks(plan: PatchPlan, corpora: Sequence[Corpus], folder: Path | None) -> Iterator[Block]:
    """Yield the features of all pairs, block by block; kept in a folder, so that a stopped run goes on."""
    for name, corpus, pairs in zip(plan.names, corpora, plan.pairs, strict=True):
        for start in range(0, pairs, plan.block):
            path = None if folder is None else folder / f"{name}-{start:04d}.npz"
            if path is None or not path.is_file():
                seen = _see(list(samples(corpus, range(start, min(pairs, start + plan.block)))))
                if path is not None:
                    _write(path, seen)
                yield seen
            else:
                yield _read(path)


def _see(pictures: Sequence[TrainingSample]) -> Block:
    import torch

    network = load_network(NETWORK)
    found = []
    for start in range(0, len(pictures), _BATCH):
        some = [one.picture for one in pictures[start : start + _BATCH]]
        with torch.inference_mode():
            grids = [(one.shape[0] // STRIDE, one.shape[1] // STRIDE) for one in some]
            found += [one.half().numpy() for one in see_patches(network, some, grids)]
    return Block(
        np.stack(found),
        np.stack([shrink_mask(one.mask) for one in pictures]),
        np.array([one.class_name for one in pictures]),
        np.array([one.word is not None for one in pictures]),
    )


def _write(path: Path, block: Block) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, allow_pickle=False, **{name: getattr(block, name) for name in _NAMES})
    part.replace(path)


_NAMES = ("features", "masks", "families", "anomalous")


def _read(path: Path) -> Block:
    with np.load(path, allow_pickle=False) as entry:
        return Block(*(entry[name] for name in _NAMES))


def choose_rows(plan: PatchPlan, number: int, block: Block) -> Rows | None:
    """Return the patches of a block that are trained on; None where all of its pictures are held out."""
    random = np.random.default_rng([plan.seed, number])
    patches, means, spreads, rarity, labels = [], [], [], [], []
    for index in np.flatnonzero(~np.isin(block.families, HELD_OUT)):
        of_picture = block.features[index].reshape(CHANNELS + RARITIES, -1).T
        covered = block.covered[index].ravel()
        odd, even = np.flatnonzero(covered > _COVERED), np.flatnonzero(covered <= 0)
        if block.anomalous[index]:
            chosen = np.concatenate(
                [random.permutation(odd)[: plan.anomalous], random.permutation(even)[: plan.normal_beside]]
            )
        else:
            chosen = random.permutation(even)[: plan.normal]
        whole = of_picture[:, :CHANNELS].astype(np.float32)
        patches.append(of_picture[chosen, :CHANNELS])
        means.append(np.repeat(whole.mean(0)[None].astype(np.float16), len(chosen), 0))
        spreads.append(np.repeat(whole.std(0)[None].astype(np.float16), len(chosen), 0))
        rarity.append(of_picture[chosen, CHANNELS:])
        labels.append((covered[chosen] > _COVERED).astype(np.float32))
    if not patches:
        return None
    return Rows(*(np.concatenate(one) for one in (patches, means, spreads, rarity, labels)))


def train(plan: PatchPlan, rows: Rows, *, progress: bool = True) -> PatchHead:
    """Return the trained head."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(plan.seed)
    head = PatchHead()
    patches, mean, spread, rarity, labels = (
        torch.from_numpy(one) for one in (rows.patches, rows.mean, rows.spread, rows.rarity, rows.anomalous)
    )
    some = patches[::7].float()
    head.mean.data, head.scale.data = some.mean(0), some.std(0) + 1e-2
    steps = plan.passes * (len(labels) // plan.batch)
    learned = [one for one in head.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(learned, plan.learning_rate, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.learning_rate, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(plan.seed)
    for turn in range(plan.passes):
        order, total = torch.randperm(len(labels), generator=generator), 0.0
        for start in range(0, len(labels) - plan.batch + 1, plan.batch):
            at = order[start : start + plan.batch]
            given = head.rows(patches[at].float(), mean[at].float(), spread[at].float(), rarity[at].float())
            loss = F.binary_cross_entropy_with_logits(head(given), labels[at])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without types
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        if progress:
            sys.stderr.write(f"pass {turn + 1}/{plan.passes}  loss {total / (len(labels) // plan.batch):.3f}\n")
    return head.eval()


def save(path: Path, head: PatchHead, plan: PatchPlan, corpora: Sequence[Corpus], rows: Rows) -> None:
    """Write weights and where they come from.

    Raises:
        OutputError: the file cannot be written.
    """
    from converters.digest import sha256_of
    from vlm_inspect.localization.checkpoint import DataFacts, Header, marks_of, save_weights

    digest = hashlib.sha256(rows.patches.tobytes() + rows.anomalous.tobytes()).hexdigest()
    pictures = sorted({one for corpus in corpora for one in (*corpus.textiles, *corpus.boards)})
    families = {name for corpus in corpora for name in corpus.families} - set(HELD_OUT)
    anomalous = int(rows.anomalous.sum())
    header = Header(
        method=METHOD,
        settings={"network": load_network(NETWORK).identity, "held_out": HELD_OUT},
        class_names=tuple(sorted(families)),
        data=(DataFacts(name="patches of painted pictures", sha256=digest, normal=len(rows.anomalous) - anomalous,
                        anomalous=anomalous),),
        trained_on=marks_of(sha256_of(one) for one in pictures),
        schedule=asdict(plan),
        seed=plan.seed,
        steps=plan.passes * (len(rows.anomalous) // plan.batch),
    )  # fmt: skip
    save_weights(path, dict(head.state_dict()), header)


def gather_rows(plan: PatchPlan, corpora: Sequence[Corpus], folder: Path | None) -> Rows:
    """Return all patches to train on."""
    found = [choose_rows(plan, number, one) for number, one in enumerate(blocks(plan, corpora, folder))]
    kept = [one for one in found if one is not None]
    names = ("patches", "mean", "spread", "rarity", "anomalous")
    return Rows(*(np.concatenate([getattr(one, name) for one in kept]) for name in names))


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint, train and write the head."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m recipes.dapo_mini.patches")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--boards", type=Path, required=True, help="folder of DeepPCB's templates (*_temp.jpg)")
    parser.add_argument("--work", type=Path, help="keeps features, so that a stopped run goes on")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    plan = PatchPlan()
    corpora = make_corpora(plan, options.boards)
    rows = gather_rows(plan, corpora, options.work)
    save(options.out, train(plan, rows), plan, corpora, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
