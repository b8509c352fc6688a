"""Tensors out of a file: read without running code, compared with what a configuration asks for, and digested."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.errors import InspectWarning, LocalizerError

if TYPE_CHECKING:
    from torch import Tensor


class SuspectWeights(InspectWarning):
    """Weights that load, but whose settings contradict where they come from."""


def read_weights(path: Path) -> "dict[str, Tensor]":
    """Return the tensors of a .safetensors or a PyTorch file by name; code in a pickle is never run.

    Raises:
        LocalizerError: the file is broken, cut short, or holds more than tensors.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise LocalizerError(f"{path} cannot be read as weights, get it again: {one_line(error)}") from error
    loaded = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(loaded, Mapping) or not all(isinstance(one, torch.Tensor) for one in loaded.values()):
        raise LocalizerError(f"{path} holds no plain dictionary of tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


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
    blob = path.resolve().name
    if path.is_symlink() and len(blob) == 64 and all(one in "0123456789abcdef" for one in blob):
        return blob
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def one_line(error: BaseException) -> str:
    """Return an error's message as one line of at most 200 characters, or its class where it has none."""
    text = " ".join(str(error).split())
    return (text if len(text) <= 200 else text[:197] + "...") or type(error).__name__
