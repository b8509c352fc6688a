"""The words of one language, a file of prompts/dialogue/: how questions are put in it, and how the record answers."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from vlm_inspect.errors import PromptError
from vlm_inspect.plural_forms import filled

Topic = Literal[
    "topics", "ship", "verdict", "why", "what", "axis", "where", "size",
    "depth", "count", "rule", "measure", "compared", "missed", "sure", "show",
]  # fmt: skip
"""What a question may ask for, in the order in which it is answered."""
TOPICS: tuple[Topic, ...] = Topic.__args__  # type: ignore[attr-defined]
DEFAULT = "English"
_ORDER = ("English", "German", "French", "Spanish", "Italian", "Chinese", "Japanese")
"""Which language is meant where a question fits several equally."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_LATIN = ("LATIN",)
_SIGNS = ("CJK", "HIRAGANA", "KATAKANA")
_NUMBER = re.compile(r"(?<![\w.])(\d+)\.(\d+)(?!\.?\w)")
"""A number with a decimal point, that is no piece of a name (part 1.5.png) or of a version."""
_POINT = re.compile(r"\((?:[-+]?\d+(?:\.\d+)?, ){1,2}[-+]?\d+(?:\.\d+)?\)")
_ACCENTS = re.compile("[\u0300-\u036f]")


class Language(BaseModel):
    """Everything that is asked and said in one language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """In English: "German"."""
    known_as: tuple[str, ...]
    """Other names that `--language` may give it, its code among them."""
    spaced: bool = True
    """Whether spaces part its words; else its wordings are looked for anywhere in a question."""
    singular: tuple[int, ...] = (1,)
    """Numbers that are said of one thing."""
    decimal: str = "."
    """Its decimal sign."""
    tells: tuple[str, ...]
    questions: Mapping[Topic, tuple[str, ...]]
    things: tuple[str, ...]
    """Words for what may be found on a part: where a question asks for nothing else, they ask what it is."""
    numbered: tuple[str, ...]
    """How a place is named by its number: "region {n}"."""
    measures: Mapping[str, tuple[str, ...]]
    part: tuple[str, ...]
    outcomes: Mapping[Literal["OK", "NG", "REVIEW"], str]
    statuses: Mapping[Literal["pass", "fail", "cannot_tell", "not_checked"], str]
    severities: Mapping[Literal["critical", "major", "minor"], str]
    record: Mapping[str, str]
    answers: Mapping[str, str]

    @model_validator(mode="after")
    def _is_whole(self) -> "Language":
        if missing := set(TOPICS) - set(self.questions):
            raise ValueError(f"no wordings for {', '.join(sorted(missing))}")
        return self

    def say(self, name: str, **values: object) -> str:
        """Return one sentence, filled in.

        Raises:
            PromptError: there is no such sentence, or it names a value that it does not get.
        """
        try:
            return filled(self.answers[name], values, self.singular).rstrip()
        except (KeyError, IndexError, ValueError) as error:
            raise PromptError(f"the words for {self.name}: {name}: missing or unknown name {error}") from error

    def join(self, sentences: Iterable[str]) -> str:
        """Return sentences as one text, with numbers as this language writes them."""
        text = (" " if self.spaced else "").join(sentences)
        if self.decimal == ".":
            return text
        text = _POINT.sub(lambda found: found[0].replace(", ", "; "), text)  # a comma parts no numbers that have one
        return _NUMBER.sub(rf"\1{self.decimal}\2", text)

    def put(self, words: str) -> str:
        """Return words of the record in this language as far as it has them, else piece by piece between commas; what
        stands inside a sentence, likewise."""
        if words in self.record:
            return self.record[words]
        for pattern, template in self._patterns:
            if match := pattern.fullmatch(words):
                return template.format(**{name: self.put(value) for name, value in match.groupdict().items()})
        return ", ".join(self.record.get(piece, piece) for piece in words.split(", "))

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        """Sentences of the record that hold values, written {a}, with what they become."""
        return tuple(
            (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(words))), template)
            for words, template in self.record.items()
            if "{" in words
        )

    def finds(self, wordings: Iterable[str], folded: str) -> bool:
        """Return whether one of some wordings is in a folded question."""
        return any(_pattern(words, self.spaced).search(_for_search(folded, self.spaced)) for words in wordings)

    def topics(self, folded: str) -> list[Topic]:
        """Return what a folded question asks for; words inside longer ones for another topic do not count."""
        text = _for_search(folded, self.spaced)
        spans = {topic: list(self._spans(topic, text)) for topic in TOPICS}
        every = [(topic, start, end) for topic in TOPICS for start, end in spans[topic]]
        found = [
            topic for topic in TOPICS if any(not _is_inside(start, end, topic, every) for start, end in spans[topic])
        ]
        return found or (["what"] if self.finds(self.things, folded) else [])

    def _spans(self, topic: Topic, text: str) -> Iterator[tuple[int, int]]:
        """Yield where in a question its words for a topic stand."""
        for words in self.questions[topic]:
            for match in _pattern(words, self.spaced).finditer(text):
                yield match.span()

    def weight(self, folded: str) -> int:
        """Return how much of a folded question is in this language: a topic counts as much as two small words."""
        small = sum(bool(self.finds((word,), folded)) for word in self.tells)
        return small + 2 * len(self.topics(folded))

    def may_write(self, folded: str) -> bool:
        """Return whether a folded question is in letters of this language's kind."""
        names = [unicodedata.name(letter, "").partition(" ")[0] for letter in folded if letter.isalpha()]
        return all(name.split("-")[0] in (_LATIN if self.spaced else _SIGNS) for name in names)

    def numbers(self, folded: str) -> list[int]:
        """Return the numbers of the places that a folded question names."""
        text = _for_search(folded, self.spaced)
        found = [int(match[1]) for pattern in self._numbered for match in pattern.finditer(text)]
        return list(dict.fromkeys(found))

    @cached_property
    def _numbered(self) -> tuple[re.Pattern[str], ...]:
        patterns = []
        for template in self.numbered:
            before, _, after = template.partition("{n}")
            words = [re.escape(fold(piece).replace(" ", "" if not self.spaced else " ")) for piece in (before, after)]
            edge = r"(?<!\w)" if self.spaced else ""
            patterns.append(re.compile(rf"{edge}{words[0]}\s*(\d{{1,3}})(?!\d)\s*{words[1]}"))
        return tuple(patterns)


def fold(text: str) -> str:
    """Return a text as questions and wordings are compared: no case, accents, hyphens or other signs but # and *."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", plain))
    return " ".join("".join(c if c.isalnum() or c in "#*" else " " for c in plain).split())


def _for_search(folded: str, spaced: bool) -> str:
    return folded if spaced else folded.replace(" ", "")


def _is_inside(start: int, end: int, topic: Topic, every: Sequence[tuple[Topic, int, int]]) -> bool:
    """Return whether some words lie within longer ones for another topic."""
    return any(
        other != topic and first <= start and end <= last and last - first > end - start for other, first, last in every
    )


@cache
def _pattern(words: str, spaced: bool) -> re.Pattern[str]:
    """Return what finds a wording; an umlaut may be written as two letters."""
    if not spaced:
        signs = re.escape(fold(words).replace(" ", ""))
        return re.compile(rf"(?<![a-z0-9]){signs}(?![a-z0-9])" if words.isascii() else signs)
    forms = dict.fromkeys((fold(words), fold(words.translate(_UMLAUTS))))
    patterns = (re.escape(form).replace(r"\*", r"\w*") for form in forms)
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)")


@cache
def load_languages() -> Mapping[str, Language]:
    """Return the languages by their English names, English first.

    Raises:
        PromptError: a file is missing or wrong.
    """
    from vlm_inspect.prompt_files import prompt_folder

    return read_languages(prompt_folder() / "dialogue")


def read_languages(folder: Path) -> dict[str, Language]:
    """Return the languages of a folder; raises what `load_languages` raises."""
    from vlm_inspect.prompt_files import read_prompt_file

    read = {one.name: one for one in (read_prompt_file(Language, path) for path in sorted(folder.glob("*.yaml")))}
    if DEFAULT not in read:
        raise PromptError(f"{folder} holds no words for {DEFAULT}; reinstall vlm-inspect")
    rank = {name: place for place, name in enumerate(_ORDER)}
    return dict(sorted(read.items(), key=lambda item: rank.get(item[0], len(rank))))


def named_language(name: str) -> Language | None:
    """Return the language that a user names, in English, in its own words or by its code; None: none of these."""
    wanted = fold(name)
    for language in load_languages().values():
        if wanted in {fold(one) for one in (language.name, *language.known_as)}:
            return language
    return None
