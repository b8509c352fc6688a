"""Templates as data: their form, and the checks that a wrong one fails before a model is asked.

A template is a list of blocks. A block is one text, or one text and one picture for each item of `each`. Blocks of an
ingredient that is switched off are left out. Jinja2 fills the texts, sandboxed, and an unknown name is an error.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from converters.view import View
from vlm_inspect.errors import PromptError
from vlm_inspect.prompt_files import (
    fill_text,
    prompt_environment,
    prompt_folder,
    read_prompt_file,
    read_prompt_yaml,
    validated_prompt,
)

if TYPE_CHECKING:
    pass


Look = Literal["image", "shaded", "depth", "normals", "deviation", "closer", "frames", "plot", "events"]
"""What a picture looks like: its kind, and what is drawn or read otherwise than others of that kind."""
LOOKS: tuple[Look, ...] = get_args(Look)


def look_of(view: View) -> Look:
    """Return what a view looks like."""
    return _LOOK_OF_KEY.get(view.key.partition("/")[0], view.kind)


_LOOK_OF_KEY: Mapping[str, Look] = {"shaded": "shaded", "closer": "closer", "events": "events"}
"""By what stands before the slash in the key of a view."""


class Ingredient(StrEnum):
    """A part of the prompt that can be switched off."""

    TASK = "task"
    SCHEMA = "schema"
    CLASS_CONTEXT = "class_context"
    RULES = "rules"
    REFERENCES = "references"
    EVIDENCE_WORDS = "evidence_words"
    EVIDENCE_MARKS = "evidence_marks"
    EVIDENCE_CROPS = "evidence_crops"
    QUESTION = "question"


ALL_INGREDIENTS = frozenset(Ingredient)
EVIDENCE_INGREDIENTS = frozenset({Ingredient.EVIDENCE_WORDS, Ingredient.EVIDENCE_MARKS, Ingredient.EVIDENCE_CROPS})
SHARED_INGREDIENTS = ALL_INGREDIENTS - EVIDENCE_INGREDIENTS - {Ingredient.QUESTION}
"""The same for every part of a class; they come first."""

SHARED_VARIABLES = frozenset(
    {
        *("class_name", "description", "defects", "unit", "rules", "kinds"),
        *("reference_count", "references_shown", "reference_views_left_out", "language", "box", "calibrated"),
        "reference_points",
    }
)
PART_VARIABLES = frozenset(
    {
        "views",
        "further_kinds",
        "measurements",
        "maps",
        "regions",
        "regions_left_out",
        "by_words",
        "notes",
        "question",
        "points",
    }
)
ITEM_VARIABLES: dict[str, frozenset[str]] = {
    "references": frozenset({"reference", "view"}),
    "views": frozenset({"view"}),
    "marked_views": frozenset({"view", "marks"}),
    "crops": frozenset({"mark", "view", "reference"}),
}
_PLACEHOLDER = re.compile(r"\{\s*[A-Za-z_]\w*\s*\}|\$\{?[A-Za-z_]\w*|%\([A-Za-z_]\w*\)|<<\w+>>|\[\[\w+\]\]")
"""What other template languages write; Jinja2 would send it to the model as it stands."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Block(_Strict):
    """One text of the prompt, or one text and one picture for each item of `each`."""

    role: Literal["system", "user"]
    ingredient: Ingredient | None = None
    each: Literal["references", "views", "marked_views", "crops"] | None = None
    text: str


class ViewWords(_Strict):
    """How pictures of one kind are named, and what their brightness, colours and order mean."""

    noun: str
    reading: str


class Captions(_Strict):
    """What is drawn above the two halves of a zoomed picture."""

    part: str
    reference: str


class Words(_Strict):
    """The words that all templates share."""

    views: dict[Look, ViewWords]
    captions: Captions

    @model_validator(mode="after")
    def _has_every_kind(self) -> Self:
        missing = set(LOOKS) - set(self.views)
        if missing:
            raise ValueError(f"no words for {', '.join(sorted(missing))}")
        return self


class Template(_Strict):
    """One task: its blocks in reading order, and the schema of its answer."""

    task: str = Field(min_length=1)
    about: str
    max_references: int | None = Field(default=None, ge=1)
    """Most references shown; None: as many as the limits allow."""
    blocks: tuple[Block, ...] = Field(min_length=1)
    answer_schema: dict[str, Any]

    @cached_property
    def words(self) -> Words:
        """The shared words of the folder that this version of the program came with."""
        return load_words()

    @property
    def takes_question(self) -> bool:
        """False for a template that has no place for the user's question."""
        return any(block.ingredient is Ingredient.QUESTION for block in self.blocks)

    @cached_property
    def states_boxes(self) -> bool:
        """Whether its texts say how boxes are written by the variable, so that they fit any model."""
        return any("box" in _names_of(block.text, self.task) for block in self.blocks)

    @cached_property
    def shows_points(self) -> bool:
        """Whether its texts hold the points of a scan."""
        return any("points" in _names_of(block.text, self.task) for block in self.blocks)

    def fill(self, text: str, values: Mapping[str, Any]) -> str:
        """Fill one text of this template; surrounding blank lines are cut.

        Raises:
            PromptError: a name of the text has no value.
        """
        return fill_text(text, values, f"template {self.task}")


def load_words() -> Words:
    """Return the shared words of the folder that this version of the program came with.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(Words, prompt_folder() / "words" / "views.yaml")


def list_templates() -> list[str]:
    """Return the names that `load_template` knows."""
    return sorted(path.stem for path in prompt_folder().glob("*.yaml"))


def load_template(name: str | Path) -> Template:
    """Read and check a template: the name of one that comes with the program, or the path of your own.

    Raises:
        PromptError: there is none, a key is unknown, a variable does not exist, a placeholder of another template
            language is left in it, or its order would break the prefix that parts of one class share.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = prompt_folder() / f"{name}.yaml"
    if not path.is_file():
        raise PromptError(f"no template {name}; there are {', '.join(list_templates())}, or give the path of a .yaml")
    state = path.stat()
    return _read_template(path, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=16)
def _read_template(path: Path, stamp: tuple[int, int]) -> Template:
    """Read and check a file, once for each `stamp` (its time and size): the checks take longer than a request."""
    del stamp
    template = validated_prompt(Template, read_prompt_yaml(path), path)
    for number, block in enumerate(template.blocks, start=1):
        _check_names(block, f"{path.name}, block {number}")
    _check_order(template, path.name)
    return template


def _names_of(text: str, where: str) -> set[str]:
    from jinja2 import TemplateSyntaxError, meta

    try:
        return meta.find_undeclared_variables(prompt_environment().parse(text))
    except TemplateSyntaxError as error:
        raise PromptError(f"{where}, line {error.lineno} of its text: {error.message}") from error


def _check_names(block: Block, where: str) -> None:
    from jinja2 import nodes

    known = SHARED_VARIABLES | PART_VARIABLES | ITEM_VARIABLES.get(block.each or "", frozenset())
    unknown = _names_of(block.text, where) - known
    if unknown:
        raise PromptError(f"{where}: unknown variable {sorted(unknown)[0]}; known here: {', '.join(sorted(known))}")
    for data in prompt_environment().parse(block.text).find_all(nodes.TemplateData):
        if left := _PLACEHOLDER.search(data.data):
            raise PromptError(f"{where}: unreplaced placeholder {left.group()}; write {{{{ name }}}}")


def _check_order(template: Template, name: str) -> None:
    part_began = False
    for number, block in enumerate(template.blocks, start=1):
        own = block.each not in (None, "references") or bool(_names_of(block.text, name) & PART_VARIABLES)
        part_began = part_began or own
        if part_began and block.ingredient in SHARED_INGREDIENTS:
            reason = "uses variables of one part" if own else "comes after what belongs to one part"
            raise PromptError(
                f"{name}, block {number} ({block.ingredient}) {reason}; the parts of a class could not share a prefix"
            )
        if part_began and block.role == "system":
            raise PromptError(f"{name}, block {number}: a system block comes after what belongs to one part")
