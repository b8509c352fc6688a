"""Folders to sorted lists, lists of masks to images, and text files to checked records."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from converters.system_files import is_system_file
from vlm_inspect.errors import DatasetError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif"})


def files_in(folder: Path, suffixes: frozenset[str] = PICTURES) -> list[Path]:
    """Return the files of these endings in a folder by name, system files apart; none where there is no folder."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and not is_system_file(path))
    return sorted(path for path in found if path.is_file())


def folders_in(folder: Path) -> list[Path]:
    """Return the subfolders of a folder by name, system ones apart; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_system_file(path))


def classes_in(root: Path, *parts: str) -> list[Path]:
    """Return the class folders of a data set: those that hold `parts`, or the root itself where it does."""
    if root.joinpath(*parts).exists():
        return [root]
    return [folder for folder in folders_in(root) if folder.joinpath(*parts).exists()]


def item_id(root: Path, path: Path) -> str:
    """Return a path below the root with slashes."""
    return path.relative_to(root).as_posix()


def resolve_below(root: Path, relative: str, told_by: Path) -> Path:
    """Return the path that a list file names, below the root.

    Raises:
        DatasetError: it is absolute or climbs out of the root.
    """
    parts = PurePosixPath(relative.replace("\\", "/"))
    if not relative or parts.is_absolute() or ".." in parts.parts:
        raise DatasetError(f"{told_by} names {relative!r}, which is not a path below {root}")
    return root.joinpath(*parts.parts)


def match_by_stem(folder: Path, tails: Iterable[str] = ("_mask", "")) -> dict[str, Path]:
    """Return the pictures of a mask folder by the stem of the image that they belong to."""
    found: dict[str, Path] = {}
    for path in files_in(folder):
        tail = next((tail for tail in tails if tail and path.stem.endswith(tail)), "")
        found.setdefault(path.stem.removesuffix(tail), path)
    return found


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DatasetError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}") from error


def read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header, missing fields as empty text.

    Raises:
        DatasetError: it cannot be read, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f"{path} has no column {missing[0]!r}; it needs {', '.join(columns)}")
            return [{name: row[name].strip() for name in columns} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as CSV: {error}") from error
