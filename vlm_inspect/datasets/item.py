"""What every data set becomes: items in a fixed order, and the problems that its folder has."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from converters.sample import SampleKind
from vlm_inspect.datasets.masks import Mask
from vlm_inspect.datasets.question import Question
from vlm_inspect.errors import DatasetError
from vlm_inspect.safe_text import path_text

Split = Literal["train", "validation", "test", "unlabelled"]
"""train: normal samples, where references come from. validation: more normal ones, for thresholds. test: what is
scored. unlabelled: published without labels (the private test sets of MVTec AD 2)."""


@dataclass(frozen=True)
class Item:
    """One sample: what is inspected, and what is known of it."""

    id: str
    """Path below the data set's root, with slashes; unique, and the same on every machine."""
    category: str
    paths: tuple[Path, ...]
    """The file, or the folder of frames, that is inspected, then what else belongs to the sample (the photo beside a
    scan)."""
    split: Split
    anomalous: bool | None
    """None only where `split` is unlabelled."""
    defects: tuple[str, ...] = ()
    """Defect types as the data set names them, sorted; empty for normal items."""
    mask: Mask | None = None
    """Where the defects are; None for normal items, and where none is published."""
    references: tuple[Path, ...] = ()
    """Normal samples that belong to this very item (the template of a board); usually none, see `choose_references`."""
    group: str = ""
    """Items of one group are views of one thing (five photos of a part); empty: the item alone."""
    kind: SampleKind | None = None
    """What the file is read as, where the data set says so (a folder as the frames of a clip); None: its content tells.
    """

    def __post_init__(self) -> None:
        for name in ("id", "category", "group"):  # they go into JSON and pages, which take nothing but text
            object.__setattr__(self, name, path_text(getattr(self, name)))
        object.__setattr__(self, "defects", tuple(map(path_text, self.defects)))

    @property
    def path(self) -> Path:
        """The file that is inspected."""
        return self.paths[0]

    @property
    def defect(self) -> str:
        """All defect types in one word, such as "bent+melt"; empty for normal items."""
        return "+".join(self.defects)


class ProblemKind(StrEnum):
    """What can be wrong with a data folder, short of being none."""

    MASK_WITHOUT_IMAGE = "mask without image"
    IMAGE_WITHOUT_MASK = "anomalous image without mask"
    CLASS_WITHOUT_MASKS = "class without masks"
    ONE_LABEL = "one label only"
    NO_TEST = "nothing to score"
    NO_REFERENCES = "no references"
    MISSING_FILE = "missing file"
    UNREADABLE = "unreadable file"
    DUPLICATE = "duplicate files"
    LEAK = "reference among the scored items"
    MASK_SIZE = "mask of another size"
    EMPTY_MASK = "empty mask"
    AMBIGUOUS_LABEL = "ambiguous label"
    MASK_LAYOUT = "masks in another layout"
    SKIPPED = "skipped files"


@dataclass(frozen=True)
class Problem:
    """One thing that a run over this folder would stumble on."""

    kind: ProblemKind
    category: str
    message: str
    """One line."""
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Category:
    """The items of one class of parts, each split sorted by id."""

    name: str
    items: tuple[Item, ...]

    @property
    def train(self) -> tuple[Item, ...]:
        """Normal training items: the pool that references come from."""
        return tuple(item for item in self.items if item.split == "train" and not item.anomalous)

    @property
    def validation(self) -> tuple[Item, ...]:
        """Normal items beside the training ones; thresholds may be set with them."""
        return tuple(item for item in self.items if item.split == "validation" and not item.anomalous)

    @property
    def test(self) -> tuple[Item, ...]:
        """What is scored."""
        return tuple(item for item in self.items if item.split == "test")

    @property
    def has_masks(self) -> bool:
        """Whether every anomalous test item has a mask, so that pixels can be scored."""
        odd = [item for item in self.test if item.anomalous]
        return bool(odd) and all(item.mask is not None for item in odd)


@dataclass(frozen=True)
class Dataset:
    """A data folder, read. `items` are sorted by class and id; `questions` only where the set asks some."""

    name: str
    format: str
    root: Path
    items: tuple[Item, ...]
    problems: tuple[Problem, ...] = ()
    """What reading the layout alone showed; `describe` looks into the files too."""
    questions: tuple[Question, ...] = ()
    note: str = ""
    """What a reader of results must know, such as a split that the publishers do not give."""
    _categories: dict[str, Category] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.items, key=lambda item: (item.category, item.id)))
        if len({item.id for item in ordered}) < len(ordered):
            raise DatasetError(f"{self.root} names an item twice; each file of a list may stand there once")
        object.__setattr__(self, "items", ordered)
        groups: dict[str, list[Item]] = {}
        for item in ordered:
            groups.setdefault(item.category, []).append(item)
        found = {name: Category(name, tuple(group)) for name, group in groups.items()}
        object.__setattr__(self, "_categories", found)

    @property
    def categories(self) -> tuple[Category, ...]:
        """All classes by name."""
        return tuple(self._categories.values())

    def category(self, name: str) -> Category:
        """Return one class.

        Raises:
            DatasetError: there is none of that name.
        """
        if name not in self._categories:
            raise DatasetError(f"{self.name} has no class {name!r}; it has {', '.join(self._categories)}")
        return self._categories[name]

    def select(self, names: Iterable[str]) -> "Dataset":
        """Return the data set with these classes only; unknown names raise DatasetError."""
        kept = {self.category(name).name for name in names}
        return replace(
            self,
            items=tuple(item for item in self.items if item.category in kept),
            problems=tuple(problem for problem in self.problems if problem.category in kept),
            questions=tuple(question for question in self.questions if question.category in kept),
        )
