"""What a column of words says beside a curve (a status, an error code), against what references say there.

Words have no distance, so nothing of them is scored: a word that no reference holds was not compared, and what was not
compared is not normal. A column in which most references hold words of their own, such as a serial number or a time of
day, tells no state and plays no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from converters.sample import Series, WordColumn
from vlm_inspect.localization.curves.names import listed
from vlm_inspect.measurement.channel_names import plain_name
from vlm_inspect.significant_digits import rounded

_LONGEST = 40
"""Characters of a word that are shown."""


@dataclass(frozen=True)
class KnownStates:
    """The words that references hold in one column."""

    name: str
    words: frozenset[str]
    """As `_plain_word` writes them."""


def known_states(curves: Sequence[Series]) -> tuple[KnownStates, ...]:
    """Return the words of the columns that tell a state, each in at least two of the references."""
    columns: dict[str, list[WordColumn]] = {}
    for curve in curves:
        for key, column in _by_name(curve).items():
            columns.setdefault(key, []).append(column)
    found = []
    for same in columns.values():
        held = [frozenset(map(_plain_word, one.words)) for one in same]
        if len(same) > 1 and all(one.is_whole for one in same) and _is_shared(held):
            found.append(KnownStates(same[0].name, frozenset().union(*held)))
    return tuple(found)


def word_columns(curves: Sequence[Series]) -> frozenset[str]:
    """Return the plain names of all columns of words."""
    return frozenset(key for curve in curves for key in _by_name(curve))


def state_doubts(series: Series, known: Sequence[KnownStates], named: frozenset[str]) -> tuple[str, ...]:
    """Say in sentences what the words of a curve leave open.

    Args:
        series: the curve.
        known: of its references.
        named: see `word_columns`, of its references.
    """
    own, told = _by_name(series), []
    for states in known:
        column = own.get(plain_name(states.name))
        if column is None:
            told.append(f"The curve lacks the words of {states.name}, which its references have: not compared.")
        elif odd := {word: at for word, at in column.words.items() if _plain_word(word) not in states.words}:
            told.append(_odd_words(series, column, odd))
    extra = [column.name or f"column {column.column + 1}" for key, column in own.items() if key not in named]
    if extra:
        told.append(f"The references have no words in {listed(extra)}: not compared.")
    return tuple(told)


def _odd_words(series: Series, column: WordColumn, odd: dict[str, tuple[int, int]]) -> str:
    count, first = sum(rows for _, rows in odd.values()), min(row for row, _ in odd.values())
    words = listed([word if len(word) <= _LONGEST else f"{word[:_LONGEST]}…" for word in odd])
    samples = "1 sample" if count == 1 else f"{count} samples"
    at = f"sample {first}" if series.time_is_index else f"{rounded(float(series.time_s[first]), 6)} s"
    return (
        f"{column.name or f'Column {column.column + 1}'} says {words} ({samples}, first at {at}), as no reference "
        "does: not known, so not normal."
    )


def _is_shared(held: Sequence[frozenset[str]]) -> bool:
    """Return whether at most half of the references hold a word that no other does."""
    alone = [bool(one - frozenset().union(*held[:k], *held[k + 1 :])) for k, one in enumerate(held)]
    return 2 * sum(alone) <= len(held)


def _by_name(series: Series) -> dict[str, WordColumn]:
    found: dict[str, WordColumn] = {}
    for column in series.words:
        found.setdefault(plain_name(column.name), column)
    return found


def _plain_word(word: str) -> str:
    return " ".join(word.casefold().split())
