"""MMAD's questions: one JSON of `{image path: {conversation, similar_templates, random_templates, ...}}`.

Source: Jiang et al., ICLR 2025, github.com/jam-cc/MMAD: each entry of `conversation` has `Question`, `Answer` (a
letter), `Options` (letter to text) and `type`, the subtask; paths are below the folder of the JSON, `mmad.json`. As in
the evaluation published with it, an image is normal where its path has a folder `good`, the data set is the first
folder, the class the second (unless that is a split), and "Object Structure" and "Object Details" count as "Object
Analysis".
"""

from pathlib import Path

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from vlm_inspect.datasets.item import Dataset, Item, Problem, ProblemKind
from vlm_inspect.datasets.listing import files_in, read_json, resolve_below
from vlm_inspect.datasets.question import ANOMALY_SUBTASK, Question
from vlm_inspect.errors import DatasetError

_JSON = frozenset({".json"})
_MERGED = {"Object Structure": "Object Analysis", "Object Details": "Object Analysis"}


class _Conversation(BaseModel):
    text: str = Field(alias="Question")
    answer: str = Field(alias="Answer")
    options: dict[str, str] = Field(alias="Options", min_length=2)
    subtask: str = Field(alias="type")


class _Entry(BaseModel):
    conversation: list[_Conversation]
    similar_templates: list[str] = []
    random_templates: list[str] = []


class Mmad:
    """A JSON of questions, or a folder that holds one: `mmad.json`, or the first that reads like it."""

    name = "mmad"

    def matches(self, root: Path) -> bool:
        """Return whether there is such a JSON."""
        return _question_file(root) is not None

    def read(self, root: Path) -> Dataset:
        """Return one test item an image, and its questions.

        Raises:
            DatasetError: no such JSON, or an entry of it is wrong.
        """
        path = _question_file(root)
        if path is None:
            raise DatasetError(f"{root} has no JSON of questions such as mmad.json")
        try:
            entries = TypeAdapter(dict[str, _Entry]).validate_python(read_json(path))
        except ValidationError as error:
            first = error.errors()[0]
            raise DatasetError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        items, questions, problems = [], [], []
        for key in sorted(entries):
            item, own, odd = _read_entry(path, key, entries[key])
            items.append(item)
            questions += own
            problems += odd
        note = f"Questions of {path.name}."
        return Dataset(path.stem, self.name, path.parent, tuple(items), tuple(problems), tuple(questions), note)


def _read_entry(path: Path, key: str, entry: _Entry) -> tuple[Item, list[Question], list[Problem]]:
    parts = key.split("/")
    if len(parts) < 3:
        raise DatasetError(f"{path}: {key!r} is not a path of data set, class and image")
    image = resolve_below(path.parent, key, path)
    anomalous = "good" not in parts[:-1]
    similar = tuple(resolve_below(path.parent, one, path) for one in entry.similar_templates)
    templates = tuple(resolve_below(path.parent, one, path) for one in entry.random_templates)
    category = parts[0] if parts[1] in {"train", "test"} else f"{parts[0]}/{parts[1]}"
    questions = [
        Question(
            f"{key}#{number}",
            key,
            parts[0],
            category,
            image,
            one.text,
            tuple(one.options.items()),
            _checked_answer(path, key, one),
            _MERGED.get(one.subtask, one.subtask),
            anomalous,
            similar,
            templates,
        )
        for number, one in enumerate(entry.conversation, start=1)
    ]
    defects = (parts[-2],) if anomalous else ()
    item = Item(key, category, (image,), "test", anomalous, defects, references=templates)
    return item, questions, [_contradiction(one) for one in questions if _contradicts(one)]


def _checked_answer(path: Path, key: str, one: _Conversation) -> str:
    if one.answer not in one.options:
        raise DatasetError(f"{path}: {key}: the answer {one.answer!r} is none of the options {', '.join(one.options)}")
    return one.answer


def _contradicts(question: Question) -> bool:
    """Return whether a yes or no question about defects is answered against the image's folder."""
    chosen = dict(question.options)[question.answer].strip().lower()
    says = True if chosen.startswith("yes") else False if chosen.startswith("no") else None
    return question.subtask == ANOMALY_SUBTASK and says is not None and says is not question.anomalous


def _contradiction(question: Question) -> Problem:
    label = "anomalous" if question.anomalous else "normal"
    message = f"{question.id}: the folder says {label}, the answer says the opposite; the folder counts"
    return Problem(ProblemKind.AMBIGUOUS_LABEL, question.category, message, (question.image,))


def _question_file(root: Path) -> Path | None:
    candidates = [root] if root.is_file() else [root / "mmad.json", *files_in(root, _JSON)]
    return next((path for path in candidates if path.is_file() and _asks(path)), None)


def _asks(path: Path) -> bool:
    """Return whether a file's beginning reads like questions; it may be tens of megabytes."""
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as stream:
        return b'"conversation"' in stream.read(1 << 16)
