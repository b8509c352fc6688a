"""`PromptAdMethod`: PromptAD as something that the training loop can train."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder, Rgb
from vlm_inspect.localization.dual_encoder.text_features import encode_texts
from vlm_inspect.localization.promptad import losses
from vlm_inspect.localization.promptad.net import PromptAdNet, extract_features, new_net
from vlm_inspect.localization.promptad.settings import (
    METHOD,
    CheckpointHeader,
    PromptAdSettings,
    check_fit,
    normalisation_of,
    plan_for,
)
from vlm_inspect.localization.promptad.words import sentences_for
from vlm_inspect.localization.subject import Subject
from vlm_inspect.training.method import Batch, Schedule, TrainingSample
from vlm_inspect.training.methods.promptad_variation import jitter_pixels, random_warp, vary_sample
from vlm_inspect.training.pasted_defects import paste_defect

SCHEDULE = Schedule(
    epochs=30,
    batch_size=32,
    learning_rate=1e-4,
    optimiser="adamw",
    weight_decay=1e-2,
    decay="cosine",
    clip_norm=1.0,
)
"""The report's epochs, rate and decay; batch size, weight decay and clipping are ours."""


class PromptAdMethod:
    """`TrainableMethod`: vision prompts, text prompts and a head over frozen towers."""

    name = METHOD
    words: tuple[str, ...] = ()
    schedule = SCHEDULE

    def __init__(
        self, encoder: DualEncoder, net: PromptAdNet, plan: CheckpointHeader, donors: Sequence[Rgb] = ()
    ) -> None:
        """Join towers and tensors; `donors` are normal pictures that pasted textures may come from."""
        settings = plan.promptad
        self.side = settings.side
        self.normalisation = normalisation_of(settings, encoder.vision)
        self.supervision: Literal["masks", "synthetic"] = (
            "masks" if settings.supervision == "test_split" else "synthetic"
        )
        self._vision = encoder.vision
        self._net = net
        self._plan = plan
        self._settings = settings
        self._donors = donors

    @property
    def learnable(self) -> PromptAdNet:
        """See `TrainableMethod.learnable`."""
        return self._net

    def vary(self, sample: TrainingSample, generator: np.random.Generator) -> TrainingSample:
        """See `TrainableMethod.vary`: flipped, turned, with other colours, and perhaps with a pasted defect."""
        settings = self._settings
        varied = vary_sample(sample, settings.variation, generator)
        pasted = settings.supervision == "synthetic" and varied.word is None
        if pasted and generator.random() < settings.defect_share:
            return paste_defect(varied, generator, self._donors)
        return varied

    def losses(self, batch: Batch, generator: np.random.Generator) -> dict[str, Tensor]:
        """See `TrainableMethod.losses`; the map is learned on the batch, and held steady on a varied copy of it.

        Raises:
            LocalizerError: the batch holds a class that the method was not built for.
        """
        settings, net = self._settings, self._net
        device = net.text_prompts.device
        pixels, labels = batch.pixels.to(device), batch.labels.to(device)
        classes = torch.tensor([self._place_of(name) for name in batch.class_names], device=device)
        warp = random_warp(len(pixels), settings.variation, generator)
        jittered = jitter_pixels(pixels, self.normalisation, settings.variation.jitter, generator)
        # one pass for both: batch norm sees the same statistics, so that only the variation makes a difference
        features = extract_features(self._vision, torch.cat([pixels, warp.apply(jittered)]), settings.layer)
        logits = net(
            features,
            classes.repeat(2),
            self._vision,
            side=self.side,
            temperature=settings.temperature,
        )
        maps, varied_maps = torch.sigmoid(logits).chunk(2)
        returned, known = warp.invert(varied_maps)
        pictures, prompts = features.pictures[: len(pixels)], net.text_prompts[classes]
        terms = {
            "bce": losses.image_loss(logits[: len(pixels)], labels, settings.pooling),
            "dice": losses.dice_loss(maps, batch.types.to(device) > 0, labels),
            "contrastive": losses.contrastive_loss(pictures, prompts, labels, settings.temperature),
            "margin": self._margin(pictures, prompts, labels),
            "alignment": self._alignment(),
            "consistency": losses.consistency_loss(maps, returned, known),
        }
        weights = {**settings.weights.model_dump(), "alignment": settings.alignment_weight}
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return {"total": total, **terms}

    def settings(self) -> Mapping[str, object]:
        """See `TrainableMethod.settings`: what `read_plan` reads."""
        plain: dict[str, object] = self._plan.model_dump(mode="json")
        return plain

    def _margin(self, pictures: Tensor, prompts: Tensor, labels: Tensor) -> Tensor:
        margin = self._settings.margin
        if self._settings.separation == "cvpr24":
            return losses.triplet_loss(pictures, prompts, labels, 0.0 if margin is None else margin)
        return losses.margin_loss(self._net.text_prompts, 0.5 if margin is None else margin)

    def _alignment(self) -> Tensor:
        loss = losses.anomaly_alignment_loss if self._settings.alignment == "cvpr24" else losses.alignment_loss
        return loss(self._net.text_prompts, self._net.anchors)

    def _place_of(self, class_name: str) -> int:
        place = self._plan.place_of(class_name)
        if place is None:
            known = ", ".join(self._plan.class_names)
            raise LocalizerError(f"promptad was built for {known}, not for {class_name}; name it when building")
        return place


def build_promptad(
    encoder: DualEncoder,
    subjects: Sequence[Subject],
    settings: PromptAdSettings | None = None,
    *,
    donors: Sequence[Rgb] = (),
) -> PromptAdMethod:
    """Return PromptAD, untrained, for some classes; one class is what the report measures.

    Args:
        encoder: the frozen towers; the tensors are made on their device.
        subjects: the classes, with their defects where these are known; names as in `TrainingSample.class_name`, in
            which "_" and " " are the same.
        settings: every choice.
        donors: normal pictures that pasted textures may come from; without any they are made.

    Raises:
        LocalizerError: no class, a class twice, or a tower that does not fit the settings.
        PromptError: the file of sentences is wrong.
    """
    plan = plan_for(settings or PromptAdSettings(), subjects)
    check_fit(plan.promptad, encoder.vision)
    anchors = torch.stack([_anchors(encoder, Subject(c.class_name, c.defects), plan) for c in plan.classes])
    return PromptAdMethod(encoder, new_net(encoder, plan, anchors), plan, donors)


def _anchors(encoder: DualEncoder, subject: Subject, plan: CheckpointHeader) -> Tensor:
    """Return (2, J): the mean text embeddings of the normal and of the anomalous sentences, of length 1."""
    sentences = sentences_for(subject, class_words=plan.promptad.class_words)
    kinds = (sentences.normal, sentences.anomalous)
    features = F.normalize(encode_texts(encoder.text, [*kinds[0], *kinds[1]]).float(), dim=-1)
    means = [part.mean(dim=0) for part in torch.split(features, [len(kind) for kind in kinds])]
    return F.normalize(torch.stack(means), dim=-1)
