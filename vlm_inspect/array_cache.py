"""`ArrayCache`: what is slow to compute, kept in this process and on disk under a hash of all that it rests on.

An entry is one file: a SHA-256 of what follows, then arrays in safetensors form. Reading it runs no code; a damaged
entry, or one that holds something else than expected, is computed again; a disk that cannot be used costs time only.
Files are the user's own (0600 in folders of 0700), appear whole or not at all, and those used longest ago go when the
folder grows beyond its limit, so that several processes may share it.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Arrays = dict[str, NDArray[Any]]

ENVIRONMENT: Final = "VLM_INSPECT_CACHE"
"""Names another folder for the cache; "off" keeps nothing on disk."""
MOST_BYTES: Final = 1 << 30
"""Size of all entries together above which those used longest ago are removed."""
SUFFIX: Final = ".arrays"
PAID: Final = frozenset({"descriptions"})
"""Kinds whose entries a model was paid for: they go only when they are named."""
_EARLIER_SUFFIX = ".npz"
"""Of entries that earlier versions wrote; nothing reads them any more."""
_RECENT_BYTES = 1 << 27
_DIGEST_BYTES = 32
_ABANDONED_S = 3600.0
"""Age at which a half-written file has no process any more."""


def key_of(*parts: str | int | float | Sequence[str]) -> str:
    """Return one hash of everything that an entry rests on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def content_of(array: NDArray[Any]) -> str:
    """Return the hash of an array's shape, type and values."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class KindUsage:
    """What one kind of entries takes."""

    kind: str
    entries: int
    bytes: int


class ArrayCache:
    """Looks a value up in this process, then on disk, and computes it where neither has it; safe for threads."""

    def __init__(self, home: Path | None, most_bytes: int = MOST_BYTES) -> None:
        """Keep entries below `home`, a sub-folder for each kind; None: in this process alone."""
        self.home = home
        self._most_bytes = most_bytes
        self._recent: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def array(
        self, kind: str, key: str, shape: Sequence[int | None], compute: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """Return one array; see `value`.

        Args:
            kind: sub-folder of the entry.
            key: hash of everything that the array rests on.
            shape: what it must have; None: any length.
            compute: makes the array where it is new.
        """

        def unpack(arrays: Arrays) -> NDArray[Any]:
            found = arrays["array"]
            if len(found.shape) != len(shape) or any(
                n not in (None, m) for n, m in zip(shape, found.shape, strict=True)
            ):
                raise ValueError(f"an array of shape {found.shape}, not {shape}")
            return found

        return self.value(kind, key, compute, lambda made: {"array": made}, unpack)

    def value(
        self,
        kind: str,
        key: str,
        compute: Callable[[], T],
        pack: Callable[[T], Arrays],
        unpack: Callable[[Arrays], T],
        *,
        in_memory: bool = True,
    ) -> T:
        """Return the value under `key`, computed and stored if new; it is shared and must not be written to.

        Args:
            kind: sub-folder of the entry.
            key: hash of everything that the value rests on.
            compute: makes the value where it is new.
            pack: returns it as arrays.
            unpack: returns the value of such arrays; raises KeyError, ValueError, TypeError, IndexError or
                RecursionError where they are those of something else.
            in_memory: whether this process keeps it, too. Not where one value follows another without end, such as the
                pieces of a long clip: the caller keeps as many as it needs.
        """
        with self._lock:
            if (kind, key) in self._recent:
                self._recent.move_to_end((kind, key))
                value: T = self._recent[kind, key][0]
                return value
        arrays = self._read(kind, key)
        try:
            value = compute() if arrays is None else unpack(arrays)
        except (KeyError, ValueError, TypeError, IndexError, RecursionError):
            if arrays is None:
                raise
            value, arrays = compute(), None
        if arrays is None:
            arrays = pack(value)
            self._write(kind, key, arrays)
        if in_memory:
            self._keep(kind, key, value, sum(array.nbytes for array in arrays.values()))
        return value

    def usage(self) -> list[KindUsage]:
        """Return what lies on disk, by kind, the largest first; other folders below `home` count, too."""
        if self.home is None or not self.home.is_dir():
            return []
        found = []
        for folder in sorted(path for path in self.home.iterdir() if path.is_dir()):
            sizes = [status.st_size for _, status in _files(folder)]
            found.append(KindUsage(folder.name, len(sizes), sum(sizes)))
        return sorted(found, key=lambda one: -one.bytes)

    def clear(self, kind: str | None = None) -> KindUsage:
        """Remove what can be computed again, of one kind or of all; of `PAID` kinds only the one that is named.

        Returns:
            How many entries went, and their bytes.
        """
        with self._lock:
            self._recent.clear()
        removed = [0]
        entries = 0
        for path, status in list(_entries(self.home)):
            if path.parent.name == kind or (kind is None and path.parent.name not in PAID):
                with suppress(OSError):
                    path.unlink()
                    removed.append(status.st_size)
                    entries += path.suffix != ".tmp"
        return KindUsage(kind or "all", entries, sum(removed))

    def _keep(self, kind: str, key: str, value: Any, size: int) -> None:
        with self._lock:
            self._recent[kind, key] = value, size
            total = sum(one for _, one in self._recent.values())
            while total > _RECENT_BYTES and len(self._recent) > 1:
                total -= self._recent.popitem(last=False)[1][1]

    def _path(self, kind: str, key: str) -> Path | None:
        return None if self.home is None else self.home / kind / f"{key}{SUFFIX}"

    def _read(self, kind: str, key: str) -> Arrays | None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self._path(kind, key)
        if path is None:
            return None
        try:
            data = path.read_bytes()
            if hashlib.sha256(memoryview(data)[_DIGEST_BYTES:]).digest() != data[:_DIGEST_BYTES]:
                return None
            arrays = {name: np.array(one) for name, one in load(data[_DIGEST_BYTES:]).items()}
            os.utime(path)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None
        return arrays

    def _write(self, kind: str, key: str, arrays: Arrays) -> None:
        from safetensors.numpy import save

        path = self._path(kind, key)
        if path is None or self.home is None:
            return
        data = save({name: np.ascontiguousarray(one) for name, one in arrays.items()})
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")  # readable by the user alone
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(data).digest())
                    file.write(data)
                Path(name).replace(path)  # atomic: another process sees all or nothing
            finally:
                Path(name).unlink(missing_ok=True)
            self._shrink(path)
        except OSError:
            return

    def _shrink(self, newest: Path) -> None:
        """Remove what was used longest ago until the rest fits, and what a killed process left half written."""
        entries = sorted(_entries(self.home), key=lambda entry: entry[1].st_mtime)
        total = sum(status.st_size for _, status in entries)
        for path, status in entries:
            abandoned = path.suffix == ".tmp" and time.time() - status.st_mtime > _ABANDONED_S
            stays = path == newest or path.suffix == ".tmp" or path.parent.name in PAID
            if abandoned or (total > self._most_bytes and not stays):
                total -= status.st_size
                path.unlink(missing_ok=True)


def _entries(home: Path | None) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files that an `ArrayCache` wrote below a folder."""
    folders = [] if home is None or not home.is_dir() else [path for path in home.iterdir() if path.is_dir()]
    for folder in folders:
        for path, status in _files(folder):
            if path.suffix in (SUFFIX, _EARLIER_SUFFIX, ".tmp"):
                yield path, status


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):  # gone meanwhile
                status = path.stat()
                if path.is_file():
                    yield path, status


_BY_HOME: dict[Path | None, ArrayCache] = {}


def user_cache() -> ArrayCache:
    """Return the one cache of this process, in the user's cache folder or where the environment says."""
    home = cache_home()
    return _BY_HOME.setdefault(home, ArrayCache(home))


def cache_folder(name: str) -> Path | None:
    """Return the sub-folder `name` of the user's cache folder; None where nothing is kept on disk."""
    home = cache_home()
    return None if home is None else home / name


def cache_home() -> Path | None:
    """Return the user's cache folder; None where nothing is kept on disk."""
    named = os.environ.get(ENVIRONMENT)
    if named == "off":
        return None
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("vlm-inspect", appauthor=False)
