"""The seam to a pair of towers: pictures and words in one space, taken apart so that methods can work inside them.

A tower is a stack of blocks: `enter` makes the tokens that the first block takes, `block` runs one block, `leave` maps
tokens to the joint space. What CLIP-based methods do between the blocks (insert learned tokens, read values, follow a
second attention path, drop tokens) is written once, over these few calls, in `image_features.py` and
`text_features.py`; a new kind of weights needs only the two classes below.

Tensors are float32 unless the weights are of another type; B pictures, N = h * w patches, D the width of a tower, T
words of a sentence, J the width of the joint space. Blocks are counted from 1, as the papers do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor, nn

Rgb = NDArray[np.uint8]
"""A picture: uint8, HWC, RGB."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation (RGB, of values in [0, 1]) that a vision tower was trained with."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CLIP_NORMALISATION = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET_NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False)
class Attention:
    """What one self-attention computes from its layer-normed input: each (B, heads, 1 + N, D / heads)."""

    queries: "Tensor"
    keys: "Tensor"
    values: "Tensor"


class VisionTower(Protocol):
    """A vision transformer with a CLS token in front: pictures to tokens, block by block."""

    module: "nn.Module"
    """All weights, frozen, in evaluation mode."""
    width: int
    """D."""
    blocks: int
    heads: int
    patch: int
    """Side of a patch in pixels."""
    side: int
    """Side in pixels of the pictures that the weights were made for; others resize the position embeddings."""
    joint: int
    """J, the width of what `leave` returns."""
    normalisation: Normalisation

    def enter(self, pixels: "Tensor") -> "Tensor":
        """Return the input of block 1, (B, 1 + N, D), from (B, 3, S, S): patches, CLS, positions, first layer norm.

        S is a multiple of `patch`; position embeddings of another grid are resized bicubically.
        """
        ...

    def block(self, number: int, tokens: "Tensor") -> "Tensor":
        """Return the output of block `number` (1-based), (B, K, D), for any number K of tokens."""
        ...

    def attention(self, number: int, tokens: "Tensor") -> Attention:
        """Return queries, keys and values of block `number` for its input `tokens`, layer norm included."""
        ...

    def merge_heads(self, number: int, attended: "Tensor") -> "Tensor":
        """Apply the output projection of block `number` to (B, heads, K, D / heads); returns (B, K, D)."""
        ...

    def leave(self, tokens: "Tensor") -> "Tensor":
        """Map tokens (..., D) to the joint space, (..., J): last layer norm, then projection; not normalised."""
        ...


@dataclass(frozen=True, eq=False)
class Sentences:
    """Tokenised sentences."""

    ids: "Tensor"
    """(S, T) int64."""
    ends: "Tensor"
    """(S,) int64: index of each sentence's end token, where its feature is read."""
    mask: "Tensor"
    """(S, T) bool: True for real tokens, end token included."""
    cut: tuple[str, ...] = ()
    """The sentences that were too long and lost their end; whoever tokenises names them in a warning."""


class TextTower(Protocol):
    """A text transformer: sentences, or learned token embeddings, to one feature each."""

    module: "nn.Module"
    """All weights, frozen, in evaluation mode."""
    width: int
    blocks: int
    context: int
    """Most tokens of a sentence, start and end token included."""
    joint: int
    causal: bool
    """Whether the weights were trained with a causal mask (CLIP: yes; BERT-like: no)."""
    embeddings: "Tensor"
    """(vocabulary, width): the token embedding matrix."""

    def tokenize(self, texts: Sequence[str]) -> Sentences:
        """Return the sentences padded to the longest (at least to one token more than the shortest frame needs).

        Raises:
            LocalizerError: a text is empty.
        """
        ...

    def enter(self, embedded: "Tensor") -> "Tensor":
        """Return the input of block 1, (S, T, width), from token embeddings (S, T, width): adds the positions."""
        ...

    def block(self, number: int, tokens: "Tensor", mask: "Tensor | None") -> "Tensor":
        """Return the output of block `number` (1-based).

        `mask` is additive, broadcast to (S, 1, T, T): 0 where a token is seen, -inf where not.
        None: everything is seen.
        """
        ...

    def leave(self, tokens: "Tensor", ends: "Tensor", mask: "Tensor") -> "Tensor":
        """Return one feature a sentence, (S, joint), not normalised.

        CLIP reads the last layer norm at `ends` and projects; BERT-like towers average over `mask` (S, T).
        """
        ...


@dataclass(frozen=True, eq=False)
class DualEncoder:
    """A vision and a text tower that share a space."""

    vision: VisionTower
    text: TextTower
    temperature: float
    """tau: similarities are cosine / tau. 1 / exp(logit_scale) of the weights."""
    identity: str
    """Digest of the weights and of all that decides the features, wherever the files lie; ends in /half at half
    precision. Equal identity, equal features. Part of every cache key."""
    name: str
    """What a result calls it: "openai/clip-vit-base-patch16", a folder's name."""

    @property
    def device(self) -> str:
        """Where the weights lie: "cpu", "cuda"."""
        return str(next(self.vision.module.parameters()).device)
