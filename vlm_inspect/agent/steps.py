"""The looks of an examination as the steps of its JSON, and what became of the hypotheses."""

from collections.abc import Iterator, Sequence

from vlm_inspect.agent.hypotheses import try_hypotheses
from vlm_inspect.agent.judgement import open_reason
from vlm_inspect.agent.turns import read_turn
from vlm_inspect.clip_windows import ClipWindow
from vlm_inspect.errors import ParseError
from vlm_inspect.inspection import HypothesisRecord, SeenRecord, StepRecord, WindowRecord
from vlm_inspect.looks.look import Look
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import Verdict


def looks_as_steps(looks: Sequence[Look]) -> Iterator[StepRecord]:
    """Yield one record a look, numbered from 1."""
    for number, look in enumerate(looks, start=1):
        yield look_as_step(number, look)


def look_as_step(number: int, look: Look) -> StepRecord:
    """Return the record of one look."""
    return StepRecord(
        n=number,
        phase=look.phase,
        tool=look.tool,
        arguments=None if look.tool is None else dict(look.arguments),
        saw=tuple(SeenRecord(view=one.view, box_xyxyn=one.box_xyxyn) for one in look.saw),
        said=_said(look),
        usage=look.usage,
        model=look.replies[0].model or None if look.by_refuter and look.replies else None,
        window=None if look.window is None else _window(look.window, look.opinion),
    )


def _window(window: ClipWindow, opinion: Verdict | ParseError | None) -> WindowRecord:
    first, end = window.views
    return WindowRecord(
        number=window.number,
        first=window.first,
        last=window.last,
        first_s=window.first_s,
        last_s=window.last_s,
        views=(first, end - 1),
        anomalous=opinion.anomalous if isinstance(opinion, Verdict) else None,
    )


def tried_as_records(looks: Sequence[Look], rules: RuleBook) -> Iterator[HypothesisRecord]:
    """Yield one record a hypothesis, in the order that they came."""
    for one in try_hypotheses([look for look in looks if look.opinion is None], rules):
        yield HypothesisRecord(
            id=one.id,
            claim=one.claim,
            rule=one.rule or None,
            view=one.view,
            box_xyxyn=one.box_xyxyn,
            expected=one.expected,
            status=one.status,
            reason=open_reason(one),
            proposed=one.proposed or None,
            steps=one.steps,
        )


def _said(look: Look) -> str:
    """Return the words of a look: of a verdict its reasoning, of a step what was said and what became of hypotheses."""
    if look.opinion is not None:
        return look.opinion.reasoning if isinstance(look.opinion, Verdict) else str(look.opinion)
    try:
        return read_turn(look.replies).words
    except ParseError:
        return look.said
