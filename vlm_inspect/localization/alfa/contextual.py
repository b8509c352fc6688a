"""Which sentences count for a picture: those that only one label could have (arXiv 2404.09654, section 4.2).

A label's similarities to a picture span an interval. A sentence counts if its similarity lies outside the other label's
interval: then it tells the labels apart on this picture. As printed, the paper keeps sentences whose contextual score
(eq. 4) is above 0, which is every one of them: the score of a sentence inside both intervals is 1/2. Its text says that
such a score "settles at 0", and only the reading taken here makes that so. A sentence lies inside its own label's
interval by construction, so the score rests on the distance to the other interval alone.

Similarities are (B, S+) and (B, S-): of B pictures to the sentences of either label.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlm_inspect.localization.alfa.settings import AlfaSettings, EmptyPolicy


@dataclass(frozen=True, eq=False)
class Kept:
    """Which sentences count, picture by picture."""

    normal: Tensor
    """(B, S+) bool."""
    abnormal: Tensor
    """(B, S-) bool."""
    starved_normal: Tensor
    """(B,) bool: where the choice left too few normal sentences, and the policy took over."""
    starved_abnormal: Tensor
    """(B,) bool."""


def distance_to_interval(similarities: Tensor, others: Tensor) -> Tensor:
    """Return how far each similarity (B, S) lies outside [min, max] of the others (B, T); 0 inside."""
    low, high = others.amin(dim=1, keepdim=True), others.amax(dim=1, keepdim=True)
    return torch.maximum(low - similarities, similarities - high).clamp(min=0.0)


def choose_sentences(normal: Tensor, abnormal: Tensor, settings: AlfaSettings) -> Kept:
    """Return which sentences count for each picture.

    Args:
        normal: (B, S+) cosines of the pictures and the normal sentences.
        abnormal: (B, S-) cosines of the pictures and the abnormal sentences.
        settings: `contextual`, `eps`, `min_keep` and `empty_policy` are read.
    """
    normal, abnormal = normal.float(), abnormal.float()
    if not settings.contextual:
        none = normal.new_zeros(normal.shape[0], dtype=torch.bool)
        return Kept(torch.ones_like(normal, dtype=torch.bool), torch.ones_like(abnormal, dtype=torch.bool), none, none)
    keep_normal, starved_normal = _keep(normal, abnormal, settings)
    keep_abnormal, starved_abnormal = _keep(abnormal, normal, settings)
    return Kept(keep_normal, keep_abnormal, starved_normal, starved_abnormal)


def _keep(own: Tensor, others: Tensor, settings: AlfaSettings) -> tuple[Tensor, Tensor]:
    """Return which sentences of one label count, (B, S), and where too few were left, (B,)."""
    kept = distance_to_interval(own, others) > settings.eps
    least = min(settings.min_keep, own.shape[1])  # a label with fewer sentences cannot be asked for more
    starved = kept.sum(dim=1) < least
    instead = _instead(own, others, least, settings.empty_policy)
    return torch.where(starved[:, None], instead, kept), starved


def _instead(own: Tensor, others: Tensor, least: int, policy: EmptyPolicy) -> Tensor:
    """Return which sentences a starved label is judged by, (B, S) bool."""
    if policy != "extreme":  # where the words abstain, which sentences count decides nothing
        return torch.ones_like(own, dtype=torch.bool)
    low, high = others.amin(dim=1, keepdim=True), others.amax(dim=1, keepdim=True)
    to_nearest_end = torch.minimum(own - low, high - own)  # negative outside: those that were kept come first
    nearest = to_nearest_end.topk(least, dim=1, largest=False).indices
    return torch.zeros_like(own, dtype=torch.bool).scatter(1, nearest, True)
