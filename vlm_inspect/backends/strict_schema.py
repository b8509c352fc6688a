"""A JSON schema in the form that strict structured output asks for."""

from typing import Any

_BOUNDS = frozenset({"minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern"})


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in the form that strict structured output asks for.

    There every key of an object is required, so that one that may be missing becomes one that may be null; no other
    keys are allowed; and bounds of numbers and lengths, which not every server knows, are left to the parser.
    """
    return {key: _strict_value(key, value, schema) for key, value in _closed(schema).items() if key not in _BOUNDS}


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
