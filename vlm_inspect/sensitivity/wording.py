"""A sensitivity in one line."""

import re

from vlm_inspect.sensitivity.record import NO_SIZE, Detection, Sensitivity
from vlm_inspect.sensitivity.standing import Standing
from vlm_inspect.significant_digits import rounded

_KINDS_SAID = 2
_COUNTED = re.compile(r"^(\d+ of \d+ were|none of \d+ was) found")
"""What a reason begins with where it says again how many were found."""


def tell_sensitivity(sensitivity: Sensitivity) -> str:
    """Return one line that stands with an OK: which defects it would have held up."""
    size = size_words(sensitivity.size_pct, sensitivity.size_mm, sensitivity.unit)
    if size is None:
        said = f"would have held up {sensitivity.found} of {sensitivity.planted} planted defects"
        reason = _COUNTED.sub("", sensitivity.reason)
        return said + (f": {reason}" if reason and reason == sensitivity.reason else reason)
    kinds = sorted(
        ((kind, one) for kind, one in sensitivity.by_kind.items() if one.size_pct is not None),
        key=lambda pair: pair[1].size_pct or 0.0,
    )
    told = [f"{kind} {size_words(one.size_pct, one.size_mm, sensitivity.unit)}" for kind, one in _ends(kinds)]
    besides = f" ({', '.join(told)})" if told else ""
    missed = kinds_not_reached(sensitivity)
    without = f"; not sure of 9 in 10 at any planted size: {' or '.join(missed)}" if missed else ""
    return f"would have held up 9 of 10 planted defects from {size} on{besides}{without}"


def kinds_not_reached(sensitivity: Sensitivity) -> list[str]:
    """Return the kinds of which no planted size is surely held up, nine in ten; those without a size do not count."""
    return [kind for kind, one in sensitivity.by_kind.items() if one.size_pct is None and one.reason != NO_SIZE]


def tell_whole(standing: Standing | None) -> str:
    """Return what is said of a part that is held up by its surface as a whole, which no place of the heat shows; else
    nothing."""
    if standing is None or standing.outcome == "OK" or not standing.by_whole:
        return ""
    return (
        "the whole surface is odd: all of it together is less like the references than any one place; look for another "
        "shade or structure"
    )


def _ends(kinds: list[tuple[str, Detection]]) -> list[tuple[str, Detection]]:
    """Return the kinds seen best and worst."""
    return kinds if len(kinds) <= _KINDS_SAID else [kinds[0], kinds[-1]]


def size_words(pct: float | None, absolute: float | None, unit: str) -> str | None:
    """Return a size in words, the absolute one with its unit; None where it is not known."""
    if pct is None:
        return None
    return f"{pct:.1f} %" if absolute is None else f"{f'{rounded(absolute, 3)} {unit}'.strip()} ({pct:.1f} %)"
