"""What a model writes among its words that is not meant for the person: its thinking, and calls of tools as text.

Servers without a parser for a model's marks hand both over as words. Thinking is left out, a call of a tool that is on
offer is made, and any other call is left out and said.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.parsing.thinking import UnclosedMarkError, without_thinking

_CALL_MARKS = re.compile(
    r"<(?P<tag>tool_calls?|function_calls?|tool)\b[^<>]*>(?P<body>.*?)(?:</(?P=tag)>|\Z)"
    r"|\[(?P<name>TOOL_CALLS?|FUNCTION_CALLS?)\](?P<listed>.*?)(?:\[/(?P=name)\]|\Z)"
    r"|<\|(?P<token>python_tag|tool_call(?:s?_begin)?)\|>(?P<told>.*?)(?:<\|(?:eom_id|eot_id|/?tool_call(?:s?_end)?)\|>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_FENCE = re.compile(r"```(?:json|tool_call|tool_code|python)?\s*(.*?)\s*(?:```|\Z)", re.DOTALL)
_HELD = re.compile(r"[<\[◁【{]|```")
"""Where something may begin that is not for the person: nothing from there on is shown before all is known."""
_NAMES, _ARGUMENTS = ("name", "function", "tool"), ("arguments", "parameters", "args", "input")
LEFT_OUT = "the model wrote out its thinking, which is left out"
NO_TOOL = "the model wrote a call of a tool that there is not, which is left out"
UNFINISHED = "the model's thinking never came to an end, so that there is no answer"


@dataclass(frozen=True)
class Written:
    """Words of a model, sorted."""

    text: str
    """What is meant for the person."""
    calls: tuple[ToolCall, ...] = ()
    """Calls of tools on offer that stood among the words."""
    notes: tuple[str, ...] = ()


class ShownWords:
    """Hands words on as they come, as far as they are known to be meant for the person.

    The first answer of a model that is not known is held back whole: it may think without saying so at the beginning,
    where its mark is part of the prompt. Where that answer shows that it does not, all later ones are handed on as
    they come, in other dialogues too; so is a first one where the server hands thinking over apart.
    """

    def __init__(self, on_text: Callable[[str], None], offered: Collection[str], *, held: bool) -> None:
        """Hand words on to `on_text`.

        Args:
            on_text: is given the words.
            offered: names of the tools on offer.
            held: whether nothing is handed on before the end.
        """
        self._on_text = on_text
        self._offered = offered
        self._held = held
        self._raw = ""
        self._shown = 0

    def show_at_once(self) -> None:
        """Hold words back no longer: the server hands thinking over apart, so that they hold none."""
        self._held = False

    def add(self, text: str) -> None:
        """Take a piece of text."""
        self._raw += text
        start = _HELD.search(self._raw)
        if not self._held and (start is None or start.start() > self._shown):
            self._hand_on(self._raw[: start.start() if start else len(self._raw)])

    def finish(self) -> Written:
        """Hand on what is left, and return all that was written, sorted."""
        written = read_written(self._raw, self._offered)
        self._hand_on(written.text)
        return written

    def _hand_on(self, text: str) -> None:
        if len(text) > self._shown:
            self._on_text(text[self._shown :])
            self._shown = len(text)


def read_written(raw: str, offered: Collection[str]) -> Written:
    """Return the words of a model without its thinking and without calls written as text; these calls, and notes.

    Args:
        raw: all that it wrote.
        offered: names of the tools on offer; only these are called.
    """
    calls: list[ToolCall] = []
    notes: list[str] = []

    def take(body: str, whole: str, *, marked: bool) -> str:
        found = list(_calls_in(body, offered))
        calls.extend(ToolCall(f"written-{len(calls) + i}", *call) for i, call in enumerate(found))
        if not found and marked:
            notes.append(NO_TOOL)
        return "" if found or marked else whole

    def marked(match: "re.Match[str]") -> str:
        return take(match["body"] or match["listed"] or match["told"] or "", match[0], marked=True)

    try:
        text = _CALL_MARKS.sub(marked, raw)
        plain = without_thinking(text) if _HELD.search(text) else text
    except UnclosedMarkError as unclosed:
        before = text.partition(str(unclosed))[0]
        return Written(before.strip(), tuple(calls), (*notes, UNFINISHED))
    if len(plain.strip()) < len(text.strip()) and "<" in text:
        notes.append(LEFT_OUT)
    plain = _FENCE.sub(lambda match: take(match[1], match[0], marked=False), plain)
    if plain.strip().startswith(("{", "[")):
        plain = take(plain.strip(), plain, marked=False)
    return Written(plain if plain == raw else plain.strip(), tuple(calls), tuple(dict.fromkeys(notes)))


def _calls_in(body: str, offered: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield name and arguments of the calls that a text writes as JSON, of tools that are on offer."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    for one in told if isinstance(told, list) else [told]:
        if not isinstance(one, Mapping):
            continue
        inner: Any = one.get("function") if isinstance(one.get("function"), Mapping) else one
        name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
        given: Any = next((inner[key] for key in _ARGUMENTS if key in inner), {})
        if name in offered:
            yield str(name), given if isinstance(given, str) else json.dumps(given)
