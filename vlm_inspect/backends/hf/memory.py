"""What a model needs in memory, known before it is loaded, against what is free."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from vlm_inspect.backends.hf.folder import ModelFolder
from vlm_inspect.errors import BackendError

_DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_LOADED_BYTES = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}
_QUANTIZED_BYTES = {"8bit": 1.15, "4bit": 0.7}
"""Bytes a parameter, embeddings and norms at 16 bits included."""
_MARGIN = 1.05
_PROMPT_TOKENS = 8192
"""Tokens of one prompt and answer that must fit beside the weights."""
_LONGEST_HEADER = 100_000_000
GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Memory of a model in bytes."""

    weights: int
    prompt: int
    """Keys and values of one prompt of 8192 tokens, or of the whole context where that is shorter."""

    @property
    def total(self) -> int:
        """Both together."""
        return self.weights + self.prompt


def estimate_need(folder: ModelFolder, *, dtype: str = "auto", quantize: str | None = None) -> Need:
    """Return what the model will take, from the headers of its weights and its configuration.

    Args:
        folder: from `open_folder`.
        dtype: "auto" (as stored), "float32", "float16" or "bfloat16".
        quantize: None, "8bit" or "4bit".

    Raises:
        BackendError: a file of weights is damaged.
    """
    parameters, stored = 0, 0
    for path in folder.weights:
        count, size = _tensors_of(path, folder.name)
        parameters, stored = parameters + count, stored + size
    if quantize:
        weights = parameters * _QUANTIZED_BYTES[quantize]
    else:
        weights = stored if dtype == "auto" else parameters * _LOADED_BYTES[dtype]
    bytes_each = 2.0 if quantize else weights / max(1, parameters)
    return Need(math.ceil(weights * _MARGIN), math.ceil(_cache_bytes(folder.config, bytes_each)))


def check_fits(folder: ModelFolder, need: Need, device: str) -> None:
    """Refuse a model that does not fit.

    Raises:
        BackendError: it needs more than is free on the device.
    """
    free = free_bytes(device)
    if need.total > free:
        raise BackendError(
            f"{folder.name} needs about {need.weights / GIB:.1f} GiB for its weights and {need.prompt / GIB:.1f} GiB "
            f"for a prompt, but {free / GIB:.1f} GiB are free on {device}; use --quantize 4bit, a smaller model or "
            "another device"
        )


def free_bytes(device: str) -> int:
    """Return the free memory of "cpu", "cuda", "cuda:N" or "mps" in bytes; "auto" is all GPUs and the CPU."""
    import torch

    if not device.startswith(("cuda", "auto")):
        return _free_main_memory()
    devices = range(torch.cuda.device_count()) if device == "auto" else [torch.device(device).index or 0]
    free = sum(int(torch.cuda.mem_get_info(number)[0]) for number in devices)
    return free + (_free_main_memory() if device == "auto" else 0)


def _free_main_memory() -> int:
    psutil: Any = import_module("psutil")  # accelerate brings it; it has no types of its own
    free = int(psutil.virtual_memory().available)
    try:  # a container may be allowed less than the machine has
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
        return min(free, int(limit) - int(used))
    except (OSError, ValueError):
        return free


def _tensors_of(path: Path, shown: str) -> tuple[int, int]:
    """Return the parameters of a safetensors file and their size in bytes, from its header alone."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        shapes = [(t["dtype"], math.prod(t["shape"])) for name, t in header.items() if name != "__metadata__"]
        end = (
            8 + length + max((t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"), default=0)
        )
        if path.stat().st_size < end:
            raise ValueError("it is cut short")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise BackendError(
            f"{shown}: {path.name} is not a whole safetensors file ({error}); download it again"
        ) from error
    return sum(n for _, n in shapes), sum(n * _DTYPE_BYTES.get(dtype, 1) for dtype, n in shapes)


def _cache_bytes(config: Mapping[str, Any], bytes_each: float) -> float:
    """Keys and values: 2 x layers x heads x head size x tokens. Families name their text part differently."""
    text = next((config[key] for key in ("text_config", "llm_config") if isinstance(config.get(key), dict)), config)
    layers, heads = int(text.get("num_hidden_layers") or 32), int(text.get("num_attention_heads") or 32)
    width = int(text.get("hidden_size") or 4096)
    head = int(text.get("head_dim") or width // heads)
    tokens = min(_PROMPT_TOKENS, int(text.get("max_position_embeddings") or _PROMPT_TOKENS))
    return 2.0 * layers * int(text.get("num_key_value_heads") or heads) * head * tokens * bytes_each
