"""The agent's requests: each is the one before it, byte for byte, then the model's words and what the tool showed.

A server that keeps what it has read (a prefix cache) so reads only what is new.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlm_inspect.agent.hypotheses import Tried, places_of, try_hypotheses
from vlm_inspect.agent.settings import AgentSettings
from vlm_inspect.agent.texts import load_texts
from vlm_inspect.agent.turns import as_functions, turn_schema
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.messages import PICTURE_LABELS, PICTURE_ROLES, digest_messages
from vlm_inspect.examination import Prepared
from vlm_inspect.looks.look import HotPlace, Look
from vlm_inspect.prompting.encoding import encode, form_of
from vlm_inspect.rules import RuleBook

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from vlm_inspect.tools.result import ToolResult

_LONGEST_TURN = 8000
"""Longest step in characters that is handed back to a model."""
_PERMILLE = 1000


@dataclass(frozen=True)
class Called:
    """What a call gave."""

    tool: str
    result: "ToolResult"
    step: int
    """Number of the step that shows it."""


def open_agent(prepared: Prepared, settings: AgentSettings, *, with_functions: bool = False) -> Request:
    """Return the first request: that of a single look, and how to work in steps.

    Args:
        prepared: the part.
        settings: how it works.
        with_functions: whether the tools are offered as functions, too.
    """
    from vlm_inspect.agent.material import open_toolbox
    from vlm_inspect.tools.toolbox import describe_tools

    toolbox, names = open_toolbox(prepared)
    texts, told = load_texts(), describe_tools()
    refutes = settings.refutation
    schema = turn_schema(names, texts.fields, refutation=refutes)
    places = [
        {
            "id": f"m{one.mark}",
            "claim": one.claim,
            "view": one.view,
            "box": [round(side * _PERMILLE) for side in one.box_xyxyn],
        }
        for one in hot_places(prepared, settings)
    ]
    values = {
        "steps": settings.max_steps,
        "tools": [
            {"name": one, "about": told[one].about, "arguments": [*told[one].arguments.items()]} for one in names
        ],
        "rules": [rule.id for rule in prepared.request.rules.rules],
        "refutation": refutes,
        "fields": [(name, texts.fields[name]) for name in schema["properties"]],
        "places": places,
    }
    functions: tuple[dict[str, Any], ...] = ()
    if with_functions:
        offered = [one for one in toolbox.schemas() if one["function"]["name"] in names]
        functions = as_functions(offered, texts.fields, refutation=refutes)
    first = replace(prepared.request, answer_schema=schema, tools=functions, asks_opinion=False)
    return _with(first, [_said(texts.say("opening", **values))])


def hot_places(prepared: Prepared, settings: AgentSettings) -> tuple[HotPlace, ...]:
    """Return the places of the evidence that have to be looked at; none where nothing is refuted."""
    return places_of(prepared.evidence) if settings.refutation else ()


def show_result(look: Look, called: Called, prepared: Prepared) -> Request:
    """Return the request after a call: the model's own step, then what the tool gave."""
    from langchain_core.messages import ToolMessage

    assert look.request is not None
    pictures = called.result.pictures
    reply = look.replies[0]
    if not reply.calls:
        text = load_texts().say("result", step=called.step, tool=called.tool, text=called.result.text)
        return _with(look.request, [_words_of(reply), _said(text, called, prepared, look.request)])
    name = reply.calls[0].id or f"step-{called.step}"
    turns: list[BaseMessage] = [_call_of(reply, name), ToolMessage(content=called.result.text, tool_call_id=name)]
    if pictures:
        text = load_texts().say("pictures", step=called.step, tool=called.tool)
        turns.append(_said(text, called, prepared, look.request))
    return _with(look.request, turns)


def say_more(look: Look, *texts: str) -> Request:
    """Return the request that asks for another step: the model's own words, then these."""
    assert look.request is not None
    own = [_words_of(look.replies[0])] if look.replies else []
    return _with(look.request, [*own, _said("\n\n".join(one for one in texts if one))])


def ask_verdict(look: Look, schema: Mapping[str, Any]) -> Request:
    """Return the last request, which asks for the verdict."""
    request = say_more(look, load_texts().judge)
    return replace(request, answer_schema=schema, asks_opinion=True, may_call=False, of_refuter=False)


def hand_over(request: Request, pending: Sequence[Tried], *, first: bool) -> Request:
    """Return a request as the second model gets it; at its first step it is told what it is there for."""
    if not first:
        return replace(request, of_refuter=True)
    told = [{"id": one.id, "claim": one.claim, "rule": one.rule, "expected": one.expected} for one in pending]
    return replace(_with(request, [_said(load_texts().say("opening_second", pending=told))]), of_refuter=True)


def pending_of(looks: Sequence[Look], rules: RuleBook) -> list[Tried]:
    """Return the hypotheses that no look was made for, or of which it was not said what came of that."""
    return [one for one in try_hypotheses(looks, rules) if not one.is_settled]


def count_sent(request: Request) -> int:
    """Return how many pictures a request holds."""
    blocks = (block for message in request.messages if isinstance(message.content, list) for block in message.content)
    return sum(isinstance(block, dict) and block.get("type") == "image_url" for block in blocks)


def _with(before: Request, turns: "Sequence[BaseMessage]") -> Request:
    messages = (*before.messages, *turns)
    return replace(before, messages=messages, prompt_sha256=digest_messages(messages))


def _said(
    text: str, called: Called | None = None, prepared: Prepared | None = None, before: Request | None = None
) -> "BaseMessage":
    from langchain_core.messages import HumanMessage

    content: list[Any] = [{"type": "text", "text": text}]
    pictures = () if called is None else called.result.pictures
    for picture in pictures:
        assert prepared is not None
        assert before is not None
        url = encode(picture, form_of(before.views[0])).data_url
        content.append({"type": "image_url", "image_url": {"url": url, "detail": prepared.limits.detail}})
    labels = [f"step {called.step}, {called.tool}"] * len(pictures) if called is not None else []
    kinds = {PICTURE_LABELS: labels, PICTURE_ROLES: ["closer"] * len(pictures)}
    return HumanMessage(content=content, additional_kwargs=kinds)


def _words_of(reply: Reply) -> "BaseMessage":
    """Return the model's turn in words; a call that is not answered stands there as what it says."""
    from langchain_core.messages import AIMessage

    text = reply.text or (f"{reply.calls[0].name} {reply.calls[0].arguments}" if reply.calls else "{}")
    return AIMessage(content=text[:_LONGEST_TURN])


def _call_of(reply: Reply, name: str) -> "BaseMessage":
    """Return the model's turn as the call that is answered next; further calls of the same turn are not."""
    from langchain_core.messages import AIMessage

    call = reply.calls[0]
    try:
        given = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        given = {}
    arguments = given if isinstance(given, dict) else {}
    made = {"name": call.name, "args": arguments, "id": name, "type": "tool_call"}
    return AIMessage(content=reply.text[:_LONGEST_TURN], tool_calls=[made])
