"""What a model said in one go, put together from the pieces of a stream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vlm_inspect.inspection import Usage


@dataclass(frozen=True)
class ToolCall:
    """One call that a model makes; its arguments are text, which need not be JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ModelTurn:
    """Words, and calls of tools."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    cut: str = ""
    """Why the stream broke off; "": it did not."""


_APART = ("reasoning_content", "reasoning")
"""Where servers that read a model's marks put its thinking."""


class TurnDraft:
    """Collects the chunks of one answer, and hands its words on as they come."""

    def __init__(self, on_text: Callable[[str], None], on_apart: Callable[[], None] | None = None) -> None:
        """Collect an answer.

        Args:
            on_text: is given its words.
            on_apart: is told when thinking comes apart from the words.
        """
        self._on_text = on_text
        self._on_apart = on_apart
        self._texts: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._finish_reason = "stop"
        self._usage = Usage(calls=1)
        self.begun = False
        """Whether any chunk of the protocol came."""

    def add(self, chunk: object) -> None:
        """Take one chunk; what is not of the protocol is passed over."""
        counted = getattr(chunk, "usage", None)
        if counted is not None:
            self._usage = _usage_of(counted)
        for choice in (getattr(chunk, "choices", None) or ())[:1]:
            self.begun = True
            delta = getattr(choice, "delta", None)
            if self._on_apart is not None and any(getattr(delta, name, None) for name in _APART):
                self._on_apart()
            self._say(text_of(getattr(delta, "content", None)) + (getattr(delta, "refusal", None) or ""))
            for position, part in enumerate(getattr(delta, "tool_calls", None) or ()):
                self._add_call(position, part)
            self._finish_reason = getattr(choice, "finish_reason", None) or self._finish_reason

    def finish(self) -> ModelTurn:
        """Return the whole answer."""
        return ModelTurn("".join(self._texts), self._made_calls(), self._finish_reason, self._usage)

    def cut(self, reason: str) -> ModelTurn | None:
        """Return what came before the stream broke off; None: not a word did, so it may be asked again."""
        if not self._texts:
            return None
        return ModelTurn("".join(self._texts), (), "cut", self._usage, cut=reason)

    def _say(self, text: str) -> None:
        if text:
            self._texts.append(text)
            self._on_text(text)

    def _add_call(self, position: int, part: object) -> None:
        index = getattr(part, "index", None)
        call = self._calls.setdefault(position if index is None else index, {"id": "", "name": "", "arguments": ""})
        function = getattr(part, "function", None)
        call["id"] = getattr(part, "id", None) or call["id"]
        call["name"] += getattr(function, "name", None) or ""
        call["arguments"] += getattr(function, "arguments", None) or ""

    def _made_calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(call["id"] or f"call-{index}", call["name"], call["arguments"])
            for index, call in sorted(self._calls.items())
        )


def read_whole(result: object, on_text: Callable[[str], None]) -> ModelTurn | None:
    """Return an answer that came whole; None: it is none of the protocol."""
    choices = getattr(result, "choices", None)
    if not isinstance(choices, list) or not choices:
        return None
    message = getattr(choices[0], "message", None)
    text = text_of(getattr(message, "content", None)) + (getattr(message, "refusal", None) or "")
    calls = tuple(
        ToolCall(call.id or f"call-{i}", call.function.name or "", call.function.arguments or "")
        for i, call in enumerate(getattr(message, "tool_calls", None) or ())
        if getattr(call, "function", None) is not None
    )
    if text:
        on_text(text)
    usage = _usage_of(getattr(result, "usage", None))
    return ModelTurn(text, calls, getattr(choices[0], "finish_reason", None) or "stop", usage)


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or blocks of which the pictures are left out."""
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content if isinstance(block, Mapping))
    return content if isinstance(content, str) else ""


def _usage_of(counted: object) -> Usage:
    return Usage(
        prompt_tokens=getattr(counted, "prompt_tokens", 0) or 0,
        completion_tokens=getattr(counted, "completion_tokens", 0) or 0,
        calls=1,
    )
