"""What one call to a server asks for, as far as the server takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlm_inspect.backends.capabilities import Capabilities
from vlm_inspect.backends.strict_schema import strict_schema

Message = dict[str, Any]
_TOP_LOGPROBS = 5
_SAMPLING_TEMPERATURE = 0.7
"""Several answers to one request must be able to differ; a single one is the likeliest."""


@dataclass(frozen=True)
class CallOptions:
    """What one call would ask for at a server that takes everything."""

    schema: Mapping[str, Any]
    max_tokens: int
    wanted: int
    """Number of answers."""
    varied: bool
    """True where the answers must be able to differ."""
    effort: str | None = None
    """How much the model shall think, in the server's words."""
    tools: Sequence[Mapping[str, Any]] = ()
    """Functions on offer; while they may be called, the answer is held to no form."""
    may_call: bool = True

    def within(self, able: Capabilities) -> dict[str, Any]:
        """Return the options for a server of these capabilities."""
        options = self._functions(able)
        if not (options and self.may_call):
            options |= self._form(able)
        if able.logprobs:
            options |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        if able.limit:
            options[able.limit] = self.max_tokens
        if able.effort and self.effort:
            options["reasoning_effort"] = self.effort
        if able.temperature:
            options["temperature"] = _SAMPLING_TEMPERATURE if self.varied else 0.0
        if able.choices and self.wanted > 1:
            options["n"] = self.wanted
        return options

    def _form(self, able: Capabilities) -> dict[str, Any]:
        if able.structure == "schema":
            strict = {"name": "inspection", "strict": True, "schema": strict_schema(dict(self.schema))}
            return {"response_format": {"type": "json_schema", "json_schema": strict}}
        return {"response_format": {"type": "json_object"}} if able.structure == "json" else {}

    def _functions(self, able: Capabilities) -> dict[str, Any]:
        """Return the functions as a server takes them; where none may be called they stay: the prompt begins so."""
        if not self.tools or not able.tools or not (self.may_call or able.tool_choice):
            return {}
        return {"tools": [dict(one) for one in self.tools], **({} if self.may_call else {"tool_choice": "none"})}


def shape_messages(messages: Sequence[Message], able: Capabilities) -> list[Message]:
    """Return messages of the OpenAI protocol as a server takes them: without a system's role, without detail."""
    shaped = [dict(message) for message in messages]
    if not able.detail:
        shaped = [_without_detail(message) for message in shaped]
    return shaped if able.system else _without_system(shaped)


def _without_detail(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [_plain_picture(block) for block in content]}


def _plain_picture(block: Any) -> Any:
    if not isinstance(block, Mapping) or block.get("type") != "image_url":
        return block
    return {"type": "image_url", "image_url": {"url": block["image_url"]["url"]}}


def _without_system(messages: list[Message]) -> list[Message]:
    """Put the system's words at the head of the first turn of the user."""
    told = [str(message["content"]) for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    first = next((i for i, message in enumerate(others) if message["role"] == "user"), None)
    if not told:
        return others
    words = "\n\n".join(told)
    if first is None:
        return [{"role": "user", "content": words}, *others]
    content = others[first]["content"]
    whole = [{"type": "text", "text": words}, *content] if isinstance(content, list) else f"{words}\n\n{content}"
    return [*others[:first], {**others[first], "content": whole}, *others[first + 1 :]]
