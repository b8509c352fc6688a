"""The loop: what is asked next, from the looks so far alone, so that a kept examination is read alike.

first request + opening -> step -> tool -> step ... -> judge

Every request begins with the one before it, byte for byte: a server that keeps what it has read reads only what is new.
"""

import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from vlm_inspect.agent.settings import AgentSettings
from vlm_inspect.agent.turns import Turn, read_turn, turn_schema
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.messages import PICTURE_LABELS, PICTURE_ROLES, digest_messages
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.examination import Prepared
from vlm_inspect.looks.look import Look, Seen, Step, total_usage
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file
from vlm_inspect.prompting.encoding import encode, form_of
from vlm_inspect.rules import RuleBook
from vlm_inspect.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from vlm_inspect.tools.result import Picture

_LONGEST_TURN = 8000
"""Longest step in characters that is handed back to a model."""
_PERMILLE = 1000
_OPEN_P = 0.3
"""P(anomalous) of the evidence from which a model that says normal does not clear the part by its word."""


class AgentTexts(BaseModel):
    """The texts of the agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    opening: str
    result: str
    look_first: str
    unreadable: str
    judge: str
    limit: str
    not_checked: str
    resting: str
    open_evidence: str


@cache
def load_texts() -> AgentTexts:
    """Return the texts.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(AgentTexts, prompt_folder() / "follow_up" / "agent.yaml")


def next_agent_step(prepared: Prepared, looks: Sequence[Look], settings: AgentSettings) -> Step:
    """Return what is asked next; a step without a request ends it.

    Args:
        prepared: the part.
        looks: what came of the steps so far.
        settings: the limits.

    Raises:
        PromptError: the texts are missing or wrong.
    """
    began = time.perf_counter()
    if not looks:
        return Step(open_agent(prepared, settings), "observe", elapsed_s=time.perf_counter() - began)
    last = looks[-1]
    if last.phase == "judge" or last.request is None:
        return Step()
    step = _follow(prepared, looks, settings)
    return replace(step, elapsed_s=time.perf_counter() - began)


def open_agent(prepared: Prepared, settings: AgentSettings) -> Request:
    """Return the first request: that of a single look, and how to work in steps."""
    from vlm_inspect.agent.material import open_toolbox
    from vlm_inspect.tools.toolbox import describe_tools

    _, names = open_toolbox(prepared)
    texts = describe_tools()
    tools = [
        {"name": name, "about": texts[name].about, "arguments": list(texts[name].arguments.items())} for name in names
    ]
    rules = [rule.id for rule in prepared.request.rules.rules]
    opening = _fill(load_texts().opening, {"steps": settings.max_steps, "tools": tools, "rules": rules})
    return _said_to(prepared.request, (), opening, schema=turn_schema(names))


def read_judgement(
    opinion: Verdict | ParseError, rules: RuleBook, evidence: Evidence, looks: Sequence[Look], limit: str
) -> Verdict | ParseError:
    """Return the verdict as far as steps bear it: rules that none looked at are not checked, and a limit is a doubt.

    Args:
        opinion: what was read from the answer.
        rules: those of the part.
        evidence: what was measured; where it leaves it open, the model's word alone makes no OK.
        looks: the steps before it.
        limit: which limit was reached, in a sentence; "": none.
    """
    if not isinstance(opinion, Verdict):
        return opinion
    rested = _steps_of_rules(looks)
    texts = load_texts()
    told = tuple(
        replace(one, reason=_fill(texts.resting, {"reason": one.reason, "steps": rested[one.id]}))
        if one.id in rested
        else RuleResult(one.id, "not_checked", texts.not_checked)
        for one in opinion.rules
    )
    unseen = [rule.id for rule in rules.rules if rule.id not in rested and rule.id not in {one.id for one in told}]
    told += tuple(RuleResult(rule_id, "not_checked", texts.not_checked) for rule_id in unseen)
    doubts = [*opinion.doubts, *([limit] if limit else [])]
    open_p = evidence.probability or 0.0
    if not opinion.anomalous and open_p >= _OPEN_P:
        doubts.append(_fill(texts.open_evidence, {"probability": f"{open_p:.2f}"}))
    return replace(opinion, rules=told, doubts=tuple(doubts))


def _follow(prepared: Prepared, looks: Sequence[Look], settings: AgentSettings) -> Step:
    last, texts = looks[-1], load_texts()
    assert last.request is not None
    try:
        turn: Turn | None = read_turn(last.replies)
        words = ""
    except ParseError as failure:
        turn, words = None, _fill(texts.unreadable, {"reason": str(failure)})
    reached = _reached(looks, settings)
    if turn is not None and not turn.calls:
        if _has_looked(looks) or sum(_is_ready(look) for look in looks) > 1:
            return _judge(prepared, looks, "")
        words = texts.look_first
    if reached:
        return _judge(prepared, looks, _fill(texts.limit, {"what": reached}))
    if turn is None or not turn.calls:
        return Step(_said_to(last.request, last.replies, words), "observe")
    return _call(prepared, looks, turn)


def _call(prepared: Prepared, looks: Sequence[Look], turn: Turn) -> Step:
    from vlm_inspect.agent.material import open_toolbox
    from vlm_inspect.tools.result import ToolResult

    last = looks[-1]
    assert last.request is not None
    toolbox, names = open_toolbox(prepared)
    if turn.tool in names:
        result = toolbox.call(turn.tool, turn.arguments)
    else:
        result = ToolResult(f"error: there is no tool {turn.tool}; the tools are {', '.join(names)}", failed=True)
    text = _fill(load_texts().result, {"step": len(looks) + 1, "tool": turn.tool, "text": result.text})
    arguments = _arguments(turn.arguments)
    return Step(
        _said_to(last.request, last.replies, text, pictures=result.pictures, prepared=prepared),
        "observe" if turn.phase == "judge" else turn.phase,
        note=f"Step {len(looks) + 1}: {turn.tool} failed: {result.text}" if result.failed else "",
        tool=turn.tool,
        arguments=arguments,
        saw=() if result.failed else _seen(arguments),
    )


def _judge(prepared: Prepared, looks: Sequence[Look], limit: str) -> Step:
    last = looks[-1]
    assert last.request is not None
    last_rules = last.request.rules
    request = _said_to(last.request, last.replies, load_texts().judge, schema=prepared.request.answer_schema)
    return Step(
        request,
        "judge",
        note=limit,
        read=lambda opinion: read_judgement(opinion, last_rules, prepared.evidence, looks, limit),
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


def _has_looked(looks: Sequence[Look]) -> bool:
    return any(look.tool is not None and not look.note for look in looks)


def _is_ready(look: Look) -> bool:
    """Whether a step called nothing."""
    try:
        return not read_turn(look.replies).calls
    except ParseError:
        return False


def _steps_of_rules(looks: Sequence[Look]) -> Mapping[str, list[str]]:
    """Return rule -> the steps whose tool looked at it; a call that failed showed nothing."""
    found: dict[str, list[str]] = {}
    for number, (asked, shown) in enumerate(itertools.pairwise(looks), start=2):
        if shown.tool is None or shown.note:
            continue
        for rule_id in dict.fromkeys(read_turn(asked.replies).rules):
            found.setdefault(rule_id, []).append(f"step {number}")
    return found


def _said_to(
    before: Request,
    replies: Sequence[Reply],
    text: str,
    *,
    pictures: "Sequence[Picture]" = (),
    schema: Mapping[str, Any] | None = None,
    prepared: Prepared | None = None,
) -> Request:
    """Return the next request: the one before, the model's words, then text and pictures."""
    from langchain_core.messages import AIMessage, HumanMessage

    content: list[Any] = [{"type": "text", "text": text}]
    for picture in pictures:
        assert prepared is not None
        url = encode(picture, form_of(before.views[0])).data_url
        content.append({"type": "image_url", "image_url": {"url": url, "detail": prepared.limits.detail}})
    labels = [f"look {number}" for number in range(1, len(pictures) + 1)]
    kinds = {PICTURE_LABELS: labels, PICTURE_ROLES: ["closer"] * len(pictures)}
    own = [AIMessage(content=replies[0].text[:_LONGEST_TURN] or "{}")] if replies else []
    messages = (*before.messages, *own, HumanMessage(content=content, additional_kwargs=kinds))
    return replace(
        before,
        messages=messages,
        answer_schema=before.answer_schema if schema is None else schema,
        prompt_sha256=digest_messages(messages),
    )


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


def _fill(text: str, values: Mapping[str, Any]) -> str:
    return fill_text(text, values, "agent.yaml")
