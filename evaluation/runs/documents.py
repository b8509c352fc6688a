"""JSON that may be damaged or foreign, read into a model: what is wrong is one line that names file, line and key."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from evaluation.errors import RunError

_Model = TypeVar("_Model", bound=BaseModel)
_LONGEST = 200


def read_document(model: type[_Model], path: Path, remedy: str) -> _Model:
    """Return what a JSON file holds.

    Args:
        model: what it must fit; numbers as text and other near misses do not.
        path: the file.
        remedy: what to do where it does not, such as "run bench again".

    Raises:
        RunError: the file cannot be read, is no JSON, or does not fit.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}); {remedy}") from error
    return parse_document(model, data, str(path), remedy)


def read_lines(model: type[_Model], path: Path, remedy: str) -> tuple[_Model, ...]:
    """Return what each line of a file holds, empty ones apart; see `read_document`."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}); {remedy}") from error
    return tuple(
        parse_document(model, line, f"{path}, line {number}", remedy)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    )


def parse_document(model: type[_Model], data: bytes | str, where: str, remedy: str) -> _Model:
    """Return what JSON text holds; see `read_document`.

    Args:
        model: what it must fit.
        data: the text.
        where: names it in the message.
        remedy: what to do.
    """
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = " ".join(first["msg"].split())[:_LONGEST]
        raise RunError(f"{where}{f', {key}' if key else ''}: {reason}; {remedy}") from error
    except (RecursionError, ValueError) as error:
        raise RunError(f"{where}: no JSON that can be read ({type(error).__name__}); {remedy}") from error
