"""The six losses of PromptAD. The report names them; the formulas are ours, or those of the CVPR 2024 PromptAD.

B pictures, S the side of a map, J the joint space, C classes. All losses are scalars, and computed in float32.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vlm_inspect.localization.promptad.net import ANOMALOUS, NORMAL

Pooling = Literal["mean", "max", "top"]
_TOP_SHARE = 0.01


def pool_map(maps: Tensor, pooling: Pooling) -> Tensor:
    """Return one value a map, (B,), from (B, S, S): mean, highest value, or mean of the highest 1 %."""
    values = maps.flatten(1)
    if pooling == "mean":
        return values.mean(dim=1)
    if pooling == "max":
        return values.amax(dim=1)
    return values.topk(max(1, round(_TOP_SHARE * values.shape[1])), dim=1).values.mean(dim=1)


def image_loss(logits: Tensor, labels: Tensor, pooling: Pooling = "mean") -> Tensor:
    """Return BCE(s, y) of the picture's score, from the pooled logits of its map: stable in half precision.

    Args:
        logits: (B, S, S) of the maps.
        labels: (B,) int64: 0 normal, 1 anomalous.
        pooling: how a map becomes a score.
    """
    return F.binary_cross_entropy_with_logits(pool_map(logits.float(), pooling), labels.float())


def dice_loss(maps: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over pictures of 1 - (2 sum(A M) + 1) / (sum(A) + sum(M) + 1), and of mean(A) on normal ones.

    A picture that is anomalous, but whose mask was lost in resizing, does not count: nobody knows where to look.

    Args:
        maps: (B, S, S) probabilities A.
        masks: (B, S, S) bool, M.
        labels: (B,) int64.
    """
    maps, truth = maps.float().flatten(1), masks.flatten(1).float()
    overlap = (2 * (maps * truth).sum(dim=1) + 1) / (maps.sum(dim=1) + truth.sum(dim=1) + 1)
    marked = truth.any(dim=1)
    each = torch.where(marked, 1 - overlap, maps.mean(dim=1))
    counted = (marked | (labels == 0)).float()
    return (each * counted).sum() / counted.sum().clamp(min=1)


def contrastive_loss(pictures: Tensor, prompts: Tensor, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """Return CE(z [p_n, p_a] / tau, y): normal pictures to the normal prompt, anomalous ones to the other.

    Args:
        pictures: (B, J), z, of length 1.
        prompts: (B, 2, J): the prompts of each picture's class; their length plays no part.
        labels: (B,) int64.
        temperature: tau.
    """
    cosines = (pictures.float()[:, None] * F.normalize(prompts.float(), dim=-1)).sum(dim=-1)
    return F.cross_entropy(cosines / temperature, labels)


def margin_loss(prompts: Tensor, margin: float = 0.5) -> Tensor:
    """Return max(0, cos(p_n, p_a) - (1 - m)), the mean over the classes: the two prompts of a class stay apart.

    Args:
        prompts: (C, 2, J).
        margin: m.
    """
    cosines = F.cosine_similarity(prompts[:, NORMAL].float(), prompts[:, ANOMALOUS].float(), dim=-1)
    return F.relu(cosines - (1 - margin)).mean()


def triplet_loss(pictures: Tensor, prompts: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Return mean(max(0, |z - p_n|^2 - |z - p_a|^2 + m)) over the normal pictures; 0 where there is none.

    The explicit anomaly margin of PromptAD (CVPR 2024); prompts count with length 1.

    Args:
        pictures: (B, J), z, of length 1.
        prompts: (B, 2, J): the prompts of each picture's class.
        labels: (B,) int64.
        margin: m.
    """
    distances = (pictures.float()[:, None] - F.normalize(prompts.float(), dim=-1)).square().sum(dim=-1)
    each = F.relu(distances[:, NORMAL] - distances[:, ANOMALOUS] + margin)
    normal = (labels == 0).float()
    return (each * normal).sum() / normal.sum().clamp(min=1)


def alignment_loss(prompts: Tensor, anchors: Tensor) -> Tensor:
    """Return |p_n - t_n|^2 + |p_a - t_a|^2, the mean over the classes; both are (C, 2, J)."""
    return (prompts.float() - anchors.float()).square().sum(dim=(1, 2)).mean()


def anomaly_alignment_loss(prompts: Tensor, anchors: Tensor) -> Tensor:
    """Return |p_a - t_a|^2, the mean over the classes: only what is anomalous is held (PromptAD, CVPR 2024).

    There, both sides are means of several prompts; here, t_a is the mean of the written ones and p_a stands alone.
    """
    return (prompts[:, ANOMALOUS].float() - anchors[:, ANOMALOUS].float()).square().sum(dim=1).mean()


def consistency_loss(maps: Tensor, returned: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of |A(x) - T^-1(A(T x))| where T^-1 has something to say.

    Args:
        maps: (B, S, S), A(x).
        returned: (B, S, S), the map of the varied picture, turned back.
        valid: (B, S, S) bool: False at the border that the turn lost.
    """
    differences = (maps.float() - returned.float()).abs() * valid
    return differences.sum() / valid.sum().clamp(min=1)
