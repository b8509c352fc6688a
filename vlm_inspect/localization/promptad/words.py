"""The sentences of PromptAD, from `prompts/zero_shot/promptad.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from vlm_inspect.errors import PromptError
from vlm_inspect.localization.subject import Subject
from vlm_inspect.prompt_files import prompt_folder
from vlm_inspect.strict_yaml import YamlError, key_path, read_yaml

_Sentences = Annotated[tuple[str, ...], Field(min_length=1)]


class SentenceForms(BaseModel):
    """Sentences with {class} and {defect} to be filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    normal: _Sentences
    anomalous: _Sentences
    with_defect: _Sentences
    classes: Mapping[str, _Sentences] = {}

    @field_validator("normal", "anomalous", "with_defect")
    @classmethod
    def _names_the_class(cls, forms: tuple[str, ...]) -> tuple[str, ...]:
        for form in forms:
            if "{class}" not in form:
                raise ValueError(f"{form!r} has no {{class}}")
        return forms

    @field_validator("with_defect")
    @classmethod
    def _names_the_defect(cls, forms: tuple[str, ...]) -> tuple[str, ...]:
        for form in forms:
            if "{defect}" not in form:
                raise ValueError(f"{form!r} has no {{defect}}")
        return forms


@dataclass(frozen=True)
class ClassSentences:
    """What is said of a class, filled in."""

    normal: tuple[str, ...]
    anomalous: tuple[str, ...]


def sentences_for(subject: Subject, *, class_words: bool = False) -> ClassSentences:
    """Return the sentences of a class: with the rule book's defects where it names some, else with generic states.

    Args:
        subject: the class, and its defects.
        class_words: add the file's own defects of the class, which come from a public test set.

    Raises:
        PromptError: the file is wrong.
    """
    forms = load_sentence_forms(prompt_folder() / "zero_shot" / "promptad.yaml")
    name = subject.class_name
    defects = subject.defects
    if class_words:
        defects += tuple(word for word in forms.classes.get(name.lower(), ()) if word not in defects)
    named = [form.replace("{class}", name).replace("{defect}", word) for word in defects for form in forms.with_defect]
    generic = [] if subject.defects else [form.replace("{class}", name) for form in forms.anomalous]
    return ClassSentences(tuple(form.replace("{class}", name) for form in forms.normal), (*generic, *named))


@cache
def load_sentence_forms(path: Path) -> SentenceForms:
    """Return the sentences of a file.

    Raises:
        PromptError: the file is missing or wrong.
    """
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
        return SentenceForms.model_validate(document.data)
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} cannot be read: {error}") from error
    except YamlError as error:
        raise PromptError(f"{path}:{error.line}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        line = document.line(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise PromptError(f"{path}:{line}: {key_path(first['loc'])}: {message}") from error
