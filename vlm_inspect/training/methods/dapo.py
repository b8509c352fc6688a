"""`DapoMethod`: DAPO as the training loop sees it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.dapo.learnables import DapoLearnables
from vlm_inspect.localization.dapo.losses import dapo_losses
from vlm_inspect.localization.dapo.model import DapoModel
from vlm_inspect.localization.dapo.settings import METHOD, DapoSettings
from vlm_inspect.localization.dapo.towers import DapoTowers, towers_of
from vlm_inspect.localization.dapo.vocabulary import check_words
from vlm_inspect.localization.dual_encoder.encoder import DualEncoder
from vlm_inspect.training.method import Batch, Schedule, TrainingSample

if TYPE_CHECKING:
    from torch import Tensor

PUBLISHED = Schedule(epochs=5, batch_size=8, learning_rate=1e-3, optimiser="adam", betas=(0.5, 0.999))
"""Adam, lr 1e-3, betas (0.5, 0.999), no decay, five epochs of batches of 8, no augmentation."""


class DapoMethod:
    """A `TrainableMethod`: learns from anomalous pictures with masks, without augmentation."""

    name = METHOD
    schedule = PUBLISHED
    supervision: Literal["masks", "synthetic"] = "masks"

    def __init__(
        self,
        towers: DapoTowers,
        words: Sequence[str],
        settings: DapoSettings | None = None,
        *,
        seed: int = 0,
        micro_batch: int | None = None,
    ) -> None:
        """Draw fresh tensors.

        Args:
            towers: frozen; `towers_of(encoder, settings)` makes them of a dual encoder.
            words: the vocabulary to train with.
            settings: the published ones by default.
            seed: of the draw.
            micro_batch: run so many pictures at once, the rest of a batch after them; the losses and gradients stay
                those of the whole batch, memory is that of the part, time a third more. None: the whole batch.

        Raises:
            LocalizerError: a wrong vocabulary, or `micro_batch` is below 1.
        """
        if micro_batch is not None and micro_batch < 1:
            raise LocalizerError(f"dapo micro_batch {micro_batch}: must be 1 or more")
        self.words = check_words(words)
        self.model = DapoModel(towers, settings or DapoSettings(), seed=seed)
        self.side = towers.path.side
        self.normalisation = towers.path.normalisation
        self._micro_batch = micro_batch

    @classmethod
    def over(
        cls,
        encoder: DualEncoder,
        words: Sequence[str],
        settings: DapoSettings | None = None,
        *,
        side: int | None = None,
        seed: int = 0,
        checkpoint_blocks: bool = False,
        micro_batch: int | None = None,
    ) -> "DapoMethod":
        """Return the method over a dual encoder; see `towers_of` and `__init__`.

        Raises:
            LocalizerError: a wrong vocabulary or side, or `micro_batch` is below 1.
        """
        settings = settings or DapoSettings()
        towers = towers_of(encoder, settings, side=side, checkpoint_blocks=checkpoint_blocks)
        return cls(towers, words, settings, seed=seed, micro_batch=micro_batch)

    @property
    def learnable(self) -> DapoLearnables:
        """All that is trained."""
        return self.model.learnables

    def vary(self, sample: TrainingSample, generator: np.random.Generator) -> TrainingSample:
        """Return the sample as it is: DAPO is trained without augmentation."""
        return sample

    def losses(self, batch: Batch, generator: np.random.Generator) -> "dict[str, Tensor]":
        """Return "focal", "dice", "global" and "total" of a batch (eq. 2.3)."""
        states = self.model.encode_words(self.words)
        count = len(batch.labels)
        size = self._micro_batch or count
        total: dict[str, Tensor] = {}
        for start in range(0, count, size):
            part = slice(start, start + size)
            arguments = (batch.pixels[part], batch.types[part], batch.labels[part], states)
            found = self._part_losses(*arguments) if size >= count else self._forgetful(arguments)
            # every loss is a mean over pictures, so that parts add up by their share
            share = len(batch.labels[part]) / count
            total = {name: total[name] + share * one if total else share * one for name, one in found.items()}
        return total

    def _forgetful(self, arguments: "tuple[Tensor, Tensor, Tensor, Tensor]") -> "dict[str, Tensor]":
        """Return the losses of a part without keeping what lies between: it is computed again when it is needed."""
        from torch.utils.checkpoint import checkpoint

        found: dict[str, Tensor] = checkpoint(
            self._part_losses, *arguments, use_reentrant=False, preserve_rng_state=False
        )
        return found

    def _part_losses(
        self, pixels: "Tensor", types: "Tensor", labels: "Tensor", states: "Tensor"
    ) -> "dict[str, Tensor]":
        return dapo_losses(self.model.look(pixels, states), types, labels, self.model.settings.local_weight)

    def settings(self) -> Mapping[str, object]:
        """Return the numbers, sentences and towers that the tensors belong to."""
        towers = self.model.towers
        return {
            "dapo": self.model.settings.model_dump(mode="json"),
            "side": self.side,
            "towers": towers.identity,
            "towers_name": towers.name,
        }
