"""What one turn gives, and who hears of it while it comes about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from vlm_inspect.tools.result import Picture, ToolResult


class Listener(Protocol):
    """Is told of a turn while it comes about."""

    def words(self, text: str) -> None:
        """Take words of the answer as they come."""
        ...

    def called(self, name: str, arguments: str, result: ToolResult) -> None:
        """Take one call of a tool and its result."""
        ...


@dataclass(eq=False)
class Answer:
    """One answer, with all that was looked up for it."""

    text: str = ""
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    """Name, arguments, result, and the number of pictures of every call, in order."""
    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What its reader should know: a citation that does not exist, a stream that broke off."""

    def record(self, name: str, arguments: str, result: ToolResult) -> None:
        """Keep one call."""
        self.calls.append(
            {
                "name": name,
                "arguments": arguments,
                "result": result.text,
                "pictures": len(result.pictures),
                "failed": result.failed,
            }
        )
        self.pictures += result.pictures
