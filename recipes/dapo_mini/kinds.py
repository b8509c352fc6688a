"""Trains and measures a head for kinds of defects over dapo-mini's frozen features, pooled over the defect.

    python -m recipes.dapo_mini.kinds --out kinds.safetensors [--data DATA] [--work DIR] [--pairs 600]

A linear head with softmax, cross-entropy on painted defects alone, every kind counting alike. The weight decay is
chosen on families of scenes that are held out. With `--data`, the folder of the real data, the same head is held
against real defects; their folder names become kinds by the nearest words (`prompts/zero_shot/kinds.yaml`). Equal
arguments give equal weights on one machine.

dapo-mini would call places by kinds with a head that is right at least twice as often as chance on real defects. This
one is not: docs/model_cards/dapo-mini.md has the figures, and its weights are not shipped.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from recipes.dapo_mini.features import Features, compute_features, shrink_mask
from recipes.dapo_mini.painting.corpus import Corpus
from vlm_inspect.calibration.intervals import overkill_interval
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.prompt_files import prompt_folder, read_prompt_file

if TYPE_CHECKING:
    import torch

SIDE = 256
FOLDS = 4
DECAYS = (0.01, 0.1, 1.0)
_CLIP = 6.0
Rows = NDArray[np.float32]


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    painted: tuple[str, ...]
    words: tuple[str, ...]


class _Kinds(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: dict[str, _Kind]


@dataclass(frozen=True, eq=False)
class Defects:
    """Pooled features of N defects."""

    rows: Rows
    """(N, D)."""
    kinds: NDArray[np.int64]
    """(N,): number of the kind."""
    groups: NDArray[np.str_]
    """(N,): family of the scene, or class and folder of a real picture."""


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head: kinds are the largest of `(clip((x - mean) / scale)) @ weights + bias`."""

    mean: Rows
    scale: Rows
    weights: Rows
    bias: Rows

    def predict(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of the kind of each row (N, D)."""
        inside = np.clip((rows - self.mean) / self.scale, -_CLIP, _CLIP)
        return np.asarray((inside @ self.weights + self.bias).argmax(1), np.int64)

    def pack(self) -> bytes:
        """Return its bytes; equal heads give equal bytes."""
        from safetensors.numpy import save

        return save({name: np.ascontiguousarray(getattr(self, name)) for name in ("mean", "scale", "weights", "bias")})


@cache
def kinds() -> Mapping[str, _Kind]:
    """Return the kinds, by name."""
    return read_prompt_file(_Kinds, prompt_folder() / "zero_shot" / "kinds.yaml").kinds


def pool(stages: Sequence[NDArray[Any]], mask: NDArray[np.bool_]) -> Rows:
    """Return the features (D,) of a defect: every channel's mean on it, its contrast to the rest, and the form.

    Args:
        stages: of `gather_stages`, each (C, h, w).
        mask: (4 h, 4 w) of the first stage's grid: the defect, at least one cell.
    """
    height, width = stages[0].shape[-2:]
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    inside, outside = share / share.sum(), (1 - share) / max(float((1 - share).sum()), 1e-6)
    found = []
    for stage in stages:
        grid = np.asarray(stage, np.float32)
        if grid.shape[-2:] != (height, width):
            grid = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in grid])
        own, rest = (grid * inside).sum((1, 2)), (grid * outside).sum((1, 2))
        found += [own, (own - rest) / (grid.std((1, 2)) + 1e-3)]
    return np.concatenate([*found, _form(mask)]).astype(np.float32)


def _form(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the logarithms of area and elongation, the share of its box that a defect fills, and its least width."""
    rows, columns = np.nonzero(mask)
    spread = np.cov(np.stack([columns, rows])) if len(rows) > 2 else np.eye(2)
    small, large = np.linalg.eigvalsh(spread + 1e-3 * np.eye(2))
    filled = len(rows) / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1))
    return np.array([np.log(mask.mean() + 1e-4), 0.5 * np.log(large / small), filled, np.log(small / mask.size + 1e-6)])


def painted_defects(features: Features) -> Defects:
    """Return the defects of painted pictures."""
    number = {word: at for at, kind in enumerate(kinds().values()) for word in kind.painted}
    chosen = [at for at in np.flatnonzero(features.words != "") if features.masks[at].any()]
    return Defects(
        np.stack([pool([one[at] for one in features.stages], features.masks[at]) for at in chosen]),
        np.array([number[str(features.words[at])] for at in chosen]),
        features.families[chosen],
    )


def train_head(data: Defects, decay: float) -> Head:
    """Return the head with the least cross-entropy and decay * |weights|^2, every kind counting alike."""
    import torch

    mean, scale = data.rows.mean(0), data.rows.std(0) + np.float32(1e-3)
    inputs = torch.from_numpy(np.clip((data.rows - mean) / scale, -_CLIP, _CLIP).astype(np.float32))
    targets, count = torch.from_numpy(data.kinds), len(kinds())
    often = torch.from_numpy(np.maximum(np.bincount(data.kinds, minlength=count), 1)).float()
    weights, bias = (torch.zeros(shape, requires_grad=True) for shape in ((inputs.shape[1], count), (count,)))
    solver = torch.optim.LBFGS([weights, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> "torch.Tensor":
        solver.zero_grad()
        told = torch.nn.functional.cross_entropy(inputs @ weights + bias, targets, weight=often.mean() / often)
        total: torch.Tensor = told + decay * (weights**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return Head(mean, scale, weights.detach().numpy(), bias.detach().numpy())


def held_out(data: Defects, decay: float) -> NDArray[np.int64]:
    """Return the kinds that heads say which never saw the family of the scene."""
    families = sorted(set(data.groups.tolist()))
    said = np.zeros(len(data.kinds), np.int64)
    for fold in range(min(FOLDS, len(families))):
        test = np.isin(data.groups, families[fold::FOLDS])
        known = Defects(data.rows[~test], data.kinds[~test], data.groups[~test])
        said[test] = train_head(known, decay).predict(data.rows[test])
    return said


def mean_of_kinds(truth: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """Return the share that is right, as the mean over the kinds that occur."""
    return float(np.mean([(said[truth == one] == one).mean() for one in np.unique(truth)]))


def kind_of_word(word: str) -> int:
    """Return the number of the kind whose words a word is nearest to, by the cosine of MiniLM's sentence features.

    Raises:
        LocalizerError: MiniLM is missing.
    """
    known = [(at, one) for at, kind in enumerate(kinds().values()) for one in kind.words]
    features = _embed((word, *(one for _, one in known)))
    return known[int((features[1:] @ features[0]).argmax())][0]


def _embed(words: tuple[str, ...]) -> NDArray[np.float32]:
    import torch

    from vlm_inspect.localization.dapo_mini.minilm import load_minilm

    tower = load_minilm()
    with torch.inference_mode():
        sentences = tower.tokenize(words)
        hidden = tower.enter(tower.embeddings[sentences.ids])
        hide = torch.zeros(len(words), 1, 1, hidden.shape[1]).masked_fill(~sentences.mask[:, None, None], -torch.inf)
        for number in range(1, tower.blocks + 1):
            hidden = tower.block(number, hidden, hide)
        return np.asarray(torch.nn.functional.normalize(tower.leave(hidden, sentences.ends, sentences.mask), dim=-1))


def real_defects(data: Path) -> Defects:
    """Return the defects of the classes with masks below a folder of real data; at most 40 of a kind."""
    from PIL import Image

    from vlm_inspect.localization.dapo_mini.judge import prepare_proportional
    from vlm_inspect.localization.dapo_mini.stages import load_stages

    network = load_stages()
    rows, numbers, groups = [], [], []
    for picture, truth in _pictures(data):
        pixels = prepare_proportional(np.asarray(Image.open(picture).convert("RGB")), SIDE)
        height, width = pixels.shape[-2:]
        mask = np.asarray(Image.open(truth).convert("L").resize((width, height), Image.Resampling.NEAREST)) > 127
        small = shrink_mask(mask)
        if not small.any():
            continue
        rows.append(pool([one[0].numpy() for one in network(pixels)], small))
        numbers.append(kind_of_word(picture.parent.name.replace("_", " ")))
        groups.append(f"{picture.parents[2].name}/{picture.parent.name}")
    return Defects(np.stack(rows), np.array(numbers), np.array(groups))


def _pictures(data: Path, most: int = 40) -> Iterator[tuple[Path, Path]]:
    for folder in sorted(path for path in data.glob("**/ground_truth/*") if path.is_dir()):
        for truth in sorted(folder.iterdir())[:most]:
            stem = truth.stem.removesuffix("_mask")
            for picture in sorted((folder.parents[1] / "test" / folder.name).glob(f"{stem}.*"))[:1]:
                yield picture, truth


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure and write a head."""
    parser = argparse.ArgumentParser(prog="python -m recipes.dapo_mini.kinds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of real data, to measure on")
    parser.add_argument("--work", type=Path, help="keeps features")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--seed", type=int, default=21)
    given = parser.parse_args(arguments)
    painted = painted_defects(compute_features(Corpus(seed=given.seed, side=SIDE), given.pairs, folder=given.work))
    shares = {decay: mean_of_kinds(painted.kinds, held_out(painted, decay)) for decay in DECAYS}
    decay = max(DECAYS, key=lambda one: shares[one])
    head = train_head(painted, decay)
    write_atomically(given.out, head.pack())
    _tell(f"held-out families, decay {decay:g}", painted.kinds, held_out(painted, decay))
    if given.data is not None:
        real = real_defects(given.data)
        _tell("real defects", real.kinds, head.predict(real.rows))
    return 0


def _tell(name: str, truth: NDArray[np.int64], said: NDArray[np.int64]) -> None:
    right = int((said == truth).sum())
    low, high = overkill_interval(right, len(truth))
    mean = mean_of_kinds(truth, said)
    told = f"{right} of {len(truth)} right ({low:.3f} to {high:.3f}), mean over kinds {mean:.3f}"
    sys.stdout.write(f"{name}: {told}, chance {1 / len(kinds()):.3f}\n")


if __name__ == "__main__":
    sys.exit(main())
