"""`WinClip`: the baseline that judges pictures by fixed sentences and sliding windows (arXiv 2303.14814)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vlm_inspect.array_cache import ArrayCache, key_of
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
        self,
        encoder: DualEncoder,
        settings: WinClipSettings | None = None,
        *,
        sentences: ArrayCache | None = None,
        normals: ArrayCache | None = None,
    ) -> None:
        """Judge with these towers.

        Args:
            encoder: the towers.
            settings: None: the published ones.
            sentences: where features of sentences are kept; None: the user's cache folder.
            normals: where features of normal pictures are kept; None: the user's cache folder.
        """
        self._encoder = encoder
        self._settings = settings or WinClipSettings()
        self._sentences = sentences or ArrayCache("sentences")
        self._normals = normals or ArrayCache("normal_pictures")
        self._latest: tuple[str, Tensor, tuple[str, ...]] | None = None

    @property
    def identity(self) -> str:
        """Weights and settings."""
        return key_of("winclip", VERSION, self._encoder.identity, self._settings.model_dump_json())

    def judge(self, pictures: Sequence[Rgb], subject: Subject, normals: Sequence[Rgb] = ()) -> list[PictureScores]:
        """See `PictureJudge.judge`.

        Without normals the score is that of the whole picture; with them, the mean of it and of the highest place of
        the memory's map.
        """
        if not pictures:
            return []
        anchors, notes = self._anchors(subject.class_name)
        memory = recall_normals(self._encoder, normals, self._settings, self._normals) if normals else None
        answers = []
        for seen in see_in_batches(self._encoder, pictures, self._settings, with_values=False):
            scores, maps = score_pictures(seen, anchors, memory, self._settings)
            answers += [
                PictureScores(float(score), heat.cpu().numpy(), notes=notes)
                for score, heat in zip(scores, maps, strict=True)
            ]
        return answers

    def _anchors(self, class_name: str) -> tuple[Tensor, tuple[str, ...]]:
        """Return the mean features of the normal and the abnormal sentences, (2, J), and notes; made once a class."""
        if self._latest is not None and self._latest[0] == class_name:
            return self._latest[1:]
        prompts = winclip_prompts(class_name)
        embedded = embed(self._encoder, prompts.all, self._sentences)
        count = len(prompts.normal)
        means = [embedded.features[:count].mean(dim=0), embedded.features[count:].mean(dim=0)]
        anchors = unit(torch.stack(means))
        self._latest = (class_name, anchors, embedded.notes)
        return anchors, embedded.notes


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
