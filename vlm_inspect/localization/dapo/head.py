"""DAPO's head: pictures against states, as a whole (eq. 2.1) and patch by patch (eq. 2.2)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from vlm_inspect.localization.dapo.learnables import DapoLearnables
from vlm_inspect.localization.dapo.vision_path import PictureTokens

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class DapoOutput:
    """What the head says of B pictures and 1 + K states."""

    logits: "Tensor"
    """(B, 2) float32, eq. 2.1: normal against the mean of the defects."""
    state_logits: "Tensor"
    """(B, 1 + K) float32: the same against every state on its own."""
    maps: "list[Tensor]"
    """For each tap (B, 1 + K, h, w) float32, eq. 2.2: probabilities that sum to 1 over the states."""


def judge_tokens(tokens: PictureTokens, learnables: DapoLearnables, states: "Tensor", temperature: float) -> DapoOutput:
    """Compare pictures with states; always in float32, whatever the towers run in.

    Args:
        tokens: of B pictures.
        learnables: the adapters.
        states: (1 + K, J) float32 unit vectors, the normal one first.
        temperature: tau.
    """
    with torch.autocast(states.device.type, enabled=False):
        states = states.float()
        summary = tokens.summary.float()
        if learnables.summary_adapter is not None:
            summary = learnables.summary_adapter(summary)
        state_logits = F.normalize(summary, dim=-1) @ states.T / temperature
        defect = F.normalize(states[1:].mean(0), dim=-1)
        defect_logit = F.normalize(summary, dim=-1) @ defect / temperature
        logits = torch.stack([state_logits[:, 0], defect_logit], dim=1)
        maps = []
        for adapter, tap in zip(learnables.adapters, tokens.taps, strict=True):
            patches = F.normalize(adapter(tap.float()), dim=-1)
            found = torch.softmax(patches @ states.T / temperature, dim=-1)
            maps.append(found.transpose(1, 2).reshape(len(found), -1, *tokens.grid_hw))
    return DapoOutput(logits, state_logits, maps)


def spread(maps: "Tensor", size_hw: tuple[int, int]) -> "Tensor":
    """Return probabilities (B, C, h, w) bilinearly on (B, C, H, W), corners on corners, as DAPO is trained."""
    return F.interpolate(maps, size_hw, mode="bilinear", align_corners=True)
