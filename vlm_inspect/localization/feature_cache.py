"""Memories of reference sets, kept in this process and on disk under the hash of all that they rest on.

An entry is one .npz of plain arrays and a JSON text: reading it runs no code. A broken entry is computed again.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.array_cache import MOST_BYTES, ArrayCache, Arrays

if TYPE_CHECKING:
    from vlm_inspect.localization.memory import Memory

_IN_MEMORY = 8


def content_key(settings: Sequence[str], views: Sequence[tuple[int, int, View]]) -> str:
    """Return the hash of settings and of everything in the views (with their indices) that a memory depends on."""
    digest = hashlib.sha256(json.dumps(list(settings)).encode())
    for reference, index, view in views:
        panes = [pane.box_xyxy for pane in view.panes]
        digest.update(json.dumps([reference, index, view.kind, view.image.shape, panes, view.mask is None]).encode())
        digest.update(np.ascontiguousarray(view.image).data)
        if view.mask is not None:
            digest.update(np.packbits(view.mask).data)
    return digest.hexdigest()


class FeatureCache:
    """Looks a memory up in this process, then on disk, and computes it where neither has it."""

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._recent: OrderedDict[str, Memory] = OrderedDict()

    def get(self, key: str, compute: "Callable[[], Memory]") -> "Memory":
        """Return the memory under `key`, computed and stored if new; an unusable disk costs time only."""
        memory = self._recent.pop(key, None)
        if memory is None:
            memory = self._stored(key, compute)
        self._recent[key] = memory
        while len(self._recent) > _IN_MEMORY:
            self._recent.popitem(last=False)
        return memory

    def _stored(self, key: str, compute: "Callable[[], Memory]") -> "Memory":
        made: list[Memory] = []

        def arrays() -> Arrays:
            made.append(compute())
            return pack(made[0])

        found = ArrayCache("memories", self._folder, self._most_bytes).get(key, arrays)
        if made:
            return made[0]
        try:
            return unpack(found)
        except (KeyError, ValueError, TypeError):  # whole arrays, but not those of a memory
            return compute()


def pack(memory: "Memory") -> dict[str, NDArray[np.generic]]:
    """Return a memory as named arrays."""
    framing, bank = memory.framing, memory.bank
    settings = {
        "mode": framing.mode,
        "scale": framing.scale,
        "size_wh": framing.size_wh,
        "turns": framing.turns,
        "flat": framing.flat,
        "aligned": framing.aligned,
        "place_weight": bank.place_weight,
        "normal_scores": memory.normal_scores,
    }
    arrays: dict[str, NDArray[np.generic]] = {
        "settings": np.frombuffer(json.dumps(settings).encode(), np.uint8),
        "mean": bank.mean,
        "weight": bank.weight,
        "features": bank.features,
        "leeway": bank.leeway,
        "origin": bank.origin,
    }
    if framing.template is not None:
        arrays["template"] = framing.template
    return arrays


def unpack(arrays: dict[str, NDArray[np.generic]]) -> "Memory":
    """Return the memory that `pack` took apart.

    Raises:
        KeyError, ValueError, TypeError: the arrays are not those of a memory.
    """
    from vlm_inspect.localization.bank import PatchBank
    from vlm_inspect.localization.framing import Framing
    from vlm_inspect.localization.memory import Memory

    settings = json.loads(arrays["settings"].tobytes().decode())
    size = settings["size_wh"]
    template = arrays.get("template")
    framing = Framing(
        mode=settings["mode"],
        scale=float(settings["scale"]),
        size_wh=None if size is None else (int(size[0]), int(size[1])),
        turns=bool(settings["turns"]),
        flat=bool(settings["flat"]),
        aligned=bool(settings["aligned"]),
        template=None if template is None else np.asarray(template, np.float32),
    )
    bank = PatchBank(
        mean=np.asarray(arrays["mean"], np.float32),
        weight=np.asarray(arrays["weight"], np.float32),
        place_weight=float(settings["place_weight"]),
        features=np.asarray(arrays["features"], np.float32),
        leeway=np.asarray(arrays["leeway"], np.float32),
        origin=np.asarray(arrays["origin"], np.float32),
    )
    if not len(bank.features) == len(bank.origin) == len(bank.leeway) or bank.features.shape[1] != len(bank.mean) + 2:
        raise ValueError("the arrays of a cached memory do not fit each other")
    return Memory(framing, bank, tuple(float(score) for score in settings["normal_scores"]))
