"""`DapoPredictor`: a trained DAPO with any vocabulary."""

from typing import TYPE_CHECKING

import torch

from vlm_inspect.array_cache import ArrayCache, content_of, key_of, user_cache
from vlm_inspect.localization.dapo.head import DapoOutput
from vlm_inspect.localization.dapo.model import DapoModel

if TYPE_CHECKING:
    from torch import Tensor


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
