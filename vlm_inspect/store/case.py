"""`Case`: an inspection kept in the store, read back; pictures, maps and the request when they are asked for."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from converters.view import View
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.decision.fusion import Record
from vlm_inspect.decision.thresholds import Thresholds
from vlm_inspect.enlargement import Enlargement
from vlm_inspect.errors import ParseError, StoreError
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import Inspection, Outcome
from vlm_inspect.looks.windows import evidence_within, merge_windows
from vlm_inspect.prompting.assembly import PromptLimits
from vlm_inspect.rules import RuleBook
from vlm_inspect.store.files import FileFolder
from vlm_inspect.store.messages import unpack_messages
from vlm_inspect.store.records import (
    CaseRecord,
    EnlargementEntry,
    LookFacts,
    unpack_enlargement,
    unpack_evidence,
    unpack_view,
)
from vlm_inspect.verdict import Verdict

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from vlm_inspect.backends.box_conventions import BoxFrame
    from vlm_inspect.examination import Examination
    from vlm_inspect.looks.look import Look


Judged = Literal["OK", "NG"]


@dataclass(frozen=True)
class CaseLine:
    """One case as a list shows it."""

    id: str
    created_at: str
    """ISO 8601, UTC; likewise below."""
    source: str
    class_name: str
    outcome: Outcome
    score: float
    """P(anomalous) in [0, 1]."""
    model: str
    localizer: str
    question: str | None
    turns: int
    """Number of turns of the dialogue."""
    serial: str | None = None
    """Serial number or lot of the part."""
    input_sha256: str = ""
    judged: Judged | None = None
    """What a person judged last; None: nobody did. Likewise below."""
    judged_by: str | None = None
    judged_at: str | None = None


@dataclass(frozen=True)
class Judgement:
    """What a person judged of the part of a case. A later one of anybody counts more."""

    number: int
    """From 1."""
    outcome: Judged
    by: str
    """Who judged; empty: a version kept it that did not ask."""
    reason: str
    created_at: str


@dataclass(frozen=True)
class JudgedCase:
    """A case and all that people judged of it."""

    line: CaseLine
    judgements: tuple[Judgement, ...]
    """In order; at least one."""


@dataclass(frozen=True)
class Turn:
    """One turn of the dialogue over a case."""

    number: int
    """From 1."""
    role: str
    text: str
    tool_calls: tuple[Mapping[str, Any], ...]
    """What tools were called, and what they gave."""
    pictures: tuple[str, ...]
    """Names of files: `CaseStore.picture` reads them."""
    created_at: str


@dataclass(frozen=True)
class Correction:
    """One change that came out of a case."""

    number: int
    """From 1."""
    kind: str
    payload: Mapping[str, Any]
    accepted: bool | None
    """None: not decided."""
    created_at: str


@dataclass(frozen=True, eq=False)
class KeptLook:
    """One step of a kept examination."""

    prompt_sha256: str
    """Empty where no model was asked."""
    prompt: str
    """The messages as people read them."""
    replies: tuple[Reply, ...]
    opinion: Verdict | ParseError | None
    facts: LookFacts
    """What it was for, and what it showed."""
    _messages: tuple[dict[str, Any], ...] = field(repr=False)
    _enlargements: tuple[EnlargementEntry, ...] = field(repr=False)
    _files: FileFolder = field(repr=False)

    @cached_property
    def messages(self) -> "tuple[BaseMessage, ...]":
        """What the model was sent, byte for byte.

        Raises:
            StoreError: they do not have the digest that was recorded.
        """
        from vlm_inspect.backends.messages import digest_messages

        messages = unpack_messages(self._messages, self._files)
        if digest_messages(messages) != self.prompt_sha256:
            raise StoreError("the request of a case is not what was sent; the store is damaged")
        return messages

    @cached_property
    def enlargements(self) -> tuple[Enlargement, ...]:
        """What it showed closer."""
        return tuple(unpack_enlargement(entry, self._files) for entry in self._enlargements)


@dataclass(frozen=True, eq=False)
class Case:
    """One kept inspection: enough to read it, to fuse it again, and to put the same question to a model again.

    `views`, `references`, `evidence` and `request` are read from files at first use, and raise StoreError where a file
    is gone or damaged.
    """

    id: str
    created_at: str
    source: Path
    """Where the inspected file was."""
    inspection: Inspection
    rules: RuleBook
    question: str | None
    serial: str | None
    """Serial number or lot of the part."""
    looks: tuple[KeptLook, ...]
    """Every step in order; the last one counts, or all windows of a clip together."""
    thresholds: Thresholds
    template: str
    limits: PromptLimits
    settings: Mapping[str, Any]
    """What the inspection was asked with, as its saver put it: enough to inspect the next part likewise."""
    answer_schema: Mapping[str, Any]
    _record: CaseRecord = field(repr=False)
    _files: FileFolder = field(repr=False)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The views of the part."""
        return tuple(unpack_view(entry, self._files) for entry in self._record.views)

    @cached_property
    def references(self) -> tuple[tuple[View, ...], ...]:
        """The views of every reference; empty for one that the prompt does not show."""
        return tuple(tuple(unpack_view(e, self._files) for e in entries) for entries in self._record.references)

    @cached_property
    def evidence(self) -> Evidence:
        """What was measured, maps included."""
        return unpack_evidence(self._record.evidence, self._files)

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What the model answered to the last look; of a clip in windows to all of them."""
        return tuple(reply for look in self.windows or self.looks[-1:] for reply in look.replies)

    @property
    def windows(self) -> tuple[KeptLook, ...]:
        """The last look at each window of a long clip; none where it was asked about as a whole."""
        last = {look.facts.window.number: look for look in self.looks if look.facts.window is not None}
        return tuple(last.values())

    @property
    def opinion(self) -> Verdict | ParseError:
        """What was read from that, or why nothing was."""
        told = [
            (look.facts.window, look.opinion)
            for look in self.windows
            if look.facts.window is not None and look.opinion is not None
        ]
        if told:
            return merge_windows(told)
        opinion = self.looks[-1].opinion
        assert opinion is not None
        return opinion

    @property
    def told_look(self) -> KeptLook:
        """The look that a dialogue begins with: the last one; of a clip in windows the most anomalous one."""

        def height(look: KeptLook) -> tuple[bool, float]:
            opinion = look.opinion
            return (opinion.anomalous, opinion.probability or 0.0) if isinstance(opinion, Verdict) else (False, 0.0)

        return max(self.windows, key=height, default=self.looks[-1])

    @property
    def has_steps(self) -> bool:
        """Whether an agent worked on it step by step."""
        return any(look.facts.phase in ("observe", "propose", "refute") for look in self.looks)

    @property
    def prompt(self) -> str:
        """The messages of the last look, as people read them."""
        return self.looks[-1].prompt

    @property
    def messages(self) -> "tuple[BaseMessage, ...]":
        """What the model was sent at the last look, byte for byte."""
        return self.looks[-1].messages

    @cached_property
    def request(self) -> Request:
        """The last request as it went to the model."""
        return self._request_of(self.looks[-1])

    def _request_of(self, look: KeptLook) -> Request:
        window = look.facts.window
        return Request(
            messages=look.messages,
            answer_schema=self.answer_schema,
            views=self.views if window is None else self.views[slice(*window.views)],
            rules=self.rules,
            evidence=self.evidence if window is None else evidence_within(self.evidence, window.views),
            question=self.question,
            prompt_sha256=look.prompt_sha256,
            enlargements=look.enlargements,
        )

    @cached_property
    def record(self) -> Record:
        """What fusion keeps beside the decision."""
        told = self.inspection
        return Record(
            rules=self.rules,
            views=self.views,
            model=told.model,
            localizer=told.localizer,
            usage=told.usage,
            provenance=told.provenance,
            question=self.question,
            source=told.source,
            notes=self._record.notes,
            steps=told.steps,
            hypotheses=told.hypotheses,
        )

    @cached_property
    def examination(self) -> "Examination":
        """The case as `Inspector.examine` gave it: what reports draw."""
        from vlm_inspect.examination import Examination

        return Examination(
            inspection=self.inspection,
            views=self.views,
            evidence=self.evidence,
            looks=tuple(self._look_of(kept) for kept in self.looks),
            record=self.record,
            references=self.references,
            template=self.template,
            thresholds=self.thresholds,
            limits=self.limits,
        )

    def _look_of(self, kept: KeptLook) -> "Look":
        from vlm_inspect.looks.look import Look

        facts = {name: getattr(kept.facts, name) for name in LookFacts.model_fields}
        request = None if not kept.prompt_sha256 else self.request if kept is self.looks[-1] else self._request_of(kept)
        return Look(request, kept.replies, kept.opinion, **facts)

    @property
    def boxes(self) -> "BoxFrame":
        """How the model was asked for boxes."""
        from vlm_inspect.prompting.assembly import box_frame

        return box_frame(self.views, self.limits)

    @property
    def input_names(self) -> Sequence[str]:
        """Names of the inspected files that are kept; empty: the input is not."""
        return tuple(entry.name for entry in self._record.inputs)

    def write_input(self, folder: Path) -> Path:
        """Write the kept input into a folder; returns its path, for a clip of frames that of a folder of its own.

        Raises:
            StoreError: it was not kept, is gone or damaged, the folder cannot be written, or holds something like it.
        """
        if not self._record.inputs:
            raise StoreError(f"the input of case {self.id} was not kept; inspect with --save --keep-input next time")
        target = folder / Path(self.source.name).name
        place = target if self._record.input_is_folder else folder
        try:
            if target.exists():
                raise StoreError(f"{target} is there already; name another folder")
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{place} cannot be written: {error.strerror or error}") from error
        for entry in self._record.inputs:
            self._files.copy(entry.file, place / Path(entry.name).name)
        return target

    @contextmanager
    def kept_input(self) -> Iterator[Path]:
        """Give the kept input for as long as the block runs, to be read alone; its name may lack an ending.

        One file is the store's own, unchecked, so that a long clip can be searched; of several there is a copy.

        Raises:
            StoreError: see `write_input`.
        """
        if self._record.inputs and not self._record.input_is_folder:
            yield self._files.path(self._record.inputs[0].file)
            return
        with tempfile.TemporaryDirectory() as folder:
            yield self.write_input(Path(folder))
