"""From a data set to the tasks of a run: which items, which references, which rules; and whether that is honest.

plan = make_plan(dataset, shots=4, seed=0, limit=None, rules={})
check_leaks(plan)
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from evaluation.errors import RunError
from vlm_inspect.datasets.item import Category, Dataset, Item
from vlm_inspect.datasets.question import Question
from vlm_inspect.datasets.references import choose_references, find_leaks
from vlm_inspect.errors import DatasetError
from vlm_inspect.rules import RuleBook, load_rules


@dataclass(frozen=True)
class Task:
    """One thing to ask: about an item, or one question about it."""

    id: str
    item: Item
    references: tuple[Path, ...]
    """Normal samples that this task is judged with."""
    question: Question | None = None

    @property
    def category(self) -> str:
        """The item's class."""
        return self.item.category


@dataclass(frozen=True)
class RunPlan:
    """A run before it starts. Tasks stand class by class, in the order of their ids."""

    dataset: Dataset
    tasks: tuple[Task, ...]
    rules: Mapping[str, RuleBook]
    """By class, for every class: a bare one with its name where none was given."""
    with_rules: frozenset[str]
    """The classes that were given a rule book."""
    references: Mapping[str, tuple[Item, ...]]
    """Chosen by class; empty where items bring their own."""
    folder_words: Mapping[str, str] = field(default_factory=dict)
    """The defect words of a checkpoint for the folders that it was trained on, by CLASS/FOLDER."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes that have a task, by name."""
        asked = {task.category for task in self.tasks}
        return tuple(category for category in self.dataset.categories if category.name in asked)

    @property
    def asks_questions(self) -> bool:
        """Whether the tasks are multiple-choice questions."""
        return any(task.question is not None for task in self.tasks)

    @property
    def items_sha256(self) -> str:
        """Digest of what is scored."""
        told = [(task.id, task.category, task.item.anomalous, task.item.defects) for task in self.tasks]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def of_category(self, name: str) -> tuple[Task, ...]:
        """Return the tasks of one class."""
        return tuple(task for task in self.tasks if task.category == name)


def make_plan(
    dataset: Dataset,
    *,
    shots: int,
    seed: int = 0,
    limit: int | None = None,
    rules: Mapping[str, RuleBook] | None = None,
    ask_questions: bool = False,
) -> RunPlan:
    """Choose items and references.

    Args:
        dataset: what was read.
        shots: references a class, from the train split; of items that bring their own, the first ones.
        seed: of the choice of references and, with a limit, of items.
        limit: most test items a class, both labels in the class's own proportion; None: all.
        rules: rule books by class.
        ask_questions: whether the data set's questions are the tasks, not its items.

    Raises:
        RunError: fewer training items than references.
        DatasetError: nothing to score.
    """
    given = dict(rules or {})
    chosen: dict[str, tuple[Item, ...]] = {}
    tasks: list[Task] = []
    for category in dataset.categories:
        items = _limited(category.test, limit, f"{seed}:{category.name}")
        chosen[category.name] = _shared_references(dataset, category, items, shots, seed)
        shared = tuple(item.path for item in chosen[category.name])
        asked = _questions_of(dataset, category.name) if ask_questions else {}
        for item in items:
            references = item.references[:shots] if item.references else shared
            if ask_questions:
                tasks += [Task(one.id, item, references, one) for one in asked.get(item.id, ())]
            else:
                tasks.append(Task(item.id, item, references))
    if not tasks:
        raise DatasetError(f"{dataset.name} has nothing to score: no labelled test item")
    bare = {category.name: RuleBook(class_name=class_name(category.name)) for category in dataset.categories}
    return RunPlan(dataset, tuple(tasks), {**bare, **given}, frozenset(given), chosen)


def sample_tasks(tasks: Sequence[Task], limit: int, seed: int = 0) -> list[Task]:
    """Return at most `limit` tasks at random, both labels in proportion, in the order of the tasks."""
    chosen = {
        item.id for item in _limited(list({task.item.id: task.item for task in tasks}.values()), limit, f"{seed}")
    }
    return [task for task in tasks if task.item.id in chosen][:limit]


def class_name(category: str) -> str:
    """Return a class as words: "metal_nut" is a metal nut, and "MVTec-AD/bottle" a bottle."""
    return category.rsplit("/", 1)[-1].replace("_", " ").strip() or "part"


def load_rule_books(folder: Path, categories: Sequence[str]) -> dict[str, RuleBook]:
    """Return the rule books CLASS.yaml in a folder; classes without one are absent.

    Raises:
        RunError: there is no such folder, or it has a book for none of the classes.
        RuleError: a book is wrong.
    """
    if not folder.is_dir():
        raise RunError(f"--rules-dir {folder}: no such folder; name one that holds CLASS.yaml files")
    names = {name: folder / f"{name.replace('/', '_')}.yaml" for name in categories}
    found = {name: load_rules(path) for name, path in names.items() if path.is_file()}
    if not found:
        wanted = ", ".join(path.name for path in list(names.values())[:3])
        raise RunError(f"--rules-dir {folder} has no rule book for these classes; it needs {wanted}")
    return found


def check_leaks(plan: RunPlan) -> int:
    """Return how many references were compared by content with what is scored.

    Raises:
        RunError: a reference is also scored.
        DatasetError: a reference cannot be read.
    """
    references = {path for task in plan.tasks for path in task.references}
    missing = sorted(path for path in references if not path.exists())
    if missing:
        raise RunError(f"{len(missing)} references are missing, such as {missing[0]}; complete the data folder")
    scored = {path for task in plan.tasks for path in task.item.paths[:1] if path.exists()}
    leaks = find_leaks(references, scored)
    if leaks:
        first = leaks[0]
        raise RunError(
            f"{len(leaks)} references are also scored, such as {first.reference} = {first.scored} (equal content): "
            "remove the copies, or choose other references with --seed"
        )
    return len(references)


def check_checkpoint(plan: RunPlan, checkpoint: Path, *, force: bool) -> tuple[int, Mapping[str, str]]:
    """Return how many scored pictures the weights were trained on, and the words that they have for defect folders.

    Raises:
        LocalizerError: the file cannot be read, or some were trained on and it is not forced.
    """
    from vlm_inspect.localization.checkpoint import read_header, refuse_overlap

    header = read_header(checkpoint)
    digests = []
    for path in sorted({task.item.path for task in plan.tasks}):
        try:
            digests.append(sha256_of(path))
        except ConversionError:  # it will be a failed item
            continue
    return refuse_overlap(header, digests, force=force), header.folder_words


def _shared_references(
    dataset: Dataset, category: Category, items: Sequence[Item], shots: int, seed: int
) -> tuple[Item, ...]:
    """Return the references of the items that bring none of their own."""
    if all(item.references for item in items):
        return ()
    if not category.train and any(item.references for item in items):
        return ()
    if shots > len(category.train):
        raise RunError(
            f"{category.name} has {len(category.train)} normal training items, fewer than --shots {shots}; "
            f"give --shots {len(category.train)}"
        )
    return choose_references(dataset, category.name, shots, seed)


def _questions_of(dataset: Dataset, category: str) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = {}
    for one in dataset.questions:
        if one.category == category:
            found.setdefault(one.item_id, []).append(one)
    return found


def _limited(items: Sequence[Item], limit: int | None, seed: str) -> tuple[Item, ...]:
    """Return at most `limit` items at random, both labels in proportion and, where there is room, at least one each."""
    if limit is None or len(items) <= limit:
        return tuple(items)
    shuffled = sorted(items, key=lambda item: item.id)
    random.Random(seed).shuffle(shuffled)
    odd = [item for item in shuffled if item.anomalous]
    normal = [item for item in shuffled if not item.anomalous]
    wanted = round(limit * len(odd) / len(items))
    if odd and normal and limit > 1:
        wanted = min(max(wanted, 1), limit - 1)
    wanted = min(max(wanted, limit - len(normal)), len(odd))
    return tuple(sorted(odd[:wanted] + normal[: limit - wanted], key=lambda item: item.id))
