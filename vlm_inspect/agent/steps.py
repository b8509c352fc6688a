"""`looks_as_steps`: the looks of an examination as the steps of its JSON."""

from collections.abc import Iterator, Sequence

from vlm_inspect.agent.turns import read_turn
from vlm_inspect.errors import ParseError
from vlm_inspect.inspection import SeenRecord, StepRecord
from vlm_inspect.looks.look import Look
from vlm_inspect.verdict import Verdict


def looks_as_steps(looks: Sequence[Look]) -> Iterator[StepRecord]:
    """Yield one record a look, numbered from 1."""
    for number, look in enumerate(looks, start=1):
        yield StepRecord(
            n=number,
            phase=look.phase,
            tool=look.tool,
            arguments=None if look.tool is None else dict(look.arguments),
            saw=tuple(SeenRecord(view=one.view, box_xyxyn=one.box_xyxyn) for one in look.saw),
            said=_said(look),
            usage=look.usage,
        )


def _said(look: Look) -> str:
    """Return the words of a look: of a verdict its reasoning, of a step what was said and what became of hypotheses."""
    if look.opinion is not None:
        return look.opinion.reasoning if isinstance(look.opinion, Verdict) else str(look.opinion)
    try:
        return read_turn(look.replies).words
    except ParseError:
        return look.said
