"""`find_parts`: the parts that files, folders and patterns name, each once, in a fixed order."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from converters.system_files import is_system_file
from vlm_inspect.errors import OutputError, ReferenceSampleError
from vlm_inspect.file_patterns import match_files
from vlm_inspect.real_path import real_path
from vlm_inspect.sinks.row import COLUMNS


def find_parts(
    named: Sequence[str], *, table: Path, apart: Iterable[Path] = (), may_be_none: bool = False
) -> list[Path]:
    """Return the parts.

    Of a folder, every file in it and in its subfolders is a part; what a system left there (Thumbs.db) is none, and
    neither is the batch's own table or what lies in `apart`.

    Args:
        named: files, folders and patterns.
        table: the CSV that is written.
        apart: files and folders that the batch writes.
        may_be_none: whether all of them may have moved away in an earlier run.

    Raises:
        ReferenceSampleError: one of them names nothing, or too much.
        OutputError: the table would replace a part.
    """
    own = [real_path(path) for path in apart]
    found: dict[Path, Path] = {}
    for name in named:
        if not name:
            raise ReferenceSampleError("a part is empty; name a file, a folder or a pattern such as 'parts/*.png'")
        matches = match_files(name)
        if not matches and not may_be_none:
            raise ReferenceSampleError(f"{name}: no such file or folder, and no file matches it; check the path")
        for match in matches:
            for file in _files(match) if match.is_dir() else [match]:
                found.setdefault(Path(os.path.abspath(file)), file)
    parts = [file for file in found.values() if not _is_under(real_path(file), own) and not _is_table(file, table)]
    if not parts and not may_be_none:
        raise ReferenceSampleError(
            f"{', '.join(named)}: no part in it beside what this command writes; name files, folders or patterns"
        )
    return parts


def _files(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not is_system_file(Path(name)))
        found += [Path(place, name) for name in sorted(names) if not is_system_file(Path(name))]
    return found


def _refuse(error: OSError) -> None:
    """Let no part be left out silently because its folder cannot be read."""
    raise ReferenceSampleError(
        f"{error.filename}: cannot be read: {error.strerror or error}; allow it, or name the parts beside it"
    ) from error


def _is_under(path: Path, places: Sequence[Path]) -> bool:
    return any(place == path or place in path.parents for place in places)


def _is_table(file: Path, table: Path) -> bool:
    """Return whether a file is the table of an earlier run; any other file in its place is not replaced."""
    if not (file.exists() and table.exists() and os.path.samefile(file, table)):
        return False
    with file.open("rb") as opened:
        if opened.readline().strip() == ",".join(COLUMNS).encode():
            return True
    raise OutputError(f"{table} is one of the parts; write the table elsewhere")
