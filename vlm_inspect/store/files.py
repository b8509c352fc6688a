"""`FileFolder`: pictures, arrays and inputs of cases, each a file that is named by its content.

    view-<sha256 of the pixels>.png      a view, a mask, a picture of the dialogue
    arrays-<sha256 of the values>.npz    anomaly maps, the points of a scan
    sent-<sha256 of the bytes>.jpg       a picture as the model got it
    input-<sha256 of the bytes>          the inspected file, where it is kept

Equal content is kept once, over all cases. A name is known before anything is encoded, so that the views of references
cost their encoding once. Every file is checked against its name when it is read. Files come first and rows after them;
what no row names is swept.
"""

import hashlib
import io
import os
import re
import secrets
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.array_cache import content_of
from vlm_inspect.errors import StoreError

Arrays = Mapping[str, NDArray[Any]]
PRIVATE_FILE = 0o600
STALE_S = 3600.0
"""Age in seconds at which a half-written file is nobody's any more."""
_NAME = re.compile(r"(view|arrays|sent|input)-([0-9a-f]{64})(\.[a-z0-9]{1,5})?")
_DRAFT = ".part"
_DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError, OverflowError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy, zipfile and Pillow raise for changed bytes; NotImplementedError (a method of compression that no one
has) and RecursionError are RuntimeErrors."""

_PNG_EFFORT, _NPZ_EFFORT = 3, 1
"""Of 9. Photos and maps come out as large as with the usual 6, and take a third of the time, which was an eighth of a
warm inspection's."""


@dataclass
class Bundle:
    """Files that one case names, by their names; `write` makes those that are not there yet."""

    writers: dict[str, Callable[[Path], object]] = field(default_factory=dict)

    def add_picture(self, pixels: NDArray[Any]) -> str:
        """Add a picture (uint8 HWC RGB, or a bool HW mask), which must not change any more; returns its name."""
        name = f"view-{content_of(pixels)}.png"
        self.writers[name] = lambda path: path.write_bytes(_png(pixels))
        return name

    def add_arrays(self, arrays: Arrays) -> str:
        """Add named arrays, which must not change any more; returns the name of their file."""
        name = f"arrays-{_content_of_all(arrays)}.npz"
        self.writers[name] = lambda path: path.write_bytes(_npz(arrays))
        return name

    def add_sent(self, data: bytes, suffix: str) -> str:
        """Add an encoded picture as it went to the model; returns its name."""
        name = f"sent-{hashlib.sha256(data).hexdigest()}{suffix}"
        self.writers[name] = lambda path: path.write_bytes(data)
        return name

    def add_input(self, source: Path) -> str:
        """Add an inspected file, which is copied; returns its name."""
        with source.open("rb") as file:
            name = f"input-{hashlib.file_digest(file, 'sha256').hexdigest()}"
        self.writers[name] = lambda path: shutil.copyfile(source, path)
        return name


class FileFolder:
    """The folder of a store's files. Nothing is made before the first file is written."""

    def __init__(self, folder: Path, *, wait_s: float) -> None:
        """Use `folder`; another process that sweeps it is waited for up to `wait_s` seconds."""
        self.folder = folder
        self._wait_s = wait_s

    def write(self, bundle: Bundle) -> None:
        """Write the files of a bundle that are not there yet, each whole or not at all.

        Raises:
            StoreError: the folder cannot be written to.
        """
        try:
            for name, writer in bundle.writers.items():
                path = self._path(name)
                if not path.exists():
                    _write_whole(path, writer)
        except OSError as error:
            raise StoreError(f"{error.filename or self.folder} cannot be written: {error.strerror or error}") from error

    def picture(self, name: str) -> NDArray[Any]:
        """Return a picture: uint8 (H, W, 3) RGB, or bool (H, W) of a mask.

        Raises:
            StoreError: it is gone or damaged; likewise for the methods below.
        """
        from PIL import Image

        try:
            with Image.open(io.BytesIO(self._read(name))) as picture:
                pixels: NDArray[Any] = np.asarray(picture)
                if picture.mode == "1":
                    pixels = pixels.view(np.uint8) != 0  # Pillow's True is any byte but 0
        except (*_DAMAGE, Image.DecompressionBombError) as error:
            raise self._damaged(name) from error
        self._check(name, content_of(pixels))
        return pixels

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return named arrays."""
        try:
            with np.load(io.BytesIO(self._read(name)), allow_pickle=False) as file:
                arrays = dict(file)
        except _DAMAGE as error:
            raise self._damaged(name) from error
        self._check(name, _content_of_all(arrays))
        return arrays

    def data(self, name: str) -> bytes:
        """Return the bytes of a picture as sent, or of an input."""
        data = self._read(name)
        self._check(name, hashlib.sha256(data).hexdigest())
        return data

    def path(self, name: str) -> Path:
        """Return where a file lies, for a reader that seeks in it; its content is not checked.

        Raises:
            StoreError: it is gone.
        """
        path = self._path(name)
        if not path.is_file():
            raise self._gone(name)
        return path

    def copy(self, name: str, target: Path) -> None:
        """Copy an input to `target`."""
        try:
            with self._path(name).open("rb") as file:
                self._check(name, hashlib.file_digest(file, "sha256").hexdigest())
            shutil.copyfile(self._path(name), target)
        except FileNotFoundError as error:
            raise self._gone(name) from error
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror or error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes: while rows are added that name files, or files are removed.

        Raises:
            StoreError: another process holds it for too long, or the folder cannot be written to.
        """
        with lock_folder(self.folder, self._wait_s):
            yield

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that no row names any more; call it under `locked`."""
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def sweep(self, named: Iterable[str], *, stale_s: float = STALE_S) -> int:
        """Remove the files that no row names, and drafts that a killed process left; returns how many.

        Call it under `locked`: files of a case whose row is not there yet are made again by its saver.
        """
        kept = set(named)
        count = 0
        for path in self.folder.glob("??/*"):
            draft = path.suffix == _DRAFT
            if draft and time.time() - _changed_s(path) < stale_s:
                continue
            if draft or (path.name not in kept and _NAME.fullmatch(path.name)):
                path.unlink(missing_ok=True)
                count += 1
        return count

    def _path(self, name: str) -> Path:
        found = _NAME.fullmatch(name)
        if found is None:  # a name comes from the database, and must not lead out of the folder
            raise StoreError(f"{name!r} is not the name of a file in the store; the store is damaged")
        return self.folder / found[2][:2] / name

    def _read(self, name: str) -> bytes:
        path = self._path(name)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise self._gone(name) from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error

    def _check(self, name: str, sha256: str) -> None:
        if sha256 not in name:
            raise self._damaged(name)

    def _gone(self, name: str) -> StoreError:
        return StoreError(f"{self._path(name)} is gone: put it back from a copy, or delete the case")

    def _damaged(self, name: str) -> StoreError:
        return StoreError(f"{self._path(name)} is damaged: put it back from a copy, or delete the case")


@contextmanager
def lock_folder(folder: Path, wait_s: float) -> Iterator[None]:
    """Hold a folder against other processes. The lock is the system's: it goes with its process, however that ends.

    Raises:
        StoreError: another process holds it for more than `wait_s` seconds, or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        make_private(folder)
        lock = FileLock(folder / ".lock", timeout=wait_s)
        lock.acquire()
    except Timeout as error:
        raise StoreError(f"{folder} is in use by another process; try again") from error
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone; one that is there keeps its mode."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _write_whole(path: Path, writer: Callable[[Path], object]) -> None:
    make_private(path.parent)
    draft = path.parent / f".{secrets.token_hex(8)}{_DRAFT}"
    try:
        draft.touch(mode=PRIVATE_FILE)  # before there is anything in it
        writer(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())  # the row that names it must not outlive it in a power cut
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its writer has just finished
        return time.time()


def _png(pixels: NDArray[Any]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_PNG_EFFORT)
    return buffer.getvalue()


def _npz(arrays: Arrays) -> bytes:
    """Return what `np.savez_compressed` would write, with less effort."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_NPZ_EFFORT) as packed:
        for name, values in arrays.items():
            with packed.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
    return buffer.getvalue()


def _content_of_all(arrays: Arrays) -> str:
    return hashlib.sha256("\n".join(f"{key} {content_of(arrays[key])}" for key in sorted(arrays)).encode()).hexdigest()
