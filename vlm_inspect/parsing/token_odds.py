"""P(anomalous) from the probabilities of the tokens that spell the verdict."""

import bisect
import math
import re
from collections.abc import Iterator, Sequence

from vlm_inspect.backends.backend import TokenProbability

_KEY = re.compile(r"""\b(?P<key>anomalous|correctness)\b\\?["'”]?\s*[:=]\s*\\?["'“]?""", re.IGNORECASE)
_LEADING = " \t\r\n\"'“:=\\Ġ▁*"
_TRAILING = " ,\"'}]\r\n\t.\\”"
_TRUE = ("true", "yes", "1")
_FALSE = ("false", "no", "0")
_LEAST_KNOWN = 0.01
"""Least mass of the two sides that says anything about their ratio."""


def token_probability(tokens: Sequence[TokenProbability], *, anomalous: bool | None = None) -> float | None:
    """Return P(anomalous) in [0, 1] from the token that begins the verdict's value, or None where it cannot be told.

    The mass of every alternative that begins "true", "yes" or "1" is set against that of "false", "no" or "0". A side
    that is not among the alternatives gets what the others leave. The last verdict of the reply counts, after any
    thinking; one that stands inside another text of the answer ("reasoning", "answer") counts only where there is no
    other.

    Args:
        tokens: the reply, token by token.
        anomalous: the verdict as it was read; a value that spells another one is somebody else's and does not count.
    """
    if not tokens:
        return None
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token.token))
    text = "".join(token.token for token in tokens)
    for place, inverted in _value_places(text):
        if anomalous is not None and not _spells(text, place, anomalous != inverted):
            continue
        index = min(bisect.bisect_right(starts, place) - 1, len(tokens) - 1)
        true = _p_true(tokens[index], text[starts[index] : place])
        if true is None:
            return None
        return 1.0 - true if inverted else true
    return None


def _value_places(text: str) -> Iterator[tuple[int, bool]]:
    """Yield offsets where the verdict's value may begin, the likeliest first, and whether true means normal there."""
    keys = [key for key in _KEY.finditer(text) if key.end() < len(text)]
    quoted = _inside_strings(text, [key.start("key") for key in keys])
    own = [key for key, inside in zip(keys, quoted, strict=True) if not inside]
    others = [key for key, inside in zip(keys, quoted, strict=True) if inside]
    for key in (*reversed(own), *reversed(others)):
        yield key.end(), key["key"].lower() == "correctness"


def _inside_strings(text: str, places: Sequence[int]) -> list[bool]:
    """Say of each place whether it lies within a JSON string of several words: a sentence, not a key or a value."""
    spans = [match.span() for match in _STRING.finditer(text) if re.search(r"\s", match[0])]
    return [any(start < place < end for start, end in spans) for place in places]


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _spells(text: str, place: int, value: bool) -> bool:
    """Whether the value at a place begins with a word for true, or for false."""
    word = text[place : place + 12].lstrip(_LEADING).lower()
    return word.startswith(_TRUE if value else _FALSE)


def _p_true(token: TokenProbability, prefix: str) -> float | None:
    """Return P(true) at this position; `prefix` is what the token holds before the value."""
    alternatives = dict(token.alternatives) or {token.token: token.logprob}
    true = false = open_ = total = 0.0
    for text, logprob in alternatives.items():
        mass = math.exp(min(logprob, 0.0)) if not math.isnan(logprob) else 0.0
        total += mass
        word = text.removeprefix(prefix).lstrip(_LEADING).rstrip(_TRAILING).lower()
        if not word:
            open_ += mass  # white space or a quote: the next token decides
        elif any(value.startswith(word) or word.startswith(value) for value in _TRUE):
            true += mass
        elif any(value.startswith(word) or word.startswith(value) for value in _FALSE):
            false += mass
    if true + false <= _LEAST_KNOWN:
        return None
    rest = max(0.0, 1.0 - total) + open_
    if true == 0.0:
        true = min(rest, false)
    elif false == 0.0:
        false = min(rest, true)
    return true / (true + false)
