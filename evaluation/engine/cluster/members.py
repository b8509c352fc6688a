"""What runs in the processes of the cluster, each a Ray actor: workers, models and localizers.

Their methods return an answer, or the `Trouble` that it ended in.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evaluation.engine.cluster.group import Group, ItemError, Trouble
from evaluation.engine.cluster.recipe import Recipe
from evaluation.engine.cluster.shares import localizers_for_gpu
from evaluation.engine.cluster.stand_ins import LocalizerOrder, SharedLocalizer, SharedModel
from evaluation.engine.examiner import Examiner, Result
from evaluation.runs.plan import Task
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.errors import BackendError, InspectError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.localizer import batch_of, vocabulary_of
from vlm_inspect.localization.subject import Subject
from vlm_inspect.references import Part, ReferenceSet

if TYPE_CHECKING:
    from vlm_inspect.localization.localizer import FittedLocalizer, Localizer

LINGER_S = 0.1
"""How long a request waits to be answered together with others: a model takes seconds."""
_KEPT_FITS = 4
"""Classes, times the localizers of a sum, that one process knows at once."""
Names = Sequence[str]
"""Actors by name: handles are not given to actors, so that Ray can start them again."""


class Process:
    """What every actor of a run can say."""

    def ready(self) -> bool:
        """Return that the process runs."""
        return True

    def restarted(self) -> bool:
        """Return whether a process of this actor has died."""
        return bool(import_module("ray").get_runtime_context().was_current_actor_reconstructed)


class Worker(Process):
    """Examines whole items, several at once: one reads and measures while others wait for the model."""

    def __init__(self, recipe: Recipe, models: Names = (), localizers: Names = ()) -> None:
        """Examine by this recipe; models, and localizers of a GPU, are asked where there are any, else loaded here."""
        self._recipe, self._models, self._localizers = recipe, models, localizers
        self._examiner: Examiner | None = None
        self._lock = threading.Lock()

    def examine(self, task: Task) -> Result | Trouble:
        """Return what came of a task."""
        try:
            with self._lock:
                if self._examiner is None:
                    self._examiner = self._make()
            return self._examiner.examine(task)
        except InspectError as error:
            return Trouble(str(error), alone=isinstance(error, ItemError))

    def _make(self) -> Examiner:
        recipe, model = self._recipe, _shared_model(self._models, self._recipe)
        if not self._localizers:
            return recipe.make_examiner(model)
        group, names = _group_of(self._localizers, "localizer"), recipe.localizer_names
        parts = localizers_for_gpu(recipe.config)
        return recipe.make_examiner(model, {part: SharedLocalizer(group, part, names[part]) for part in parts})


class ModelMember(Process):
    """Holds an `hf:` model, and answers requests that come together in one batch; its methods run in one event loop."""

    def __init__(self, recipe: Recipe, most: int) -> None:
        """Load the model of this recipe with the first request; answer at most so many together."""
        self._recipe, self._most = recipe, most
        self._model: Any = None
        self._waiting: dict[tuple[str, int], list[tuple[Request, asyncio.Future[Any]]]] = {}
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    async def generate(self, request: Request, samples: int) -> Sequence[Reply] | Trouble:
        """Return the replies; a batch is of one class, and asks for as many answers."""
        kind = request.rules.class_name, samples
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(kind, []).append((request, told))
        if len(self._waiting[kind]) == 1:
            serving = asyncio.create_task(self._serve(kind))
            self._running.add(serving)  # a task that nothing holds may vanish
            serving.add_done_callback(self._running.discard)
        replies: Sequence[Reply] | Trouble = await told
        return replies

    async def _serve(self, kind: tuple[str, int]) -> None:
        if self._most > 1:
            await asyncio.sleep(LINGER_S)
        async with self._turn:
            waiting = self._waiting.pop(kind)
        for at in range(0, len(waiting), self._most):
            batch = waiting[at : at + self._most]
            async with self._turn:
                asked = [request for request, _ in batch]
                work = asyncio.create_task(asyncio.to_thread(self.answer, asked, kind[1]))
                await asyncio.wait({work})
            error = work.exception()
            for at_batch, (_, told) in enumerate(batch):
                if error is not None:  # a fault of the program, which each that asked is told
                    told.set_exception(error)
                else:
                    told.set_result(work.result()[at_batch])

    def answer(self, requests: Sequence[Request], samples: int) -> list[Sequence[Reply] | Trouble]:
        """Return the replies to each request of a batch."""
        try:
            if self._model is None:
                self._model = self._recipe.make_model()
            return answer_together(self._model, requests, samples)
        except InspectError as error:
            return [Trouble(str(error))] * len(requests)


class LocalizerMember(Process):
    """Holds the parts of the localizer that run on a GPU; works on one sample at a time, or joins those that wait."""

    def __init__(self, recipe: Recipe, models: Names = ()) -> None:
        """Load each part with its first order; a localizer that wants words asks these models, or one of its own."""
        self._recipe, self._models = recipe, models
        self._loaded: dict[str, Localizer] = {}
        self._fitted: OrderedDict[str, FittedLocalizer] = OrderedDict()
        self._lock = threading.Lock()

    def localize(self, order: LocalizerOrder) -> list[AnomalyMap] | Trouble:
        """Return the maps of a sample."""
        part = Part(None, tuple(order.views))
        try:
            with self._lock:
                fitted = self._fitted_to(order)
                if batch_of(self._localizer(order.part)) == 1:
                    return list(fitted.localize(part).maps)
            return list(fitted.localize(part).maps)
        except InspectError as error:
            return Trouble(str(error), alone=isinstance(error, ItemError))

    def judged_by(self, order: LocalizerOrder) -> str | Trouble:
        """Return what a part of the localizer judges a class by; see `FittedLocalizer.judged_by`."""
        try:
            with self._lock:
                return self._fitted_to(order).judged_by
        except InspectError as error:
            return Trouble(str(error), alone=isinstance(error, ItemError))

    def vocabulary(self, part: str, subject: Subject) -> tuple[str, ...] | Trouble:
        """Return the words that a part of the localizer compares a class with; empty where they cannot be chosen."""
        with self._lock:
            try:
                return vocabulary_of(self._localizer(part), subject)
            except InspectError as error:
                return Trouble(str(error))

    def _localizer(self, part: str) -> "Localizer":
        if part not in self._loaded:
            model = _shared_model(self._models, self._recipe)
            self._loaded[part] = self._recipe.make_localizer(part, model)
        return self._loaded[part]

    def _fitted_to(self, order: LocalizerOrder) -> "FittedLocalizer":
        """Return what is learned of the references; of the classes before, only the latest are kept."""
        if order.fit not in self._fitted:
            known = ReferenceSet.of_views(_fetched(order.references))
            self._fitted[order.fit] = self._localizer(order.part).fit(known, order.subject)
        self._fitted.move_to_end(order.fit)
        while len(self._fitted) > _KEPT_FITS:
            self._fitted.popitem(last=False)
        return self._fitted[order.fit]


def answer_together(model: Any, requests: Sequence[Request], samples: int) -> list[Sequence[Reply] | Trouble]:
    """Ask a model that takes batches; where a batch fails, one by one, so that one request fails alone."""
    try:
        return list(model.generate_batch(requests, samples=samples))
    except BackendError as error:
        if len(requests) == 1:
            return [Trouble(str(error), alone=True)]
        return [answer_together(model, [one], samples)[0] for one in requests]


def _group_of(names: Names, kind: str) -> Group:
    ray: Any = import_module("ray")
    return Group(ray, [ray.get_actor(name) for name in names], kind)


def _shared_model(names: Names, recipe: Recipe) -> SharedModel | None:
    return SharedModel(_group_of(names, "model"), recipe.model_name) if names else None


def _fetched(reference: Any) -> Any:
    """Return an object from the store; raises ItemError where the worker died that put it there."""
    ray: Any = import_module("ray")
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        raise ItemError(f"its worker died: {str(error).splitlines()[0]}") from error
