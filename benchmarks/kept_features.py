"""Network features kept on disk: a picture that is framed alike in another run, or another draw, is not seen again.

A benchmark draws references several times and judges the same test pictures each time. Most are framed alike, so
their features are the same; they are kept in half precision (1 to 5 MB a picture).
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from vlm_inspect.localization.patch_memory import network_memory
from vlm_inspect.vision import Network, PatchFeatures, load_network
from vlm_inspect.vision.network import Layer, Rgb


class KeptNetwork:
    """See `Network`: one whose features are looked up in a folder first."""

    def __init__(self, network: Network, folder: Path) -> None:
        self._network, self._folder = network, folder
        self._tag = hashlib.sha256(network.identity.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """As of the network."""
        return self._network.name

    @property
    def identity(self) -> str:
        """As of the network, rounded."""
        return f"{self._network.identity}/half"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """As of the network."""
        return self._network.layers

    @property
    def multiple(self) -> int:
        """As of the network."""
        return self._network.multiple

    def extract(self, pictures: Sequence[Rgb]) -> list[PatchFeatures]:
        """See `Network.extract`."""
        paths = [self._path(picture) for picture in pictures]
        new = [index for index, path in enumerate(paths) if not path.exists()]
        for index, found in zip(new, self._network.extract([pictures[index] for index in new]), strict=True):
            draft = paths[index].with_suffix(f".{os.getpid()}.tmp")
            with draft.open("wb") as file:
                np.savez(file, **{str(n): layer.astype(np.float16) for n, layer in enumerate(found.layers)})
            draft.replace(paths[index])
        return [_read(path) for path in paths]

    def _path(self, picture: Rgb) -> Path:
        digest = hashlib.sha256(f"{self._tag} {picture.shape}".encode())
        digest.update(np.ascontiguousarray(picture).data)
        return self._folder / f"{digest.hexdigest()[:32]}.npz"


def _read(path: Path) -> PatchFeatures:
    with np.load(path, allow_pickle=False) as kept:
        return PatchFeatures(tuple(kept[str(n)].astype(np.float32) for n in range(len(kept.files))))


@contextmanager
def features_kept_in(folder: Path) -> Iterator[None]:
    """Let every patch memory look its features up in `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)

    @lru_cache(maxsize=4)
    def load(name: str) -> Network:
        return KeptNetwork(load_network(name), folder)

    usual = network_memory.load_network
    network_memory.load_network = load  # type: ignore[assignment]  # the one place where memories get their networks
    try:
        yield
    finally:
        network_memory.load_network = usual
