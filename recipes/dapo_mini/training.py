"""Trains dapo-mini, the zero-shot localizer that needs no CLIP, on painted pictures.

    python -m recipes.dapo_mini --boards DEEPPCB --out dapo_mini.safetensors [--work DIR] [--processes 2]

Pictures are painted in pairs, normal and spoiled, the frozen network looks at them once, and then only small things are
trained: the vision network, DAPO's adapters and its prompts. The prompts change slowly and cost most, so that they
follow every `text_every` steps, by the gradient that has gathered at their features since. Equal arguments give equal
weights on one machine; `--processes` also sets the threads, which may change the last digits.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.features import MASK_STRIDE, Features, compute_features
from recipes.dapo_mini.painting.corpus import Corpus, board_pictures, textile_pictures
from recipes.dapo_mini.painting.scenes import DEFECTS

if TYPE_CHECKING:
    import torch

    from vlm_inspect.localization.dapo.head import DapoOutput
    from vlm_inspect.localization.dapo_mini.judge import MiniModel


@dataclass(frozen=True)
class Stage:
    """One stretch of training, with its own rise and fall of the learning rate."""

    passes: tuple[float, ...]
    """How often each corpus is gone through."""
    rate: float
    """Share of the plan's learning rates."""


AREA_DEFECTS = ("broken", "burnt", "discoloration", "foreign material", "liquid", "missing", "rust", "stain", "wear")


@dataclass(frozen=True)
class PaintingPlan:
    """How much is painted and how it is trained."""

    sides: tuple[int, ...] = (256, 384, 256)
    """Sides in pixels of the pictures of each corpus."""
    pairs: tuple[int, ...] = (1400, 800, 500)
    """Pairs painted of each corpus."""
    growths: tuple[float, ...] = (1.0, 1.0, 5.0)
    """How much larger than usual the largest defects of each corpus may be; above 1, defects with an area only."""
    seed: int = 11
    stages: tuple[Stage, ...] = (Stage((3.0, 3.0, 0.0), 1.0), Stage((0.3, 0.3, 2.0), 0.25))
    batch: int = 16
    """Pictures of a step, in whole pairs."""
    learning_rate: float = 2e-3
    prompt_rate: float = 4e-3
    weight_decay: float = 0.02
    place_weight: float = 8.0
    """Of the binary cross-entropy by place, beside DAPO's losses: it ranks what is far from any defect."""
    defect_weight: float = 10.0
    """Of a cell on a defect in that loss, against 1 elsewhere."""
    whole_weight: float = 3.0
    """Of the cross-entropy by picture, which is one number beside thousands of places."""
    text_every: int = 20


def paint(plan: PaintingPlan, corpora: Sequence[Corpus], *, processes: int, folder: Path | None) -> list[Features]:
    """Return what the frozen network sees of the pictures of a plan."""
    return [
        compute_features(corpus, pairs, processes=processes, folder=folder)
        for corpus, pairs in zip(corpora, plan.pairs, strict=True)
    ]


def train(plan: PaintingPlan, data: Sequence[Features], *, progress: bool = True) -> "MiniModel":
    """Return the trained model.

    Raises:
        LocalizerError: MiniLM or the frozen network is missing.
    """
    import torch

    from vlm_inspect.localization.dapo_mini.judge import MiniModel

    torch.manual_seed(plan.seed)
    words = tuple(sorted({str(word) for features in data for word in np.unique(features.words)} - {""}))
    model = MiniModel.fresh(words, seed=plan.seed)
    first = [features for features, passes in zip(data, plan.stages[0].passes, strict=True) if passes]
    model.vision.calibrate([[stage[::7] for stage in features.stages] for features in first])
    for stage in plan.stages:
        _run(plan, stage, model, data, progress=progress)
    with torch.no_grad():
        model.states = model.encode_words(words)
    return model


def _run(plan: PaintingPlan, stage: Stage, model: "MiniModel", data: Sequence[Features], *, progress: bool) -> None:
    import torch

    batches = batches_of(plan, stage, data)
    optimiser, schedule = _optimiser(plan, stage, model, len(batches))
    states = held = model.states
    for step, (features, rows) in enumerate(batches):
        if step % plan.text_every == 0:
            states = model.encode_words(model.words)
            held = states.detach().requires_grad_(True)
        losses = _losses(plan, model, features, rows, held)
        optimiser.zero_grad()
        losses["total"].backward()  # type: ignore[no-untyped-call]  # torch ships it without types
        if (step + 1) % plan.text_every == 0 and held.grad is not None:
            states.backward(held.grad / plan.text_every)  # type: ignore[no-untyped-call]  # likewise
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress and (step + 1) % 50 == 0:
            told = "  ".join(f"{name} {float(one.detach()):.3f}" for name, one in losses.items())
            sys.stderr.write(f"step {step + 1}/{len(batches)}  {told}\n")


def _optimiser(
    plan: PaintingPlan, stage: Stage, model: "MiniModel", steps: int
) -> "tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]":
    import torch

    prompts = list(model.learnables.prompts.parameters())
    known = {id(one) for one in prompts}
    others = [one for one in model.parameters() if id(one) not in known]
    rates = [stage.rate * plan.learning_rate, stage.rate * plan.prompt_rate]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": prompts, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rates[0], weight_decay=plan.weight_decay)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.1)


def batches_of(plan: PaintingPlan, stage: Stage, data: Sequence[Features]) -> list[tuple[Features, NDArray[np.int64]]]:
    """Return the steps of a stage: pictures of one size, whole pairs, in an order that the seed fixes."""
    random = np.random.default_rng(plan.seed)
    steps: list[tuple[Features, NDArray[np.int64]]] = []
    size = plan.batch // 2
    for turn in range(int(np.ceil(max(stage.passes)))):
        own: list[tuple[Features, NDArray[np.int64]]] = []
        for features, passes in zip(data, stage.passes, strict=True):
            count = round(min(1.0, max(0.0, passes - turn)) * (len(features) // 2 // size))
            pairs = random.permutation(len(features) // 2) if count else np.empty(0, np.int64)
            for start in range(0, count * size, size):
                chosen = pairs[start : start + size]
                own.append((features, np.stack([2 * chosen, 2 * chosen + 1], axis=1).ravel()))
        steps += [own[index] for index in random.permutation(len(own))]
    return steps


def _losses(
    plan: PaintingPlan,
    model: "MiniModel",
    features: Features,
    rows: NDArray[np.int64],
    states: "torch.Tensor",
) -> "dict[str, torch.Tensor]":
    """Return DAPO's losses and the binary cross-entropy by place."""
    import torch

    from vlm_inspect.localization.dapo.losses import dapo_losses

    stages = [torch.from_numpy(stage[rows]) for stage in features.stages]
    output = model.look(stages, torch.from_numpy(features.rarity[rows]).float(), states)
    number = {word: index for index, word in enumerate(model.words, start=1)}
    ids = torch.tensor([number.get(str(word), 0) for word in features.words[rows]])
    masks = torch.from_numpy(features.masks[rows])
    losses = dapo_losses(output, masks.long() * ids[:, None, None], (ids > 0).long(), model.settings.local_weight)
    losses["place"] = place_loss(output, masks.float(), plan.defect_weight)
    losses["total"] = losses["total"] + plan.place_weight * losses["place"] + (plan.whole_weight - 1) * losses["global"]
    return losses


def place_loss(output: "DapoOutput", masks: "torch.Tensor", defect_weight: float) -> "torch.Tensor":
    """Return the binary cross-entropy of P(defect) by place, summed over the taps; masks (B, H, W) in {0, 1}."""
    import torch.nn.functional as F

    from vlm_inspect.localization.dapo.head import spread

    weight = 1 + (defect_weight - 1) * masks
    total = masks.new_zeros(())
    for one in output.maps:
        found = spread(one[:, 1:].sum(1, keepdim=True), (masks.shape[-2], masks.shape[-1]))[:, 0]
        total = total + F.binary_cross_entropy(found.clamp(1e-6, 1 - 1e-6), masks, weight)
    return total


def make_corpora(plan: PaintingPlan, boards: Path) -> list[Corpus]:
    """Return what is painted at each side.

    Raises:
        LocalizerError: the textiles or the boards are missing.
    """
    textiles, scans = tuple(textile_pictures()), tuple(board_pictures(boards))
    return [
        Corpus(
            plan.seed + number,
            side,
            words=tuple(DEFECTS) if growth == 1 else AREA_DEFECTS,
            textiles=textiles,
            boards=scans,
            growth=growth,
        )
        for number, (side, growth) in enumerate(zip(plan.sides, plan.growths, strict=True))
    ]


def save(
    path: Path, model: "MiniModel", plan: PaintingPlan, corpora: Sequence[Corpus], data: Sequence[Features]
) -> None:
    """Write weights and where they come from.

    Raises:
        OutputError: the file cannot be written.
    """
    from converters.digest import sha256_of
    from vlm_inspect.localization.checkpoint import DataFacts, Header, marks_of, save_weights

    facts = tuple(
        DataFacts(
            name=f"painted at {corpus.side} px, defects up to {corpus.growth:g} times as large",
            sha256=features.digest,
            normal=int((features.words == "").sum()),
            anomalous=int((features.words != "").sum()),
        )
        for corpus, features in zip(corpora, data, strict=True)
    )
    pictures = sorted({path for corpus in corpora for path in (*corpus.textiles, *corpus.boards)})
    header = Header(
        method=model.name,
        settings={**model.describe(), "mask_stride": MASK_STRIDE},
        words=model.words,
        class_names=tuple(sorted({name for corpus in corpora for name in corpus.families})),
        data=facts,
        trained_on=marks_of(sha256_of(one) for one in pictures),
        schedule=asdict(plan),
        seed=plan.seed,
        steps=sum(len(batches_of(plan, stage, data)) for stage in plan.stages),
    )
    save_weights(path, model.tensors(), header)


def main(arguments: Sequence[str] | None = None) -> None:
    """Paint, train and write the weights."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--boards", type=Path, required=True, help="folder of DeepPCB's templates (*_temp.jpg)")
    parser.add_argument("--work", type=Path, help="keeps painted features, so that a stopped run goes on")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.processes)
    plan = PaintingPlan()
    corpora = make_corpora(plan, options.boards)
    data = paint(plan, corpora, processes=options.processes, folder=options.work)
    model = train(plan, data)
    save(options.out, model, plan, corpora, data)
    sys.stderr.write(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB\n")
