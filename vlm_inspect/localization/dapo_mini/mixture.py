"""What Lite0 and DINOv2 say of a picture, in one map and one score."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vlm_inspect.localization.dapo.head import spread
from vlm_inspect.localization.picture_judge import PictureScores


@dataclass(frozen=True)
class Mixture:
    """How Lite0, the head over DINOv2 and the rarity of its patches add up to log-odds; see `mix`.

    The weights were chosen by defects planted on training pictures and by painted scenes of families that the head was
    not trained on; slopes and offsets fit the labels of the same pictures (docs/model_cards/dapo-mini.md).
    """

    lite0: float = 0.5
    head: float = 1.0
    rarity: float = 4.0
    hottest: float = 0.01
    """Share of the places that the score is the mean of."""
    place_slope: float = 0.4
    """About twice what fits patches one by one, which left places so near to each other that a model's random box moved
    the hottest one (`fused_map.py`)."""
    place_offset: float = -7.15
    score_slope: float = 0.187
    score_offset: float = -2.29


MIXTURE = Mixture()


@torch.inference_mode()
def mix(scores: PictureScores, head: Tensor, rarity: Tensor) -> PictureScores:
    """Return the scores of a picture with what DINOv2 says of its patches.

    The log-odds of each place are a weighted sum of those by Lite0, those by the head over DINOv2, and the rarity of
    the patch; the score is that of the places that are hottest.

    Args:
        scores: by Lite0 alone.
        head: (h, w), log-odds.
        rarity: (h, w), log rarity above the picture's median.
    """
    size = int(head.shape[-2]), int(head.shape[-1])
    before = spread(torch.from_numpy(scores.heat)[None, None], size)[0, 0].clamp(1e-6, 1 - 1e-6)
    mixed = MIXTURE.lite0 * torch.logit(before) + MIXTURE.head * head + MIXTURE.rarity * rarity
    heat = torch.sigmoid(MIXTURE.place_slope * mixed + MIXTURE.place_offset)
    count = max(1, round(MIXTURE.hottest * mixed.numel()))
    hottest = float(mixed.flatten().topk(count).values.mean())
    score = float(
        torch.sigmoid(torch.tensor(MIXTURE.score_slope * hottest + MIXTURE.score_offset, dtype=torch.float64))
    )
    types = None
    if scores.types is not None:
        shares = spread(torch.from_numpy(scores.types)[None], size)[0] / before
        types = (shares * heat).clamp(0, 1).numpy().astype(np.float32)
    return replace(scores, score=score, heat=heat.numpy().astype(np.float32), types=types)
