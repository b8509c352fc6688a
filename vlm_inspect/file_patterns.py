"""Files that a pattern names: `*`, `?`, `[...]` and `**`, of which any part may also be a name as it stands.

`glob` takes the brackets of a folder called "good [A]" for a choice of letters, and walks "/**/*.png" to the end of the
disk. Here a name that exists comes before what it would mean as a pattern, and the walk is bounded.
"""

import os
import re
import time
from collections.abc import Iterator
from fnmatch import translate
from functools import partial
from pathlib import Path

from converters.system_files import is_system_file
from vlm_inspect.errors import ReferenceSampleError

MOST_ENTRIES = 200_000
"""Most files and folders that one pattern looks at."""
MOST_SECONDS = 20.0
_MAGIC = frozenset("*?[")


def in_home(name: str) -> Path:
    """Return a path whose leading ~ is the user's home; where there is no such user it stays as it is written."""
    return Path(os.path.expanduser(name))


def match_files(pattern: str, folder: Path | None = None) -> list[Path]:
    """Return the files and folders that a pattern names, sorted; none where nothing does.

    `**` goes through subfolders, but not through links to folders. What a system left there (Thumbs.db) is no match.

    Args:
        pattern: relative to `folder`, or absolute.
        folder: default: the working folder.

    Raises:
        ReferenceSampleError: the pattern leads through more than `MOST_ENTRIES` entries, or `MOST_SECONDS`.
    """
    whole = Path(pattern) if folder is None else folder / pattern
    if whole.exists():
        return [whole]
    walk = _Walk(pattern)
    found = [Path(whole.anchor or ".")] if folder is None or Path(pattern).is_absolute() else [folder]
    parts = Path(pattern).parts[1:] if Path(pattern).is_absolute() else Path(pattern).parts
    for part in (*parts, "*") if parts[-1:] == ("**",) else parts:
        found = [match for place in found for match in walk.matches(place, part)]
    return sorted(dict.fromkeys(found))


class _Walk:
    """Counts what one pattern looks at."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._entries = 0
        self._deadline = time.monotonic() + MOST_SECONDS

    def matches(self, place: Path, part: str) -> Iterator[Path]:
        """Yield what one part of the pattern names in a folder; of `**` the folder, and all folders below it."""
        if part == "**":
            yield from self._folders(place)
        elif part == ".." or os.path.lexists(place / part):
            yield place / part
        elif _MAGIC & set(part):
            fits = partial(re.compile(translate(part), re.IGNORECASE if os.name == "nt" else 0).match)
            for entry in self._scan(place):
                if fits(entry.name) and (part.startswith(".") or not is_system_file(Path(entry.name))):
                    yield place / entry.name

    def _folders(self, place: Path) -> Iterator[Path]:
        waiting = [place]
        while waiting:
            folder = waiting.pop()
            yield folder
            below = (entry.name for entry in self._scan(folder) if entry.is_dir(follow_symlinks=False))
            waiting.extend(folder / name for name in below if not is_system_file(Path(name)))

    def _scan(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        try:
            entries = os.scandir(folder)
        except OSError:  # a file, or a folder that may not be read: nothing in it is named
            return
        with entries:
            for entry in entries:
                self._entries += 1
                if self._entries > MOST_ENTRIES or time.monotonic() > self._deadline:
                    raise ReferenceSampleError(
                        f"the pattern {self._pattern!r} leads through more than {self._entries - 1} files and folders; "
                        "name a narrower folder"
                    )
                yield entry
