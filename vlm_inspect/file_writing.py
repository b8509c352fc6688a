"""Writing a result file at once or not at all, and finding out beforehand whether it can be written."""

import os
import stat
import tempfile
from pathlib import Path

from vlm_inspect.errors import OutputError


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


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old content or the new one, never a part; devices are written to.

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
    """
    temporary: str | None = None
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name a file in it")
        if _is_special(path):
            path.write_bytes(data)
            return
        target = _target(path)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:40]}-", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except OSError as e:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise OutputError(_in_words(path, e)) from e


def _target(path: Path) -> Path:
    """Follow a link, so that writing through it replaces what it names and not the link."""
    return Path(os.path.realpath(path))


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
