"""The model and the localizer as a worker sees them, where processes with a GPU do their work.

Pictures travel through Ray's object store, those of references once for all items. What the other side does not read
stays here: the points of a scan behind its views, and the maps, which a language model is told of in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any
from uuid import uuid4

import numpy as np

from converters.view import BoxXyxyn, Place, View
from evaluation.engine.cluster.group import Group
from vlm_inspect.array_cache import key_of
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.evidence import Evidence
from vlm_inspect.localization.localizer import PICTURES, Localization
from vlm_inspect.localization.subject import ANY_SUBJECT, Subject
from vlm_inspect.references import Part, ReferenceSet


class NoOrigin:
    """The origin of a view that is only looked at."""

    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        """Return a place that tells nothing."""
        return Place()


@dataclass(frozen=True)
class LocalizerOrder:
    """A sample for a localizer."""

    part: str
    """Which, of the parts of `--localizer`."""
    views: Sequence[View]
    references: Any
    """Where the views of all reference samples lie in the object store."""
    subject: Subject
    fit: str
    """Name of what is learned of them: equal names, equal references and subject."""


class SharedModel:
    """A `Backend` that asks a group of models."""

    def __init__(self, group: Group, name: str) -> None:
        """Ask these; `name` is that of the record."""
        self._group = group
        self.name = name

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Return the replies.

        Raises:
            BackendError: what the model itself raised, or every process died that had this request.
            RunError: the model cannot be used, or none has started.
        """
        replies: Sequence[Reply] = self._group.ask("generate", as_read(request), samples)
        return replies


class SharedLocalizer:
    """A `Localizer` that asks a group of localizers; several threads may call it."""

    kinds = PICTURES

    def __init__(self, group: Group, part: str, name: str) -> None:
        """Ask these for one part of `--localizer`, which is called `name` in the record."""
        self._group, self._part = group, part
        self.name = name

    def vocabulary(self, subject: Subject) -> tuple[str, ...]:
        """Return the words of the localizer itself."""
        return tuple(self._group.ask("vocabulary", self._part, subject))

    def fit(self, references: ReferenceSet, subject: Subject = ANY_SUBJECT) -> "FittedShared":
        """Put the references into the store; the process that judges a part of the class first learns them."""
        stored = import_module("ray").put([[_shown(view) for view in views] for views in references.views])
        files = references.sha256
        known = len(files) == len(references)  # by name, so that workers share what is learned
        fit = key_of(self._part, files, subject.class_name, subject.defects) if known else uuid4().hex
        return FittedShared(self._group, self.name, LocalizerOrder(self._part, (), stored, subject, fit))


class FittedShared:
    """What a group of localizers learns of one class."""

    def __init__(self, group: Group, name: str, order: LocalizerOrder) -> None:
        """Send this order, with the views of a part."""
        self._group, self.name, self._order = group, name, order

    @cached_property
    def judged_by(self) -> str:
        """As of the localizer itself; raises what `localize` raises."""
        return str(self._group.ask("judged_by", self._order))

    def localize(self, part: Part) -> Localization:
        """Return what the localizer itself returns.

        Raises:
            ItemError: every process died that had these views.
            RunError: the localizer cannot be used, or none has started.
        """
        shown = [_shown(view) for view in part.views]
        return Localization(tuple(self._group.ask("localize", replace(self._order, views=shown))))


def as_read(request: Request) -> Request:
    """Return a request with what a language model reads of it: pictures are in its messages, of views their number."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    views = tuple(replace(_shown(view), image=pixel, mask=None, panes=()) for view in request.views)
    return replace(request, views=views, evidence=Evidence(), enlargements=())


def _shown(view: View) -> View:
    return replace(view, origin=NoOrigin())
