"""One task from a file to its record, in the steps that a runner takes at different places and times:

ready   = examiner.prepare(task)                    read, localize, measure, build the request: work for the CPU
replies = backend.generate(ready.request)           waiting for a server, or work for a GPU
ready   = examiner.advance(ready, answered)         parse; a second look, or the next window, is asked likewise
result  = examiner.conclude(ready)                  fuse, put the record together

A `Result` holds plain data alone, so that a task may run in another process or on another machine.
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
from evaluation.engine.asking import Answered
from evaluation.engine.choices import question_template, question_text, read_choice
from evaluation.engine.item_figures import draw_figure
from evaluation.engine.previews import draw_preview
from evaluation.runs.plan import Task
from evaluation.runs.record import Choice, Failure, FailureKind, ItemRecord, ModelBox, Spent
from evaluation.runs.settings import Price
from evaluation.scoring.item_map import heatmap_score
from evaluation.scoring.item_places import ItemPlaces, find_places, fused_scan, heat_picture
from vlm_inspect.asking import ask_model
from vlm_inspect.backends.backend import Backend, Request
from vlm_inspect.clip_windows import WindowSettings
from vlm_inspect.datasets.masks import read_at_size
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import BackendError, DatasetError, ParseError
from vlm_inspect.examination import Examination, Prepared
from vlm_inspect.fused_map import named_places
from vlm_inspect.inspector import ANY_PART, Inspector
from vlm_inspect.looks.look import Look, Step, read_look
from vlm_inspect.looks.windows import prompt_digest
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict

_KEPT_INSPECTORS = 2
"""Inspectors, with their loaded references, that are held at once."""


@dataclass(frozen=True, eq=False)
class Ready:
    """A task on its way: what was answered so far, and what is asked next."""

    task: Task
    prepared: Prepared
    inspector: Inspector = field(repr=False)
    step: Step
    looks: tuple[Look, ...] = ()
    answered: tuple[Answered, ...] = ()
    """To the request of each look."""

    @property
    def is_answered(self) -> bool:
        """Whether nothing more is asked."""
        return self.step.request is None

    @property
    def request(self) -> Request:
        """What the model is asked next, or else was asked last."""
        request = self.looks[-1].request if self.step.request is None else self.step.request
        assert request is not None
        return request


@dataclass(frozen=True, eq=False)
class Result:
    """A finished task: its record, and what is kept beside it."""

    record: ItemRecord
    replies: tuple[str, ...] = ()
    places: ItemPlaces = field(default_factory=ItemPlaces)
    """Where it looks anomalous."""
    preview: bytes | None = None
    """JPEG; None where nobody wants it."""
    figure: bytes | None = None
    """PNG; likewise."""


Wanted = Callable[[ItemRecord], bool]
"""Whether the preview of an item is worth drawing."""


@dataclass(frozen=True, eq=False)
class Examiner:
    """Makes records of tasks; safe for threads where its inspector's localizer is, see `one_at_a_time.for_threads`.

    Attributes:
        inspector: the model, the localizer and the settings; what a class has of its own takes the place of its rules,
            references and thresholds.
        rules: rule book by class.
        thresholds: by class; the defaults where it is absent.
        price: the user's own; None: what the model's usage says.
        figures: whether a figure of every item is drawn.
    """

    inspector: Inspector
    rules: Mapping[str, RuleBook] = field(default_factory=dict)
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)
    price: Price | None = None
    figures: bool = False
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

    def prepare(self, task: Task) -> Ready:
        """Read and measure a task, and put its first request together.

        Raises:
            ConversionError: its file cannot be inspected; `failed(task, "unreadable", error)` is its result.
            InspectError: the references, the localizer or the prompt cannot be used: no item could be.
        """
        inspector = self.inspector_of(task)
        question = None if task.question is None else question_text(task.question)
        prepared = inspector.prepare(task.item.path, question, as_kind=task.item.kind)
        return Ready(task, prepared, inspector, inspector.next_step(prepared, ()))

    def advance(self, ready: Ready, answered: Answered) -> Ready:
        """Return the task after an answer, with what is asked next.

        Args:
            ready: the task, before it.
            answered: what came back.

        Raises:
            ConversionError: a clip cannot be decoded any more.
        """
        looks = (*ready.looks, read_look(ready.step, answered.replies, answered.elapsed_s))
        step = ready.inspector.next_step(ready.prepared, looks)
        return replace(ready, step=step, looks=looks, answered=(*ready.answered, answered))

    def conclude(self, ready: Ready, wanted: Wanted = lambda record: True) -> Result:
        """Return the result of a task that is answered.

        Args:
            ready: from `advance`.
            wanted: whether the preview of a record is drawn.
        """
        if ready.task.question is not None:
            return self._choice(ready)
        examination = ready.inspector.conclude(ready.prepared, ready.looks, note=ready.step.note)
        return self._result(ready, examination, wanted)

    def failed_answer(self, ready: Ready, error: BackendError) -> Result:
        """Return the result of a task whose request got no reply; what earlier looks cost is kept."""
        result = failed(ready.task, "backend", error)
        return replace(result, record=result.record.model_copy(update=_spending(ready.answered, self.price)))

    def examine(self, task: Task) -> Result:
        """Do all steps at once, for engines that hand whole tasks out.

        Raises:
            InspectError: see `prepare`.
        """
        try:
            ready = self.prepare(task)
            while not ready.is_answered:
                ready = self.advance(ready, self._ask(ready))
            return self.conclude(ready)
        except ConversionError as error:
            return failed(task, "unreadable", error)
        except _UnansweredError as failure:
            return self.failed_answer(failure.ready, failure.error)

    def _ask(self, ready: Ready) -> Answered:
        began = time.perf_counter()
        try:
            replies = ask_model(self.backend, ready.request, samples=self.samples)
        except BackendError as error:
            raise _UnansweredError(ready, error) from error
        return Answered(replies, time.perf_counter() - began)

    def _result(self, ready: Ready, examination: Examination, wanted: Wanted) -> Result:
        record = _record(ready, examination, self.price)
        evidence = examination.evidence
        places = find_places(ready.task.item, examination.views, evidence.maps, evidence.curve)
        if record.boxes is not None:
            places = replace(places, odds=heat_picture(examination.views, evidence.latest_maps))
        else:
            places = replace(places, fused=fused_scan(ready.task.item, examination.views, examination.fused))
        preview, figure, views = None, None, examination.views
        if wanted(record):
            flags = None if places.picture is None else _mask_at(ready.task, places.picture.steps.shape[:2])
            preview = draw_preview(views, evidence, flags)
        if self.figures:
            flags = _mask_at(ready.task, views[0].size_hw) if views[0].kind == "image" else None
            figure = draw_figure(views, evidence, flags, anomalous=record.anomalous)
        return Result(record, _texts(ready), places, preview, figure)

    def _choice(self, ready: Ready) -> Result:
        question, failure, chosen = ready.task.question, None, None
        assert question is not None
        try:
            chosen = read_choice(ready.looks[-1].replies, question)
        except ParseError as error:
            failure = Failure(kind="parse", message=str(error))
        told = Choice(dataset=question.dataset, subtask=question.subtask, answer=question.answer, chosen=chosen)
        latency_s = ready.prepared.elapsed_s + sum(look.elapsed_s for look in ready.looks)
        cost = _cost(ready, self.price, latency_s)
        record = _facts(ready.task).model_copy(update={**cost, "question": told, "failure": failure})
        return Result(record, _texts(ready))

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
        whole = WindowSettings(most=1)  # a question has one answer
        return replace(own, localizer=None, template=question_template(), look_again=False, windows=whole)


class _UnansweredError(Exception):
    """A request got no reply."""

    def __init__(self, ready: Ready, error: BackendError) -> None:
        super().__init__(str(error))
        self.ready, self.error = ready, error


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


def _texts(ready: Ready) -> tuple[str, ...]:
    return tuple(reply.text for look in ready.answered for reply in look.replies)


def _cost(ready: Ready, price: Price | None, latency_s: float) -> dict[str, object]:
    return {
        **_spending(ready.answered, price),
        "latency_s": round(latency_s, 3),
        "reply_sha256": hashlib.sha256("\0".join(_texts(ready)).encode()).hexdigest(),
        "prompt_sha256": prompt_digest(ready.looks),
        "input_sha256": ready.prepared.provenance.input_sha256,
    }


def _record(ready: Ready, examination: Examination, price: Price | None) -> ItemRecord:
    inspection, opinion = examination.inspection, examination.opinion
    told = inspection.sensitivity
    failure = Failure(kind="parse", message=str(opinion)) if isinstance(opinion, ParseError) else None
    scores: dict[str, float] = {}
    for defect in inspection.defects:
        scores[defect.type] = max(defect.score, scores.get(defect.type, 0.0))
    return _facts(ready.task).model_copy(
        update={
            **_cost(ready, price, inspection.usage.latency_s),
            "score": inspection.score,
            "outcome": inspection.outcome,
            "heatmap_score": heatmap_score(examination.evidence.maps),
            "sensitivity": None if told is None else told.model_dump(mode="json", exclude={"curve"}),
            "defects": tuple(scores),
            "defect_scores": scores,
            "boxes": _model_boxes(examination),
            "rules": {rule.id: rule.status for rule in inspection.rules},
            "reasons": inspection.review_reasons,
            "reasoning": inspection.reasoning,
            "failure": failure,
        }
    )


def _model_boxes(examination: Examination) -> tuple[ModelBox, ...] | None:
    """Return the model's boxes on the whole image; None where no model judged, or it was shown no image."""
    opinion, views = examination.opinion, examination.views
    if not views or views[0].kind != "image" or (isinstance(opinion, Verdict) and not opinion.by_model):
        return None
    verdict = opinion if isinstance(opinion, Verdict) else None
    places = named_places(verdict, views, examination.record.rules)
    return tuple(ModelBox(box_xyxyn=one.box_xyxyn, p=one.p) for one in places if one.view == 0)


def _mask_at(task: Task, size_hw: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the mask of an item for its preview; one that cannot be read is said where pixels are scored."""
    try:
        return None if task.item.mask is None else read_at_size(task.item.mask, size_hw)
    except DatasetError:
        return None
