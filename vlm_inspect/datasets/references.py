"""Which normal samples a model sees, and that it is not scored on any of them.

references = choose_references(dataset, "screw", shots=4, seed=0)
leaks = find_leaks([item.path for item in references], [item.path for item in dataset.category("screw").test])
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_inspect.datasets.item import Dataset, Item
from vlm_inspect.datasets.listing import files_in
from vlm_inspect.errors import DatasetError


@dataclass(frozen=True)
class Leak:
    """A reference that is also scored, by content."""

    reference: Path
    scored: Path


def choose_references(dataset: Dataset, category: str, shots: int, seed: int = 0) -> tuple[Item, ...]:
    """Return `shots` normal training items of a class at random; fewer shots of a seed are the first of more.

    Where items bring references of their own (the template of a board, `Item.references`), those are to be used, and
    there is nothing to choose.

    Raises:
        DatasetError: unknown class, a negative number, or more than the class has.
    """
    pool = list(dataset.category(category).train)
    if not 0 <= shots <= len(pool):
        raise DatasetError(f"{category} has {len(pool)} normal training items; {shots} references cannot be chosen")
    random.Random(f"{seed}:{category}").shuffle(pool)
    return tuple(pool[:shots])


def find_leaks(references: Iterable[Path], scored: Iterable[Path]) -> tuple[Leak, ...]:
    """Return each reference whose content is that of a scored file, or folder of frames, whatever the names.

    Raises:
        DatasetError: a file cannot be read.
    """
    pool, targets = sorted(set(references)), sorted(set(scored))
    sizes = _by_size(pool)
    alike = [path for path in targets if _size(path) in sizes]
    digests: dict[str, list[Path]] = defaultdict(list)
    if alike:
        wanted = {_size(path) for path in alike}
        for path in pool:
            if _size(path) in wanted:
                digests[content_sha256(path)].append(path)
    return tuple(Leak(reference, path) for path in alike for reference in digests.get(content_sha256(path), ()))


def find_duplicates(paths: Iterable[Path]) -> tuple[tuple[Path, ...], ...]:
    """Return groups of files of one content, each group and the groups sorted; only files of one size are hashed.

    Raises:
        DatasetError: a file cannot be read.
    """
    groups: dict[str, list[Path]] = defaultdict(list)
    for same_size in _by_size(sorted(set(paths))).values():
        if len(same_size) > 1:
            for path in same_size:
                groups[content_sha256(path)].append(path)
    return tuple(sorted(tuple(group) for group in groups.values() if len(group) > 1))


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex; of a folder, of the contents of its files in the order of names.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        if path.is_dir():
            total = hashlib.sha256()
            for file in files_in(path):
                total.update(content_sha256(file).encode())
            return total.hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error


def _by_size(paths: Sequence[Path]) -> dict[int, list[Path]]:
    groups: dict[int, list[Path]] = defaultdict(list)
    for path in paths:
        groups[_size(path)].append(path)
    return groups


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in files_in(path))
        return path.stat().st_size
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
