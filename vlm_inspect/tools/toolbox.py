"""`Toolbox`: the tools over one case, by name; a call that is wrong in any way gives one line, never an exception.

toolbox = Toolbox(material)
toolbox.schemas()                                       # for an OpenAI-compatible server
toolbox.call("zoom", '{"view": 0, "box": [410, 300, 580, 440]}')
toolbox.as_langchain()                                  # for an agent of your own
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from converters.errors import ConversionError
from vlm_inspect.errors import InspectError, PromptError
from vlm_inspect.tools import arguments
from vlm_inspect.tools.clip_looks import show_moment
from vlm_inspect.tools.looking import compare, show_heatmap, zoom
from vlm_inspect.tools.material import Material
from vlm_inspect.tools.measuring import measure_distance, measure_rule, tell_rule
from vlm_inspect.tools.result import ToolResult
from vlm_inspect.tools.scan_looks import look_from
from vlm_inspect.tools.similar import find_similar

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

LONGEST_LINE = 300


@dataclass(frozen=True)
class Tool:
    """One tool: its name, what it takes, and what it does."""

    name: str
    arguments: type[BaseModel]
    run: Callable[[Material, Any], ToolResult]


TOOLS = (
    Tool("zoom", arguments.Zoom, zoom),
    Tool("compare_with_references", arguments.Compare, compare),
    Tool("look_from", arguments.Direction, look_from),
    Tool("show_moment", arguments.Moment, show_moment),
    Tool("heatmap", arguments.Heatmap, show_heatmap),
    Tool("measure_distance", arguments.Distance, measure_distance),
    Tool("measure_rule", arguments.OfRule, measure_rule),
    Tool("rule_text", arguments.OfRule, tell_rule),
    Tool("similar_cases", arguments.Similar, find_similar),
)
"""The whole registry."""
_KINDS = {"look_from": {"point_cloud"}, "show_moment": {"video", "series"}}
"""Tools that make sense for some kinds of input only."""


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    arguments: Mapping[str, str] = {}


class Toolbox:
    """The tools that fit a case, and any that a dialogue adds."""

    def __init__(self, material: Material, more: Sequence[Tool] = ()) -> None:
        """Take the tools that fit the kind of the part, and `more`; no file is read yet."""
        self._material = material
        self._more = more

    @cached_property
    def _tools(self) -> Mapping[str, Tool]:
        kind = self._material.kind
        fitting = [tool for tool in TOOLS if kind in _KINDS.get(tool.name, {kind})]
        return {tool.name: tool for tool in (*fitting, *self._more)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that `call` knows."""
        return tuple(self._tools)

    def call(self, name: str, arguments_json: str) -> ToolResult:
        """Run one tool; what is wrong with the call comes back as one line that begins with "error:"."""
        tool = self._tools.get(name)
        if tool is None:
            return _failure(f"there is no tool {name!r}; the tools are {', '.join(self._tools)}")
        try:
            given = json.loads(arguments_json or "{}")
        except (ValueError, RecursionError) as error:
            return _failure(f"the arguments of {name} are no JSON: {error}")
        if not isinstance(given, dict):
            return _failure(f"the arguments of {name} are no JSON object")
        try:
            return tool.run(self._material, tool.arguments.model_validate(given))
        except ValidationError as error:
            return _failure(f"{name}: {_first_of(error)}")
        except (InspectError, ConversionError, OSError) as error:
            return _failure(str(error))

    def as_langchain(self) -> "list[StructuredTool]":
        """Return the tools for an agent: each gives its text, and its pictures as the artifact."""
        from langchain_core.tools import StructuredTool

        return [
            StructuredTool.from_function(
                func=self._function_of(tool),
                name=tool.name,
                description=describe_tools()[tool.name].about,
                args_schema=described(tool),
                response_format="content_and_artifact",
            )
            for tool in self._tools.values()
        ]

    def schemas(self) -> list[dict[str, Any]]:
        """Return the tools as functions of the OpenAI protocol."""
        from langchain_core.utils.function_calling import convert_to_openai_tool

        return [convert_to_openai_tool(tool) for tool in self.as_langchain()]

    def _function_of(self, tool: Tool) -> Callable[..., tuple[str, tuple[Any, ...]]]:
        def run(**given: Any) -> tuple[str, tuple[Any, ...]]:
            plain = {key: value for key, value in given.items() if value is not None}
            result = self.call(tool.name, json.dumps(plain))
            return result.text, result.pictures

        return run


def described(tool: Tool) -> type[BaseModel]:
    """Return the arguments of a tool with the descriptions that models read."""
    texts = describe_tools()[tool.name].arguments
    fields: dict[str, Any] = {}
    for name, field in tool.arguments.model_fields.items():
        told = copy(field)
        told.description = texts[name]
        fields[name] = (field.annotation, told)
    model: type[BaseModel] = create_model(tool.arguments.__name__, __base__=tool.arguments, **fields)
    return model


@cache
def describe_tools() -> Mapping[str, _Description]:
    """Read what models are told of each tool.

    Raises:
        PromptError: the file is missing or wrong.
    """
    from vlm_inspect.prompt_files import prompt_folder

    path = prompt_folder() / "words" / "chat_tools.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {name: _Description.model_validate(entry) for name, entry in data.items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError, AttributeError) as error:
        raise PromptError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "arguments"
    return f"{place}: {first['msg']}"


def _failure(message: str) -> ToolResult:
    line = " ".join(message.split())
    return ToolResult(f"error: {line[:LONGEST_LINE]}", failed=True)
