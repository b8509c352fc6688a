"""The answer object in a text: strict JSON, fenced, embedded in prose, or broken and repaired.

Broken JSON is mended by the `json_repair` library, but only inside braces that balance: that library also completes
JSON that was cut off, and a verdict is never taken from a reply that was cut.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlm_inspect.errors import ParseError

POSITIVE_KEYS = ("anomalous", "is_anomalous", "anomaly", "is_anomaly", "defective", "is_defective")
"""Keys whose true value means anomalous; the first one is what the request asks for."""
NEGATIVE_KEYS = ("correctness", "normal", "is_normal")
"""Keys whose true value means normal; `correctness` is the benchmark template's (1 = no anomaly)."""

_MAX_OBJECTS = 40
LOOKS_LIKE_JSON = re.compile(r"""\{\s*(?:["'“]|//|/\*|\#|[A-Za-z_]\w*\s*[:=]|$)""")
_OPEN_FENCE = re.compile(r"(?:```|~~~)[ \t]*\w*\s*\Z")
_STRING = r'("(?:\\.|[^"\\])*")'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/|#[^\n]*", re.DOTALL)
_TRAILING_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)
_LITERAL = re.compile(rf"{_STRING}|\b(true|false|none|null)\b", re.DOTALL | re.IGNORECASE)
_VERDICT_VALUE = re.compile(r"""\banomalous["'”]?\s*[:=]\s*["'“]?([^,}\n"'”]*)""", re.IGNORECASE)
_CLOSERS = {'"': '"', "'": "'", "“": "”"}


@dataclass(frozen=True)
class AnswerObject:
    """An object with a verdict key; its keys are lower case with underscores."""

    fields: Mapping[str, Any]
    path: str
    """"json", "fenced", "embedded" or "repaired"."""
    beside: str = ""
    """What the reply says beside the object."""


@dataclass(frozen=True)
class _Found:
    value: dict[str, Any]
    start: int
    end: int
    repaired: bool


def find_answer(text: str) -> AnswerObject | None:
    """Return the answer object of a text, or None where the text holds none.

    Several objects with a verdict must agree; the first one counts.

    Raises:
        ParseError: JSON that was cut off ("truncated"); objects that contradict each other, or JSON without a
            verdict ("unreadable").
    """
    inner = _unquoted(text)
    if inner is not None:
        answer = find_answer(inner)
        return None if answer is None else AnswerObject(answer.fields, "repaired")
    answers = []
    for found in _objects(text):
        fields = _with_verdict(found.value)
        if fields is not None:
            answers.append(AnswerObject(fields, _path(text, found), f"{text[: found.start]} {text[found.end :]}"))
    if len({_plain_verdict(answer.fields) for answer in answers}) > 1:
        raise ParseError(
            "The model's reply holds verdicts that contradict each other.", reply_text=text, cause="unreadable"
        )
    if not answers and LOOKS_LIKE_JSON.search(text):
        raise ParseError('The model\'s reply is JSON without "anomalous".', reply_text=text, cause="unreadable")
    return answers[0] if answers else None


def find_object(text: str, keys: Collection[str]) -> dict[str, Any] | None:
    """Return the first object of a text that has one of these keys, mended where it is nearly JSON; None: none has.

    Raises:
        ParseError: it gives a verdict twice, with two values.
    """
    for found in _objects(_unquoted(text) or text):
        if isinstance(found.value, dict) and any(key in found.value for key in keys):
            return found.value
    return None


def is_whole_object(text: str) -> bool:
    """Return whether a text is one JSON object, fenced or not, and nothing else."""
    body = re.sub(r"\A(?:```|~~~)\w*\s*|\s*(?:```|~~~)\s*\Z", "", text.strip())
    found = _strict(body, 0) if body.startswith("{") else None
    return found is not None and found.end == len(body)


def normalise_keys(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the mapping with keys in lower case, blanks and hyphens as underscores; the first of equal keys stays."""
    plain: dict[str, Any] = {}
    for key, item in value.items():
        plain.setdefault(re.sub(r"[\s\-]+", "_", str(key).strip().strip("\"'*").lower()), item)
    return plain


def _unquoted(text: str) -> str | None:
    r"""Return the JSON inside a text that is one JSON string ("{\"anomalous\": ...}"), or None."""
    body = text.strip()
    if body.startswith('"') and body.endswith('"'):
        try:
            inner = json.loads(body, strict=False)
        except ValueError:
            return None
        return inner if isinstance(inner, str) and "{" in inner else None
    if re.match(r'\{\s*(?:\\n)?\s*\\"', body):
        return body.replace("\\n", "\n").replace('\\"', '"')
    if re.match(r'"\w+"\s*:', body) and body.endswith("}") and body.count("{") == body.count("}") - 1:
        return "{" + body  # the opening brace was part of the prompt
    return None


def _objects(text: str) -> Iterator[_Found]:
    """Yield the outermost objects of a text, in order."""
    position = 0
    for _ in range(_MAX_OBJECTS):
        start = text.find("{", position)
        if start < 0:
            return
        found = _strict(text, start) or _mended(text, start)
        if found is not None:
            yield found
        elif LOOKS_LIKE_JSON.match(text, start) and balanced_end(text, start) is None:
            raise ParseError("The model's reply is truncated: its JSON is cut off.", reply_text=text, cause="truncated")
        position = start + 1 if found is None else found.end


def _strict(text: str, start: int) -> _Found | None:
    try:
        value, end = json.JSONDecoder(strict=False, object_pairs_hook=_unique).raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return _Found(value, start, end, repaired=False)


def _mended(text: str, start: int) -> _Found | None:
    from json_repair import repair_json

    end = balanced_end(text, start) if LOOKS_LIKE_JSON.match(text, start) else None
    if end is None:
        return None
    span = text[start:end]
    _refuse_two_verdicts(span)
    for mend in (lambda: json.loads(_tidy(span), strict=False), lambda: repair_json(span, return_objects=True)):
        try:
            value = mend()
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return _Found(value, start, end, repaired=True)
    return None


def _tidy(span: str) -> str:
    """Return near-JSON without comments and trailing commas, with JSON's literals; its strings stay as they are.

    These are the most frequent breaks, and mending them loses nothing; `json_repair` guesses, and may cut a string.
    """
    plain = _COMMENT.sub(lambda m: m[1] or " ", span)
    plain = _TRAILING_COMMA.sub(lambda m: m[1] or "", plain)
    return _LITERAL.sub(lambda m: m[1] or {"true": "true", "false": "false"}.get(m[2].lower(), "null"), plain)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build one object of strict JSON; a verdict key that comes twice with two values is a contradiction."""
    plain: dict[str, Any] = {}
    for key, value in pairs:
        if key in (*POSITIVE_KEYS, *NEGATIVE_KEYS) and key in plain and plain[key] != value:
            raise ParseError(
                f'The model\'s reply gives "{key}" twice, with two values.',
                reply_text=json.dumps(pairs),
                cause="unreadable",
            )
        plain[key] = value
    return plain


def _refuse_two_verdicts(span: str) -> None:
    """Raise where broken JSON names the verdict key twice with two values: mending would silently take one."""
    values = [value.strip().lower() for value in _VERDICT_VALUE.findall(span)]
    undecided = any(re.search(r"\b(?:true|yes)\b.*\b(?:false|no)\b", value) for value in values)
    if undecided or len(set(values)) > 1:
        raise ParseError('The model\'s reply gives "anomalous" two values.', reply_text=span, cause="unreadable")


def balanced_end(text: str, start: int) -> int | None:
    """Return the index after the brace that closes the one at `start`, or None where it never closes."""
    depth, index = 0, start
    while index < len(text):
        char = text[index]
        if char in _CLOSERS and (char != "'" or text[start:index].rstrip()[-1:] in "{[,:"):
            index = _string_end(text, index)
        elif text.startswith(("//", "/*"), index):
            closing = text.find("\n" if text[index + 1] == "/" else "*/", index)
            index = len(text) if closing < 0 else closing
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return index + 1
        index += 1
    return _end_by_count(text, start)


def _string_end(text: str, start: int) -> int:
    """Return the index of the quote that ends the string: the first unescaped one with JSON punctuation after it."""
    closer = _CLOSERS[text[start]]
    index = start + 1
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == closer and (text[index + 1 :].lstrip()[:1] or "}") in ",:]}/#\n":
            return index
        index += 1
    return len(text)


def _end_by_count(text: str, start: int) -> int | None:
    """Return the index after the last brace of the text where the plain counts balance: quotes inside are broken.

    Nothing but a fence may follow, and quotes must pair up: otherwise the brace may be a character of a cut string.
    """
    end = text.rfind("}") + 1
    span = text[start:end]
    whole = end > start and span.count("{") == span.count("}") and span.count('"') % 2 == 0
    return end if whole and not text[end:].strip(" \n\r\t`~") else None


def _with_verdict(value: Any, depth: int = 0) -> Mapping[str, Any] | None:
    """Return the object with a verdict key: the value itself, or one wrapped in it."""
    if isinstance(value, str) and depth and value.lstrip().startswith("{"):
        answer = find_answer(value)
        return None if answer is None else answer.fields
    if isinstance(value, list) and len(value) == 1:
        return _with_verdict(value[0], depth + 1)
    if not isinstance(value, dict) or depth > 3:
        return None
    plain = normalise_keys(value)
    if _has_verdict(plain):
        return plain
    inside = (_with_verdict(item, depth + 1) for key, item in plain.items() if key not in ("rules", "defects"))
    return next((fields for fields in inside if fields is not None), None)


def _has_verdict(fields: Mapping[str, Any]) -> bool:
    return any(key in fields for key in (*POSITIVE_KEYS, *NEGATIVE_KEYS))


def _plain_verdict(fields: Mapping[str, Any]) -> str:
    """Return the verdict fields as text, to compare two answers."""
    return "; ".join(f"{key}={str(fields[key]).lower()}" for key in (*POSITIVE_KEYS, *NEGATIVE_KEYS) if key in fields)


def _path(text: str, found: _Found) -> str:
    if found.repaired:
        return "repaired"
    if text[: found.start].strip() == "" and text[found.end :].strip() == "":
        return "json" if _has_verdict(normalise_keys(found.value)) else "embedded"
    return "fenced" if _OPEN_FENCE.search(text[: found.start]) else "embedded"
