"""`Fits`: what an inspector knows of its class, read and learned once for each kind of sample."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from converters.sample import Sample, SampleKind
from converters.view import ViewBudget
from vlm_inspect.clip_beginning import NormalSpan, with_beginning
from vlm_inspect.ignored import blanked
from vlm_inspect.localization.composition import FittedClass, fit_class
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.subject import Subject
from vlm_inspect.qualification.class_decision import qualify_class
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import ReferenceSet, load_references

_KEPT_WITHOUT = 2
"""Fits without one of the references that are kept: a part that is a reference is seldom judged twice."""
Known = tuple[ReferenceSet, FittedClass]


class Fits:
    """The references of a class and what is fitted to them; several threads may ask, one of them works."""

    def __init__(
        self,
        paths: Sequence[Path],
        budget: ViewBudget,
        localizer: Callable[[], Localizer | None],
        subject: Subject,
        settings: QualificationSettings | None = None,
    ) -> None:
        """Read and fit when a kind is first asked for.

        Args:
            paths: files of the references.
            budget: how many pictures each may become.
            localizer: returns the chosen localizer; None: none.
            subject: what the part is called, and what may be wrong with it.
            settings: which errors are allowed, and how many defects are planted to learn the bounds.
        """
        self._settings = settings or QualificationSettings()
        self._paths, self._budget, self._localizer, self._subject = paths, budget, localizer, subject
        self._lock = threading.Lock()
        self._whole: dict[SampleKind, Known] = {}
        self._partial: OrderedDict[tuple[SampleKind, str], Known] = OrderedDict()
        self._read: dict[SampleKind, ReferenceSet] = {}

    def of(
        self, kind: SampleKind, *, without: str | None = None, progress: Callable[[str], None] = lambda step: None
    ) -> Known:
        """Return the references of a kind and what is fitted to them.

        Args:
            kind: of the parts.
            without: sha256 of a part; where it is one of the references, they are fitted without it.
            progress: told which reference is read, and how many planted defects have been tried.

        Raises:
            InspectError: a reference, the localizer or its weights cannot be used.
        """
        with self._lock:
            references = self._references(kind, progress)
            if without is None or without not in references.sha256:
                if kind not in self._whole:
                    self._whole[kind] = self._fit(kind, references, progress)
                return self._whole[kind]
            key = kind, without
            if key not in self._partial:
                self._partial[key] = self._fit(kind, references.without(without), progress)
            self._partial.move_to_end(key)
            while len(self._partial) > _KEPT_WITHOUT:
                self._partial.popitem(last=False)
            return self._partial[key]

    def twin_of(self, sample: Sample, sha256: str, progress: Callable[[str], None] = lambda step: None) -> str | None:
        """Return the digest of the reference that a part is, or is a copy of; None: of none; raises what `of` raises.

        Args:
            sample: the part.
            sha256: of its file.
            progress: told which reference is read.
        """
        with self._lock:
            return self._references(sample.kind, progress).twin_of(sample, sha256)

    def with_beginning(self, sample: Sample, sha256: str, span: NormalSpan) -> Known:
        """Return the references of a clip, its own beginning among them, and what is fitted to them.

        Args:
            sample: the part.
            sha256: digest of its file.
            span: how much of it is normal.

        Raises:
            InspectError: as `of`; the part is no clip, or has too few frames.
        """
        with self._lock:
            others = self._references(sample.kind) if self._paths else ReferenceSet()
            return self._fit(sample.kind, with_beginning(others, sample, sha256, span, self._budget))

    def _references(self, kind: SampleKind, progress: Callable[[str], None] = lambda step: None) -> ReferenceSet:
        if kind not in self._read:
            self._read[kind] = load_references(self._paths, kind, self._budget, progress)
        return self._read[kind]

    def _fit(
        self, kind: SampleKind, references: ReferenceSet, progress: Callable[[str], None] = lambda step: None
    ) -> Known:
        if len(references):
            progress(f"learning from {len(references)} reference{'s' if len(references) > 1 else ''}")
        seen = references.seen_by(lambda views: blanked(views, self._subject.ignore))
        fitted = fit_class(kind, seen, self._localizer(), self._subject)
        return references, qualify_class(fitted, seen, self._subject, self._budget, self._settings, progress)
