"""Eyes: which networks a memory sees with, at which size, and which channels they give.

    fast    EfficientNet-Lite0: fine detail at a low price; for scan views, clips and short cycle times
    fine    Lite0 and two middle layers of DINOv2 ViT-S/14, which knows what a place shows; for photos

docs/results.md says what each costs and what it finds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vlm_inspect.errors import LocalizerError

EyeName = Literal["fast", "fine"]
Metric = Literal["scaled", "cosine"]


@dataclass(frozen=True)
class Pool:
    """How the scores of a layer's patches become the score of a picture; see `Channel`."""

    share: float
    prior_spread: float
    prior_slope: float
    """By how much the log score of a normal part falls when the log number of references grows by 1."""
    next_over_self: float
    """By how much the log score of the next normal part exceeds that of changed copies of a single reference."""
    next_spread: float
    """Standard deviation of that between classes."""

    def level_error(self, references: int) -> float:
        """Return the standard deviation of the error of a level, in the log, that its own scatter does not show."""
        return self.next_spread if references == 1 else self.prior_slope * math.log(references / (references - 1))


@dataclass(frozen=True)
class NetworkUse:
    """One network in an eye."""

    network: str
    least_pixels: int
    most_pixels: int
    """A framed picture has the least, or the most where the references' pictures themselves have clearly more than the
    least: a crop to the part spends them on the part."""
    metric: Metric
    """"scaled": Euclidean, every stage of the network with the same variance; "cosine": 1 - cosine."""
    sigma: float
    """Gaussian smoothing of the scores, in cells of the patch grid."""
    place_weight: float
    """Distance that equals a distance of the picture's longer side, where parts are framed alike."""
    pools: tuple[tuple[Pool, ...], ...]
    """The channels of every layer of the network."""
    capacity: int = 6000
    """Most patches of one bank."""


@dataclass(frozen=True)
class Eye:
    """The networks that judge a picture together."""

    name: str
    uses: tuple[NetworkUse, ...]


_LITE0 = NetworkUse(
    network="lite0",
    least_pixels=256 * 256,
    most_pixels=384 * 384,
    metric="scaled",
    sigma=1.2,
    place_weight=3.0,
    pools=((Pool(0.0, 0.09, 0.12, 0.7, 0.3),),),
)
_DINOV2 = NetworkUse(
    network="dinov2",
    least_pixels=448 * 448,
    most_pixels=448 * 448,
    metric="cosine",
    sigma=0.7,
    place_weight=0.0,
    pools=((Pool(0.003, 0.17, 0.2, 0.7, 0.3),), (Pool(0.003, 0.17, 0.2, 0.7, 0.3), Pool(0.01, 0.15, 0.2, 0.7, 0.3))),
)
EYES: Final[Mapping[str, Eye]] = {"fast": Eye("fast", (_LITE0,)), "fine": Eye("fine", (_LITE0, _DINOV2))}


def eye_called(name: str) -> Eye:
    """Return the eye of that name.

    Raises:
        LocalizerError: there is none.
    """
    if name not in EYES:
        raise LocalizerError(f"unknown eye {name!r}; known: {', '.join(EYES)}")
    return EYES[name]
