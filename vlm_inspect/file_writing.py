"""Writing a result file at once or not at all, and finding out beforehand whether it can be written."""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from vlm_inspect.errors import OutputError
from vlm_inspect.real_path import real_path

_OTHERS = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".svg", ".pdf", ".htm", ".html", ".json"}
_OTHERS |= {".csv", ".xls", ".xlsx", ".ods", ".ply", ".stl", ".obj", ".off", ".glb", ".pcd"}
"""Endings of other files than one that is written: who opens it by its name would be told that it is damaged."""


def check_suffix(path: Path, option: str, what: str, *suffixes: str) -> None:
    """Make sure that a file is not named as one of another type.

    Args:
        path: the file.
        option: which names it.
        what: is written.
        suffixes: that it may have, the usual one first; unknown endings are fine.

    Raises:
        OutputError: its name ends as that of another type.
    """
    if (suffix := path.suffix.lower()) in _OTHERS - set(suffixes):
        raise OutputError(f"{option} writes {what}, not {suffix}; name a file that ends in {suffixes[0]}")


def check_writable(path: Path) -> None:
    """Make sure that `write_atomically` can write there; leaves nothing behind.

    Raises:
        OutputError: the folder is missing, the path is a folder, or writing is not allowed.
    """
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name a file in it")
        folder = _target(path).parent
        if not folder.is_dir():
            raise OutputError(f"{folder}: no such folder; make it first, or write elsewhere")
        if path.exists() and not os.access(path, os.W_OK):
            raise OutputError(f"{path} is write-protected; name another file")
        if not _is_special(path):
            with tempfile.TemporaryFile(dir=folder):
                pass
            _try_name(path)
    except OSError as e:
        raise OutputError(_in_words(path, e)) from e


def check_folder(path: Path) -> None:
    """Make sure that files can be made in a folder, or in one that is made where it will be; leaves nothing behind.

    Raises:
        OutputError: it is a file, or writing is not allowed.
    """
    place = path
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise OutputError(f"{place} is a file; name a folder")
        _try_name(path)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as e:
        raise OutputError(_in_words(path, e)) from e


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old content or the new one, never a part; devices are written to.

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files: each beside its place first, and only when all are on the disk moved there.

    Raises:
        OutputError: one cannot be written; what was there before is untouched, whichever file it is.
    """
    drafts: dict[Path, Path] = {}
    at_work: Path | None = None
    try:
        for path, data in contents.items():
            at_work = path
            if path.is_dir():
                raise OutputError(f"{path} is a folder; name a file in it")
            if not _is_special(path):
                drafts[path] = _write_draft(path, data)
        for path, draft in drafts.items():
            at_work = path
            os.replace(draft, _target(path))
        for path, data in contents.items():
            at_work = path
            if path not in drafts:
                path.write_bytes(data)
        for folder in {_target(path).parent for path in drafts}:
            _sync_folder(folder)
    except OSError as e:
        raise OutputError(_in_words(at_work or Path(), e)) from e
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _write_draft(path: Path, data: bytes) -> Path:
    """Write a file's content beside its place, down to the disk, and return where."""
    target = _target(path)
    handle, name = tempfile.mkstemp(prefix=_draft_start(target), dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def remove_drafts(path: Path) -> None:
    """Remove what a process that was killed while it wrote this file left beside it."""
    target = _target(path)
    start = _draft_start(target)
    for left in target.parent.iterdir() if target.parent.is_dir() else ():
        if left.name.startswith(start):
            left.unlink(missing_ok=True)


def _draft_start(target: Path) -> str:
    return f".{target.name[:40]}-"


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _target(path: Path) -> Path:
    """Follow a link, so that writing through it replaces what it names and not the link."""
    return real_path(path)


def _is_special(path: Path) -> bool:
    """True of a device or a pipe (/dev/null), which must not be replaced by a file."""
    return path.exists() and not path.is_file()


def _try_name(path: Path) -> None:
    """Raise OSError where the name itself is not possible, such as one that is too long."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, else those of any new file."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _in_words(path: Path, error: OSError) -> str:
    return f"{path} cannot be written: {error.strerror or error}; name another file"
