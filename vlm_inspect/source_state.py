"""`state_of`: what tells whether a file, or a folder of frames, was changed between two moments, without reading it."""

from pathlib import Path

from converters.errors import ConversionError

State = tuple[tuple[str, int, int, int, int], ...]
"""Name, inode, size in bytes, and the times of change of content and of entry in nanoseconds of each file; the last one
cannot be set back."""


def state_of(path: Path) -> State:
    """Return the state of a file, or of the files directly in a folder; empty where it cannot be looked at."""
    try:
        files = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
        seen = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns) for name, told in seen)


def check_unchanged(path: Path, before: State) -> None:
    """Make sure that a source is still what was read: the recorded digest is that of the bytes that are judged.

    Raises:
        ConversionError: it changed.
    """
    if state_of(path) != before:
        raise ConversionError(f"{path} changed while it was read; inspect it again when it is complete")
