"""`DapoPredictor`: a trained DAPO with any vocabulary, binary or by type, with or without the oracle list."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vlm_inspect.array_cache import ArrayCache, content_of, key_of, user_cache
from vlm_inspect.localization.dapo.head import DapoOutput, spread
from vlm_inspect.localization.dapo.model import DapoModel
from vlm_inspect.localization.dapo.vocabulary import DefectVocabulary

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class BinaryPrediction:
    """Normal or anomalous."""

    scores: "Tensor"
    """(B,) in [0, 1]: P(anomalous) of the whole picture against the mean of the defects; no map plays a part."""
    maps: "Tensor"
    """(B, H, W) in [0, taps]: 1 - P(normal) by place, summed over the taps."""


@dataclass(frozen=True, eq=False)
class TypePrediction:
    """Which state, by place."""

    scores: "Tensor"
    """(B,) in [0, 1]: the sum of P(defect) of the whole picture over the single defects."""
    maps: "Tensor"
    """(B, C, H, W) in [0, taps]: P of each state by place, summed over the taps; channel 0 is normal."""
    words: tuple[str, ...]
    """The words of channels 1 to C - 1."""

    @property
    def labels(self) -> "Tensor":
        """(B, H, W) int64: the most probable channel by place."""
        return self.maps.argmax(1)


class DapoPredictor:
    """Predicts with one model; the states of a vocabulary are encoded once and kept on disk."""

    def __init__(self, model: DapoModel, cache: ArrayCache | None = None) -> None:
        """Take a model as it is now: it must not be trained on. `cache`: by default in the user's cache folder."""
        self.model = model
        self.identity = identity_of(model)
        self._cache = cache or user_cache()

    @property
    def side(self) -> int:
        """Side in pixels of the pictures that it takes."""
        return self.model.towers.path.side

    @torch.inference_mode()
    def states(self, words: tuple[str, ...]) -> "Tensor":
        """Return (1 + K, J) float32 unit vectors of the normal state and of each word.

        Raises:
            LocalizerError: a word holds nothing that the text tower knows.
        """
        states = self._cache.array(
            "dapo_words",
            key_of(self.identity, words),
            (1 + len(words), None),
            lambda: self.model.encode_words(words).cpu().numpy(),
        )
        return torch.tensor(states, device=self.model.towers.device)

    @torch.inference_mode()
    def look(self, pixels: "Tensor", states: "Tensor") -> DapoOutput:
        """Return everything that is seen on pictures (B, 3, side, side) of the states (1 + K, J)."""
        return self.model.look(pixels.to(states.device), states)

    def binary(
        self, pixels: "Tensor", vocabulary: DefectVocabulary, size_hw: tuple[int, int] | None = None
    ) -> BinaryPrediction:
        """Return scores and maps of pictures (B, 3, side, side); maps of `size_hw`, by default of the pictures' size.

        Raises:
            LocalizerError: a word holds nothing that the text tower knows.
        """
        output = self.look(pixels, self.states(vocabulary.words))
        maps = spread(sum_taps(output), size_hw or (pixels.shape[-2], pixels.shape[-1]))
        return BinaryPrediction(anomaly_scores(output), maps[:, 1:].sum(1))

    def multi_type(
        self,
        pixels: "Tensor",
        vocabulary: DefectVocabulary,
        *,
        product: str | None = None,
        size_hw: tuple[int, int] | None = None,
    ) -> TypePrediction:
        """Return scores and maps by state.

        Args:
            pixels: (B, 3, side, side).
            vocabulary: the words that compete.
            product: only the words that occur on this product compete, as the published numbers have it (the oracle
                list); None: all of them.
            size_hw: size of the maps, by default that of the pictures.

        Raises:
            LocalizerError: there is no list for the product, or a word holds nothing that the text tower knows.
        """
        chosen = vocabulary.subset(product) if product else tuple(range(1, 1 + len(vocabulary.words)))
        states = self.states(vocabulary.words)[[0, *chosen]]
        output = self.look(pixels, states)
        maps = spread(sum_taps(output), size_hw or (pixels.shape[-2], pixels.shape[-1]))
        scores = torch.softmax(output.state_logits, dim=-1)[:, 1:].sum(1)
        return TypePrediction(scores, maps, tuple(vocabulary.words[number - 1] for number in chosen))


def anomaly_scores(output: DapoOutput) -> "Tensor":
    """Return P(anomalous) of each picture, (B,): the softmax of eq. 2.1."""
    return torch.softmax(output.logits, dim=-1)[:, 1]


def sum_taps(output: DapoOutput) -> "Tensor":
    """Return the maps summed over the taps, (B, 1 + K, h, w) in [0, taps]."""
    return torch.stack(output.maps).sum(0)


def identity_of(model: DapoModel) -> str:
    """Return towers, settings and learned tensors in one string: equal identity, equal predictions."""
    tensors = model.learnables.state_dict()
    digests = [f"{name} {content_of(tensors[name].cpu().numpy())}" for name in sorted(tensors)]
    side = model.towers.path.side
    digest = key_of(model.towers.identity, side, model.settings.model_dump_json(), digests)
    return f"dapo {digest[:16]} over {model.towers.identity} at {side} px"
