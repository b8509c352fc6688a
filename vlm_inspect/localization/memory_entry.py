"""A memory of reference views as an entry of the cache: plain arrays and a JSON text, under the hash of its sources."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.view import View
from vlm_inspect.array_cache import Arrays

if TYPE_CHECKING:
    from vlm_inspect.localization.memory import Memory


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


def pack(memory: "Memory") -> Arrays:
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
    arrays: Arrays = {
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


def unpack(arrays: Arrays) -> "Memory":
    """Return the memory that `pack` took apart.

    Raises:
        KeyError, ValueError, TypeError, IndexError, RecursionError: the arrays are not those of a memory.
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
