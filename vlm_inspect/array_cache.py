"""`ArrayCache`: arrays that are slow to compute, kept in this process and on disk under a hash of what they rest on.

An entry is one .npz of plain arrays: reading it runs no code. A broken entry is computed again, and a disk that cannot
be used costs time only.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

ENVIRONMENT = "VLM_INSPECT_CACHE"
"""Names another folder for the cache; "off" keeps nothing on disk."""
MOST_BYTES = 512 * 2**20
"""Size of one cache's folder above which the entries used longest ago are removed."""
_RECENT = 64


def key_of(*parts: str | int | float | Sequence[str]) -> str:
    """Return one hash of everything that an entry rests on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def content_of(array: NDArray[Any]) -> str:
    """Return the hash of an array's shape, type and values."""
    digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class ArrayCache:
    """Looks arrays up in this process, then on disk, and computes them where neither has them."""

    def __init__(self, name: str, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        """Keep entries in `folder`, by default the sub-folder `name` of the user's cache folder."""
        self._folder = folder or cache_folder(name)
        self._most_bytes = most_bytes
        self._recent: OrderedDict[str, Arrays] = OrderedDict()

    def get(self, key: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return the arrays under `key`, computed and stored if new; they are shared and must not be written to."""
        arrays = self._recent.pop(key, None)
        if arrays is None:
            arrays = self._read(key)
        if arrays is None:
            arrays = compute()
            self._write(key, arrays)
        self._recent[key] = arrays
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return arrays

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.npz"

    def _read(self, key: str) -> Arrays | None:
        if self._folder is None:
            return None
        path = self._path(self._folder, key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as entry:
                arrays = dict(entry)
            os.utime(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return arrays

    def _write(self, key: str, arrays: Arrays) -> None:
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, allow_pickle=False, **arrays)
                Path(name).replace(self._path(self._folder, key))  # atomic: another process sees all or nothing
            finally:
                Path(name).unlink(missing_ok=True)
            self._shrink(self._path(self._folder, key))
        except OSError:
            return

    def _shrink(self, newest: Path) -> None:
        entries = sorted((e for e in newest.parent.glob("*.npz") if e != newest), key=lambda e: e.stat().st_mtime)
        total = newest.stat().st_size + sum(entry.stat().st_size for entry in entries)
        for entry in entries:
            if total <= self._most_bytes:
                return
            total -= entry.stat().st_size
            entry.unlink(missing_ok=True)


def cache_folder(name: str) -> Path | None:
    """Return the sub-folder `name` of the user's cache folder; None where nothing is kept on disk."""
    home = _home()
    return None if home is None else home / name


def _home() -> Path | None:
    named = os.environ.get(ENVIRONMENT)
    if named == "off":
        return None
    if named:
        return Path(named)
    from platformdirs import user_cache_path

    return user_cache_path("vlm-inspect", appauthor=False)
