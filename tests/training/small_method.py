"""A small method with real losses: a convolution of 3 x 3, batch norm, and one of 1 x 1; for the loop's tests."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlm_inspect.localization.checkpoint import Header, marks_of
from vlm_inspect.localization.dual_encoder.encoder import CLIP_NORMALISATION
from vlm_inspect.training.data import TrainingData
from vlm_inspect.training.loop import TrainingPlan
from vlm_inspect.training.method import Batch, Schedule, TrainingSample


class SmallMethod:
    """Says what each pixel is: 1 + K logits. `break_at`: the call of `losses` (from 1) whose loss is NaN."""

    name = "small"
    side = 16
    normalisation = CLIP_NORMALISATION
    schedule = Schedule(epochs=2, batch_size=4, learning_rate=0.02, optimiser="adamw", weight_decay=0.01)
    supervision: Literal["masks", "synthetic"] = "masks"

    def __init__(
        self, words: tuple[str, ...] = ("line", "spot"), *, norm: bool = True, break_at: int | None = None
    ) -> None:
        self.words = words
        torch.manual_seed(7)
        middle = nn.BatchNorm2d(6) if norm else nn.Identity()
        self._net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), middle, nn.ReLU(), nn.Conv2d(6, 1 + len(words), 1))
        self._break_at = break_at
        self.calls = 0
        self.seen: list[tuple[int, ...]] = []

    @property
    def learnable(self) -> nn.Module:
        return self._net

    def vary(self, sample: TrainingSample, generator: np.random.Generator) -> TrainingSample:
        if generator.random() < 0.5:
            return sample
        flipped = sample.picture[:, ::-1].copy()
        return replace(sample, picture=flipped, mask=sample.mask[:, ::-1].copy())

    def losses(self, batch: Batch, generator: np.random.Generator) -> dict[str, Tensor]:
        self.calls += 1
        self.seen.append(tuple(batch.labels.tolist()))
        noise = torch.from_numpy(generator.normal(0, 0.01, batch.pixels.shape).astype(np.float32))
        logits = self._net(batch.pixels + noise + 0.01 * torch.rand_like(batch.pixels))
        focus = F.cross_entropy(logits.float(), batch.types)
        score = logits.float()[:, 1:].amax(dim=(1, 2, 3)) - logits.float()[:, 0].mean(dim=(1, 2))
        image = F.binary_cross_entropy_with_logits(score, batch.labels.float())
        if self.calls == self._break_at:
            focus = focus * float("nan")
        return {"focus": focus, "image": image, "total": focus + 0.1 * image}

    def settings(self) -> Mapping[str, object]:
        return {"middle": 6}


def small_plan(
    out: Path, data: TrainingData, *, seed: int = 0, schedule: Schedule = SmallMethod.schedule
) -> TrainingPlan:
    """Return a plan for `SmallMethod`."""
    header = Header(
        method="small",
        settings={"middle": 6},
        words=("line", "spot"),
        class_names=data.class_names,
        data=data.facts,
        trained_on=marks_of(data.picture_digests),
        schedule=vars(schedule),
        seed=seed,
    )
    return TrainingPlan(out, data, schedule, seed, header)
