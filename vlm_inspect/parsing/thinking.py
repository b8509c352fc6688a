"""What a model wrote on its way to the answer, taken off: by the form of its marks, whatever their names.

Families mark their thinking in tags of their own, <think>, [THINK], <seed:think>, <|begin_of_thought|>, and new ones
come every month. So no list of names decides. What stands between a mark and its closing mark is not the answer, and
neither is anything after a mark that is never closed: the reply was cut there, or ended in a draft.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vlm_inspect.parsing.answer_json import LOOKS_LIKE_JSON, balanced_end

_MARK = re.compile(
    r"<(?P<tag_end>/?)(?P<tag>[A-Za-z][\w:.-]{0,60})(?:\s[^<>]{0,200})?(?P<empty>/?)>"
    r"|\[(?P<bracket_end>/?)(?P<bracket>[A-Z][A-Z_]{3,40})\]"
    r"|◁(?P<triangle_end>/?)(?P<triangle>\w{1,60})▷"
    r"|【(?P<lens_end>/?)(?P<lens>[^\W\d]{1,20})】"
    r"|<[|｜](?P<token_end>/?)(?P<token>[\w.:▁ -]{1,60})[|｜]>"
    r"|<[|｜](?P<half_open>\w{1,60})>|<(?P<half_close>\w{1,60})[|｜]>"
)
_DROPPED = frozenset(
    # Around the answer itself.
    {"answer", "final_answer", "response", "output", "final", "result", "json", "box"}
    # Marks of turns, which a server has left in.
    | {"s", "bos", "eos", "pad", "unk", "eot_id", "eom_id", "endoftext", "end_of_text", "begin_of_text", "im_start"}
    | {"im_end", "im_sep", "start_header_id", "end_header_id", "assistant", "start", "end", "message", "return"}
    | {"start_of_turn", "end_of_turn", "end_of_utterance", "begin_of_sentence", "end_of_sentence", "begin_of_box"}
    | {"end_of_box", "channel", "constrain", "call"}
    # Marks of a page or of emphasis, whose content is text like any other.
    | {"html", "head", "title", "body", "p", "br", "hr", "b", "i", "u", "em", "strong", "code", "pre", "ul", "ol", "li"}
    | {"span", "div", "h1", "h2", "h3", "h4", "img", "table", "tr", "td", "th", "sup", "sub", "center"}
    # Words in brackets that are an answer, not a mark.
    | {"pass", "fail", "true", "false", "normal", "anomalous", "image"}
)
_PAIRS = {"unused94": "unused95"}
"""Marks that close under another name: thinking of MedGemma."""
_STARTS = ("begin_of_", "start_of_", "begin_", "start_")
_ENDS = ("end_of_", "end_")
_MOST_OBJECTS = 40
_THOUGHT = re.compile(r"think|thought|reason|reflect|scratch|analy[sz]|unused95", re.IGNORECASE)


class UnclosedMarkError(ValueError):
    """A mark is never closed; its only argument is the mark as it stands in the text."""


@dataclass(frozen=True)
class _Mark:
    name: str
    role: Literal["open", "close", "drop"]
    start: int
    end: int


def without_thinking(text: str) -> str:
    """Return a text without its marks and what they enclose; objects of JSON stay as they are, marks inside included.

    A closing mark without an opening one ends thinking that began in the prompt: all before it goes.

    Raises:
        UnclosedMarkError: a mark opens and never closes.
    """
    kept: list[str] = []
    position = 0
    while (mark := _next_mark(text, position)) is not None:
        skipped = _after_objects(text, position, mark.start)
        if skipped > mark.start:  # the mark stands inside an object
            kept.append(text[position:skipped])
            position = skipped
            continue
        kept.append(text[position : mark.start])
        position = mark.end
        if mark.role == "open":
            position = _end_of(mark, text)
        elif mark.role == "close" and (text[mark.end :].strip() or _THOUGHT.search(mark.name)):
            kept.clear()
        kept.append(" ")
    return "".join([*kept, text[position:]]).strip()


def _next_mark(text: str, position: int) -> _Mark | None:
    return next(_marks(text, position), None)


def _marks(text: str, position: int) -> Iterator[_Mark]:
    for found in _MARK.finditer(text, position):
        kind = next(name for name in _KINDS if found[name] is not None)
        name = re.sub(r"[\s▁-]+", "_", found[kind].strip()).lower()
        yield _Mark(*_read(name, kind, found), found.start(), found.end())


_KINDS = ("tag", "bracket", "triangle", "lens", "token", "half_open", "half_close")


_Role = Literal["open", "close", "drop"]


def _read(name: str, kind: str, found: "re.Match[str]") -> tuple[str, _Role]:
    """Return the name of a pair of marks, and which of the two this one is."""
    if kind == "half_open":
        return name, "open"
    if kind == "half_close":
        return name, "close"
    if name in _DROPPED or (kind == "tag" and found["empty"]):
        return name, "drop"
    if found[f"{kind}_end"] or name in _PAIRS.values():
        return next((first for first, last in _PAIRS.items() if last == name), name), "close"
    if kind != "token":
        return name, "open"
    base, role = _base_of(name)
    return base, "drop" if base in _DROPPED else role


def _base_of(name: str) -> tuple[str, Literal["open", "close"]]:
    """Return what a token begins or ends: <|begin_of_thought|>, <|END_THINKING|>, <|think_start|>."""
    for affix in _ENDS:
        if name.startswith(affix):
            return name.removeprefix(affix), "close"
    for affix in _STARTS:
        name = name.removeprefix(affix)
    if name.endswith("_end"):
        return name.removesuffix("_end"), "close"
    return name.removesuffix("_start").removesuffix("_begin"), "open"


def _end_of(opening: _Mark, text: str) -> int:
    """Return the index after the mark that closes another one, nested ones of its name counted."""
    depth = 1
    for mark in _marks(text, opening.end):
        if mark.name == opening.name:
            depth += {"open": 1, "close": -1}.get(mark.role, 0)
        if depth == 0:
            return mark.end
    raise UnclosedMarkError(text[opening.start : opening.end])


def _after_objects(text: str, position: int, stop: int) -> int:
    """Return the index after the last object of JSON that begins between two places."""
    for _ in range(_MOST_OBJECTS):
        start = text.find("{", position, stop)
        if start < 0:
            break
        position = _end_of_object(text, start) or start + 1
    return position


def _end_of_object(text: str, start: int) -> int | None:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return balanced_end(text, start) if LOOKS_LIKE_JSON.match(text, start) else None
