"""`state_of`: what tells whether a file, or a folder of frames, was changed between two moments, without reading it."""

from pathlib import Path

State = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size in bytes and time of change in nanoseconds of each file."""


def state_of(path: Path) -> State:
    """Return the state of a file, or of the files directly in a folder; empty where it cannot be looked at."""
    try:
        files = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
        seen = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, told.st_ino, told.st_size, told.st_mtime_ns) for name, told in seen)
