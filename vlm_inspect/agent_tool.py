"""An inspection as a tool that LangChain agents can call.

agent = create_agent(model, tools=[vlm_inspect.as_tool(folder="parts")])
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from converters.errors import ConversionError
from vlm_inspect.errors import InspectError
from vlm_inspect.inspector import Inspector
from vlm_inspect.real_path import real_path

if TYPE_CHECKING:
    from langchain_core.tools import StructuredTool

NAME = "inspect_part"


class InspectPart(BaseModel):
    """Arguments of the tool; an agent reads these descriptions."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="File of the part: photo, 3-D scan, video, folder of frames or sensor curve.")
    question: str | None = Field(
        default=None, description="A question about the part; the answer stands beside the verdict."
    )
    rules: str | None = Field(
        default=None, description="Rule book of the part's class (YAML); default: the tool's own."
    )


def as_tool(inspector: Inspector | None = None, *, folder: str | Path | None = None) -> "StructuredTool":
    """Return a tool `inspect_part(path, question, rules)` that returns the inspection as JSON.

    Args:
        inspector: what judges where the call names no rules; None: an offline one without rules. A call that names
            rules keeps its model, localizer and thresholds, and takes the rules' own references.
        folder: files outside this folder are refused, and relative paths start there; None: any file of this machine.

    What is wrong with a call (no such file, a wrong rule book) comes back as one line that begins with "error:", so
    that the agent can do better.
    """
    from langchain_core.tools import StructuredTool

    inspect = _Inspections(inspector or Inspector(), None if folder is None else real_path(folder))
    return StructuredTool.from_function(
        func=inspect,
        name=NAME,
        description=(
            "Inspect one manufactured part and judge it OK, NG or REVIEW (doubt), rule by rule. Returns JSON: outcome, "
            "score (probability that it is anomalous), answer, reasoning, rules, defects with their places."
        ),
        args_schema=InspectPart,
    )


class _Inspections:
    """Inspectors by rule book: each reads its references once."""

    __name__ = NAME

    def __init__(self, default: Inspector, folder: Path | None) -> None:
        self._default = default
        self._folder = folder
        self._by_rules: dict[tuple[Path, int], Inspector] = {}

    def __call__(self, path: str, question: str | None = None, rules: str | None = None) -> str:
        try:
            inspector = self._default if rules is None else self._for(self._inside(rules))
            return inspector.inspect(self._inside(path), question).model_dump_json()
        except (InspectError, ConversionError, OSError) as error:
            return f"error: {' '.join(str(error).split())}"

    def _inside(self, path: str) -> Path:
        if self._folder is None:
            return Path(path)
        whole = real_path(self._folder / path)
        if not whole.is_relative_to(self._folder):
            raise InspectError(f"{path} lies outside {self._folder}, the folder that this tool may read")
        return whole

    def _for(self, rules: Path) -> Inspector:
        """Return the inspector of a rule book, made anew when the file has changed."""
        from dataclasses import replace

        from vlm_inspect.rules import load_rules, resolve_references

        key = (rules, rules.stat().st_mtime_ns if rules.is_file() else 0)
        if key not in self._by_rules:
            book = load_rules(rules)
            fresh = replace(self._default, rules=book, references=tuple(resolve_references(book)))
            self._by_rules[key] = fresh
        return self._by_rules[key]
