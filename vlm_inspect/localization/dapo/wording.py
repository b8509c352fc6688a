"""The words of `prompts/zero_shot/dapo.yaml`: sentences around a defect word, and the words that come with us."""

from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlm_inspect.errors import PromptError
from vlm_inspect.localization.dapo.vocabulary import check_words
from vlm_inspect.prompt_files import prompt_folder
from vlm_inspect.strict_yaml import YamlError, read_yaml

DEFECT = "{defect}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wording(_Strict):
    """What is said of a normal object and of a defect; learned context stands in front of both."""

    normal: str = Field(min_length=1, max_length=500)
    defect: str = Field(min_length=1, max_length=500)
    normal_word: str = Field(max_length=100)
    abnormal_suffix: str = Field(max_length=100)
    object_word: str = Field(max_length=100)

    @model_validator(mode="after")
    def _names_the_defect(self) -> Self:
        if self.defect.count(DEFECT) != 1 or DEFECT in self.normal:
            raise ValueError(f"{DEFECT} must stand once in `defect`, and not in `normal`")
        if any("{" in left or "}" in left for left in (self.normal_sentence, self._filled(self.defect, "x"))):
            raise ValueError("only {normal_word}, {abnormal_suffix}, {object_word} and {defect} are known")
        return self

    @property
    def normal_sentence(self) -> str:
        """The sentence of the normal state."""
        return self._filled(self.normal, "")

    def sentences(self, words: tuple[str, ...]) -> list[str]:
        """Return the 1 + K sentences of the normal state and of each word."""
        return [self.normal_sentence, *(self._filled(self.defect, word) for word in words)]

    def _filled(self, pattern: str, word: str) -> str:
        for name in ("normal_word", "abnormal_suffix", "object_word"):
            pattern = pattern.replace(f"{{{name}}}", getattr(self, name))
        # the user's word goes in last, so that braces in it stay what they are
        return " ".join(pattern.replace(DEFECT, word).split())


class _File(_Strict):
    wording: Wording
    default_words: tuple[str, ...]


def default_wording() -> Wording:
    """Return the sentences that come with the program."""
    return _file().wording


def default_words() -> tuple[str, ...]:
    """Return the defect words that are used where nobody names any."""
    return check_words(_file().default_words)


@cache
def _file() -> _File:
    path = prompt_folder() / "zero_shot" / "dapo.yaml"
    try:
        return _File.model_validate(read_yaml(Path(path).read_text(encoding="utf-8")).data)
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise PromptError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PromptError(f"{path.name}: {place}: {first['msg']}") from error
