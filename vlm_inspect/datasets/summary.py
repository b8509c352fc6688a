"""What a data folder holds and what is wrong with it, before anything is asked: `bench DIR --dry-run`."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from converters.sample import SampleKind
from vlm_inspect.datasets.item import Category, Dataset, Item, Problem, ProblemKind
from vlm_inspect.datasets.listing import PICTURES
from vlm_inspect.datasets.masks import ClipMask, FrameMask, picture_size_wh
from vlm_inspect.datasets.references import find_duplicates
from vlm_inspect.datasets.registry import AUTO, read_dataset
from vlm_inspect.errors import DatasetError

Progress = Callable[[int, int], None]
"""(files done, files in all)."""


@dataclass(frozen=True)
class CategorySummary:
    """One class in numbers."""

    name: str
    train: int
    """Normal training items: references can be chosen among them."""
    validation: int
    test_normal: int
    test_anomalous: int
    unlabelled: int
    masks: int
    """Anomalous test items that have a mask."""
    own_references: int
    """Test items that bring their own references."""
    defects: tuple[tuple[str, int], ...]
    """Anomalous test items by type, types by name; an item of two types counts for both."""
    questions: int


@dataclass(frozen=True)
class DatasetSummary:
    """All that `--dry-run` says."""

    name: str
    format: str
    root: Path
    note: str
    categories: tuple[CategorySummary, ...]
    problems: tuple[Problem, ...]
    """By class and kind; duplicates, which are the least of them and may be many, last."""


def describe(
    root: Path,
    *,
    format: str = AUTO,  # noqa: A002 (the option's own name)
    decode: bool = True,
    on_progress: Progress | None = None,
) -> DatasetSummary:
    """Return what a data folder holds, and every problem that would show up during a run.

    Args:
        root: the data folder.
        format: a key of `FORMATS`, or "auto".
        decode: also read every file and mask to its end, in threads, but of video files the table of contents alone;
            else sizes and hashes only.
        on_progress: called after each decoded item, from the calling thread.

    Raises:
        DatasetError: the folder has no known layout, or a file that describes it is wrong.
    """
    return summarise(read_dataset(root, format=format), decode=decode, on_progress=on_progress)


def summarise(dataset: Dataset, *, decode: bool = True, on_progress: Progress | None = None) -> DatasetSummary:
    """Return what `describe` returns, of a data set that was read already."""
    asked = Counter(question.category for question in dataset.questions)
    categories = tuple(_summarise(category, asked[category.name]) for category in dataset.categories)
    problems = [*dataset.problems]
    for category in dataset.categories:
        problems += _check_labels(category, asks=bool(asked[category.name]))
    present, missing = _split_missing(dataset)
    problems += missing
    problems += _check_content(dataset, present)
    if decode:
        problems += _check_pictures(dataset.items, present, on_progress)
    ordered = sorted(problems, key=lambda one: (one.kind is ProblemKind.DUPLICATE, one.category, one.kind, one.message))
    return DatasetSummary(dataset.name, dataset.format, dataset.root, dataset.note, categories, tuple(ordered))


def _summarise(category: Category, questions: int) -> CategorySummary:
    odd = [item for item in category.test if item.anomalous]
    types = Counter(defect for item in odd for defect in item.defects)
    return CategorySummary(
        category.name,
        train=len(category.train),
        validation=len(category.validation),
        test_normal=len(category.test) - len(odd),
        test_anomalous=len(odd),
        unlabelled=sum(item.split == "unlabelled" for item in category.items),
        masks=sum(item.mask is not None for item in odd),
        own_references=sum(bool(item.references) for item in category.test),
        defects=tuple(sorted(types.items())),
        questions=questions,
    )


def _check_labels(category: Category, *, asks: bool) -> Iterator[Problem]:
    """Yield what the labels and masks of a class do not allow to be measured; questions need no masks."""
    odd = [item for item in category.test if item.anomalous]
    bare = [item for item in odd if item.mask is None]
    name = category.name
    if not category.test:
        yield Problem(ProblemKind.NO_TEST, name, f"{name} has no labelled test item")
    elif len(odd) in {0, len(category.test)} and not any(isinstance(one.mask, ClipMask | FrameMask) for one in odd):
        label = "anomalous" if odd else "normal"
        yield Problem(
            ProblemKind.ONE_LABEL, name, f"all {len(category.test)} test items of {name} are {label}: AUROC is n/a"
        )
    if not category.train and not any(item.references for item in category.test):
        yield Problem(ProblemKind.NO_REFERENCES, name, f"{name} has no normal training item to be a reference")
    if asks:
        return
    if odd and len(bare) == len(odd):
        yield Problem(ProblemKind.CLASS_WITHOUT_MASKS, name, f"{name} has no mask: places cannot be scored")
        return
    for item in bare:
        yield Problem(ProblemKind.IMAGE_WITHOUT_MASK, name, f"{item.id} is anomalous and has no mask", item.paths)


def _files_of(item: Item) -> tuple[Path, ...]:
    return (*item.paths, *item.references, *(item.mask.paths if item.mask else ()))


def _split_missing(dataset: Dataset) -> tuple[set[Path], list[Problem]]:
    """Return the files that are there, and one problem a class for those that a list names in vain."""
    present: set[Path] = set()
    problems = []
    for category in dataset.categories:
        named = sorted({path for item in category.items for path in _files_of(item)})
        absent = [path for path in named if not path.exists() or not os.access(path, os.R_OK)]
        present |= set(named) - set(absent)
        if absent:
            count = f"{len(absent)} of {len(named)} files of {category.name}"
            message = f"{count} are missing or locked, such as {absent[0].name}"
            problems.append(Problem(ProblemKind.MISSING_FILE, category.name, message, tuple(absent)))
    return present, problems


def _check_content(dataset: Dataset, present: set[Path]) -> Iterator[Problem]:
    """Yield groups of equal files, and among them references that are also scored."""
    owner: dict[Path, Item] = {}
    references: dict[Path, str] = {}
    for item in dataset.items:
        owner.update(dict.fromkeys(item.paths, item))
        references.update(dict.fromkeys(item.references, item.category))
    templates = {path: one.category for one in dataset.questions for path in one.similar_templates}
    references |= templates
    candidates = (set(owner) | set(references)) & (present | {path for path in templates if path.is_file()})
    for group in find_duplicates(candidates):
        names = ", ".join(_name(dataset.root, path) for path in group)
        uses = {owner[path].split if path in owner else "train" for path in group}
        category = owner[group[0]].category if group[0] in owner else references[group[0]]
        kind = ProblemKind.LEAK if uses >= {"train", "test"} else ProblemKind.DUPLICATE
        yield Problem(kind, category, f"{len(group)} files have the same content: {names}", group)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _check_pictures(items: Sequence[Item], present: set[Path], on_progress: Progress | None) -> list[Problem]:
    problems: list[Problem] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(lambda item: list(_check_item(item, present)), items), start=1):
            problems += found
            if on_progress is not None:
                on_progress(done, len(items))
    return problems


def _check_item(item: Item, present: set[Path]) -> Iterator[Problem]:
    """Yield what decoding an item's files shows."""
    readable = True
    for path in item.paths:
        reason = _unreadable(path, item.kind) if path in present else None
        if reason:
            readable = False
            yield Problem(ProblemKind.UNREADABLE, item.category, f"{item.id} cannot be read: {reason}", (path,))
    if item.mask is None or not readable or not present.issuperset((*item.paths, *item.mask.paths)):
        return
    try:
        mask = item.mask.read()
    except DatasetError as error:
        yield Problem(ProblemKind.UNREADABLE, item.category, str(error), item.mask.paths)
        return
    if not mask.any():
        yield Problem(
            ProblemKind.EMPTY_MASK, item.category, f"{item.id} is anomalous, its mask is empty", item.mask.paths
        )
    if mask.ndim == 2 and item.path.suffix.lower() in PICTURES:
        height, width = mask.shape
        size = _size_wh(item.path)
        if size is not None and size != (width, height):
            message = f"{item.id} is {size[0]} x {size[1]} pixels, its mask {width} x {height}"
            yield Problem(ProblemKind.MASK_SIZE, item.category, message, item.mask.paths)


def _unreadable(path: Path, kind: SampleKind | None) -> str | None:
    """Return why a file cannot be inspected; it is read as the run reads it, but a video file is only opened."""
    from converters.detection import detect_kind
    from converters.errors import ConversionError
    from converters.registry import read
    from converters.video_source import open_source

    try:
        kind = kind or detect_kind(path)
        if kind == "video" and not path.is_dir():
            open_source(path)
        else:
            read(path, as_kind=kind)
    except ConversionError as error:
        return str(error)
    return None


def _size_wh(path: Path) -> tuple[int, int] | None:
    try:
        return picture_size_wh(path)
    except DatasetError:  # a scan in a TIFF that Pillow cannot open; its mask has the scan's own rows and columns
        return None
