"""`PromptAdJudge`: trained PromptAD as a judge of pictures; `load_promptad` makes one of a file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.checkpoint import apply_weights, check_encoder, load_weights
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Rgb
from vlm_inspect.localization.dual_encoder.pixels import prepare_pixels
from vlm_inspect.localization.picture_judge import PictureScores
from vlm_inspect.localization.promptad.losses import pool_map
from vlm_inspect.localization.promptad.net import PromptAdNet, extract_features, new_net
from vlm_inspect.localization.promptad.settings import (
    METHOD,
    CheckpointHeader,
    PromptAdSettings,
    check_fit,
    normalisation_of,
    read_plan,
)
from vlm_inspect.localization.subject import ANY_CLASS, Subject
from vlm_inspect.localization.trained_settings import check_trained

BATCH = 16
"""Pictures that run through the tower at once, by default."""


class PromptAdJudge:
    """Judges pictures of the classes that it was trained for; see `PictureJudge`.

    It names no types and remembers no normal parts. Which defects a rule book names plays no part any more: what the
    words said went into the tensors when they were trained.
    """

    name = METHOD
    uses_normals = False
    normal_spread = 0.3
    """A guess; not measured."""

    def __init__(
        self,
        encoder: DualEncoder,
        net: PromptAdNet,
        plan: CheckpointHeader,
        digest: str,
        source: str,
        *,
        batch: int = BATCH,
    ) -> None:
        """Join towers and trained tensors.

        Args:
            encoder: the towers that it was trained over.
            net: the tensors; put into evaluation mode.
            plan: settings and classes.
            digest: of the tensors; equal digests, equal scores.
            source: what messages call it, such as the file's name.
            batch: pictures that run through the tower at once.
        """
        self.identity = f"{METHOD}/{digest}/{encoder.identity}"
        self._encoder = encoder
        self._net = net.eval()
        self._settings = plan.promptad
        self._plan = plan
        self._source, self._batch = source, batch

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return no words: it was trained with its sentences."""
        return ()

    def fit(self, subject: Subject, normals: Sequence[Rgb] = ()) -> "FittedPromptAd":
        """See `PictureJudge.fit`.

        Raises:
            LocalizerError: it was not trained for this class.
        """
        place, notes = self._place_of(subject.class_name), self._notes(subject.class_name)
        return FittedPromptAd(self._encoder, self._net, self._settings, place, notes, self._batch)

    def _place_of(self, class_name: str) -> int:
        place, names = self._plan.place_of(class_name), self._plan.class_names
        if place is not None:
            return place
        if class_name == ANY_CLASS and len(names) == 1:
            return 0
        known = ", ".join(names)
        if class_name == ANY_CLASS:
            raise LocalizerError(f"{self._source} knows {known}; say in a rule book which of them it is")
        raise LocalizerError(
            f"{self._source} was trained for {known}, not for {class_name}; train promptad on normal pictures of it"
        )

    def _notes(self, class_name: str) -> tuple[str, ...]:
        notes = []
        if self._plan.place_of(class_name) is None:
            notes.append(
                f"no rule book names the class: judged as {self._plan.class_names[0]}, which promptad was trained for"
            )
        if self._settings.supervision == "test_split":
            notes.append("promptad was trained on real anomalies of a test split: for diagnosing only")
        elif self._settings.supervision == "none":
            notes.append("promptad was trained without any anomaly, so its maps say little")
        return tuple(notes)


@dataclass(frozen=True, eq=False)
class FittedPromptAd:
    """PromptAD for one of the classes that it was trained for."""

    encoder: DualEncoder
    net: PromptAdNet
    settings: PromptAdSettings
    place: int
    """Of the class, in the order of the tensors."""
    notes: tuple[str, ...]
    batch: int = BATCH

    def judge(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        """See `FittedJudge.judge`; the maps have the side that it was trained at, 224 by default."""
        scores: list[PictureScores] = []
        for start in range(0, len(pictures), self.batch):
            scores.extend(self._judge_batch(pictures[start : start + self.batch]))
        return scores

    @torch.no_grad()
    def _judge_batch(self, pictures: Sequence[Rgb]) -> list[PictureScores]:
        settings, vision = self.settings, self.encoder.vision
        pixels = prepare_pixels(pictures, settings.side, normalisation_of(settings, vision), self.encoder.device)
        features = extract_features(vision, pixels, settings.layer)
        classes = torch.full((len(pictures),), self.place, device=pixels.device)
        logits = self.net(features, classes, vision, side=settings.side, temperature=settings.temperature)
        maps = torch.sigmoid(logits)
        pooled = pool_map(maps, settings.pooling).tolist()
        return [
            PictureScores(score, heat, notes=self.notes) for score, heat in zip(pooled, maps.cpu().numpy(), strict=True)
        ]


def load_promptad(
    checkpoint: Path, encoder: DualEncoder, asked: PromptAdSettings | None = None, *, batch: int = 1
) -> PromptAdJudge:
    """Return the judge of a file that was trained for PromptAD, over the same towers as then.

    Args:
        checkpoint: a .safetensors file that `vlm-inspect train promptad` wrote; it knows its own settings.
        encoder: the towers.
        asked: settings that are asked for; those of the file must be the same.
        batch: pictures that run through the tower at once, where that is more than usual.

    Raises:
        LocalizerError: the file is missing, damaged, of another method or version, of other sizes, or was trained over
            other towers.
    """
    header, tensors = load_weights(checkpoint, method=METHOD)
    check_encoder(header, encoder, checkpoint)
    plan = read_plan(header.settings, str(checkpoint))
    check_trained(asked or plan.promptad, plan.promptad, checkpoint.name, METHOD)
    check_fit(plan.promptad, encoder.vision)
    anchors = torch.zeros(len(plan.classes), 2, encoder.vision.joint)  # the file brings its own
    net = new_net(encoder, plan, anchors)
    apply_weights(net, tensors, checkpoint)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]
    return PromptAdJudge(encoder, net, plan, digest, checkpoint.name, batch=max(BATCH, batch))
