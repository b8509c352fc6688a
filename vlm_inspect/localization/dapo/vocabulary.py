"""Defect words, checked. They may differ between training and use: only what stands around them is learned."""

from collections.abc import Iterable, Sequence

from vlm_inspect.errors import LocalizerError

MOST_WORDS = 200
"""Most words of a vocabulary. Ten prompts a word are encoded and every patch is compared with every word, so that more
would cost seconds and gigabytes; the public collections have at most 20."""


def check_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return defect words with blanks folded, each checked.

    Raises:
        LocalizerError: no words, an empty one, one that stands twice (case and blanks apart), or more than
            `MOST_WORDS`.
    """
    folded = tuple(_fold(word) for word in words)
    if not folded:
        raise LocalizerError("a defect vocabulary needs at least one word")
    if len(folded) > MOST_WORDS:
        raise LocalizerError(f"a defect vocabulary of {len(folded)} words; at most {MOST_WORDS} are compared at once")
    if "" in folded:
        raise LocalizerError(f"defect word {1 + folded.index('')} is empty")
    _refuse_twins(folded)
    return folded


def _refuse_twins(words: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for number, word in enumerate(words, start=1):
        first = seen.setdefault(word.casefold(), number)
        if first != number:
            raise LocalizerError(f"defect word {word!r} stands twice, as number {first} and {number}; name it once")


def _fold(word: str) -> str:
    return " ".join(word.split())
