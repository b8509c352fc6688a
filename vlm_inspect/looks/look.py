"""`Look`: one step of an examination: what was shown, what was answered, what it cost.

    step = Step(request)                              what is asked next
    look = read_look(step, replies, elapsed_s)        what came of it
    step = inspector.next_step(prepared, looks)       what is asked after that; a step without a request ends it

One look is the usual case. A second look asks again with enlargements. An agent's looks call tools, too: such a look
names the tool, its arguments and what it showed, and gives no opinion until the last one judges.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from converters.view import BoxXyxyn
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.clip_windows import ClipWindow
from vlm_inspect.errors import ParseError
from vlm_inspect.inspection import Usage
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.verdict import Verdict

Phase = Literal["judge", "look_again", "observe", "propose", "refute"]
"""What a look is for; `judge` and `look_again` end in an opinion."""
Refutation = Literal["off", "own", "second"]
"""Whether hypotheses are asked for, and who tries them: nobody, the model itself, or a second one."""
_OPINIONS = ("judge", "look_again")


@dataclass(frozen=True)
class Seen:
    """What a look showed: a view, or a box of one."""

    view: int
    box_xyxyn: BoxXyxyn | None = None


@dataclass(frozen=True)
class HotPlace:
    """A place that the measurements point at, and so a hypothesis from the start."""

    mark: int
    """Number of its mark, from 1."""
    view: int
    box_xyxyn: BoxXyxyn
    claim: str


@dataclass(frozen=True, eq=False)
class Step:
    """What is asked next."""

    request: Request | None = None
    """None: nothing more."""
    phase: Phase = "judge"
    note: str = ""
    """What there is to say of it: why nothing is asked though something was wanted, a tool that failed, a limit."""
    elapsed_s: float = 0.0
    """How long it took to put it together, in seconds."""
    tool: str | None = None
    """What was called to put it together."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    saw: tuple[Seen, ...] = ()
    """What that showed."""
    read: Callable[[Verdict | ParseError], Verdict | ParseError] | None = None
    """What is made of the opinion in the answer; None: it stands as it is."""
    refutation: Refutation = "off"
    """Of an agent's first step: whether hypotheses are asked for."""
    places: tuple[HotPlace, ...] = ()
    """Of the same: what has to be looked at."""
    window: ClipWindow | None = None
    """Of a clip in windows: which one it is about; None: the whole part."""

    @property
    def asks_opinion(self) -> bool:
        """Whether its answer is a verdict."""
        return self.phase in _OPINIONS


@dataclass(frozen=True, eq=False)
class Look:
    """One step that was taken."""

    request: Request | None
    """None: a tool was called, and no model asked."""
    replies: tuple[Reply, ...] = ()
    opinion: Verdict | ParseError | None = None
    """What was read from the replies, or why nothing was; None: this look gives no verdict."""
    phase: Phase = "judge"
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the tool, as JSON values."""
    saw: tuple[Seen, ...] = ()
    """What was shown beyond the request's own pictures."""
    said: str = ""
    """What the model said, or the tool, in words."""
    note: str = ""
    """What an engineer should know of how it came about: a failure."""
    elapsed_s: float = 0.0
    """From the step before to its answer, in seconds."""
    refutation: Refutation = "off"
    """Of an agent's first look: whether hypotheses are asked for."""
    places: tuple[HotPlace, ...] = ()
    """Of the same: what has to be looked at."""
    by_refuter: bool = False
    """Whether a second model answered, whose task is to refute."""
    window: ClipWindow | None = None
    """Of a clip in windows: which one it was about; its opinion counts together with those of all windows."""

    @property
    def usage(self) -> Usage:
        """Tokens and cost of its replies, and how long it took."""
        return total_usage([reply.usage for reply in self.replies], self.elapsed_s)


def read_look(step: Step, replies: Sequence[Reply], asked_s: float, *, note: str = "") -> Look:
    """Return the look that a step became.

    Args:
        step: what was asked.
        replies: what came back; none: the model could not be reached, and there is no verdict.
        asked_s: how long that took in seconds.
        note: what there is to say of it.

    Raises:
        ValueError: the step asked nothing.
    """
    if step.request is None:
        raise ValueError("a step without a request has no look")
    opinion = _read_opinion(replies, step.request) if step.asks_opinion else None
    if opinion is not None and step.read is not None:
        opinion = step.read(opinion)
    return Look(
        step.request,
        tuple(replies),
        opinion,
        step.phase,
        tool=step.tool,
        arguments=step.arguments,
        saw=step.saw,
        said="" if opinion is not None or not replies else replies[0].text,
        note=" ".join(one for one in (step.note, note) if one),
        elapsed_s=step.elapsed_s + asked_s,
        refutation=step.refutation,
        places=step.places,
        by_refuter=step.request.of_refuter,
        window=step.window,
    )


def deciding_look(looks: Sequence[Look]) -> Look:
    """Return the last look that has an opinion: it counts, unless it is about one window of a clip.

    Raises:
        ValueError: none has.
    """
    for look in reversed(looks):
        if look.opinion is not None and look.request is not None:
            return look
    raise ValueError("an examination needs a look with an opinion")


def total_usage(usages: Sequence[Usage], elapsed_s: float) -> Usage:
    """Return the tokens and costs together; the cost is None where that of one call is not known."""
    costs = [usage.cost_usd for usage in usages if usage.calls]
    known = [cost for cost in costs if cost is not None]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        latency_s=round(elapsed_s, 3),
        calls=sum(usage.calls for usage in usages),
        cost_usd=sum(known) if known and len(known) == len(costs) else None,
    )


def _read_opinion(replies: Sequence[Reply], request: Request) -> Verdict | ParseError:
    """Return the verdict, or the reason why there is none: doubt is a result here, not an error."""
    try:
        return parse_verdict(replies, request.rules, request.views, boxes=request.boxes)
    except ParseError as failure:
        return failure
