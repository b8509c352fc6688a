"""`Translation`: what the program itself says of a part, in the language of a reader; other words stay as they are.

Reasons, captions and notes are kept in English, with the case. translations/LANGUAGE.yaml has their sentences with the
values left open; words alone are those of the dialogue over a case (prompts/dialogue/).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

import yaml

from vlm_inspect.answers.language import Language, named_language

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_KINDS = {"n": _NUMBER, "u": r"[^\s,;:()]+", "s": ".+?", "w": r"(?:(?![.;:!?]\s).)+?", "x": ".+?"}
"""What may stand in a slot; words for a defect end with their clause, or they would swallow what stands before it."""
_SLOT = re.compile(r"\\\{(([nuswx])\d?)\\\}")
_ENDS = (re.compile(r"((?<=[.!?])\s+(?=[A-Z0-9]))"), re.compile("(; )"))
"""Where a text falls into sentences, and a sentence into clauses; the gap is kept as it is."""
_DEEPEST = 6
"""Words within words within words: a text of another origin must not be looked into without an end."""


@dataclass(frozen=True, eq=False)
class Translation:
    """The sentences of one language.

    Attributes:
        sentences: English to the language; {n} number, {u} unit, {s} sentence, {w} words for a defect, {x} anything.
        terms: says words alone, and gives what it does not know as it is.
        either: the word between two of which one is meant.
        decimal: the decimal sign.
    """

    sentences: Mapping[str, str]
    terms: Callable[[str], str]
    either: str
    decimal: str

    def __call__(self, text: str) -> str:
        """Return what the program said in this language, sentence by sentence; what it did not say, as it is."""
        return self._said(text, 0)

    def number(self, text: str) -> str:
        """Return a number, written with a point, with the decimal sign of this language."""
        return text.replace(".", self.decimal)

    def _said(self, text: str, depth: int) -> str:
        if depth > _DEEPEST or not text.strip():
            return text
        known = self._whole(text, depth)
        if known is not None:
            return known
        sentences, clauses = (end.split(text) for end in _ENDS)
        if len(sentences) > 1:
            return "".join(one if number % 2 else self._said(one, depth + 1) for number, one in enumerate(sentences))
        return self._clauses(clauses, depth) if len(clauses) > 1 else text

    def _clauses(self, pieces: Sequence[str], depth: int) -> str:
        """Return clauses with their gaps; several together may be one sentence, which has a gap of its own."""
        said, first = "", 0
        while first < len(pieces):
            for last in range(len(pieces), first, -2):
                together = "".join(pieces[first:last])
                known = self._whole(together, depth) if last - first > 1 and last - first < len(pieces) else None
                if known is not None or last - first == 1:
                    said += self._said(together, depth + 1) if known is None else known
                    break
            said += "".join(pieces[last : last + 1])
            first = last + 1
        return said

    def _whole(self, text: str, depth: int) -> str | None:
        """Return a text that is one sentence of the program, or a word that it uses; None: it is neither."""
        bare = text.removesuffix(".")
        end = text[len(bare) :]
        if re.fullmatch(_NUMBER, bare):
            return self.number(bare) + end
        several = _ENDS[0].search(text) is not None
        for pattern, template, is_open in self._patterns:
            found = None if several and is_open else pattern.fullmatch(bare)
            if found is not None:
                values = {name: self._slot(name, value, depth) for name, value in found.groupdict().items()}
                return template.format(**values) + end
        term = bare if several else self._term(bare)
        return None if term == bare else term + end

    def _slot(self, name: str, value: str, depth: int) -> str:
        if name[0] == "n":
            return self.number(value)
        if name[0] == "w":
            return f" {self.either} ".join(self._term(word) for word in value.split(" or "))
        return self._said(value, depth + 1) if name[0] == "s" else value

    def _term(self, words: str) -> str:
        """Return words alone; at the beginning of a sentence they have a capital, which is no part of them."""
        said = self.terms(words)
        if said != words or not words[:1].isupper():
            return said
        lower = words[0].lower() + words[1:]
        said = self.terms(lower)
        return words if said == lower else said[:1].upper() + said[1:]

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str, bool], ...]:
        """Sentences and what they become; one that begins with a value would swallow the sentences before it."""
        return tuple((_pattern(english), text, _is_open(english)) for english, text in self.sentences.items())


def _is_open(english: str) -> bool:
    """Return whether a sentence begins with a value, and holds no end of a sentence itself."""
    return english.startswith("{") and _ENDS[0].search(english) is None


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile(_SLOT.sub(lambda found: f"(?P<{found[1]}>{_KINDS[found[2]]})", re.escape(english)), re.DOTALL)


@cache
def translation_to(language: str) -> Translation | None:
    """Return the sentences of a language by its code; None: what is kept is shown as it is."""
    file = resources.files("vlm_inspect.answers") / "translations" / f"{language}.yaml"
    if not file.is_file():
        return None
    spoken = named_language(language)
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    return Translation(
        told["sentences"], (lambda words: words) if spoken is None else spoken.put, told["or"], told["decimal"]
    )


def put_said(language: Language, text: str) -> str:
    """Return what the program said of a part, which is kept in English, in a language, as far as that is known."""
    said = text if _ENDS[0].search(text) else language.put(text)
    if said != text:
        return said
    found = (translation_to(name) for name in language.known_as if name.isascii() and name.isalpha())
    translation = next((one for one in found if one is not None), None)
    return text if translation is None else translation(text)
