"""Prompt texts as data: where their files are, how one is read, and how a text of it is filled.

Jinja2 fills the texts, sandboxed, and an unknown name is an error.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from vlm_inspect.errors import PromptError

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2 import Template as CompiledTemplate

_M = TypeVar("_M", bound=BaseModel)


@cache
def prompt_folder() -> Path:
    """Return the folder of the templates: inside the installed package, else at the top of the source tree.

    Raises:
        PromptError: neither exists; the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "prompts", package.parent / "prompts"):
        if (folder / "words" / "views.yaml").is_file():
            return folder
    raise PromptError(f"no prompts beside {package}; reinstall vlm-inspect")


def read_prompt_file(model: type[_M], path: Path) -> _M:
    """Read a YAML file of prompt texts that is no template.

    Raises:
        PromptError: it cannot be read, or has another form.
    """
    return validated_prompt(model, read_prompt_yaml(path), path)


def fill_text(text: str, values: Mapping[str, Any], where: str) -> str:
    """Fill one text with values, each made safe by `clean_data`; surrounding blank lines are cut.

    Raises:
        PromptError: a name of the text has no value; the message begins with `where`.
    """
    from jinja2 import TemplateError

    try:
        return _compiled(text).render(values).strip()
    except TemplateError as error:
        raise PromptError(f"{where}: {error}") from error


def read_prompt_yaml(path: Path) -> object:
    """Return what a YAML file of prompts holds.

    Raises:
        PromptError: it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PromptError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error


def validated_prompt(model: type[_M], data: object, path: Path) -> _M:
    """Return the data of a file in the form of `model`.

    Raises:
        PromptError: it has another form.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise PromptError(f"{path.name}: {place}: {first['msg']}") from error


@cache
def prompt_environment() -> "Environment":
    """Return what reads and fills the texts."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # `finalize` sees every value that a template writes, so that no block can forget to clean one.
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=clean_data, autoescape=False
    )


@lru_cache(maxsize=256)
def _compiled(text: str) -> "CompiledTemplate":
    return prompt_environment().from_string(text)


_TAG = re.compile(r"<(?=[/A-Za-z!|<])")
_CONTROL_TOKEN = re.compile(r"\[(/?[A-Z][A-Z_]+)\]")


def clean_data(value: object) -> object:
    """Return a value as the prompt may hold it: one line, no control characters, no tag that could end a block.

    Rules, notes, labels and questions are written by people and files. "<rules>" becomes "‹rules>", which also disarms
    the image and role tokens of local models ("<image>", "<|im_end|>", "[INST]"); "a < b" stays.
    """
    if not isinstance(value, str):
        return value
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return _CONTROL_TOKEN.sub(r"(\1)", _TAG.sub("‹", line))
