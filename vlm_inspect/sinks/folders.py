"""Parts moved to the folders OK, NG and REVIEW; one that could not be judged stays where it is."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from converters.digest import sha256_of
from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_folder
from vlm_inspect.safe_text import path_text
from vlm_inspect.sinks.row import Row
from vlm_inspect.sinks.sink import Result

OUTCOMES = ("OK", "NG", "REVIEW")


@dataclass(frozen=True)
class OutcomeFolders:
    """A folder with one folder an outcome."""

    folder: Path

    def check(self) -> None:
        """Make the folders; raises OutputError."""
        check_folder(self.folder)
        if path_text(self.folder) != str(self.folder):
            raise OutputError(f"{path_text(self.folder)} is no text in UTF-8; name another folder")
        try:
            for outcome in OUTCOMES:
                (self.folder / outcome).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror or error}; name another") from error

    def place_of(self, source: Path, row: Row) -> str:
        """Return where the file of a part goes; empty: it stays. Another part of the same name is not replaced."""
        if row.outcome not in OUTCOMES or not source.is_file():
            return ""
        name = Path(path_text(source.name))  # a row is text: a name that is none becomes one
        place = self.folder / row.outcome / name
        if place.exists() and not (place.is_file() and sha256_of(place) == row.sha256):
            place = place.with_name(f"{name.stem}-{row.sha256[:10]}{name.suffix}")
        return str(place)

    def deliver(self, result: Result) -> None:
        """Move the file, if it is still the one that was judged."""
        row = result.row
        if not row.moved_to or not result.source.exists():
            return
        if sha256_of(result.source) != row.sha256:
            return  # it was replaced by the next part, which is judged by itself
        try:
            _move(result.source, Path(row.moved_to))
        except OSError as error:
            raise OutputError(
                f"{result.source} cannot be moved to {row.moved_to}: {error.strerror or error}; allow it, then go on"
            ) from error


def _move(source: Path, place: Path) -> None:
    """Move a file, onto another disk by way of a draft: nobody finds half of it."""
    try:
        os.replace(source, place)
        return
    except OSError as error:
        if error.errno != 18:  # EXDEV
            raise
    handle, draft = tempfile.mkstemp(prefix=".", dir=place.parent)
    os.close(handle)
    try:
        shutil.copy2(source, draft)
        with open(draft, "rb") as copied:
            os.fsync(copied.fileno())
        os.replace(draft, place)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
    source.unlink()
