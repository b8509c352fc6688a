"""How numbers are spelt: every way in which programs write "no number", and white-space separated text to float64."""

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.errors import ConversionError
from converters.limits import claim

_ODD = re.compile(
    r"""(?<![^\s,;|"'])(?:
        (?P<nan>[-+]?(?:1[.,]\#(?:QNAN|SNAN|IND)\d*|[qs]?nan[qs]?(?:\([^()\s]*\))?))
      | (?P<sign>[-+]?)(?:1[.,]\#INF\d*|inf(?:inity)?)
    )(?![^\s,;|"'])""",
    re.IGNORECASE | re.VERBOSE,
)
"""1.#QNAN, -1.#IND00 (Microsoft), -nan(ind), nan(0x8...), NaNQ (C libraries), 1.#INF, +Infinity, as whole cells."""
_HAS_ODD = re.compile(r"#(?:[QS]NAN|IND|INF)|nan|inf", re.IGNORECASE)
_PADDING = b"\0\x1a \t\r\n\f\v"
"""What may follow the last number: white space, the end-of-file mark of CP/M and DOS, and zeros of unused space."""


def plain_numerals(text: str) -> str:
    """Return the text with every spelling of "not a number" as nan, and of infinity as inf or -inf."""
    if not _HAS_ODD.search(text):
        return text
    return _ODD.sub(lambda found: "nan" if found["nan"] else found["sign"].replace("+", "") + "inf", text)


def without_padding(text: bytes) -> bytes:
    """Return the text without what may follow its end (zeros, 0x1A, white space)."""
    return text.rstrip(_PADDING)


def numbers_of(path: Path, text: bytes) -> NDArray[np.float64]:
    """Return the numbers of white-space separated text, float64 (N,).

    Raises:
        ConversionError: a word is not a number; the message names it.
    """
    text = without_padding(text)
    claim(path, 6 * len(text))  # the shortest number takes two characters here and eight bytes there
    if not text.strip():
        return np.empty(0)
    numbers = _parsed(text)
    if numbers is None:
        text = plain_numerals(text.decode("latin-1")).encode("latin-1")
        numbers = _parsed(text)
    if numbers is None:
        bad = next((word for word in text.split() if not _is_number(word)), b"?")
        shown = bad[:40].decode("utf-8", errors="replace")
        raise ConversionError(f"{path}: {shown!r} stands where a number should be")
    return numbers


def _parsed(text: bytes) -> NDArray[np.float64] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # older NumPy stops at a word with a warning
            return np.fromstring(text, dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning):
        return None


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return b"_" not in word
