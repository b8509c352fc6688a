"""`replay`: the prompt and the outcome of a case, made again from its record, and what differs from then.

The prompt is built from the kept views, references, rules, evidence and question, by today's code and template, and
compared byte for byte. The outcome is read from the kept replies and fused with the kept evidence, by today's code.
Offline the kept report is fused as it is. Of an agent the first request is built, and the turns after it are those that
were kept. Of a clip in windows the request of every window is built, and the answers about all of them are read.
The input is not read, nothing is measured, and no model is asked.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from converters.view import View
from vlm_inspect.agent import read_judgement
from vlm_inspect.backends.backend import Request
from vlm_inspect.decision.fusion import fuse
from vlm_inspect.errors import ParseError, PromptError
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspection import DefectOutcome, Inspection
from vlm_inspect.looks.windows import AskedOf, in_clip, in_window, merge_windows, whole_request, window_request
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting.assembly import box_frame
from vlm_inspect.rules import RuleBook
from vlm_inspect.store.case import Case, KeptLook
from vlm_inspect.verdict import Verdict
from vlm_inspect.version import VERSION

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_COMPARED = ("outcome", "score", "calibrated", "review_reasons", "answer", "reasoning", "notes", "views", "localizer")


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was."""

    what: str
    """"outcome", "score", "rule length", "defects", "prompt"."""
    before: str
    now: str


@dataclass(frozen=True)
class Replay:
    """What came of it."""

    case_id: str
    differences: tuple[Difference, ...]
    """Of the outcome first, then of the prompt; empty: all is as it was."""
    prompt_sha256: str | None
    """Of the last prompt made again; None: it could not be made."""
    prompt_diff: str
    """Unified diff of the prompts as people read them; empty where those are equal."""
    inspection: Inspection
    """The inspection made again."""
    version_before: str
    version_now: str

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


@dataclass(frozen=True, eq=False)
class _Rebuilt:
    """The prompt of one look, then and now."""

    name: str
    look: KeptLook
    request: Request | None
    failure: str = ""

    @property
    def same(self) -> bool:
        return self.request is not None and self.request.prompt_sha256 == self.look.prompt_sha256


def replay(case: Case) -> Replay:
    """Make the prompt and the outcome of a case again.

    Raises:
        StoreError: a file of the case is gone or damaged.
    """
    prompts = list(_rebuild(case))
    inspection = fuse(_opinion_again(case), case.evidence, case.thresholds, case.record)
    changed = [one for one in prompts if not one.same]
    last = prompts[-1].request
    return Replay(
        case_id=case.id,
        differences=(
            *_outcome_differences(case.inspection, inspection),
            *(difference for one in changed for difference in _prompt_differences(one)),
        ),
        prompt_sha256=None if last is None else last.prompt_sha256,
        prompt_diff="\n".join(diff for one in changed if (diff := _diff_prompts(one))),
        inspection=inspection,
        version_before=case.inspection.provenance.version,
        version_now=VERSION,
    )


def _rebuild(case: Case) -> Iterator[_Rebuilt]:
    """Yield the prompt of every look by today's template and code; a second look begins with the first."""
    from vlm_inspect.prompting.second_request import build_second_request

    request: Request | None = None
    failure = ""
    opinion: Verdict | ParseError | None = None
    for number, look in enumerate(case.looks, start=1):
        name = "prompt" if len(case.looks) == 1 else f"prompt of look {number}"
        try:
            window = look.facts.window
            if window is not None and look.facts.phase != "look_again":
                request = window_request(_asked(case), window, case.limits)
            elif number == 1:
                request = whole_request(_asked(case), case.limits)
            elif request is not None and not case.has_steps:
                read = opinion if window is None or opinion is None else in_window(opinion, window)
                verdict = read if isinstance(read, Verdict) else None
                request = build_second_request(request, verdict, look.enlargements, case.limits)
        except PromptError as error:
            request, failure = None, str(error)
        yield _Rebuilt(name, look, _with_turns(request, look) if case.has_steps and request else request, failure)
        opinion = _read_again(case, look)


def _asked(case: Case) -> AskedOf:
    """Return what the first request, or those of all windows, were made from, with today's template."""
    from vlm_inspect.prompting import load_template

    template = load_template(case.template)
    return AskedOf(template, case.views, case.rules, case.references, case.evidence, case.question)


def _opinion_again(case: Case) -> Verdict | ParseError:
    """Read the opinion that counts again: of the last look, or of all windows of a clip."""
    if case.windows:
        return read_opinion(case, case.rules, case.evidence, case.views)
    return _read_again(case, case.looks[-1])


def _with_turns(first: Request, look: KeptLook) -> Request:
    """Return the request of a step: the first one made again, and the turns after it as they were kept."""
    from vlm_inspect.backends.messages import digest_messages

    messages = (*first.messages, *look.messages[len(first.messages) :])
    return replace(first, messages=messages, prompt_sha256=digest_messages(messages))


def _read_again(case: Case, look: KeptLook) -> Verdict | ParseError:
    """Read the replies of a look again; a report of measurements was never read from a text."""
    if isinstance(look.opinion, Verdict) and not look.opinion.by_model:
        return look.opinion
    if case.has_steps and look is case.looks[-1]:
        return read_opinion(case, case.rules, case.evidence, case.views)
    return _parse(case, look, case.rules, case.views)


def read_opinion(case: Case, book: RuleBook, evidence: Evidence, views: Sequence[View]) -> Verdict | ParseError:
    """Return what the last reply of a model says of the rules of a book, as far as the steps before it bear that.

    Args:
        case: its replies are read.
        book: its own rules, or others.
        evidence: its own, or as it is under those.
        views: of the part.
    """
    if case.windows:
        return merge_windows(
            [(one.facts.window, _parse(case, one, book, views)) for one in case.windows if one.facts.window is not None]
        )
    last = case.looks[-1]
    opinion = _parse(case, last, book, views)
    if not case.has_steps:
        return opinion
    return read_judgement(opinion, book, evidence, case.examination.looks[:-1], last.facts.note)


def _parse(case: Case, look: KeptLook, book: RuleBook, views: Sequence[View]) -> Verdict | ParseError:
    window = look.facts.window
    shown = views if window is None else views[slice(*window.views)]
    try:
        opinion = parse_verdict(look.replies, book, shown, boxes=box_frame(shown, case.limits))
    except ParseError as failure:
        return failure
    return opinion if window is None else in_clip(opinion, window)


def _prompt_differences(one: _Rebuilt) -> Iterator[Difference]:
    if one.request is None:
        yield Difference(one.name, one.look.prompt_sha256, f"it cannot be built: {one.failure}")
        return
    yield Difference(one.name, one.look.prompt_sha256, one.request.prompt_sha256)
    # A picture more or less is in the diff.
    pairs = zip(_pictures(one.look.messages), _pictures(one.request.messages), strict=False)
    for number, (then, today) in enumerate(pairs, start=1):
        if then != today:
            yield Difference(one.name, f"picture {number} as it was sent", "other bytes")


def _diff_prompts(one: _Rebuilt) -> str:
    from vlm_inspect.prompting import describe_messages

    if one.request is None:
        return ""
    then, today = one.look.prompt.splitlines(), describe_messages(one.request.messages).splitlines()
    return "\n".join(difflib.unified_diff(then, today, f"{one.name}, then", f"{one.name}, today", lineterm=""))


def _pictures(messages: "Sequence[BaseMessage]") -> list[str]:
    return [
        str(block["image_url"]["url"])
        for message in messages
        if not isinstance(message.content, str)
        for block in message.content
        if isinstance(block, dict) and block.get("type") == "image_url"
    ]


def _outcome_differences(before: Inspection, now: Inspection) -> Iterator[Difference]:
    for name in _COMPARED:
        then, today = getattr(before, name), getattr(now, name)
        if then != today:
            yield Difference(name.replace("_", " "), _shown(then), _shown(today))
    rules_then, rules_now = ({rule.id: rule for rule in one.rules} for one in (before, now))
    for rule_id in {**rules_then, **rules_now}:
        rule_then, rule_now = rules_then.get(rule_id), rules_now.get(rule_id)
        if rule_then != rule_now:
            yield Difference(f"rule {rule_id}", _shown(rule_then), _shown(rule_now))
    today = now.defects if any(defect.seen_on for defect in before.defects) else _on_one_view(now.defects)
    if before.defects != today:
        yield Difference("defects", _shown(before.defects), _shown(today))


def _on_one_view(defects: Sequence[DefectOutcome]) -> tuple[DefectOutcome, ...]:
    """Return the defects as versions before 0.4 kept them: those did not say on which other views one is seen."""
    return tuple(defect.model_copy(update={"seen_on": ()}) for defect in defects)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "; ".join(_shown(one) for one in value) or "none"
    return str(value.model_dump_json(exclude_none=True)) if hasattr(value, "model_dump_json") else str(value)
