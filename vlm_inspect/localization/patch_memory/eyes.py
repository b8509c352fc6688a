"""Eyes: which networks a memory sees with, at which size, and which channels they give.

    fast    EfficientNet-Lite0: fine detail at a low price; for scan views, clips and short cycle times
    fine    Lite0 and two middle layers of DINOv2 ViT-S/14, which knows what a place shows; for photos

docs/results.md says what each costs and what it finds.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from converters.view import ViewKind
from vlm_inspect.localization.memory_settings import MemorySettings

Metric = Literal["scaled", "cosine"]


@dataclass(frozen=True)
class Pool:
    """How the scores of a layer's patches become the score of a picture; see `Channel`."""

    share: float
    prior_spread: float
    prior_slope: float
    """By how much the log score of a normal part falls when the log number of references grows by 1."""
    next_over_self: float
    """By how much the log score of the next normal part exceeds what a single reference says of itself."""
    next_spread: float
    """Root mean square error of that on a class that it was not learned from."""

    def level_error(self, references: int) -> float:
        """Return the standard deviation of the error of a level, in the log, that its own scatter does not show.

        With several references it is about what one more changes: 0.14, 0.06, 0.03 and 0.01 by DINOv2 with 2, 4, 8 and
        16 (decision 45).
        """
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
    reliability: bool = False
    """Whether a distance counts for less where the references differ, see `measure_reliability`."""
    small_part_factor: float = 1.0
    """How many times `most_pixels` a framed picture has where the crop to the part is less than half of pictures that
    are clearly larger than the least: the defects of a small part are small in cells."""
    large_pixels: int = 0
    """Pixels of a framed picture where the crop to the part itself has at least as many; 0: no more than others."""
    votes_without_places: float = 1.0
    """Votes of each of its channels where places do not compare and the part is not seen large; else 1."""
    mirrored: bool = False
    """Whether references are also remembered mirrored about their long axis, where parts are turned level: few
    references show few of the ways in which such a part may be rolled and lit."""
    own_places: bool = False
    """Whether, with a single reference, a patch is also held against other places of its own picture: what repeats
    there is no defect, though the one reference happens not to show it."""


_WHOLE = Pool(1.0, 0.1, 0.12, 0.4, 0.22), Pool(1.0, 0.15, 0.24, 0.25, 0.27), Pool(1.0, 0.17, 0.24, 0.28, 0.34)
"""The surface as a whole by Lite0, and by layers 6 and 9 of DINOv2."""

_SMALL_PART_FACTOR = 16 / 9
"""Of Lite0 in the fine eye. In the fast one it would double the time of such pictures."""


def uses_for(settings: MemorySettings, kind: ViewKind) -> tuple[NetworkUse, ...]:
    """Return the networks that judge views of a kind.

    Photos are also judged as a whole (`Channel.whole`), by the network that knows most of what a place shows.
    """
    places = Pool(0.003, 0.12, 0.12, 0.24, 0.24)
    lite0 = NetworkUse(
        network="lite0",
        least_pixels=settings.least_pixels,
        most_pixels=settings.most_pixels,
        metric="scaled",
        sigma=0.7,
        place_weight=settings.place_weight,
        reliability=True,
        pools=((places,),),
        votes_without_places=0.5,
        capacity=settings.capacity,
    )
    sixth, ninth = Pool(0.003, 0.18, 0.2, 0.11, 0.28), Pool(0.003, 0.21, 0.2, 0.11, 0.37)
    dinov2 = NetworkUse(
        network="dinov2",
        least_pixels=settings.fine_pixels,
        most_pixels=settings.fine_pixels,
        metric="cosine",
        sigma=0.7,
        place_weight=0.4 * settings.place_weight,
        pools=((sixth,), (ninth,)),
        mirrored=True,
        own_places=True,
        capacity=settings.capacity,
    )
    fine = settings.eye == "fine" or (settings.eye == "auto" and kind == "image")
    if kind == "image":
        dinov2 = replace(dinov2, pools=((sixth, _WHOLE[1]), (ninth, _WHOLE[2])))
        if not fine or settings.backbone is not None:
            lite0 = replace(lite0, pools=((places, _WHOLE[0]),))
    if settings.backbone is not None:
        known = {"lite0": lite0, "dinov2": dinov2}
        return (known.get(settings.backbone, replace(lite0, network=settings.backbone)),)
    if not fine:
        return (lite0,)
    return (replace(lite0, small_part_factor=_SMALL_PART_FACTOR, large_pixels=settings.large_pixels), dinov2)
