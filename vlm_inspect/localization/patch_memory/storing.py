"""A patch memory as an entry of the cache: plain arrays and a JSON text, under the hash of its sources."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.view import View
from vlm_inspect.localization.framing import Framing
from vlm_inspect.localization.patch_memory.eyes import NetworkUse
from vlm_inspect.localization.patch_memory.layer_bank import LayerBank
from vlm_inspect.localization.patch_memory.memory import PatchMemory
from vlm_inspect.localization.patch_memory.network_memory import NetworkMemory

Arrays = dict[str, NDArray[Any]]


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


def pack(memory: PatchMemory) -> Arrays:
    """Return a memory as named arrays."""
    arrays: Arrays = {"level": memory.level, "correction": memory.correction, "left_out": memory.left_out}
    told: list[dict[str, Any]] = []
    for n, network in enumerate(memory.networks):
        framing = network.framing
        told.append(
            {
                "mode": framing.mode,
                "scale": framing.scale,
                "size_wh": framing.size_wh,
                "turns": framing.turns,
                "flat": framing.flat,
                "aligned": framing.aligned,
                "multiple": framing.multiple,
                "place_weights": [bank.place_weight for bank in network.banks],
            }
        )
        arrays[f"{n}.origin"] = network.origin
        if framing.template is not None:
            arrays[f"{n}.template"] = framing.template
        for layer, bank in enumerate(network.banks):
            arrays[f"{n}.{layer}.mean"], arrays[f"{n}.{layer}.weight"] = bank.mean, bank.weight
            arrays[f"{n}.{layer}.rows"], arrays[f"{n}.{layer}.reliability"] = (
                bank.rows.astype(np.float16),
                bank.reliability,
            )
    text = json.dumps({"references": memory.references, "networks": told})
    arrays["settings"] = np.frombuffer(text.encode(), np.uint8)
    return arrays


def unpack(arrays: Arrays, uses: Sequence[NetworkUse]) -> PatchMemory:
    """Return the memory that `pack` took apart.

    Args:
        arrays: the entry.
        uses: the networks that it was made with.

    Raises:
        KeyError, ValueError, TypeError, IndexError, RecursionError: the arrays are not those of such a memory.
    """
    told = json.loads(arrays["settings"].tobytes().decode())
    references = tuple(int(one) for one in told["references"])
    networks = tuple(_network(arrays, n, use, told["networks"][n]) for n, use in enumerate(uses))
    channels = sum(len(pools) for use in uses for pools in use.pools)
    level = np.asarray(arrays["level"], np.float64)
    if level.shape != (len(references), channels) or arrays["left_out"].shape[1] != channels:
        raise ValueError("the arrays of a cached memory do not fit each other")
    correction = np.asarray(arrays["correction"], np.float64)
    return PatchMemory(networks, references, level, correction, np.asarray(arrays["left_out"], np.float16))


def _network(arrays: Arrays, n: int, use: NetworkUse, told: dict[str, Any]) -> NetworkMemory:
    size = told["size_wh"]
    template = arrays.get(f"{n}.template")
    framing = Framing(
        mode=told["mode"],
        scale=float(told["scale"]),
        size_wh=None if size is None else (int(size[0]), int(size[1])),
        turns=bool(told["turns"]),
        flat=bool(told["flat"]),
        aligned=bool(told["aligned"]),
        multiple=int(told["multiple"]),
        template=None if template is None else np.asarray(template, np.float32),
    )
    origin = np.asarray(arrays[f"{n}.origin"], np.float32)
    banks = tuple(
        LayerBank(
            metric=use.metric,
            mean=np.asarray(arrays[f"{n}.{layer}.mean"], np.float32),
            weight=np.asarray(arrays[f"{n}.{layer}.weight"], np.float32),
            place_weight=float(told["place_weights"][layer]),
            rows=np.asarray(arrays[f"{n}.{layer}.rows"], np.float32),
            reliability=np.asarray(arrays[f"{n}.{layer}.reliability"], np.float32),
        )
        for layer in range(len(use.pools))
    )
    for bank in banks:
        fits = len(bank.reliability) == len(origin) and bank.mean.shape == bank.weight.shape
        if not fits or bank.rows.shape != (len(origin), len(bank.mean) + 2):
            raise ValueError("the arrays of a cached memory do not fit each other")
    return NetworkMemory(use, framing, banks, origin)
