"""READ FIRST: `Inspector.examine`, the whole way from a file to an inspection.

sample     = read(source)                                    converters/registry.py
part       = present(sample, references)                     references.py
fitted     = fit_class(kind, references, localizer)          fits.py, once for all parts
evidence   = gather(part, references, rules, fitted)         gathering.py
request    = build_request(template, views, rules, ...)      prompting/; looks/windows.py: of a long clip several
look       = take_look(Step(request), backend)               look_taking.py, asking.py, backends/, parsing/
look       = the same again, with enlargements               looks/second_look.py, where a second look is asked for
evidence   = hear(evidence, words)                           second_map.py, where new words for defects were used
inspection = fuse(look.opinion, evidence, thresholds, ...)   decision/fusion.py
"""

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from converters.digest import sha256_of
from converters.in_memory import Source, as_file, path_of
from converters.registry import read
from converters.sample import SampleKind
from converters.view import ViewBudget
from vlm_inspect.agent import AgentSettings, look_as_step, looks_as_steps, next_agent_step, tried_as_records
from vlm_inspect.asking import limits_for
from vlm_inspect.backends import is_offline, load_backend
from vlm_inspect.backends.backend import Backend, Request
from vlm_inspect.backends.two_models import TwoModels
from vlm_inspect.calibration_file import load_thresholds
from vlm_inspect.clip_beginning import NormalSpan
from vlm_inspect.clip_windows import ClipWindow, WindowSettings
from vlm_inspect.decision.fusion import Record, fuse
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.examination import Examination, Prepared
from vlm_inspect.fits import Fits
from vlm_inspect.gathering import gather
from vlm_inspect.inspection import Inspection, Provenance, StepRecord
from vlm_inspect.localization import AUTO, default_localizer, load_localizer
from vlm_inspect.localization.composition import FittedClass, show_evidence, show_windows
from vlm_inspect.localization.localizer import Localizer
from vlm_inspect.localization.subject import subject_of
from vlm_inspect.look_taking import asking_words, take_look
from vlm_inspect.looks.look import Look, Step, total_usage
from vlm_inspect.looks.second_look import changes_of_mind, looking_again, second_step
from vlm_inspect.looks.windows import AskedOf, next_window, opinion_of, prompt_digest, whole_request, window_requests
from vlm_inspect.part_queue import Judged, OneSource, judge_many
from vlm_inspect.prompting import PromptLimits, load_template
from vlm_inspect.qualification.settings import QualificationSettings
from vlm_inspect.references import Part, ReferenceSet, expand_references, present
from vlm_inspect.report.rendering import with_reports
from vlm_inspect.rules import RuleBook, load_rules, resolve_references
from vlm_inspect.safe_text import path_text
from vlm_inspect.second_map import hear, said_words
from vlm_inspect.source_state import check_unchanged, state_of
from vlm_inspect.verdict import Verdict
from vlm_inspect.version import VERSION

Progress = Callable[[str], None]
ANY_PART = RuleBook(class_name="part")
"""What is assumed without a rule book: nothing but that it is a part."""


TOOL_PICTURES = 4
"""Pictures of a limited number that an agent's first request leaves to its tools, where there are so many."""
_ITSELF = "The part is one of its own references, or a copy of one; it was not compared with that one."


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
        agent: whether the model works in steps, with tools, before it judges; it takes the place of a second look.
        store: earlier cases that an agent may look up, a `CaseStore`; None: none.
        qualification: which errors are allowed, and how many defects are planted to learn the bounds of OK and NG.
        normal_until: how much of the beginning of every clip is taken as a normal reference of its own; None: nothing.
        windows: into how many windows a long clip is cut, each of which the model is asked about by itself.
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
    agent: AgentSettings = field(default_factory=AgentSettings)
    store: object | None = None
    qualification: QualificationSettings = field(default_factory=QualificationSettings)
    normal_until: NormalSpan | None = None
    windows: WindowSettings = field(default_factory=WindowSettings)
    _fits: Fits = field(init=False, repr=False)

    def __post_init__(self) -> None:
        subject = subject_of(self.rules)
        fits = Fits(self.references, self.budget, lambda: self.used_localizer, subject, self.qualification)
        object.__setattr__(self, "_fits", fits)

    @classmethod
    def from_rules(
        cls,
        path: str | Path,
        *,
        references: str | Path | Iterable[str | Path] = (),
        calibration: str | Path | None = None,
    ) -> "Inspector":
        """Make an inspector, offline, from a rule book and the references that it names.

        Args:
            path: the rule book.
            references: files, folders and patterns of further normal samples, one or several.
            calibration: thresholds, as `vlm-inspect calibrate` writes them.

        Raises:
            RuleError: the rule book is wrong.
            ReferenceSampleError: one of the references names nothing.
            CalibrationError: the calibration was made for other rules, references or another localizer.
        """
        rules = load_rules(Path(path))
        named = [references] if isinstance(references, str | Path) else references
        paths = (*resolve_references(rules), *expand_references([str(one) for one in named]))
        inspector = cls(rules=rules, references=tuple(dict.fromkeys(paths)))
        if calibration is None:
            return inspector
        localizer = inspector.used_localizer
        name = "none" if localizer is None else localizer.name
        thresholds = load_thresholds(Path(calibration), rules, name, inspector.references, inspector.budget)
        return replace(inspector, thresholds=thresholds)

    @cached_property
    def used_localizer(self) -> Localizer | None:
        """The localizer itself, where `auto` is resolved; None: no heatmap."""
        if self.localizer == AUTO:
            if self.normal_until is not None and not self.references:
                return None  # a clip's beginning alone needs no other localizer
            return load_localizer(default_localizer(has_references=bool(self.references)))
        return self.localizer

    def fit(
        self, kind: SampleKind, *, without: str | None = None, progress: Progress = lambda step: None
    ) -> tuple[ReferenceSet, FittedClass]:
        """Return the references of a kind and what was learned of them; slow the first time, then kept.

        Args:
            kind: of the parts.
            without: sha256 of a part that is never judged by itself.
            progress: told how far it is.

        Raises:
            InspectError: a reference or the localizer cannot be used.
        """
        return self._fits.of(kind, without=without, progress=progress)

    def inspect(self, source: Source, question: str | None = None) -> Inspection:
        """Judge one part; see `examine`.

        The result keeps the pictures of the part, for `save_overlay` and `save_html`, as long as it is kept itself.
        """
        return with_reports(self.examine(source, question))

    def inspect_many(
        self,
        sources: Iterable[OneSource | None],
        *,
        workers: int = 1,
        waiting: int = 4,
        progress: Progress = lambda step: None,
    ) -> Iterator[Judged[OneSource]]:
        """Judge many parts with one load of models and references, and yield what becomes of each, in their order.

        Args:
            sources: the parts; may be endless: no more than `workers + waiting` are taken ahead. None among them says
                that there is nothing new at present.
            workers: threads that judge, >= 1.
            waiting: judgements and parts that may wait beside those at work, >= 0.
            progress: told what is at work, by the threads that judge.

        Raises:
            ValueError: a number is out of range, or `sources` is one part.
        """
        examine = partial(self.examine, progress=progress)
        return judge_many(examine, sources, workers=workers, waiting=waiting)

    def examine(
        self,
        source: Source,
        question: str | None = None,
        *,
        as_kind: SampleKind | None = None,
        progress: Progress = lambda step: None,
        watch: Callable[[StepRecord], None] = lambda step: None,
    ) -> Examination:
        """Judge one part, and keep what the judgement rests on.

        Args:
            source: the part: a path, or the part itself (bytes of a file, a picture, an array, a cloud or mesh).
            question: asked about it, beside the verdict.
            as_kind: what it is; None: its content tells.
            progress: told what is at work.
            watch: told every step that was taken.

        Raises:
            ConversionError: the source cannot be read.
            InspectError: a reference, the localizer or the model cannot be used.
        """
        with as_file(source) as (path, kind):  # a clip is read as long as the model may look at it
            prepared = self.prepare(path, question, as_kind=as_kind or kind, progress=progress)
            if path_of(source) is None:  # who reads the record finds no such file
                prepared = replace(prepared, source="")
            return self._examine(prepared, progress, watch)

    def _examine(self, prepared: Prepared, progress: Progress, watch: Callable[[StepRecord], None]) -> Examination:
        looks: tuple[Look, ...] = ()
        step = self.next_step(prepared, looks)
        while step.request is not None:
            number, by_agent = len(looks) + 1, self.agent.enabled
            progress(asking_words(step, number, self.backend, by_agent=by_agent))
            looks += (take_look(step, number, self.backend, samples=self.samples, by_agent=by_agent),)
            watch(look_as_step(len(looks), looks[-1]))
            step = self.next_step(prepared, looks)
        return self.conclude(prepared, looks, note=step.note)

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
        before = state_of(source)
        sample = read(source, as_kind=as_kind)
        digest = sha256_of(source)
        progress("reading the references")
        twin = None
        if self.normal_until is None:
            twin = self._fits.twin_of(sample, digest, progress)
            references, fitted = self.fit(sample.kind, without=twin, progress=progress)
        else:
            references, fitted = self._fits.with_beginning(sample, digest, self.normal_until)
        if self.thresholds.made_with is not None:
            self.thresholds.made_with.check(fitted.judged_by)
        check_unchanged(source, before)
        progress("measuring")  # what the class lacks is among the notes
        part, windows = self._shown(present(sample, references.stage, self.budget), fitted)
        views, evidence = gather(part, references, self.rules, fitted, self.thresholds.whole)
        check_unchanged(source, before)  # the frames of a clip are read as they are measured
        template = load_template(self.template)
        limits = limits_for(self.backend, self.limits, template, calibrated=self.thresholds.calibrated)
        most_pictures = limits.pictures
        if self.agent.enabled and most_pictures is not None:  # what the tools show needs room
            limits = replace(limits, pictures=most_pictures - min(TOOL_PICTURES, most_pictures // 2))
        asked = AskedOf(template, views, self.rules, references.views, evidence, question)
        requests = window_requests(asked, windows, limits)
        request = requests[0] if requests else whole_request(asked, limits)
        request = replace(request, thresholds=self.thresholds)
        provenance = self._provenance(digest, request, references)
        samples = (part, references) if self.look_again or self.agent.enabled else None
        elapsed_s = time.perf_counter() - began
        return Prepared(
            views=views,
            evidence=evidence,
            request=request,
            provenance=provenance,
            elapsed_s=elapsed_s,
            source=path_text(source),
            state=(source, before),
            references=references.views,
            samples=samples,
            limits=limits,
            most_pictures=most_pictures,
            store=self.store,
            windows=windows,
            requests=requests,
            judged_by=fitted.judged_by,
            note="" if twin is None else _ITSELF,
        )

    def _shown(self, part: Part, fitted: FittedClass) -> tuple[Part, tuple[ClipWindow, ...]]:
        """Return the part with the views that tell most, and the windows that a model is asked about one by one.

        The evidence model reads no picture, and an agent looks where it likes: both see the clip as a whole.
        """
        if is_offline(self.backend.name) or self.agent.enabled:
            return show_evidence(part, fitted, self.budget), ()
        return show_windows(part, fitted, self.budget, self.windows)

    def next_step(self, prepared: Prepared, looks: Sequence[Look]) -> Step:
        """Return what is asked next: the request, then a second look where one is wanted, then nothing.

        Args:
            prepared: from `prepare`.
            looks: what came of the steps so far.

        Raises:
            ConversionError: a clip cannot be decoded any more.
            PromptError: the texts of the second look are missing or wrong.
        """
        if self.agent.enabled and not is_offline(self.backend.name):
            functions, second = (getattr(self.backend, name, False) for name in ("takes_functions", "has_refuter"))
            return next_agent_step(prepared, looks, self.agent, with_functions=functions, has_refuter=second)
        if prepared.windows:
            again = looking_again(prepared.samples, prepared.limits) if self.look_again else None
            return next_window(prepared.windows, prepared.requests, looks, again)
        if not looks:
            return Step(prepared.request)
        if self.agent.enabled:
            return Step(note="There were no steps: the evidence model calls no tool.")
        if not self.look_again or len(looks) > 1:
            return Step()
        return second_step(looks[0], prepared.samples, prepared.limits)

    def conclude(self, prepared: Prepared, looks: Sequence[Look], *, note: str = "") -> Examination:
        """Turn the looks at a part into its examination; the opinion of the last one counts, or of all windows.

        Where the words for defects are new to the heatmap, it is made again with them (`second_map.py`).

        Args:
            prepared: from `prepare`.
            looks: at least one, with an opinion.
            note: what else there is to say of how they came about.
        """
        if len(looks) > 1 and prepared.state is not None:  # later looks at a clip read it again
            check_unchanged(*prepared.state)
        opinion = opinion_of(looks)
        evidence = self._heard(prepared, opinion)
        told = [
            *(look.note for look in looks),
            *changes_of_mind(looks),
            prepared.note,
            *self._refuter_words(looks),
            note,
        ]
        elapsed_s = prepared.elapsed_s + sum(look.elapsed_s for look in looks)
        record = Record(
            rules=self.rules,
            views=prepared.views,
            model=self.backend.name,
            localizer=prepared.evidence.localizer,
            usage=total_usage([reply.usage for look in looks for reply in look.replies], elapsed_s),
            provenance=prepared.provenance.model_copy(update={"prompt_sha256": prompt_digest(looks)}),
            question=prepared.request.question,
            source=prepared.source,
            notes=tuple(one for one in told if one),
            steps=tuple(looks_as_steps(looks)) if len(looks) > 1 else (),
            hypotheses=tuple(tried_as_records(looks, self.rules)),
        )
        return Examination(
            inspection=fuse(opinion, evidence, self.thresholds, record),
            views=prepared.views,
            evidence=evidence,
            looks=tuple(looks),
            record=record,
            references=prepared.references,
            template=self.template,
            thresholds=self.thresholds,
            limits=prepared.limits,
            judged_by=prepared.judged_by,
        )

    def _refuter_words(self, looks: Sequence[Look]) -> Iterator[str]:
        if isinstance(self.backend, TwoModels) and any(look.by_refuter for look in looks):
            yield f"{self.backend.refuter.name} tried to refute the hypotheses."

    def _heard(self, prepared: Prepared, opinion: Verdict | ParseError) -> Evidence:
        """Return the evidence, with the maps made again where the model or the engineer used new words for defects."""
        localizer = self.used_localizer
        if localizer is None or is_offline(self.backend.name):
            return prepared.evidence
        from vlm_inspect.localization.dapo.wording import default_words

        verdict = opinion if isinstance(opinion, Verdict) else None
        return hear(
            prepared.evidence,
            said_words(verdict, prepared.request.question, default_words()),
            localizer=localizer,
            subject=subject_of(self.rules),
            rules=self.rules,
            views=prepared.views,
            references=prepared.references,
        )

    def _provenance(self, input_sha256: str, request: Request, references: ReferenceSet) -> Provenance:
        return Provenance(
            input_sha256=input_sha256,
            rules_sha256=self.rules.sha256,
            prompt_sha256=request.prompt_sha256,
            version=VERSION,
            created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            references_sha256=references.sha256,
        )
