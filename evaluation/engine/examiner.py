"""One task from a file to its record, in the steps that a runner takes at different places and times:

ready   = examiner.prepare(task)                    read, localize, measure, build the request: work for the CPU
replies = backend.generate(ready.request)           waiting for a server, or work for a GPU
result  = examiner.conclude(ready, answered)        parse, fuse, put the record together

Where a second look is asked for, `conclude` may return a `SecondLook` in place of a result: its request is asked, too,
and `conclude_again` ends the task. A `Result` holds plain data alone, so that a task may run in another process or on
another machine.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.sample import SampleKind
from evaluation.engine.asking import Answered
from evaluation.engine.choices import question_template, question_text, read_choice
from evaluation.engine.previews import draw_preview
from evaluation.runs.plan import Task
from evaluation.runs.record import Choice, Failure, FailureKind, ItemRecord, Spent
from evaluation.runs.settings import Price
from evaluation.scoring.item_map import heatmap_score
from evaluation.scoring.item_places import ItemPlaces, find_places
from vlm_inspect.asking import ask_model
from vlm_inspect.backends.backend import Backend, Request
from vlm_inspect.datasets.masks import read_at_size
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import BackendError, DatasetError, ParseError
from vlm_inspect.inspector import ANY_PART, Examination, Inspector, Prepared
from vlm_inspect.localization.localizer import FittedLocalizer, Localization, Localizer
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.rules import RuleBook

_KEPT_INSPECTORS = 2
"""Inspectors, with their loaded references, that are held at once."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A task whose request can be sent."""

    task: Task
    prepared: Prepared
    inspector: Inspector = field(repr=False)

    @property
    def request(self) -> Request:
        """What the model is asked."""
        return self.prepared.request


@dataclass(frozen=True, eq=False)
class SecondLook:
    """A task whose first answer is there, and whose second request can be sent."""

    task: Task
    prepared: Prepared
    inspector: Inspector = field(repr=False)
    first: Examination
    answered: Answered
    """To the first request."""

    @property
    def request(self) -> Request:
        """What the model is asked the second time."""
        return self.prepared.request


@dataclass(frozen=True, eq=False)
class Result:
    """A finished task: its record, and what is kept beside it."""

    record: ItemRecord
    replies: tuple[str, ...] = ()
    places: ItemPlaces = field(default_factory=ItemPlaces)
    """Where it looks anomalous."""
    preview: bytes | None = None
    """JPEG; None where nobody wants it."""


Wanted = Callable[[ItemRecord], bool]
"""Whether the preview of an item is worth drawing."""


class OneAtATime:
    """A localizer that several threads may call: it works for one of them at a time, with all cores."""

    def __init__(self, localizer: Localizer) -> None:
        self._localizer = localizer
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the localizer itself."""
        return self._localizer.name

    @property
    def kinds(self) -> frozenset[SampleKind]:
        """The kinds of samples that it works for."""
        return self._localizer.kinds

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> FittedLocalizer:
        """Return what the localizer itself learns, to be called by several threads; raises what it raises."""
        with self._lock:
            return _FittedOneAtATime(self._localizer.fit(references, subject), self._lock)


class _FittedOneAtATime:
    def __init__(self, fitted: FittedLocalizer, lock: threading.Lock) -> None:
        self._fitted, self._lock = fitted, lock

    @property
    def name(self) -> str:
        return self._fitted.name

    def localize(self, part: Part) -> Localization:
        with self._lock:
            return self._fitted.localize(part)


def for_threads(inspector: Inspector) -> Inspector:
    """Return the inspector with a localizer that several threads may call."""
    localizer = inspector.used_localizer
    return replace(inspector, localizer=None if localizer is None else OneAtATime(localizer))


@dataclass(frozen=True, eq=False)
class Examiner:
    """Makes records of tasks; safe for threads where its inspector's localizer is, see `for_threads`.

    Attributes:
        inspector: the model, the localizer and the settings; what a class has of its own takes the place of its rules,
            references and thresholds.
        rules: rule book by class.
        thresholds: by class; the defaults where it is absent.
        price: the user's own; None: what the model's usage says.
    """

    inspector: Inspector
    rules: Mapping[str, RuleBook] = field(default_factory=dict)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    price: Price | None = None
    _inspectors: OrderedDict[tuple[str, tuple[Path, ...], bool], Inspector] = field(
        default_factory=OrderedDict, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def backend(self) -> Backend:
        """The model."""
        return self.inspector.backend

    @property
    def samples(self) -> int:
        """How often it is asked."""
        return self.inspector.samples

    def prepare(self, task: Task) -> "Ready | Result":
        """Return the request of a task, or the failed result of one whose file cannot be inspected.

        Raises:
            InspectError: the references, the localizer or the prompt cannot be used: no item could be.
        """
        inspector = self.inspector_of(task)
        question = None if task.question is None else question_text(task.question)
        try:
            return Ready(task, inspector.prepare(task.item.path, question), inspector)
        except ConversionError as error:
            return failed(task, "unreadable", error)

    def conclude(self, ready: Ready, answered: Answered, wanted: Wanted = lambda record: True) -> "Result | SecondLook":
        """Return the result of an answered task, or what is to be asked before there is one.

        Args:
            ready: from `prepare`.
            answered: what came back.
            wanted: whether the preview of a record is drawn.
        """
        if ready.task.question is not None:
            return self._choice(ready, answered)
        first = ready.inspector.conclude(ready.prepared, answered.replies, answered.elapsed_s)
        if ready.inspector.look_again:
            again = ready.inspector.second_look(ready.prepared, first)
            if isinstance(again, Prepared):
                return SecondLook(ready.task, again, ready.inspector, first, answered)
            first = again
        return self._result(ready, first, (answered,), wanted)

    def conclude_again(self, look: SecondLook, answered: Answered, wanted: Wanted = lambda record: True) -> Result:
        """Return the result of a task that was looked at twice; see `conclude`."""
        examination = look.inspector.conclude_again(look.prepared, look.first, answered.replies, answered.elapsed_s)
        return self._result(look, examination, (look.answered, answered), wanted)

    def failed_answer(self, one: "Ready | SecondLook", error: BackendError) -> Result:
        """Return the result of a task whose request got no reply; what an earlier look cost is kept."""
        looks = (one.answered,) if isinstance(one, SecondLook) else ()
        result = failed(one.task, "backend", error)
        return replace(result, record=result.record.model_copy(update=_spending(looks, self.price)))

    def examine(self, task: Task) -> Result:
        """Do all steps at once, for engines that hand whole tasks out.

        Raises:
            InspectError: see `prepare`.
        """
        ready = self.prepare(task)
        if isinstance(ready, Result):
            return ready
        answered = self._ask(ready)
        if isinstance(answered, BackendError):
            return self.failed_answer(ready, answered)
        found = self.conclude(ready, answered)
        if isinstance(found, Result):
            return found
        answered = self._ask(found)
        if isinstance(answered, BackendError):
            return self.failed_answer(found, answered)
        return self.conclude_again(found, answered)

    def _ask(self, one: "Ready | SecondLook") -> Answered | BackendError:
        began = time.perf_counter()
        try:
            replies = ask_model(self.backend, one.request, samples=self.samples)
        except BackendError as error:
            return error
        return Answered(replies, time.perf_counter() - began)

    def _result(
        self, one: "Ready | SecondLook", examination: Examination, looks: Sequence[Answered], wanted: Wanted
    ) -> Result:
        record = _record(one, examination, looks, self.price)
        places = find_places(one.task.item, examination.views, examination.evidence.maps)
        preview = None
        if wanted(record):
            flags = None if places.picture is None else _mask_at(one.task, places.picture.steps.shape[:2])
            preview = draw_preview(examination.views, examination.evidence, flags)
        replies = tuple(reply.text for look in looks for reply in look.replies)
        return Result(record, replies, places, preview)

    def _choice(self, ready: Ready, answered: Answered) -> Result:
        question, failure, chosen = ready.task.question, None, None
        assert question is not None
        try:
            chosen = read_choice(answered.replies, question)
        except ParseError as error:
            failure = Failure(kind="parse", message=str(error))
        told = Choice(dataset=question.dataset, subtask=question.subtask, answer=question.answer, chosen=chosen)
        cost = _cost(ready, (answered,), self.price, ready.prepared.elapsed_s + answered.elapsed_s)
        record = _facts(ready.task).model_copy(update={**cost, "question": told, "failure": failure})
        return Result(record, tuple(reply.text for reply in answered.replies))

    def inspector_of(self, task: Task) -> Inspector:
        """Return the inspector of a task's class and references; they are read once."""
        key = (task.category, task.references, task.question is not None)
        with self._lock:
            found = self._inspectors.pop(key, None)
            if found is None:
                found = self._make_inspector(task)
            self._inspectors[key] = found
            while len(self._inspectors) > _KEPT_INSPECTORS:
                self._inspectors.popitem(last=False)
            return found

    def _make_inspector(self, task: Task) -> Inspector:
        own = replace(
            self.inspector,
            rules=self.rules.get(task.category, ANY_PART),
            references=task.references,
            thresholds=self.thresholds.get(task.category, Thresholds()),
        )
        if task.question is None:
            return own
        return replace(own, localizer=None, template=question_template(), look_again=False)


def failed(task: Task, kind: FailureKind, error: Exception) -> Result:
    """Return the result of a task that has none."""
    failure = Failure(kind=kind, message=str(error))
    question = None
    if task.question is not None:
        one = task.question
        question = Choice(dataset=one.dataset, subtask=one.subtask, answer=one.answer, chosen=None)
    return Result(_facts(task).model_copy(update={"failure": failure, "question": question}))


def _facts(task: Task) -> ItemRecord:
    """Return the record of a task before anything is known but what the data set says."""
    return ItemRecord(
        id=task.id,
        category=task.category,
        label="anomalous" if task.item.anomalous else "normal",
        defect_types=task.item.defects,
        preview=hashlib.sha256(task.id.encode()).hexdigest()[:16],
    )


def _spending(looks: Sequence[Answered], price: Price | None) -> dict[str, object]:
    """Return what this run paid for, and what an earlier one had."""
    paid, spared = Spent(), Spent()
    for look in looks:
        if look.cached:
            spared += look.spent(price)
        else:
            paid += look.spent(price)
    return {"usage": paid, "spared": spared}


def _cost(
    one: "Ready | SecondLook", looks: Sequence[Answered], price: Price | None, latency_s: float
) -> dict[str, object]:
    told = "\0".join(reply.text for look in looks for reply in look.replies)
    return {
        **_spending(looks, price),
        "latency_s": round(latency_s, 3),
        "reply_sha256": hashlib.sha256(told.encode()).hexdigest(),
        "prompt_sha256": one.request.prompt_sha256,
        "input_sha256": one.prepared.provenance.input_sha256,
    }


def _record(
    one: "Ready | SecondLook", examination: Examination, looks: Sequence[Answered], price: Price | None
) -> ItemRecord:
    inspection, opinion = examination.inspection, examination.opinion
    failure = Failure(kind="parse", message=str(opinion)) if isinstance(opinion, ParseError) else None
    scores: dict[str, float] = {}
    for defect in inspection.defects:
        scores[defect.type] = max(defect.score, scores.get(defect.type, 0.0))
    return _facts(one.task).model_copy(
        update={
            **_cost(one, looks, price, inspection.usage.latency_s),
            "score": inspection.score,
            "outcome": inspection.outcome,
            "heatmap_score": heatmap_score(examination.evidence.maps),
            "defects": tuple(scores),
            "defect_scores": scores,
            "rules": {rule.id: rule.status for rule in inspection.rules},
            "reasons": inspection.review_reasons,
            "reasoning": inspection.reasoning,
            "failure": failure,
        }
    )


def _mask_at(task: Task, size_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the mask of an item for its preview; one that cannot be read is said where pixels are scored."""
    try:
        return None if task.item.mask is None else read_at_size(task.item.mask, size_hw)
    except DatasetError:
        return None
