"""READ FIRST: `Inspector.examine`, the whole way from a file to an inspection.

sample     = read(source)                                    converters/registry.py
part       = present(sample, references)                     references.py
evidence   = gather(part, references, rules, localizer)      gathering.py
request    = build_request(template, views, rules, ...)      prompting/
verdict    = parse_verdict(backend.generate(request), ...)   backends/, parsing.py
inspection = fuse(verdict, evidence, thresholds, ...)        fusion.py
"""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import vlm_inspect
from converters.digest import sha256_of
from converters.registry import read
from converters.sample import SampleKind
from converters.view import View, ViewBudget
from vlm_inspect.backends import load_backend
from vlm_inspect.backends.backend import Backend, Reply, Request
from vlm_inspect.calibration import Thresholds
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.fusion import Record, fuse
from vlm_inspect.gathering import gather
from vlm_inspect.inspection import Inspection, Provenance, Usage
from vlm_inspect.localization import AUTO, default_localizer, load_localizer
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.references import ReferenceSet, load_references, present
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

    def under(self, thresholds: Thresholds) -> Inspection:
        """Return what the same evidence and opinion amount to under other thresholds."""
        return fuse(self.opinion, self.evidence, thresholds, self.record)


@dataclass
class Inspector:
    """Judges parts of one class. Read once, the references serve every further part.

    Attributes:
        rules: what normal means for the class.
        references: files of normal samples, of the kind of the parts.
        backend: the model that is asked; default: `evidence`, offline.
        localizer: makes the heatmaps; None: no heatmap (measured deviations remain); "auto": what fits the references.
        template: name of a prompt in `prompts/`.
        thresholds: how a score becomes an outcome.
        budget: how many pictures a part may become.
        samples: how often the model is asked.
    """

    rules: RuleBook = ANY_PART
    references: Sequence[Path] = ()
    backend: Backend = field(default_factory=lambda: load_backend("evidence"))
    localizer: Localizer | Literal["auto"] | None = AUTO
    template: str = "inspect"
    thresholds: Thresholds = field(default_factory=Thresholds)
    budget: ViewBudget = field(default_factory=ViewBudget)
    samples: int = 1
    _loaded: dict[SampleKind, ReferenceSet] = field(default_factory=dict, repr=False)

    @classmethod
    def from_rules(cls, path: str | Path) -> "Inspector":
        """Make an inspector, offline, from a rule book and the references that it names.

        Raises:
            RuleError: the rule book is wrong.
        """
        rules = load_rules(Path(path))
        return cls(rules=rules, references=resolve_references(rules))

    @cached_property
    def eyes(self) -> Localizer | None:
        """The localizer that is used."""
        if self.localizer == AUTO:
            return load_localizer(default_localizer(has_references=bool(self.references)))
        return self.localizer

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
        began = time.perf_counter()
        source = Path(source)
        progress("reading the part")
        sample = read(source, as_kind=as_kind)
        digest = sha256_of(source)
        progress("reading the references")
        references = self._references_of(sample.kind).without(digest)
        part = present(sample, references.stage, self.budget)
        progress("measuring")
        views, evidence = gather(part, references, self.rules, self.eyes)
        template = load_template(self.template)
        request = build_request(template, views, self.rules, references.views, evidence, question)
        progress(f"asking {self.backend.name}")
        replies = tuple(self.backend.generate(request, samples=self.samples))
        opinion = _read_opinion(replies, request)
        record = Record(
            rules=self.rules,
            views=views,
            model=self.backend.name,
            localizer=evidence.localizer,
            usage=_total(replies, time.perf_counter() - began),
            provenance=self._provenance(digest, request, references),
            question=question,
        )
        inspection = fuse(opinion, evidence, self.thresholds, record)
        return Examination(inspection, views, evidence, request, replies, opinion, record)

    def _references_of(self, kind: SampleKind) -> ReferenceSet:
        if kind not in self._loaded:
            self._loaded[kind] = load_references(self.references, kind, self.budget)
        return self._loaded[kind]

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
        return parse_verdict(replies, request.rules, request.views, question=request.question)
    except ParseError as failure:
        return failure


def _total(replies: Sequence[Reply], elapsed_s: float) -> Usage:
    return Usage(
        prompt_tokens=sum(reply.usage.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.usage.completion_tokens for reply in replies),
        latency_s=round(elapsed_s, 3),
        calls=sum(reply.usage.calls for reply in replies),
    )
