"""What the messages of a request carry beside their text and pictures, and their digest."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

PICTURE_LABELS = "picture_labels"
"""Key in a message's `additional_kwargs`: a label for each of its pictures. It is not sent to a model."""
PICTURE_ROLES = "picture_roles"
"""Key beside it: what each of them is there for. It is not sent either."""
PictureRole = Literal["reference", "view", "side", "marks", "crop", "closer"]


def digest_messages(messages: "Sequence[BaseMessage]") -> str:
    """Return the SHA-256 of roles, texts and pictures, in hexadecimal."""
    told = [[message.type, message.content, *_beside(message)] for message in messages]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def in_words(messages: "Sequence[BaseMessage]") -> "list[BaseMessage]":
    """Return messages without calls of functions: a call is the words of the model, its result those of the person.

    For a model that takes no functions, after one that does.
    """
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    told: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            told.append(HumanMessage(content=message.content))
        elif isinstance(message, AIMessage) and message.tool_calls:
            call = message.tool_calls[0]
            words = json.dumps({"tool": call["name"], **call["args"]}, ensure_ascii=False)
            text = text_of(message.content)
            told.append(AIMessage(content=f"{text}\n{words}" if text else words))
        else:
            told.append(message)
    return told


def _beside(message: "BaseMessage") -> list[object]:
    """Return what a message says beside its content: calls of functions, or which of them it answers."""
    calls = getattr(message, "tool_calls", None)
    answered = getattr(message, "tool_call_id", None)
    return [*([calls] if calls else []), *([answered] if answered else [])]


def text_of(content: Any) -> str:
    """Return the text of a message's content: a string, or blocks of which the pictures are left out."""
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content if isinstance(block, Mapping))
    return content if isinstance(content, str) else ""


def roles_and_labels(messages: "Sequence[BaseMessage]") -> tuple[list[str], list[str]]:
    """Return what each picture of the messages is there for, and what it is called, in order."""
    roles: list[str] = []
    labels: list[str] = []
    for message in messages:
        roles += message.additional_kwargs.get(PICTURE_ROLES, ())
        labels += message.additional_kwargs.get(PICTURE_LABELS, ())
    return roles, labels
