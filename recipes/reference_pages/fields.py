"""Fields of a pydantic model in words: type, default, and the text that stands below each in its class."""

import ast
import inspect
import textwrap
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from vlm_inspect.sensitivity.smallest import SmallestDefect

_PLAIN: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    NoneType: "null",
    SmallestDefect: "number, or text such as `3 %`",
}


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return field -> the string that stands below it in the source, in one line; fields without one are left out."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for statement, below in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            texts[statement.target.id] = _as_cell(below.value.value)
    return texts


def type_words(annotation: Any) -> str:
    """Return a type as a reader of JSON or YAML knows it: "number or null", "list of text"."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is Annotated:
        return type_words(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(type_words(one) for one in inner)
    if origin is tuple:
        words = [type_words(one) for one in inner if one is not Ellipsis]
        return f"list of {words[0]}" if len(set(words)) == 1 and Ellipsis in inner else f"{len(words)} × {words[0]}"
    if origin is dict:
        return f"object of {type_words(inner[1])}"
    return _PLAIN.get(annotation, "") or str(getattr(annotation, "__name__", annotation))


def default_words(default: Any) -> str:
    """Return a default as JSON or YAML shows it; "required" where there is none."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    return "empty" if default in ("", ()) else f"`{default}`"


def _as_cell(text: str) -> str:
    """One line that begins small and ends without a full stop, None called null."""
    line = " ".join(text.split()).replace("None:", "null:").replace("None where", "null where").rstrip(".")
    return line if line[:2].isupper() or line[1:2] in "(9" else line[:1].lower() + line[1:]
