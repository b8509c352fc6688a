"""`Wording`: the words of the page in one language, from words/LANGUAGE.yaml."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from vlm_inspect.answers.translation import translation_to
from vlm_inspect.plural_forms import filled
from vlm_inspect.significant_digits import probability_words

DEFAULT = "en"
COOKIE = "vlm_inspect_language"
_ACCEPTED = re.compile(r"\s*([a-zA-Z]{1,8})(?:-[\w-]*)?\s*(?:;\s*q=([0-9.]{1,5}))?")


@dataclass(frozen=True)
class Wording:
    """The words of one language."""

    language: str
    words: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the words of a key, with {values} filled in.

        Raises:
            KeyError: there are none; a test holds templates, scripts and languages together.
        """
        text = self.words[key]
        return filled(text, values) if values else text

    def said(self, text: str) -> str:
        """Return what the program said of a part, which is kept in English, in this language."""
        translation = translation_to(self.language)
        return text if translation is None else translation(text)

    def number(self, value: float, digits: int) -> str:
        """Return a number with so many digits after the decimal sign of this language."""
        text = f"{value:.{digits}f}"
        translation = translation_to(self.language)
        return text if translation is None else translation.number(text)

    def decimal(self, text: str) -> str:
        """Return a number, written with a point, with the decimal sign of this language."""
        translation = translation_to(self.language)
        return text if translation is None else translation.number(text)

    def chance(self, value: float) -> str:
        """Return a probability in words that never claim certainty."""
        return self.said(probability_words(value))

    def of(self, *keys: str) -> dict[str, str]:
        """Return the words of some keys."""
        return {key: self.words[key] for key in keys}

    def some(self, first: str, *prefixes: str) -> dict[str, str]:
        """Return words that a script needs.

        Args:
            first: of the keys that begin like this, without this beginning.
            prefixes: of the keys that begin like one of these, whole.
        """
        own = {key.removeprefix(first): text for key, text in self.words.items() if key.startswith(first)}
        return own | {key: text for key, text in self.words.items() if prefixes and key.startswith(prefixes)}


@cache
def languages() -> dict[str, Wording]:
    """Return every language by its code."""
    found = {}
    for file in (resources.files("vlm_inspect.page") / "words").iterdir():
        if file.name.endswith(".yaml"):
            code = file.name.removesuffix(".yaml")
            found[code] = Wording(code, yaml.safe_load(file.read_text(encoding="utf-8")))
    return dict(sorted(found.items()))


def wording_for(chosen: str | None, accepted: str) -> Wording:
    """Return the words for a reader.

    Args:
        chosen: the language that was chosen on the page, by its code; None: none was.
        accepted: the header Accept-Language.
    """
    known = languages()
    if chosen in known:
        return known[chosen]
    offers: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        found = _ACCEPTED.fullmatch(part)
        if found is not None and found[1].lower() in known:
            offers.append((_weight(found[2]), found[1].lower()))
    best = max(offers, key=lambda offer: offer[0], default=(0.0, DEFAULT))
    return known[best[1]]


def _weight(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0
