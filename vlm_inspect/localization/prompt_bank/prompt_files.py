"""Reads `prompts/zero_shot/*.yaml` strictly, and fills their sentences."""

import re
from functools import cache
from typing import Annotated, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from vlm_inspect.errors import PromptError
from vlm_inspect.prompt_files import prompt_folder
from vlm_inspect.strict_yaml import YamlError, key_path, read_yaml

FOLDER = "zero_shot"
_PLACE = re.compile(r"(?:\b([Aa])n? )?\{(\w+)\}")
_KNOWN = frozenset({"article", "object", "domain", "state", "details", "phrase", "opening", "count"})
_CONSONANT_SOUND = re.compile(r"(?:uni(?![nm])|us[ae]|usb|eu|one\b|once\b)", re.IGNORECASE)
_SPELT_VOWEL = re.compile(r"[AEFHILMNORSX]\d")  # an M4 screw
_VOWEL_SOUND = re.compile(r"(?:[aeiou]|hour|honest)", re.IGNORECASE)


class Strict(BaseModel):
    """Plain data whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_M = TypeVar("_M", bound=Strict)


def _has_known_places(sentence: str) -> str:
    unknown = {name for _, name in _PLACE.findall(sentence)} - _KNOWN
    if unknown:
        raise ValueError(f"unknown name {{{min(unknown)}}}; known: {', '.join(sorted(_KNOWN))}")
    return sentence


Sentence = Annotated[str, AfterValidator(_has_known_places)]
"""A sentence with names in braces, all of them known."""


def fill(sentence: str, **values: str) -> str:
    """Return the sentence with its names filled in; "a" before a name becomes "an" where the value asks for it.

    Values are taken as they are: braces in a class name mean nothing.

    Raises:
        PromptError: the sentence has a name that got no value.
    """

    def put(match: re.Match[str]) -> str:
        article, name = match.groups()
        if name not in values:
            raise PromptError(f"the sentence {sentence!r} needs a value for {{{name}}}")
        value = values[name]
        return value if article is None else f"{article}{'n' if takes_an(value) else ''} {value}"

    return " ".join(_PLACE.sub(put, sentence).split())


def takes_an(words: str) -> bool:
    """Return whether the first of these words sounds like a vowel."""
    spelt = bool(_SPELT_VOWEL.match(words))
    return spelt or (bool(_VOWEL_SOUND.match(words)) and not _CONSONANT_SOUND.match(words))


def read_prompts(name: str, model: type[_M]) -> _M:
    """Return the checked content of one file of `prompts/zero_shot`.

    Raises:
        PromptError: the file is missing, is no plain YAML, or has an unknown, missing or wrong key.
    """
    return cast("_M", _read(name, model))


@cache
def _read(name: str, model: type[Strict]) -> Strict:
    path = prompt_folder() / FOLDER / f"{name}.yaml"
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} cannot be read ({error}); reinstall vlm-inspect") from error
    except YamlError as error:
        raise PromptError(f"{path.name}, line {error.line}: {error}") from error
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        first = error.errors()[0]
        place = f"line {document.line(first['loc'])}, {key_path(first['loc']) or 'top level'}"
        raise PromptError(f"{path.name}, {place}: {first['msg']}") from error
