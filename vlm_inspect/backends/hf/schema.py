"""The answer's schema with every length bounded, so that any model comes to an end."""

from collections.abc import Mapping
from typing import Any

from vlm_inspect.backends.backend import Request

LONGEST = {"reasoning": 1600, "answer": 800, "type": 60, "id": 80}
"""Most characters of a text by its key; every other text: 240."""
_LONGEST_TEXT = 240
_MOST_ITEMS = 8
_LARGEST = 99_999
_HUNDREDTHS = [round(i / 100, 2) for i in range(101)]


def bounded_schema(request: Request) -> dict[str, Any]:
    """Return the schema of a request's answer for a grammar.

    Texts, lists and numbers get a greatest length. What the request fixes is fixed: ids are those of the rules, view
    numbers those of the views. A question must be answered, and the lists of rules and defects be given.
    """
    schema = _bounded("", request.answer_schema, request)
    known = schema.get("properties", {})
    asked = ["answer"] if request.question else []
    required = {*schema.get("required", ()), *(k for k in ("rules", "defects", *asked) if k in known)}
    return {**schema, "required": [key for key in known if key in required]}


def shortest_answer(schema: Mapping[str, Any]) -> int:
    """Return the length in bytes of the shortest JSON that the schema allows, roughly, and never too small.

    Tokens are at least one byte long, so this bounds what it takes to end an answer from its beginning.
    """
    kind = schema.get("type")
    if "enum" in schema:
        return max(len(str(value)) for value in schema["enum"]) + 2
    if kind == "object":
        properties = schema.get("properties", {})
        needed = [key for key in properties if key in schema.get("required", ())]
        return 2 + sum(len(key) + 6 + shortest_answer(properties[key]) for key in needed)
    if kind == "array":
        return 2 + int(schema.get("minItems", 0)) * (2 + shortest_answer(schema["items"]))
    return 8


def longest_item(schema: Mapping[str, Any]) -> int:
    """Return the length in bytes that it takes to end the list item with the most required keys, once it has begun."""
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    own = shortest_answer(schema["items"]) if "items" in schema else 0
    keys = max((len(key) for key in schema.get("properties", {})), default=0)
    return max([own + keys + 8, *(keys + longest_item(part) for part in inner)])


def _bounded(key: str, schema: Mapping[str, Any], request: Request) -> dict[str, Any]:
    kind = schema.get("type")
    if "enum" in schema or kind == "boolean":
        return dict(schema)
    if kind == "object":
        parts = {name: _bounded(name, part, request) for name, part in schema.get("properties", {}).items()}
        return {**schema, "properties": parts, "additionalProperties": False}
    if kind == "array":
        most = len(request.rules.rules) if key == "rules" else _MOST_ITEMS
        return {"maxItems": most, **schema, "items": _bounded(f"{key}[]", schema["items"], request)}
    if kind == "integer":
        largest = len(request.views) - 1 if key == "view" else _LARGEST
        return {"minimum": -_LARGEST, "maximum": largest, **schema}
    if kind == "number":
        if (schema.get("minimum"), schema.get("maximum")) == (0, 1):
            return {"enum": _HUNDREDTHS}
        return {"type": "number", "multipleOf": 0.01, "minimum": -_LARGEST, "maximum": _LARGEST, **schema}
    if key == "id" and request.rules.rules:
        return {"type": "string", "enum": [rule.id for rule in request.rules.rules]}
    return {"maxLength": LONGEST.get(key, _LONGEST_TEXT), **schema}
