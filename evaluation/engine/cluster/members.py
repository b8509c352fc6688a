"""What runs in the processes of the cluster: workers, models and localizers, each a Ray actor.

All have `ready()`, and `work(orders)`, which returns for each order an answer or the `Trouble` that it ended in.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evaluation.engine.cluster.desk import find
from evaluation.engine.cluster.pool import ItemError, Trouble
from evaluation.engine.cluster.recipe import Recipe
from evaluation.engine.cluster.shares import localizers_for_gpu
from evaluation.engine.cluster.stand_ins import LocalizerOrder, ModelOrder, SharedLocalizer, SharedModel
from evaluation.engine.examiner import Examiner, Result
from evaluation.runs.plan import Task
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.errors import BackendError, InspectError
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.references import Part, ReferenceSet

if TYPE_CHECKING:
    from vlm_inspect.localization.localizer import FittedLocalizer, Localizer

_KEPT_FITS = 4
"""Classes, times the localizers of a sum, that one process knows at once."""


class Worker:
    """Examines whole items, several at once: one reads and measures while others wait for the model."""

    def __init__(self, recipe: Recipe, models: str | None = None, localizers: str | None = None) -> None:
        """Examine by this recipe.

        Args:
            recipe: what to do.
            models: name of the desk where the model is asked; None: this process asks.
            localizers: likewise for the parts of the localizer that run on a GPU.
        """
        self._recipe, self._models, self._localizers = recipe, models, localizers
        self._examiner: Examiner | None = None
        self._lock = threading.Lock()

    def ready(self) -> bool:
        """Return that the process runs."""
        return True

    def work(self, orders: Sequence[Task]) -> list[Result | Trouble]:
        """Return what came of each task."""
        return [self._examine(task) for task in orders]

    def _examine(self, task: Task) -> Result | Trouble:
        try:
            with self._lock:
                if self._examiner is None:
                    self._examiner = self._make()
            return self._examiner.examine(task)
        except ItemError as error:
            return Trouble(str(error), alone=True)
        except InspectError as error:
            return Trouble(str(error))

    def _make(self) -> Examiner:
        recipe = self._recipe
        model = _shared_model(self._models, recipe)
        if self._localizers is None:
            return recipe.make_examiner(model)
        desk, names = find(self._localizers), recipe.localizer_names
        parts = localizers_for_gpu(recipe.config)
        return recipe.make_examiner(model, {part: SharedLocalizer(desk, part, names[part]) for part in parts})


class ModelMember:
    """Holds an `hf:` model, and answers what the desk gives it in one batch."""

    def __init__(self, recipe: Recipe) -> None:
        """Load the model of this recipe with the first request."""
        self._recipe = recipe
        self._model: Any = None
        self._lock = threading.Lock()  # a desk that was started again does not know of the batch before

    def ready(self) -> bool:
        """Return that the process runs."""
        return True

    def work(self, orders: Sequence[ModelOrder]) -> list[Sequence[Reply] | Trouble]:
        """Return the replies to each request; all ask for the same number of samples."""
        requests = [_fetched(order.request) for order in orders]
        known = [one for one in requests if not isinstance(one, Trouble)]
        try:
            with self._lock:
                if self._model is None:
                    self._model = self._recipe.make_model()
                answers = iter(answer_together(self._model, known, orders[0].samples) if known else ())
        except InspectError as error:
            return [Trouble(str(error))] * len(orders)
        return [one if isinstance(one, Trouble) else next(answers) for one in requests]


class LocalizerMember:
    """Holds the parts of the localizer that run on a GPU."""

    def __init__(self, recipe: Recipe, models: str | None = None) -> None:
        """Load each part with its first order.

        Args:
            recipe: what to do.
            models: name of the desk where a localizer asks a language model for words; None: this process asks.
        """
        self._recipe, self._models = recipe, models
        self._loaded: dict[str, Localizer] = {}
        self._fitted: OrderedDict[str, FittedLocalizer] = OrderedDict()
        self._lock = threading.Lock()  # as of a model

    def ready(self) -> bool:
        """Return that the process runs."""
        return True

    def work(self, orders: Sequence[LocalizerOrder]) -> list[list[AnomalyMap] | Trouble]:
        """Return the maps of each sample."""
        with self._lock:
            return [self._localize(order) for order in orders]

    def _localize(self, order: LocalizerOrder) -> list[AnomalyMap] | Trouble:
        try:
            if order.part not in self._loaded:
                self._loaded[order.part] = self._recipe.make_localizer(
                    order.part, _shared_model(self._models, self._recipe)
                )
            views = _fetched(order.views)
            if isinstance(views, Trouble):
                return views
            fitted = self._fitted_to(order)
            if isinstance(fitted, Trouble):
                return fitted
            return list(fitted.localize(Part(None, tuple(views))).maps)
        except InspectError as error:
            return Trouble(str(error))

    def _fitted_to(self, order: LocalizerOrder) -> "FittedLocalizer | Trouble":
        """Return what is learned of the references; of the classes before, only the latest are kept."""
        if order.fit not in self._fitted:
            references = _fetched(order.references)
            if isinstance(references, Trouble):
                return references
            known = ReferenceSet.of_views(references)
            self._fitted[order.fit] = self._loaded[order.part].fit(known, order.subject)
        self._fitted.move_to_end(order.fit)
        while len(self._fitted) > _KEPT_FITS:
            self._fitted.popitem(last=False)
        return self._fitted[order.fit]


def _shared_model(desk: str | None, recipe: Recipe) -> SharedModel | None:
    return None if desk is None else SharedModel(find(desk), recipe.model_name)


def answer_together(model: Any, requests: Sequence[Request], samples: int) -> list[Sequence[Reply] | Trouble]:
    """Ask a model that takes batches; where a batch fails, one by one, so that one request fails alone."""
    try:
        return list(model.generate_batch(requests, samples=samples))
    except BackendError as error:
        if len(requests) == 1:
            return [Trouble(str(error), alone=True)]
        return [answer_together(model, [one], samples)[0] for one in requests]


def _fetched(reference: Any) -> Any:
    """Return an object from the store; a `Trouble` where the worker died that put it there, and nobody waits for it."""
    ray: Any = import_module("ray")
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        return Trouble(f"its worker died: {str(error).splitlines()[0]}", alone=True)
