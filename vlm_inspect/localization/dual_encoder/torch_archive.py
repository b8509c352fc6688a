"""Tensors out of the zip archives of `torch.save` and `torch.jit.save`, without running anything that they hold.

The pickle in an archive is read by an unpickler that can build tensors, parameters, NumPy scalars and ordered
dictionaries. Any other class or function that it names, training arguments and TorchScript modules among them, becomes
an inert object that keeps what it was given; nothing is imported or called. The code of TorchScript is not read at all.
"""

import io
import math
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_MOST_PICKLE_BYTES = 64 << 20
"""Of the pickle, which holds names and shapes; the values lie in files of their own."""
_DEEPEST = 64
"""Most modules within one another."""
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class ArchiveError(ValueError):
    """An archive is damaged, or built in a way that no writer of weights builds one."""


class Inert:
    """Whatever an archive names beside weights: it keeps what it was given, and does nothing."""

    def __init__(self, *arguments: object, **named: object) -> None:
        self.arguments = arguments
        self.state: Any = named or None

    def __call__(self, *arguments: object, **named: object) -> "Inert":
        """Return another one, in place of what a call would give."""
        return Inert(*arguments, **named)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    # what BUILD, APPENDS and SETITEMS call on an object of a class that is not known here
    def append(self, item: object) -> None:
        """Leave an item out."""

    def extend(self, items: object) -> None:
        """Leave items out."""

    def __setitem__(self, key: object, value: object) -> None:
        """Leave an item out."""


class _Builder:
    """A function that a pickle may call, and cannot change."""

    __slots__ = ("build",)
    build: Any

    def __init__(self, build: Any) -> None:
        object.__setattr__(self, "build", build)

    def __call__(self, *arguments: Any) -> Any:
        return self.build(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise ArchiveError("it tries to change how tensors are built")

    __setstate__ = None


def read_archive(path: Path) -> Any:
    """Return what an archive holds: tensors as tensors on the CPU, of modules their tensors by name, the rest inert.

    Raises:
        ArchiveError, zipfile.BadZipFile, pickle.UnpicklingError, ValueError, TypeError, AttributeError, KeyError,
            IndexError, EOFError, RecursionError: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        (name, *more) = [entry for entry in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", entry)] or [""]
        if not name or more:
            raise ArchiveError("it holds no data.pkl, so it is no file of torch.save")
        root = name.removesuffix("data.pkl")
        if archive.getinfo(name).file_size > _MOST_PICKLE_BYTES:
            raise ArchiveError("its data.pkl is too large for names and shapes")
        found = _Unpickler(io.BytesIO(archive.read(name)), archive, root).load()
    return dict(_module_tensors(found)) if isinstance(found, Inert) else found


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive of `torch.save` or `torch.jit.save`."""
    return zipfile.is_zipfile(path)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(stream, encoding="utf-8")
        self._archive, self._root = archive, root
        self._swapped = f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != (
            sys.byteorder.encode()
        )
        self._known: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        build = _BUILDERS.get((module.replace("numpy._core", "numpy.core"), name))
        return Inert if build is None else _Builder(build)

    def persistent_load(self, pid: Any) -> "Tensor":
        """Return the values of a storage, one-dimensional."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, str) or not re.fullmatch(r"\w+", str(key)):
            raise ArchiveError(f"it holds a storage of an unknown kind: {str(pid)[:80]}")
        if key not in self._known:
            self._known[key] = self._read(str(key), dtype, int(count))
        return self._known[key]

    def _read(self, key: str, dtype: str, count: int) -> "Tensor":
        import torch

        entry = self._archive.getinfo(f"{self._root}data/{key}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ArchiveError("its values are compressed, which torch.save never does")
        kind = getattr(torch, dtype)
        if count < 0 or count * kind.itemsize > entry.file_size:
            raise ArchiveError(f"storage {key} is cut short")
        raw = bytearray(self._archive.read(entry))
        if not count:
            return torch.empty(0, dtype=kind)
        values = torch.frombuffer(raw, dtype=torch.uint8)[: count * kind.itemsize]
        if self._swapped:
            values = values.view(-1, kind.itemsize).flip(1).reshape(-1).contiguous()
        return values.view(kind)


def _tensor(storage: "Tensor", offset: int, size: Sequence[int], stride: Sequence[int], *_: object) -> "Tensor":
    """Build a tensor as `torch._utils._rebuild_tensor_v2` does, within its storage."""
    shape, steps = tuple(int(one) for one in size), tuple(int(one) for one in stride)
    if len(shape) != len(steps) or min((offset, *shape, *steps)) < 0:
        raise ArchiveError("a tensor has an impossible shape")
    last = offset + sum((length - 1) * step for length, step in zip(shape, steps, strict=True))
    if math.prod(shape) and last >= storage.numel():
        raise ArchiveError("a tensor reaches beyond its storage")
    return storage.as_strided(shape, steps, offset)


def _parameter(tensor: "Tensor", *_: object) -> "Tensor":
    return tensor


def _scalar(dtype: Inert, data: bytes = b"") -> "Tensor":
    """Build a number that NumPy wrote, as a tensor without dimensions."""
    import numpy as np
    import torch

    code = str(dtype.arguments[0]) if dtype.arguments else ""
    if not re.fullmatch(r"[biuf]\d{1,2}", code):
        raise ArchiveError(f"it holds a NumPy scalar of an unknown kind: {code[:20]!r}")
    order = dtype.state[1] if isinstance(dtype.state, tuple) and len(dtype.state) > 1 else "<"
    number = np.frombuffer(data, np.dtype(f"{'>' if order == '>' else '<'}{code}"), count=1)[0]
    return torch.tensor(number.item())


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Return bytes as pickles of protocol 2 write them."""
    if encoding not in ("latin1", "latin-1"):
        raise ArchiveError(f"it holds bytes in {str(encoding)[:20]!r}")
    return text.encode("latin-1")


_BUILDERS: Mapping[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}


def _module_tensors(module: Inert, depth: int = 0) -> "Iterator[tuple[str, Tensor]]":
    """Yield the tensors of a TorchScript module under the names of its state dictionary."""
    import torch

    if depth > _DEEPEST:
        raise ArchiveError("its modules lie in one another without end")
    for name, value in module.state.items() if isinstance(module.state, Mapping) else ():
        if isinstance(value, torch.Tensor):
            yield str(name), value
        elif isinstance(value, Inert):
            for inner, tensor in _module_tensors(value, depth + 1):
                yield f"{name}.{inner}", tensor
