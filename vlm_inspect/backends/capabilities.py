"""What a server takes: found out by its own refusals, and remembered for the rest of the process.

OpenAI-compatible servers differ in the options they accept, and no endpoint tells. So the fullest request is sent
first; an answer of 400 or 422 that names an option takes it away, and the smaller request is sent at once.
"""

import re
import threading
from dataclasses import dataclass, replace
from typing import Any, Literal

Structure = Literal["schema", "json", "text"]
LimitName = Literal["max_tokens", "max_completion_tokens"]

_WEAKER: dict[Structure, Structure] = {"schema": "json", "json": "text"}


@dataclass(frozen=True)
class Capabilities:
    """Options that a model at a server is believed to take."""

    structure: Structure = "schema"
    """How the form of the answer is enforced: by JSON schema, as any JSON, or by the prompt alone."""
    logprobs: bool = True
    limit: LimitName | None = "max_tokens"
    temperature: bool = True
    choices: bool = True
    """Several answers to one request."""

    def without(self, refusal: str, parameter: str = "", *, guess: bool = True) -> "Capabilities | None":
        """Return what is left after a refusal, or None when the refusal is not about an option.

        Args:
            refusal: the server's message.
            parameter: the parameter that the server blames, or "".
            guess: whether a message that names no option, but says that something is not supported, takes one away.
        """
        text = refusal.lower()
        if parameter and parameter != "messages":
            return self._without_option(parameter.lower())
        named = (self._without_option(word) for word in re.findall(r"[a-z_]{2,}", text))
        if (left := next(filter(None, named), None)) is not None:
            return left
        if _STRUCTURE.search(text):
            return self._weaker_structure()
        if _CHOICES.search(text):
            return replace(self, choices=False) if self.choices else None
        if guess and _UNSUPPORTED.search(text) and not _CONTENT.search(text):
            # Servers differ most in the form of the answer; the log-probabilities come next.
            return self._weaker_structure() or (replace(self, logprobs=False) if self.logprobs else None)
        return None

    def _without_option(self, name: str) -> "Capabilities | None":
        if name.startswith(("response_format", "json_schema", "json_object")):
            return self._weaker_structure()
        if name in {"logprobs", "top_logprobs"} and self.logprobs:
            return replace(self, logprobs=False)
        if name == self.limit:
            return replace(self, limit="max_completion_tokens" if name == "max_tokens" else None)
        if name == "temperature" and self.temperature:
            return replace(self, temperature=False)
        if name == "n" and self.choices:
            return replace(self, choices=False)
        return None

    def _weaker_structure(self) -> "Capabilities | None":
        weaker = _WEAKER.get(self.structure)
        return replace(self, structure=weaker) if weaker else None


_STRUCTURE = re.compile(r"structured[ -]output|json[ -](mode|schema)|grammar|guided")
_CHOICES = re.compile(r"""['"`]n['"`]|\bn (must|should|is|>|=)|multiple (choices|completions)""")
_UNSUPPORTED = re.compile(r"support|unknown|unrecogni[sz]ed|unexpected|extra|not permitted|not allowed|not implemented")
_CONTENT = re.compile(r"image|context|token|message|content|role|model\b")
_LOCK = threading.Lock()
_LEARNED: dict[tuple[str, str], Capabilities] = {}


def recall(base_url: str, model: str) -> Capabilities:
    """Return what is known of a model at a server; a server not met before is believed to take everything."""
    with _LOCK:
        return _LEARNED.get((base_url, model), Capabilities())


def remember(base_url: str, model: str, capabilities: Capabilities) -> None:
    """Keep what was found out for the rest of the process."""
    with _LOCK:
        _LEARNED[base_url, model] = capabilities


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in the form that strict structured output asks for.

    There every key of an object is required, so that one that may be missing becomes one that may be null; no other
    keys are allowed; and bounds of numbers and lengths, which not every server knows, are left to the parser.
    """
    return {key: _strict_value(key, value, schema) for key, value in _closed(schema).items() if key not in _BOUNDS}


_BOUNDS = frozenset({"minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern"})


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return schema
    return {**schema, "required": list(schema["properties"]), "additionalProperties": False}


def _strict_value(key: str, value: Any, schema: dict[str, Any]) -> Any:
    if key == "properties":
        required = set(schema.get("required", ()))
        strict = {name: strict_schema(part) for name, part in value.items()}
        return {name: part if name in required else _nullable(part) for name, part in strict.items()}
    return strict_schema(value) if key == "items" else value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    nullable = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable
