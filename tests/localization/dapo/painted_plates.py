"""Eight painted plates with three kinds of defect, for tests that learn."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vlm_inspect.localization.dual_encoder.encoder import Rgb
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.training.method import Batch
from vlm_inspect.training.methods.dapo import DapoMethod

SIDE = 48


@dataclass(frozen=True, eq=False)
class Plates:
    """Pictures, the id of each one's defect (0: none), and its mask."""

    pictures: tuple[Rgb, ...]
    kinds: tuple[int, ...]
    masks: NDArray[np.bool_]

    def batch(self, method: DapoMethod) -> Batch:
        kinds = torch.tensor(self.kinds)
        types = torch.from_numpy(self.masks).long() * kinds[:, None, None]
        pixels = prepare_pixels(self.pictures, method.side, method.normalisation)
        return Batch(pixels, types, (kinds > 0).long(), ("plate",) * len(self.kinds))


def paint_plates(words: tuple[str, ...]) -> Plates:
    """Two plates without a defect, two of each word: a bright line, a dark disc, a red patch."""
    rng = np.random.default_rng(0)
    kinds = tuple(kind for kind in range(1 + len(words)) for _ in range(2))
    painted = [_paint(kind, rng) for kind in kinds]
    return Plates(tuple(picture for picture, _ in painted), kinds, np.stack([mask for _, mask in painted]))


def overfit(method: DapoMethod, plates: Plates, steps: int) -> list[float]:
    """Train on the plates alone; returns the losses."""
    batch = plates.batch(method)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(method.learnable.parameters(), lr=2e-2, betas=method.schedule.betas)
    trace = []
    for _ in range(steps):
        loss = method.losses(batch, rng)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        trace.append(float(loss.detach()))
    return trace


def _paint(kind: int, rng: np.random.Generator) -> tuple[Rgb, NDArray[np.bool_]]:
    picture = rng.normal(128, 8, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    y, x = rng.integers(10, SIDE - 22, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    line = (rows >= y) & (rows < y + 4) & (columns >= x) & (columns < x + 20)
    disc = (rows - y - 6) ** 2 + (columns - x - 6) ** 2 < 36
    patch = (rows >= y) & (rows < y + 12) & (columns >= x) & (columns < x + 12)
    mask = (np.zeros_like(line), line, disc, patch)[kind]
    picture[mask] = ((0, 0, 0), (235, 235, 235), (15, 15, 15), (200, 60, 40))[kind]
    return picture, mask
