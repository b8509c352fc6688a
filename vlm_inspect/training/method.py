"""The seam between the training loop and the methods that it trains.

The loop (`loop.py`) knows batches, optimisers, checkpoints and records; a `TrainableMethod` knows its tensors and its
losses. Frozen towers never appear in a checkpoint: only what `learnable` holds is saved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.dual_encoder.encoder import Normalisation, Rgb

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """One picture with what is wrong with it."""

    picture: Rgb
    """uint8 HWC."""
    mask: NDArray[np.bool_]
    """(H, W): True on the defect; all False on a normal picture."""
    word: str | None
    """The defect's word; None: normal."""
    class_name: str
    source: str
    """Where it comes from, for messages and digests: a path relative to the data folder."""
    type_map: NDArray[np.uint8] | None = None
    """(H, W), for a picture with defects of several types: 0 outside every defect, else 1 + index into `type_words`.
    None: all of `mask` is `word`."""
    type_words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Batch:
    """B samples, resized to the side that the method works at."""

    pixels: "Tensor"
    """(B, 3, S, S) float32, normalised as the vision tower wants it."""
    types: "Tensor"
    """(B, S, S) int64: 0 outside every defect, else 1 + index of the defect's word in the method's `words`."""
    labels: "Tensor"
    """(B,) int64: 0 normal, 1 anomalous."""
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: the numbers of a paper, overridable on the command line."""

    epochs: int
    batch_size: int
    learning_rate: float
    optimiser: Literal["adam", "adamw"]
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    decay: Literal["constant", "cosine"] = "constant"
    clip_norm: float | None = None


class TrainableMethod(Protocol):
    """A method with learnable tensors over frozen towers."""

    name: str
    """ "dapo", "promptad"."""
    words: tuple[str, ...]
    """The vocabulary that it is trained with; empty where types play no part."""
    side: int
    normalisation: Normalisation
    schedule: Schedule
    """The method's own numbers."""
    supervision: Literal["masks", "synthetic"]
    """Whether it learns from anomalous pictures with masks, or from normal ones on which it makes defects."""

    @property
    def learnable(self) -> "nn.Module":
        """All that is trained, and nothing else: what a checkpoint holds."""
        ...

    def vary(self, sample: TrainingSample, generator: np.random.Generator) -> TrainingSample:
        """Return the sample as it shall be seen this time: augmented, or with a synthetic defect. DAPO: unchanged."""
        ...

    def losses(self, batch: Batch, generator: "np.random.Generator") -> dict[str, "Tensor"]:
        """Return the losses of a batch by name; "total" is what is minimised."""
        ...

    def settings(self) -> Mapping[str, object]:
        """Return what is needed to build the same method again (JSON types): goes into the checkpoint's header."""
        ...
