"""The model and the localizer as a worker sees them, where processes with a GPU do their work.

Pictures are put into Ray's object store, those of references once for all items. What the other side does not read
stays here: the points of a scan behind its views, and the maps, which a language model is told of in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any
from uuid import uuid4

import numpy as np

from converters.view import BoxXyxyn, Place, View
from evaluation.engine.cluster.desk import ask
from evaluation.engine.cluster.pool import Trouble
from vlm_inspect.array_cache import key_of
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet


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
    fit: str
    """Name of what is learned of them: equal names, equal references and subject."""


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

    kinds = PICTURES

    def __init__(self, desk: Any, part: str, name: str) -> None:
        """Ask at this desk for one part of `--localizer`, which is called `name` in the record."""
        self._desk, self._part = desk, part
        self.name = name

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedShared":
        """Put the references into the store; the process that judges a part of the class first learns them."""
        shown = [[_shown(view) for view in views] for views in references.views]
        stored = import_module("ray").put(shown)
        files = references.sha256
        known = len(files) == len(references)  # by name, so that workers share what is learned
        fit = key_of(self._part, files, subject.class_name, subject.defects) if known else uuid4().hex
        return FittedShared(self._desk, self.name, LocalizerOrder(self._part, None, stored, subject, fit))


class FittedShared:
    """What the localizers of a pool learn of one class."""

    def __init__(self, desk: Any, name: str, order: LocalizerOrder) -> None:
        """Send this order, with the views of a part, to the desk."""
        self._desk, self.name, self._order = desk, name, order

    def localize(self, part: Part) -> Localization:
        """Return what the localizer itself returns.

        Raises:
            ItemError: every process died that had these views.
            RunError: the localizer cannot be used, or none has started.
        """
        shown = import_module("ray").put([_shown(view) for view in part.views])
        told = ask(self._desk, replace(self._order, views=shown), "")
        if isinstance(told, Trouble):
            raise told.error
        maps: list[AnomalyMap] = told
        return Localization(tuple(maps))


def as_read(request: Request) -> Request:
    """Return a request with what a language model reads of it: pictures are in its messages, of views their number."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    views = tuple(replace(_shown(view), image=pixel, mask=None, panes=()) for view in request.views)
    return replace(request, views=views, evidence=Evidence(), enlargements=())


def _shown(view: View) -> View:
    return replace(view, origin=Nowhere())
