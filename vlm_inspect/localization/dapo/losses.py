"""DAPO's losses (eq. 2.3), on probabilities: focal and Dice by place, cross-entropy by picture."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vlm_inspect.localization.dapo.head import DapoOutput, spread

if TYPE_CHECKING:
    from torch import Tensor

_SMOOTH = 1e-5
_GAMMA = 2


def dapo_losses(output: DapoOutput, types: "Tensor", labels: "Tensor", local_weight: float) -> "dict[str, Tensor]":
    """Return the losses "focal", "dice", "global" and "total" = local_weight * (focal + dice) + global.

    Args:
        output: of B pictures.
        types: (B, H, W) int64: 0 outside every defect, else the defect's id, 1..K.
        labels: (B,) int64: 1 for anomalous pictures.
        local_weight: lambda.
    """
    defect = (types > 0).float()
    focal, dice = torch.zeros_like(output.logits[0, 0]), torch.zeros_like(output.logits[0, 0])
    for one in output.maps:
        found = spread(one, (types.shape[-2], types.shape[-1]))
        focal = focal + focal_loss(found, types)
        dice = dice + dice_loss(found[:, 0], 1 - defect) + dice_loss(found[:, 1:].sum(1), defect)
    whole = F.cross_entropy(output.logits, labels)
    return {"focal": focal, "dice": dice, "global": whole, "total": local_weight * (focal + dice) + whole}


def focal_loss(found: "Tensor", types: "Tensor") -> "Tensor":
    """Return the mean of -(1 - p)^2 log p over places, gamma = 2.

    p is the probability of the true state, smoothed: the target is 1 - s for it and s / (C - 1) for the others, and s
    is added, s = 1e-5.

    Args:
        found: (B, C, H, W) probabilities, C > 1.
        types: (B, H, W) int64, 0..C-1.
    """
    true = found.gather(1, types[:, None])[:, 0]
    others = found.sum(1) - true
    probability = (1 - _SMOOTH) * true + _SMOOTH / (found.shape[1] - 1) * others + _SMOOTH
    # p may pass 1 by rounding; (1 - p)^2 log p is then tiny and harmless
    return -((1 - probability) ** _GAMMA * probability.log()).mean()


def dice_loss(found: "Tensor", wanted: "Tensor") -> "Tensor":
    """Return 1 - the mean over pictures of (2 sum(a b) + 1) / (sum a + sum b + 1); both (B, H, W) in [0, 1]."""
    both = (found * wanted).flatten(1).sum(1)
    either = found.flatten(1).sum(1) + wanted.flatten(1).sum(1)
    return 1 - ((2 * both + 1) / (either + 1)).mean()
