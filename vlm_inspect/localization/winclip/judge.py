"""`WinClip`: the baseline that judges pictures by fixed sentences and sliding windows (arXiv 2303.14814)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlm_inspect.array_cache import ArrayCache, key_of, user_cache
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Rgb
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.prompt_bank.embeddings import embed
from vlm_inspect.localization.prompt_bank.ensembles import winclip_prompts
from vlm_inspect.localization.subject import Subject
from vlm_inspect.localization.winclip.memory import compare_with_normals, fuse
from vlm_inspect.localization.winclip.picture_features import (
    NormalFeatures,
    PictureFeatures,
    recall_normals,
    see_in_batches,
)
from vlm_inspect.localization.winclip.settings import WinClipSettings
from vlm_inspect.localization.winclip.windows import harmonic_mean, spread_harmonically, unit

VERSION = "1"
"""Changes whenever equal settings would no longer give equal scores."""


class WinClip:
    """Judges pictures by WinCLIP's sentences; with normal pictures, by its few-shot memory, too."""

    name = "winclip"
    uses_normals = True
    normal_spread = 0.1
    """A guess: scores stay near 0.5, so that little moves them."""

    def __init__(
        self, encoder: DualEncoder, settings: WinClipSettings | None = None, cache: ArrayCache | None = None
    ) -> None:
        """Judge with these towers.

        Args:
            encoder: the towers.
            settings: None: the published ones.
            cache: where features of sentences and normal pictures are kept; None: the user's.
        """
        self._encoder = encoder
        self._settings = settings or WinClipSettings()
        self._cache = cache or user_cache()

    @property
    def identity(self) -> str:
        """Weights and settings."""
        return key_of("winclip", VERSION, self._encoder.identity, self._settings.model_dump_json())

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return no words: defects play no part in it."""
        return ()

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> "FittedWinClip":
        """See `PictureJudge.fit`: the features of the class's sentences, and the memory of normal pictures."""
        prompts = winclip_prompts(subject.class_name)
        embedded = embed(self._encoder, prompts.all, self._cache)
        count = len(prompts.normal)
        means = [embedded.features[:count].mean(dim=0), embedded.features[count:].mean(dim=0)]
        memory = recall_normals(self._encoder, normals, self._settings, self._cache) if normals else None
        return FittedWinClip(self._encoder, self._settings, unit(torch.stack(means)), memory, embedded.notes)


@dataclass(frozen=True, eq=False)
class FittedWinClip:
    """WinCLIP for one class."""

    encoder: DualEncoder
    settings: WinClipSettings
    anchors: Tensor
    """(2, J): mean features of the normal and the abnormal sentences, of length 1."""
    memory: NormalFeatures | None
    notes: tuple[str, ...]

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """See `FittedJudge.judge`.

        Without normals the score is that of the whole picture; with them, the mean of it and of the highest place of
        the memory's map.
        """
        answers = []
        for seen in see_in_batches(self.encoder, pictures, self.settings, with_values=False):
            scores, maps = score_pictures(seen, self.anchors, self.memory, self.settings)
            answers += [
                PictureScores(float(score), heat.cpu().numpy(), notes=self.notes)
                for score, heat in zip(scores, maps, strict=True)
            ]
        return answers


def score_pictures(
    seen: PictureFeatures, anchors: Tensor, memory: NormalFeatures | None, settings: WinClipSettings
) -> tuple[Tensor, Tensor]:
    """Return P(anomalous) of pictures, (B,), and of their patches, (B, h, w), all in [0, 1]."""
    whole = abnormal_share(seen.whole, anchors, settings.temperature)
    maps = [
        spread_harmonically(
            abnormal_share(windows.features, anchors, settings.temperature), seen.grid_hw, scale, settings.least
        )
        for scale, windows in zip(settings.scales, seen.windows, strict=True)
    ]
    if settings.with_picture:
        maps.append(whole[:, None, None].expand_as(maps[0]))
    told = harmonic_mean(maps, settings.least)
    if memory is None:
        return whole, told
    remembered = compare_with_normals(seen, memory, settings)
    return 0.5 * (whole + remembered.amax(dim=(1, 2))), fuse(told, remembered, settings.fusion)


def abnormal_share(features: Tensor, anchors: Tensor, temperature: float) -> Tensor:
    """Return the softmax share of the abnormal anchor, (...,) in [0, 1] (arXiv 2404.09654, eq. 10).

    Args:
        features: (..., J), rows of length 1.
        anchors: (..., 2, J), normal then abnormal, rows of length 1; broadcast against the features.
        temperature: tau.
    """
    similarity = (anchors @ features.unsqueeze(-1)).squeeze(-1)
    return (similarity / temperature).softmax(dim=-1)[..., 1]
