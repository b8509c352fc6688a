"""`DefectVocabulary`: the defect words that DAPO tells apart, and how a collection's folders and products map to them.

The words may differ between training and use: only what stands around them is learned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vlm_inspect.errors import LocalizerError

MOST_WORDS = 200
"""Most words of a vocabulary. Ten prompts a word are encoded and every patch is compared with every word, so that more
would cost seconds and gigabytes; the public collections have at most 20."""


@dataclass(frozen=True)
class DefectVocabulary:
    """Defect words in the order of their ids, which count from 1; 0 is normal."""

    words: tuple[str, ...]
    folders: Mapping[str, str] = field(default_factory=dict)
    """The word of each folder or label of a collection."""
    products: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The words that occur on each product: the oracle list of multi-type measurements."""

    @classmethod
    def of_words(cls, words: Iterable[str]) -> "DefectVocabulary":
        """Return a vocabulary of plain words, blanks folded.

        Raises:
            LocalizerError: no words, an empty one, one that stands twice, or more than `MOST_WORDS`.
        """
        return cls(check_words(words))

    def word_of(self, folder: str) -> str:
        """Return the word of a collection's folder; the folder's own name in words where it maps to none."""
        return self.folders.get(folder) or _fold(folder.replace("_", " "))

    def id_of(self, word: str) -> int:
        """Return a word's id, 1 or more.

        Raises:
            LocalizerError: the vocabulary does not hold the word.
        """
        if word not in self.words:
            raise LocalizerError(f"defect word {word!r} is not in the vocabulary: {', '.join(self.words)}")
        return 1 + self.words.index(word)

    def subset(self, product: str) -> tuple[int, ...]:
        """Return the ids of the words that occur on a product, in the order of the oracle list.

        Raises:
            LocalizerError: there is no list for this product.
        """
        if product not in self.products:
            known = ", ".join(sorted(self.products)) or "none"
            raise LocalizerError(f"no list of defects for product {product!r}; there are lists for: {known}")
        return tuple(self.id_of(word) for word in self.products[product])


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
