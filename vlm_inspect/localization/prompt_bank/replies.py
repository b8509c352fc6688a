"""The list of descriptions in a model's reply: JSON, bullets or plain lines."""

import json
import re
from collections.abc import Iterable

from vlm_inspect.backends.backend import Reply
from vlm_inspect.errors import ParseError
from vlm_inspect.parsing.reply_text import clean_text, final_text, refuse_if_refusal

MOST_LETTERS = 400
"""A longer line is no description, and no text tower reads it."""

_BULLET = re.compile(r"\s*(?:[-*+•·–—▪◦]+|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)])\s+")
_MARKUP = re.compile(r"\*\*|__|`")
_FENCED = re.compile(r"(?:```|~~~)\w*\s*([\[{].*?)(?:```|~~~|\Z)", re.DOTALL)
_WHOLE_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*[,\]]')


def read_descriptions(reply: Reply) -> list[str]:
    """Return the descriptions of a reply in order; none where it refuses, is empty or is nothing but talk.

    A reply that was cut short counts up to its last whole line.
    """
    short = reply.finish_reason == "length"
    try:
        text = final_text(Reply(reply.text) if short else reply)
        refuse_if_refusal(text)
    except ParseError:
        return []
    text = clean_text(text)
    fenced = _FENCED.search(text)
    listed = _from_json(fenced[1].strip() if fenced else text)
    lines = _from_lines(text, drop_last=short) if listed is None else listed
    plain = (_plain(line) for line in lines)
    return [line for line in plain if line and len(line) <= MOST_LETTERS]


def _from_json(text: str) -> list[str] | None:
    """Return the strings of a JSON list, or of the first list of an object; None where the text is no JSON.

    Of broken or cut JSON the whole strings count.
    """
    if not text.startswith(("{", "[")):
        return None
    try:
        data = json.loads(text)
    except ValueError:
        return [json.loads(f'"{found}"', strict=False) for found in _WHOLE_STRING.findall(text)]
    if isinstance(data, dict):
        data = next((value for value in data.values() if isinstance(value, list)), [])
    return [item for item in data if isinstance(item, str)] if isinstance(data, list) else []


def _from_lines(text: str, *, drop_last: bool) -> Iterable[str]:
    """Return the items of a list in text; what stands around them is talk. Without any, every line counts."""
    lines = text.splitlines()[: -1 if drop_last else None]
    lines = [line for line in lines if line.strip() and not line.rstrip(" *_").endswith(":")]
    items = [line for line in lines if _BULLET.match(line)]
    return items or lines


def _plain(line: str) -> str:
    line = _MARKUP.sub("", _BULLET.sub("", line, count=1))
    return " ".join(line.split()).rstrip(",; ").strip(" \"'“”‘’")
