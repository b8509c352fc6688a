"""The seam for networks that see patches."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""(H, W, 3)."""


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """What a network says of one picture."""

    layers: tuple[NDArray[np.float32], ...]
    """One (h, w, C) for each layer of the network, on one grid: cell (i, j) covers its part of the picture evenly."""


@dataclass(frozen=True)
class Layer:
    """One set of features that is compared on its own."""

    name: str
    channels: tuple[int, ...]
    """Channels of what it is made of, in the order in which they are joined."""


_RUNTIME = re.compile(r"/(?:openvino-\w+|torch)(?![\w-])")


def without_runtime(identity: str) -> str:
    """Return an identity without runtime and precision, which change features by rounding only."""
    return _RUNTIME.sub("", identity)


class Network(Protocol):
    """A frozen network with patch features."""

    @property
    def name(self) -> str:
        """ "lite0", "dinov2"."""
        ...

    @property
    def identity(self) -> str:
        """Name, layers, weights, runtime and its precision: features of equal identity compare, others do not."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order of `PatchFeatures.layers`."""
        ...

    @property
    def multiple(self) -> int:
        """Sides of its pictures in pixels are multiples of this."""
        ...

    def extract(self, pictures: Sequence[Rgb]) -> list[PatchFeatures]:
        """Return the features of pictures, in their order.

        Args:
            pictures: uint8 (H, W, 3) RGB each, sides multiples of `multiple`. One goes through the network after the
                other: several at once outgrow the caches, and Lite0 took a quarter more for each.
        """
        ...
