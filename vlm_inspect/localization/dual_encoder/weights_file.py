"""Tensors out of files: read without running code, compared with what a configuration asks for, and digested."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.errors import InspectWarning, LocalizerError
from vlm_inspect.real_path import real_path

if TYPE_CHECKING:
    from torch import Tensor


class SuspectWeights(InspectWarning):
    """Weights that load, but whose settings contradict where they come from."""


_BROKEN = (
    *(RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError),
    *(MemoryError, zipfile.BadZipFile, NotImplementedError),
)
"""What damaged files raise in the libraries that read them."""
_INDEX = ".index.json"
_STATES = ("state_dict", "model_state_dict")
"""Under which training scripts keep the weights, beside epochs and optimisers."""
_SIZES = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Sizes that OpenAI's archives keep among the tensors."""


def read_weights(path: Path) -> "dict[str, Tensor]":
    """Return the tensors of a .safetensors, PyTorch or TorchScript file, or of an index of several, by name.

    Code in a file is never run; what a training script kept beside the weights is left out.

    Raises:
        LocalizerError: the file is broken, cut short, or holds more than tensors among them.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from vlm_inspect.localization.dual_encoder.torch_archive import is_archive, read_archive

    if path.name.endswith(_INDEX):
        return _read_shards(path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = read_archive(path) if is_archive(path) else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, *_BROKEN) as error:
        raise LocalizerError(f"{path} cannot be read as weights, get it again: {one_line(error)}") from error
    if isinstance(loaded, Mapping):
        loaded = next((loaded[name] for name in _STATES if isinstance(loaded.get(name), Mapping)), loaded)
    if not isinstance(loaded, Mapping) or not any(isinstance(one, torch.Tensor) for one in loaded.values()):
        raise LocalizerError(f"{path} holds no plain dictionary of tensors")
    other = next((name for name, one in loaded.items() if not isinstance(one, torch.Tensor)), None)
    if other is not None:
        raise LocalizerError(f"{path} cannot be read as weights: {str(other)[:80]} is no tensor")
    return {str(name).removeprefix("module."): one for name, one in loaded.items() if name not in _SIZES}


def files_of(path: Path) -> list[Path]:
    """Return the files that hold the weights of a path: itself, or with an index the index and its shards.

    Raises:
        LocalizerError: the index is damaged, or names files elsewhere.
    """
    if not path.name.endswith(_INDEX):
        return [path]
    return [path, *(path.parent / name for name in dict.fromkeys(_read_index(path).values()))]


def _read_shards(path: Path) -> "dict[str, Tensor]":
    index, tensors = _read_index(path), dict[str, "Tensor"]()
    for shard in files_of(path)[1:]:
        if not shard.is_file():
            raise LocalizerError(f"{path} names {shard.name}, which is missing beside it; download it too")
        tensors |= {name: one for name, one in read_weights(shard).items() if index.get(name) == shard.name}
    if missing := sorted(index.keys() - tensors.keys()):
        raise LocalizerError(f"{path}: {missing[0]} is not in {index[missing[0]]}; download the shards again")
    return tensors


def _read_index(path: Path) -> dict[str, str]:
    """Return the name of the shard that holds each tensor."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        index = {str(name): str(shard) for name, shard in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LocalizerError(f"{path} is no index of weights: {one_line(error)}") from error
    elsewhere = next((shard for shard in index.values() if Path(shard).name != shard or shard.endswith(_INDEX)), None)
    if elsewhere is not None or not index:
        raise LocalizerError(f"{path} names no file beside it: {elsewhere}")
    return index


def check_shapes(wanted: Mapping[str, tuple[int, ...]], found: "Mapping[str, Tensor]", path: Path, of: str) -> None:
    """Check that the checkpoint at `path` has the tensors that a configuration (`of`, for the message) asks for.

    Raises:
        LocalizerError: one is missing, left over, of another shape, or holds values that are not finite.
    """
    import torch

    missing, left_over = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if len(missing) == len(wanted):
        raise LocalizerError(f"{path} holds no CLIP model: not one tensor has a known name, but {left_over[:1]}")
    for name in sorted(wanted.keys() & found.keys()):
        shape = tuple(found[name].shape)
        if shape != wanted[name]:
            raise LocalizerError(f"{path} is of another size than {of}: {name} is {shape}, should be {wanted[name]}")
    if left_over:
        raise LocalizerError(f"{path} is of another size than {of}: {len(left_over)} tensors too many: {left_over[0]}")
    if missing:
        raise LocalizerError(f"{path} is incomplete: {len(missing)} of {len(wanted)} tensors are missing: {missing[0]}")
    broken = next((name for name, one in found.items() if not bool(torch.isfinite(one).all())), None)
    if broken is not None:
        raise LocalizerError(f"{path} is broken, get it again: {broken} holds values that are not finite numbers")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; in the hub's cache it is the name of the file that the snapshot links to."""
    blob = real_path(path).name
    if path.is_symlink() and len(blob) == 64 and all(one in "0123456789abcdef" for one in blob):
        return blob
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def one_line(error: BaseException) -> str:
    """Return an error's message as one line of at most 200 characters, or its class where it has none."""
    text = " ".join(str(error).split())
    return (text if len(text) <= 200 else text[:197] + "...") or type(error).__name__
