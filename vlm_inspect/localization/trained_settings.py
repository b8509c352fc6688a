"""Trained tensors go with the settings that they were trained with, and with no others."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from vlm_inspect.errors import LocalizerError


def check_trained(asked: BaseModel, trained: BaseModel, source: str, name: str) -> None:
    """Make sure that nothing is asked of trained tensors that they were not trained with.

    Args:
        asked: the settings that are given; what is at its default asks nothing.
        trained: those of the file.
        source: the file, for the message.
        name: of the method, for the message.

    Raises:
        LocalizerError: a setting differs; the message names it.
    """
    for key, value, own in _differences(asked, trained, type(asked)()):
        raise LocalizerError(
            f"{name}.{key}: {value} is asked for, and {source} was trained with {own}; leave it out, or train again"
        )


def _differences(asked: BaseModel, trained: BaseModel, default: BaseModel) -> Iterator[tuple[str, Any, Any]]:
    for key in type(trained).model_fields:
        value, own, usual = (getattr(one, key) for one in (asked, trained, default))
        if isinstance(value, BaseModel):
            yield from ((f"{key}.{inner}", *pair) for inner, *pair in _differences(value, own, usual))
        elif value not in (usual, own):
            yield key, value, own
