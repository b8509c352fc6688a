"""From features and sentences to ALFA's scores (arXiv 2404.09654, eqs. 10 to 12)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlm_inspect.localization.alfa.aligner import align_to_windows
from vlm_inspect.localization.alfa.contextual import Kept, choose_sentences
from vlm_inspect.localization.alfa.settings import AlfaSettings
from vlm_inspect.localization.winclip.judge import abnormal_share
from vlm_inspect.localization.winclip.memory import compare_with_normals, fuse
from vlm_inspect.localization.winclip.picture_features import NormalFeatures, PictureFeatures
from vlm_inspect.localization.winclip.windows import harmonic_mean, spread_harmonically, unit

UNDECIDED = 0.5
"""P(anomalous) where the words have no say."""


@dataclass(frozen=True, eq=False)
class SentenceFeatures:
    """The features of a class's sentences, rows of length 1."""

    normal: Tensor
    """(S+, J)."""
    abnormal: Tensor
    """(S-, J)."""


@dataclass(frozen=True, eq=False)
class AlfaScores:
    """What ALFA says of B pictures."""

    score: Tensor
    """(B,) in [0, 1]: S of eq. 12."""
    whole: Tensor
    """(B,) in [0, 1]: S_G of eq. 10."""
    heat: Tensor
    """(B, h, w) in [0, 1]: the map, with the memory where there is one."""
    kept: Kept
    similarity: Tensor
    """(B, S-): cosines of the pictures and the abnormal sentences."""
    normal_similarity: Tensor
    """(B,): mean cosine of each picture and the normal sentences that count for it."""


def score_pictures(
    seen: PictureFeatures, sentences: SentenceFeatures, memory: NormalFeatures | None, settings: AlfaSettings
) -> AlfaScores:
    """Return the scores of pictures."""
    similarity, normal = seen.whole @ sentences.abnormal.T, seen.whole @ sentences.normal.T
    kept = choose_sentences(normal, similarity, settings)
    anchors = picture_anchors(sentences, kept)
    whole = abnormal_share(seen.whole, anchors, settings.temperature)
    heat = words_map(seen, anchors, whole, settings)
    if settings.empty_policy == "abstain":
        silent = kept.starved_normal | kept.starved_abnormal
        whole = torch.where(silent, torch.full_like(whole, UNDECIDED), whole)
        heat = torch.where(silent[:, None, None], torch.full_like(heat, UNDECIDED), heat)
    if memory is not None:
        heat = fuse(heat, compare_with_normals(seen, memory, settings), settings.fusion)
    counted = kept.normal.to(normal.dtype)
    usual = (normal * counted).sum(dim=1) / counted.sum(dim=1)
    return AlfaScores(0.5 * (whole + heat.amax(dim=(1, 2))), whole, heat, kept, similarity, usual)


def picture_anchors(sentences: SentenceFeatures, kept: Kept) -> Tensor:
    """Return the mean of the sentences that count, for each picture, (B, 2, J): normal, abnormal; rows of length 1."""

    def mean(features: Tensor, mask: Tensor) -> Tensor:
        counted = mask.to(features.dtype)
        return (counted @ features) / counted.sum(dim=1, keepdim=True)

    return unit(torch.stack([mean(sentences.normal, kept.normal), mean(sentences.abnormal, kept.abnormal)], dim=1))


def words_map(seen: PictureFeatures, anchors: Tensor, whole: Tensor, settings: AlfaSettings) -> Tensor:
    """Return the multi-scale map of the words, (B, h, w) in [0, 1].

    Each window is compared with the anchors fitted to it (eq. 11); windows that cover a patch, then scales, are
    averaged harmonically.

    Args:
        seen: features of the pictures, with values unless the aligner is off.
        anchors: (B, 2, J).
        whole: (B,), S_G, for `include_global_scale`.
        settings: what counts.
    """
    maps = []
    for scale, windows in zip(settings.scales, seen.windows, strict=True):
        fitted = anchors[:, None]
        if seen.values is not None and windows.values is not None:
            fitted = align_to_windows(anchors, seen.values, windows.values, seen.grid_hw, scale, settings)
        local = abnormal_share(windows.features, fitted, settings.temperature)
        maps.append(spread_harmonically(local, seen.grid_hw, scale, settings.least))
    if settings.include_global_scale:
        maps.append(whole[:, None, None].expand_as(maps[0]))
    return harmonic_mean(maps, settings.least)
