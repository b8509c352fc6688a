"""The model and the localizer as a worker sees them, where processes with a GPU do their work.

Pictures are put into Ray's object store, those of references once for all items. What the other side does not read
stays here: the points of a scan behind its views, and the maps, which a language model is told of in words.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from converters.view import BoxXyxyn, Place, View
from evaluation.engine.cluster.desk import ask
from evaluation.engine.cluster.pool import Trouble
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject

_KEPT_REFERENCES = 2
"""Classes whose references lie in the store at once."""


class Nowhere:
    """The origin of a view that is only looked at."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return a place that tells nothing."""
        return Place()


@dataclass(frozen=True)
class ModelOrder:
    """A request to a model."""

    request: Any
    """Reference to it in the object store."""
    samples: int


@dataclass(frozen=True)
class LocalizerOrder:
    """A sample for a localizer."""

    part: str
    """Which, of the parts of `--localizer`."""
    views: Any
    """Reference to them in the object store."""
    references: Any
    """Likewise; to those of all reference samples."""
    subject: Subject


class SharedModel:
    """A `Backend` that asks the models of a pool."""

    def __init__(self, desk: Any, name: str) -> None:
        """Ask at this desk for the model of this name."""
        self._desk = desk
        self.name = name

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Return the replies.

        Raises:
            BackendError: what the model itself raised, or every process died that had this request.
            RunError: the model cannot be used, or none has started.
        """
        stored = import_module("ray").put(as_read(request))
        told = ask(self._desk, ModelOrder(stored, samples), f"{request.rules.class_name}, {samples}")
        if isinstance(told, Trouble):
            raise told.error
        replies: Sequence[Reply] = told
        return replies


class SharedLocalizer:
    """A `Localizer` that asks the localizers of a pool; several threads may call it."""

    def __init__(self, desk: Any, part: str, name: str) -> None:
        """Ask at this desk for one part of `--localizer`, which is called `name` in the record."""
        self._desk, self._part = desk, part
        self.name = name
        self._stored: OrderedDict[tuple[int, ...], tuple[Any, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def localize(
        self, views: Sequence[View], references: Sequence[Sequence[View]], subject: Subject = ANY_SUBJECT
    ) -> list[AnomalyMap]:
        """Return what the localizer itself returns.

        Raises:
            ItemError: every process died that had these views.
            RunError: the localizer cannot be used, or none has started.
        """
        shown = import_module("ray").put([_shown(view) for view in views])
        told = ask(self._desk, LocalizerOrder(self._part, shown, self._store(references), subject), "")
        if isinstance(told, Trouble):
            raise told.error
        maps: list[AnomalyMap] = told
        return maps

    def _store(self, references: Sequence[Sequence[View]]) -> Any:
        """Return where the views of the references lie, which are the same objects from item to item."""
        key = tuple(id(views) for views in references)
        with self._lock:
            if key not in self._stored:
                shown = [[_shown(view) for view in views] for views in references]
                self._stored[key] = (references, import_module("ray").put(shown))  # kept: an id is one while it lives
            self._stored.move_to_end(key)
            while len(self._stored) > _KEPT_REFERENCES:
                self._stored.popitem(last=False)
            return self._stored[key][1]


def as_read(request: Request) -> Request:
    """Return a request with what a language model reads of it: pictures are in its messages, of views their number."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    views = tuple(replace(_shown(view), image=pixel, mask=None, panes=()) for view in request.views)
    return replace(request, views=views, evidence=Evidence(), enlargements=())


def _shown(view: View) -> View:
    return replace(view, origin=Nowhere())
