"""P(anomalous) from the probabilities of the tokens that spell the verdict."""

import bisect
import math
import re
from collections.abc import Sequence

from vlm_inspect.backends.backend import TokenProbability

_KEY = re.compile(r"""\b(?P<key>anomalous|correctness)\b\\?["'”]?\s*[:=]\s*\\?["'“]?""", re.IGNORECASE)
_LEADING = " \t\r\n\"'“:=\\Ġ▁*"
_TRUE = ("true", "yes", "1")
_FALSE = ("false", "no", "0")


def token_probability(tokens: Sequence[TokenProbability], *, prose: bool) -> float | None:
    """Return P(anomalous) in [0, 1] from the token that begins the verdict's value, or None where it cannot be told.

    The mass of every alternative that begins "true", "yes" or "1" is set against that of "false", "no" or "0". A side
    that is not among the alternatives gets what the others leave. The last verdict of the reply counts, after any
    thinking. `prose` replies count by their first word.
    """
    if not tokens:
        return None
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token.token))
    text = "".join(token.token for token in tokens)
    place, inverted = _value_place(text, prose=prose)
    if place is None:
        return None
    index = min(bisect.bisect_right(starts, place) - 1, len(tokens) - 1)
    true = _p_true(tokens[index], text[starts[index] : place])
    if true is None:
        return None
    return 1.0 - true if inverted else true


def _value_place(text: str, *, prose: bool) -> tuple[int | None, bool]:
    """Return the offset of the verdict's value, and whether true means normal."""
    if prose:
        match = re.match(r"[\s*\"']*(?=(?:yes|no)\b)", text, re.IGNORECASE)
        return (None, False) if match is None else (match.end(), False)
    keys = list(_KEY.finditer(text))
    if not keys or keys[-1].end() >= len(text):
        return None, False
    return keys[-1].end(), keys[-1]["key"].lower() == "correctness"


def _p_true(token: TokenProbability, prefix: str) -> float | None:
    """Return P(true) at this position; `prefix` is what the token holds before the value."""
    alternatives = dict(token.alternatives) or {token.token: token.logprob}
    true = false = total = 0.0
    for text, logprob in alternatives.items():
        mass = math.exp(min(logprob, 0.0)) if not math.isnan(logprob) else 0.0
        total += mass
        word = text.removeprefix(prefix).lstrip(_LEADING).rstrip(" ,\"'}.\n").lower()
        if not word:
            continue
        if any(value.startswith(word) or word.startswith(value) for value in _TRUE):
            true += mass
        elif any(value.startswith(word) or word.startswith(value) for value in _FALSE):
            false += mass
    rest = max(0.0, 1.0 - total)
    if true == 0.0:
        true = min(rest, false)
    elif false == 0.0:
        false = min(rest, true)
    known = true + false
    return true / known if known > 0.01 else None
