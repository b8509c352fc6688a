"""READ FIRST: the loop. What is asked next comes from the looks so far alone, so that a kept examination is read alike.

opening -> step -> tool -> step ... -> judge            requests.py: what is said; turns.py: what the model says
hypotheses.py                                           what was proposed, looked at, and kept, dropped or left open
judgement.py                                            the verdict, as far as steps bear it

The model that says it is ready is sent back, once after every look, as long as nothing was looked at, or a hypothesis
was not tried. With a second model, that one makes the steps from the first hypothesis on until all are tried.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm_inspect.agent.hypotheses import Tried, shows_something
from vlm_inspect.agent.judgement import read_judgement
from vlm_inspect.agent.requests import (
    Called,
    ask_verdict,
    count_sent,
    hand_over,
    hot_places,
    open_agent,
    pending_of,
    say_more,
    show_result,
)
from vlm_inspect.agent.settings import AgentSettings
from vlm_inspect.agent.texts import load_texts
from vlm_inspect.agent.turns import Turn, read_turn
from vlm_inspect.backends.backend import Request
from vlm_inspect.errors import ParseError
from vlm_inspect.examination import Prepared
from vlm_inspect.looks.look import Look, Refutation, Seen, Step, total_usage

if TYPE_CHECKING:
    from vlm_inspect.tools.result import ToolResult

_PERMILLE = 1000


def next_agent_step(
    prepared: Prepared,
    looks: Sequence[Look],
    settings: AgentSettings,
    *,
    with_functions: bool = False,
    has_refuter: bool = False,
) -> Step:
    """Return what is asked next; a step without a request ends it.

    Args:
        prepared: the part.
        looks: what came of the steps so far.
        settings: how it works, and the limits.
        with_functions: whether the tools are offered as functions of the server's own form, too.
        has_refuter: whether a second model tries the hypotheses.

    Raises:
        PromptError: the texts are missing or wrong.
    """
    began = time.perf_counter()
    if not looks:
        request = open_agent(prepared, settings, with_functions=with_functions)
        who: Refutation = "off" if not settings.refutation else "second" if has_refuter else "own"
        places = hot_places(prepared, settings)
        shown = tuple(Seen(view) for view in range(len(prepared.views)))
        elapsed_s = time.perf_counter() - began
        return Step(request, "observe", elapsed_s=elapsed_s, saw=shown, refutation=who, places=places)
    last = looks[-1]
    if last.phase == "judge" or last.request is None:
        return Step()
    step = _follow(prepared, looks, settings)
    return replace(step, elapsed_s=time.perf_counter() - began)


def _follow(prepared: Prepared, looks: Sequence[Look], settings: AgentSettings) -> Step:
    turn, failure = _read(looks[-1])
    pending = pending_of(looks, prepared.request.rules)
    reached = _reached(looks, settings)
    if turn is not None and not turn.calls:
        words = _sent_back(looks, pending)
        if not words:
            return _judge(prepared, looks, "")
        if reached:
            return _judge(prepared, looks, load_texts().say("limit", what=reached))
        return _ask(looks, pending, say_more(looks[-1], words), Step(phase="refute" if pending else "observe"))
    if reached:
        return _judge(prepared, looks, load_texts().say("limit", what=reached))
    if turn is None:
        words = load_texts().say("unreadable", reason=failure)
        return _ask(looks, pending, say_more(looks[-1], words), Step(phase=looks[-1].phase))
    return _call(prepared, looks, turn, pending)


def _read(look: Look) -> tuple[Turn | None, str]:
    """Return the step that a look's answer says, or why it says none.

    A model that is offered functions and answers in plain words after it has looked has nothing more to look at.
    """
    assert look.request is not None
    try:
        return read_turn(look.replies), ""
    except ParseError as failure:
        reply = look.replies[0] if look.replies else None
        if look.request.tools and look.tool is not None and reply is not None and reply.text and not reply.calls:
            return Turn(phase="judge", said=reply.text), ""
        return None, str(failure)


def _sent_back(looks: Sequence[Look], pending: Sequence[Tried]) -> str:
    """Return what a model that says it is ready is asked to do first; "": nothing, or it was asked already."""
    texts = load_texts()
    since = 0
    for look in reversed(looks):
        if look.by_refuter != looks[-1].by_refuter:
            break
        since += _is_ready(look)
        if look.tool is not None:
            break
    if since > 1 or (looks[-1].by_refuter and not pending):
        return ""
    if not any(shows_something(look) for look in looks):
        return texts.look_first
    if not pending:
        return ""
    told = [{"id": one.id, "claim": one.claim, "tried": bool(one.steps)} for one in pending]
    untried, unsettled = ([one for one in told if one["tried"] is kind] for kind in (False, True))
    return texts.say("refute_first", untried=untried, unsettled=unsettled)


def _ask(looks: Sequence[Look], pending: Sequence[Tried], request: Request, step: Step) -> Step:
    """Return a step with its request, addressed to the model whose turn it is."""
    if looks[0].refutation != "second" or not pending:
        return replace(step, request=replace(request, of_refuter=False))
    was = looks[-1]
    begins = was.phase in ("propose", "refute") or step.phase in ("propose", "refute")
    if not (was.by_refuter or begins):
        return replace(step, request=request)
    asked = hand_over(request, pending, first=not was.by_refuter)
    return replace(step, request=asked, phase="refute")


def _call(prepared: Prepared, looks: Sequence[Look], turn: Turn, pending: Sequence[Tried]) -> Step:
    from vlm_inspect.agent.material import open_toolbox

    last, number = looks[-1], len(looks) + 1
    assert last.request is not None
    arguments = _arguments(turn.arguments)
    toolbox, names = open_toolbox(prepared)
    if turn.tool not in names:
        result = _failed(f"there is no tool {turn.tool}; the tools are {', '.join(names)}")
    else:
        result = toolbox.call(turn.tool, turn.arguments)
    result = _not_again(result, looks, turn.tool, arguments)
    most = prepared.most_pictures
    if most is not None and result.pictures and count_sent(last.request) + len(result.pictures) > most:
        return _judge(prepared, looks, load_texts().say("limit", what=f"{most} pictures"))
    step = Step(
        phase="observe" if turn.phase == "judge" else turn.phase,
        note=f"Step {number}: {turn.tool} failed: {result.text}" if result.failed else "",
        tool=turn.tool,
        arguments=arguments,
        saw=() if result.failed else _seen(arguments),
    )
    return _ask(looks, pending, show_result(last, Called(turn.tool, result, number), prepared), step)


def _failed(message: str) -> "ToolResult":
    from vlm_inspect.tools.result import ToolResult

    return ToolResult(f"error: {message}", failed=True)


def _not_again(result: "ToolResult", looks: Sequence[Look], tool: str, arguments: Mapping[str, Any]) -> "ToolResult":
    """Return a result without the pictures that an equal call showed before: they are in the conversation."""
    if result.failed or not result.pictures:
        return result
    for number, look in enumerate(looks, start=1):
        if look.tool == tool and not look.note and dict(look.arguments) == dict(arguments):
            text = load_texts().say("shown_before", step=number, text=result.text)
            return replace(result, text=text, pictures=())
    return result


def _judge(prepared: Prepared, looks: Sequence[Look], limit: str) -> Step:
    request = ask_verdict(looks[-1], prepared.request.answer_schema)
    return Step(
        request,
        "judge",
        note=limit,
        read=lambda opinion: read_judgement(opinion, request.rules, prepared.evidence, looks, limit),
    )


def _reached(looks: Sequence[Look], settings: AgentSettings) -> str:
    """Return which limit is reached, in words; "": none."""
    usage = total_usage([reply.usage for look in looks for reply in look.replies], 0.0)
    tokens = usage.prompt_tokens + usage.completion_tokens
    if len(looks) >= settings.max_steps - 1:
        return f"{settings.max_steps} steps"
    if settings.max_tokens is not None and tokens >= settings.max_tokens:
        return f"{settings.max_tokens} tokens"
    if settings.max_usd is not None and usage.cost_usd is None and usage.calls:
        return "the price of the model is not known, so that no limit in US dollars can be kept"
    if settings.max_usd is not None and (usage.cost_usd or 0.0) >= settings.max_usd:
        return f"{settings.max_usd:g} US dollars"
    return ""


def _is_ready(look: Look) -> bool:
    """Whether a step called nothing."""
    turn, _ = _read(look) if look.request is not None else (None, "")
    return turn is not None and not turn.calls


def _arguments(text: str) -> Mapping[str, Any]:
    """Return what of the arguments a record can hold: plain values and lists of them. No tool takes anything deeper."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {_plain(key): kept for key, value in items if (kept := _kept(value)) is not None}


def _kept(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value] if not any(isinstance(one, list | dict) for one in value) else None
    return None if isinstance(value, dict) else _plain(value)


def _plain(value: Any) -> Any:
    """Return a value as UTF-8 and JSON can hold it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _seen(arguments: Mapping[str, Any]) -> tuple[Seen, ...]:
    """Return the view, and the box of it, that a call was about."""
    view, box = arguments.get("view"), arguments.get("box")
    if not isinstance(view, int):
        return ()
    if isinstance(box, list) and len(box) == 4:
        x0, y0, x1, y1 = (float(value) / _PERMILLE for value in box)
        return (Seen(view, (x0, y0, x1, y1)),)
    return (Seen(view),)
