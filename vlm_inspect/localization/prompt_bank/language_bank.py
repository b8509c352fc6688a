"""What a language model says of a class: asked once, kept as JSON (arXiv 2404.09654, section 4.2).

Every question of `prompts/zero_shot/questions.yaml` is asked for normal and for abnormal parts. The answers are kept in
the cache under class, label, model and the digest of the questions, so that a class costs its calls once,
and the same sentences judge it from then on.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.array_cache import ArrayCache, Arrays, user_cache
from vlm_inspect.errors import LocalizerError
from vlm_inspect.localization.prompt_bank.class_names import spoken_name
from vlm_inspect.localization.prompt_bank.ensembles import Label, PromptSet, without_repeats
from vlm_inspect.localization.prompt_bank.prompt_files import Sentence, Strict, fill, read_prompts
from vlm_inspect.localization.prompt_bank.replies import read_descriptions
from vlm_inspect.localization.prompt_bank.settings import Bank, LanguageSettings
from vlm_inspect.localization.prompt_bank.written_bank import Description, DescriptionSource, WrittenBank

if TYPE_CHECKING:
    from vlm_inspect.backends.backend import Backend, Request

KIND = "descriptions"
"""Of the cache's entries."""


class Questions(Strict):
    """`questions.yaml`."""

    instruction: str
    questions: Mapping[Label, tuple[Sentence, ...]]
    request: Sentence
    openings: Mapping[Label, Sentence]
    completed: Sentence
    answer_schema: Mapping[str, Any]


class _Asked(BaseModel):
    """What a description answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    class_name: str
    label: Label
    model: str
    prompt_sha256: str


class _Entry(BaseModel):
    """One entry of the cache."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: _Asked
    sentences: tuple[str, ...] = Field(min_length=1)


class LanguageModelBank:
    """Asks a model, once for each class and label."""

    def __init__(
        self, backend: "Backend", settings: LanguageSettings | None = None, cache: ArrayCache | None = None
    ) -> None:
        """Ask `backend`; keep its answers in `cache`, by default the user's."""
        self._backend = backend
        self._settings = settings or LanguageSettings()
        self._cache = cache or user_cache()

    @property
    def identity(self) -> str:
        """Model, questions and settings."""
        questions = read_prompts("questions", Questions).model_dump_json()
        told = json.dumps([self._backend.name, questions, self._settings.per_reply, self._settings.samples])
        return f"{self._backend.name} {hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def describe(self, class_name: str) -> Description:
        """Return what the model says of a class; it is asked only where nothing is kept.

        Raises:
            LocalizerError: the class has no name, or no reply holds a usable sentence.
            BackendError: the model cannot be reached, or rejects the request.
        """
        name = spoken_name(class_name)
        return Description(PromptSet(self._sentences(name, "normal"), self._sentences(name, "abnormal")))

    def _sentences(self, name: str, label: Label) -> tuple[str, ...]:
        texts = _questions(name, label, self._settings)
        digest = hashlib.sha256(json.dumps([texts, self._settings.samples]).encode()).hexdigest()
        key = hashlib.sha256(json.dumps([name, label, self._backend.name, digest]).encode()).hexdigest()
        asked = _Asked(class_name=name, label=label, model=self._backend.name, prompt_sha256=digest)

        def unpack(arrays: Arrays) -> tuple[str, ...]:
            entry = _Entry.model_validate_json(arrays["json"].tobytes())
            if entry.asked != asked:
                raise ValueError("the description of something else")
            return entry.sentences

        return self._cache.value(
            KIND,
            key,
            lambda: self._ask(name, label, texts),
            lambda sentences: {"json": _bytes_of(_Entry(asked=asked, sentences=sentences))},
            unpack,
        )

    def _ask(self, name: str, label: Label, texts: list[str]) -> tuple[str, ...]:
        words = read_prompts("questions", Questions)
        opening, found = fill(words.openings[label], object=name), list[str]()
        for text in texts:
            replies = self._backend.generate(_request(name, text, words), samples=self._settings.samples)
            for reply in replies:
                phrases = read_descriptions(reply)[: self._settings.per_reply]
                found += [_in_frame(phrase, opening, words.completed) for phrase in phrases]
        if not found:
            raise LocalizerError(
                f"{self._backend.name} described no {label} {name}; name another model, or none for the written bank"
            )
        return without_repeats(found)


def _bytes_of(entry: _Entry) -> NDArray[np.uint8]:
    return np.frombuffer(entry.model_dump_json().encode(), np.uint8)


def load_bank(
    who: Bank = "auto", backend: "Backend | None" = None, settings: LanguageSettings | None = None
) -> DescriptionSource:
    """Return who describes a class.

    Args:
        who: "written", "model", or "auto": the model where it has a language.
        backend: the model; None: there is none.
        settings: how it is asked.

    Raises:
        LocalizerError: a model is asked for, and there is none with a language.
    """
    from vlm_inspect.backends import is_offline

    silent = backend is None or is_offline(backend.name)
    if who == "model" and silent:
        raise LocalizerError(
            "alfa.bank: model needs a model that can describe a class; name one with --model, or say written"
        )
    return WrittenBank() if who == "written" or silent or backend is None else LanguageModelBank(backend, settings)


def _questions(name: str, label: Label, settings: LanguageSettings) -> list[str]:
    """Return the texts that the model is sent: each question with the request to begin each line alike."""
    words = read_prompts("questions", Questions)
    opening = fill(words.openings[label], object=name)
    request = fill(words.request, count=str(settings.per_reply), opening=opening)
    return [f"{words.instruction}\n\n{fill(q, object=name)}\n{request}" for q in words.questions[label]]


def _request(name: str, text: str, words: Questions) -> "Request":
    from langchain_core.messages import HumanMessage

    from vlm_inspect.backends.backend import Request
    from vlm_inspect.backends.messages import digest_messages
    from vlm_inspect.evidence import Evidence
    from vlm_inspect.rules import RuleBook

    messages = (HumanMessage(content=text),)
    return Request(
        messages=messages,
        answer_schema=words.answer_schema,
        views=(),
        rules=RuleBook(class_name=name[:200]),
        evidence=Evidence(),
        question=text,
        prompt_sha256=digest_messages(messages),
    )


def _in_frame(phrase: str, opening: str, completed: str) -> str:
    """Return the phrase as a sentence that begins as all of them do."""
    if phrase.casefold().startswith(opening.casefold()):
        return opening + phrase[len(opening) :]
    return fill(completed, opening=opening, phrase=phrase[:1].lower() + phrase[1:])
