"""What lies in a data folder and is read as nothing: whole folders of another name, and masks in another layout."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from converters.system_files import is_system_file
from vlm_inspect.datasets.folder_names import MASK_LIKE
from vlm_inspect.datasets.item import Category, Dataset, Problem, ProblemKind
from vlm_inspect.datasets.listing import PICTURES

_MASK_TAILS = ("_mask", "_gt", "_label")


def with_unread_files(dataset: Dataset, mask_layout: str) -> Dataset:
    """Return the data set with a problem for each folder that holds samples which are part of no item.

    Args:
        dataset: of a layout that reads every file of its folders.
        mask_layout: where that layout has its masks, in words.
    """
    root = dataset.root
    known = {path for item in dataset.items for path in (*item.paths, *item.references)}
    known |= {path for item in dataset.items if item.mask is not None for path in item.mask.paths}
    known |= {path for problem in dataset.problems for path in problem.paths}
    suffixes = PICTURES | {item.path.suffix.lower() for item in dataset.items}
    found = list(_misnamed_masks(dataset, mask_layout))
    for folder, files in _unread(root, known, suffixes):
        name = folder.relative_to(root).as_posix()
        category = _category_of(dataset, folder)
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        where = f"{count} in {root.name if name == '.' else name}"
        kind, words = ProblemKind.SKIPPED, f"skipped: format {dataset.format} reads no such folder"
        if _look_like_masks(folder.relative_to(root), files) and _bare(dataset, category):
            kind, words = ProblemKind.MASK_LAYOUT, f"look like masks, but format {dataset.format} has them in "
            words += f"{mask_layout}; move them there, else places cannot be scored"
        message = f"{where} {words}"
        found.append(Problem(kind, category, message, tuple(files[:1])))
    return replace(dataset, problems=(*dataset.problems, *found))


def _unread(root: Path, known: set[Path], suffixes: frozenset[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each folder with its samples that are part of nothing, in the order of their names."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_system_file(Path(name)))
        paths = [Path(place, name) for name in sorted(names)]
        files = [path for path in paths if path.suffix.lower() in suffixes and not is_system_file(path)]
        if left := [path for path in files if path not in known]:
            yield Path(place), left


def _category_of(dataset: Dataset, folder: Path) -> str:
    names = [category.name for category in dataset.categories]
    parts = folder.relative_to(dataset.root).parts
    return parts[0] if parts and (parts[0] in names or len(names) != 1) else names[0]


def _look_like_masks(folder: Path, files: list[Path]) -> bool:
    return any(part.casefold() in MASK_LIKE for part in folder.parts) or all(
        path.stem.endswith(_MASK_TAILS) for path in files
    )


def _bare(dataset: Dataset, name: str) -> bool:
    """Return whether a class, or any of a data set that has no such class, has an anomalous item without mask."""
    own = [one for one in dataset.categories if one.name == name] or dataset.categories
    return any(item.mask is None for one in own for item in one.test if item.anomalous)


def _misnamed_masks(dataset: Dataset, mask_layout: str) -> Iterator[Problem]:
    """Yield the classes whose masks are all named after no image."""
    for category in dataset.categories:
        orphans = [
            problem
            for problem in dataset.problems
            if problem.kind is ProblemKind.MASK_WITHOUT_IMAGE and problem.category == category.name
        ]
        if orphans and _all_bare(category):
            message = (
                f"the {len(orphans)} masks of {category.name} are named after none of its images, such as "
                f"{orphans[0].paths[0].name}; format {dataset.format} has them in {mask_layout}"
            )
            yield Problem(ProblemKind.MASK_LAYOUT, category.name, message, orphans[0].paths)


def _all_bare(category: Category) -> bool:
    odd = [item for item in category.test if item.anomalous]
    return bool(odd) and all(item.mask is None for item in odd)
