"""READ FIRST: `Inspector.examine`, the whole way from a file to an inspection.

sample     = read(source)                                    converters/registry.py
part       = present(sample, references)                     references.py
fitted     = fit_class(kind, references, localizer)          fits.py, once for all parts
evidence   = gather(part, references, rules, fitted)         gathering.py
request    = build_request(template, views, rules, ...)      prompting/
verdict    = parse_verdict(ask_model(backend, request), ...) asking.py, backends/, parsing/
inspection = fuse(verdict, evidence, thresholds, ...)        decision/fusion.py
again      = second_request(request, verdict, ...)           looks/second_look.py, where a second look is asked for
"""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import vlm_inspect
from converters.digest import sha256_of
from converters.registry import read
from converters.sample import SampleKind
from converters.view import View, ViewBudget
from vlm_inspect.asking import ask_model, limits_for
from vlm_inspect.backends import load_backend
from vlm_inspect.backends.backend import Backend, Reply, Request
from vlm_inspect.decision.fusion import Record, fuse, is_by_model
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import BackendError, ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.fits import Fits
from vlm_inspect.gathering import gather
from vlm_inspect.inspection import Inspection, Provenance, Usage
from vlm_inspect.localization import AUTO, default_localizer, load_localizer
from vlm_inspect.localization.composition import FittedClass
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.looks.second_look import Pass, second_request
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import PromptLimits, build_request, load_template
from vlm_inspect.references import Part, ReferenceSet, present
from vlm_inspect.rules import RuleBook, load_rules, resolve_references
from vlm_inspect.verdict import Verdict

Progress = Callable[[str], None]
ANY_PART = RuleBook(class_name="part")
"""What is assumed without a rule book: nothing but that it is a part."""


@dataclass(frozen=True, eq=False)
class Examination:
    """An inspection with all that it rests on: what reports draw and records keep."""

    inspection: Inspection
    views: tuple[View, ...]
    evidence: Evidence
    request: Request
    replies: tuple[Reply, ...]
    opinion: Verdict | ParseError
    record: Record
    references: tuple[tuple[View, ...], ...] = ()
    """The views of every reference."""
    template: str = "inspect"
    thresholds: Thresholds = field(default_factory=Thresholds)
    limits: PromptLimits = field(default_factory=PromptLimits)
    passes: tuple[Pass, ...] = ()
    """Every look in order, where there were two; the last is that of `request`, `replies` and `opinion`."""

    def under(self, thresholds: Thresholds) -> Inspection:
        """Return what the same evidence and opinion amount to under other thresholds."""
        return fuse(self.opinion, self.evidence, thresholds, self.record)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A part on its way to the model: what was measured, and what will be asked."""

    views: tuple[View, ...]
    evidence: Evidence
    request: Request
    provenance: Provenance
    elapsed_s: float
    """How long it took in seconds."""
    references: tuple[tuple[View, ...], ...] = ()
    """The views of every reference."""
    samples: "tuple[Part, ReferenceSet] | None" = None
    """Part and references at full resolution; None where nobody will look again."""
    limits: PromptLimits = field(default_factory=PromptLimits)
    """Those of the prompt: what was asked for, as the model takes it."""


@dataclass(frozen=True, eq=False)
class Inspector:
    """Judges parts of one class. Read once, the references serve every further part.

    It never changes: `dataclasses.replace` makes another one, and `InspectorConfig.build` one from settings.

    Attributes:
        rules: what normal means for the class.
        references: files of normal samples, of the kind of the parts.
        backend: the model that is asked; default: `evidence`, offline.
        localizer: makes the heatmaps; None: no heatmap (measured deviations remain); "auto": what fits the references.
        template: name of a prompt in `prompts/`.
        thresholds: how a score becomes an outcome.
        budget: how many pictures a part may become.
        samples: how often the model is asked.
        limits: sizes and numbers of the pictures in a prompt.
        look_again: whether the model is asked a second time, with the most suspicious places enlarged.
    """

    rules: RuleBook = ANY_PART
    references: Sequence[Path] = ()
    backend: Backend = field(default_factory=lambda: load_backend("evidence"))
    localizer: Localizer | Literal["auto"] | None = AUTO
    template: str = "inspect"
    thresholds: Thresholds = field(default_factory=Thresholds)
    budget: ViewBudget = field(default_factory=ViewBudget)
    samples: int = 1
    limits: PromptLimits = field(default_factory=PromptLimits)
    look_again: bool = False
    _fits: Fits = field(init=False, repr=False)

    def __post_init__(self) -> None:
        fits = Fits(self.references, self.budget, lambda: self.used_localizer, subject_of(self.rules))
        object.__setattr__(self, "_fits", fits)

    @classmethod
    def from_rules(cls, path: str | Path) -> "Inspector":
        """Make an inspector, offline, from a rule book and the references that it names.

        Raises:
            RuleError: the rule book is wrong.
        """
        rules = load_rules(Path(path))
        return cls(rules=rules, references=resolve_references(rules))

    @cached_property
    def used_localizer(self) -> Localizer | None:
        """The localizer itself, where `auto` is resolved; None: no heatmap."""
        if self.localizer == AUTO:
            return load_localizer(default_localizer(has_references=bool(self.references)))
        return self.localizer

    def fit(self, kind: SampleKind, *, without: str | None = None) -> tuple[ReferenceSet, FittedClass]:
        """Return the references of a kind and what was learned of them; slow the first time, then kept.

        Args:
            kind: of the parts.
            without: sha256 of a part that is never judged by itself.

        Raises:
            InspectError: a reference or the localizer cannot be used.
        """
        return self._fits.of(kind, without=without)

    def inspect(self, source: str | Path, question: str | None = None) -> Inspection:
        """Judge one part; see `examine`."""
        return self.examine(source, question).inspection

    def examine(
        self,
        source: str | Path,
        question: str | None = None,
        *,
        as_kind: SampleKind | None = None,
        progress: Progress = lambda step: None,
    ) -> Examination:
        """Judge one part, and keep what the judgement rests on.

        Raises:
            ConversionError: the source cannot be read.
            InspectError: a reference, the localizer or the model cannot be used.
        """
        prepared = self.prepare(source, question, as_kind=as_kind, progress=progress)
        progress(f"asking {self.backend.name}")
        began = time.perf_counter()
        replies = ask_model(self.backend, prepared.request, samples=self.samples)
        first = self.conclude(prepared, replies, time.perf_counter() - began)
        return self._look_again(prepared, first, progress) if self.look_again else first

    def prepare(
        self,
        source: str | Path,
        question: str | None = None,
        *,
        as_kind: SampleKind | None = None,
        progress: Progress = lambda step: None,
    ) -> Prepared:
        """Do all that comes before the model is asked; raises what `examine` raises."""
        began = time.perf_counter()
        source = Path(source)
        progress("reading the part")
        sample = read(source, as_kind=as_kind)
        digest = sha256_of(source)
        progress("reading the references")
        references, fitted = self.fit(sample.kind, without=digest)
        part = present(sample, references.stage, self.budget)
        progress("measuring")
        views, evidence = gather(part, references, self.rules, fitted)
        template = load_template(self.template)
        limits = limits_for(self.backend, self.limits, template, calibrated=self.thresholds.calibrated)
        request = build_request(template, views, self.rules, references.views, evidence, question, limits=limits)
        provenance = self._provenance(digest, request, references)
        samples = (part, references) if self.look_again else None
        elapsed_s = time.perf_counter() - began
        return Prepared(views, evidence, request, provenance, elapsed_s, references.views, samples, limits)

    def conclude(
        self,
        prepared: Prepared,
        replies: Sequence[Reply],
        asked_s: float,
        *,
        earlier: Sequence[Reply] = (),
        notes: tuple[str, ...] = (),
    ) -> Examination:
        """Turn the replies to a prepared request into the examination.

        Args:
            prepared: from `prepare`.
            replies: what the model answered.
            asked_s: how long that took in seconds.
            earlier: replies to a first look, whose tokens and cost count, too.
            notes: what else there is to say of how the replies came about.
        """
        opinion = _read_opinion(replies, prepared.request)
        record = Record(
            rules=self.rules,
            views=prepared.views,
            model=self.backend.name,
            localizer=prepared.evidence.localizer,
            usage=_total((*earlier, *replies), prepared.elapsed_s + asked_s),
            provenance=prepared.provenance,
            question=prepared.request.question,
            notes=notes,
        )
        inspection = fuse(opinion, prepared.evidence, self.thresholds, record)
        return Examination(
            inspection=inspection,
            views=prepared.views,
            evidence=prepared.evidence,
            request=prepared.request,
            replies=tuple(replies),
            opinion=opinion,
            record=record,
            references=prepared.references,
            template=self.template,
            thresholds=self.thresholds,
            limits=prepared.limits,
        )

    def second_look(self, prepared: Prepared, first: Examination) -> "Prepared | Examination":
        """Return what is asked the second time, with enlargements.

        Where nothing is, it is the first examination, with a note that says why.

        Args:
            prepared: from `prepare`, of an inspector that looks again.
            first: what came of it.
        """
        if not is_by_model(first.opinion):
            return self._noted(first, "A second look changes nothing for the evidence model: it reads no picture.")
        began = time.perf_counter()
        part, references = prepared.samples or (None, None)
        request = None
        if part is not None and references is not None:
            request = second_request(first.request, first.opinion, part, references, prepared.limits)
        if request is None:
            return self._noted(first, "There was no second look: nothing was found or named that could be enlarged.")
        provenance = prepared.provenance.model_copy(update={"prompt_sha256": request.prompt_sha256})
        elapsed_s = first.inspection.usage.latency_s + time.perf_counter() - began
        return replace(prepared, request=request, provenance=provenance, elapsed_s=elapsed_s, samples=None)

    def conclude_again(
        self,
        again: Prepared,
        first: Examination,
        replies: Sequence[Reply],
        asked_s: float,
        *,
        notes: tuple[str, ...] = (),
    ) -> Examination:
        """Turn the replies to a second look into the examination; without any there is no verdict.

        Args:
            again: from `second_look`.
            first: what came of the first look; its answer is no longer good enough.
            replies: what the model answered.
            asked_s: how long that took in seconds.
            notes: what else there is to say of how the replies came about.
        """
        opinion = _read_opinion(replies, again.request)
        notes += _change_of_mind(first.opinion, opinion)
        second = self.conclude(again, replies, asked_s, earlier=first.replies, notes=notes)
        passes = (
            Pass(first.request, first.replies, first.opinion),
            Pass(again.request, tuple(replies), second.opinion),
        )
        return replace(second, passes=passes)

    def _look_again(self, prepared: Prepared, first: Examination, progress: Progress) -> Examination:
        """Ask again with enlargements; the second answer counts."""
        progress("looking closer")
        again = self.second_look(prepared, first)
        if isinstance(again, Examination):
            return again
        progress(f"asking {self.backend.name} again")
        began = time.perf_counter()
        replies: Sequence[Reply] = ()
        notes: tuple[str, ...] = ()
        try:
            replies = ask_model(self.backend, again.request, samples=self.samples)
        except BackendError as error:
            notes = (f"The second look failed: {error}",)
        return self.conclude_again(again, first, replies, time.perf_counter() - began, notes=notes)

    def _noted(self, first: Examination, note: str) -> Examination:
        record = replace(first.record, notes=(*first.record.notes, note))
        return replace(first, record=record, inspection=fuse(first.opinion, first.evidence, self.thresholds, record))

    def _provenance(self, input_sha256: str, request: Request, references: ReferenceSet) -> Provenance:
        return Provenance(
            input_sha256=input_sha256,
            rules_sha256=self.rules.sha256,
            prompt_sha256=request.prompt_sha256,
            version=vlm_inspect.__version__,
            created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            references_sha256=references.sha256,
        )


def _read_opinion(replies: Sequence[Reply], request: Request) -> Verdict | ParseError:
    """Return the verdict, or the reason why there is none: doubt is a result here, not an error."""
    try:
        return parse_verdict(replies, request.rules, request.views, boxes=request.boxes)
    except ParseError as failure:
        return failure


def _change_of_mind(first: Verdict | ParseError, second: Verdict | ParseError) -> tuple[str, ...]:
    if isinstance(first, ParseError):
        return (f"The answer of the first look could not be read: {first}",)
    if isinstance(second, ParseError) or first.anomalous == second.anomalous:
        return ()
    before, after = ("anomalous" if one.anomalous else "normal" for one in (first, second))
    return (f"The second look changed the model's verdict from {before} to {after}.",)


def _total(replies: Sequence[Reply], elapsed_s: float) -> Usage:
    return Usage(
        prompt_tokens=sum(reply.usage.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.usage.completion_tokens for reply in replies),
        latency_s=round(elapsed_s, 3),
        calls=sum(reply.usage.calls for reply in replies),
        cost_usd=_sum_of_costs([reply.usage for reply in replies if reply.usage.calls]),
    )


def _sum_of_costs(usages: Sequence[Usage]) -> float | None:
    """Return the costs together; None where one of them is not known."""
    known = [usage.cost_usd for usage in usages if usage.cost_usd is not None]
    return sum(known) if known and len(known) == len(usages) else None
