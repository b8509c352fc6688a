"""The messages of a request as JSON, each picture a file; read back they are the same bytes."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vlm_inspect.errors import StoreError
from vlm_inspect.store.files import Bundle, FileFolder

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

_SUFFIXES = {"data:image/png;base64": ".png", "data:image/jpeg;base64": ".jpg"}
_KEPT = "kept:"


def pack_messages(messages: "Sequence[BaseMessage]", bundle: Bundle) -> list[dict[str, Any]]:
    """Return the messages as plain values; their pictures go into the bundle."""
    from langchain_core.messages import message_to_dict

    def keep(url: str) -> str:
        header, _, data = url.partition(",")
        if header not in _SUFFIXES:
            return url
        return _KEPT + header + "," + bundle.add_sent(base64.b64decode(data), _SUFFIXES[header])

    return [_with_urls(message_to_dict(message), keep) for message in messages]


def unpack_messages(packed: Iterable[dict[str, Any]], files: FileFolder) -> "tuple[BaseMessage, ...]":
    """Return the messages.

    Raises:
        StoreError: a picture is gone or damaged, or what is kept are no messages.
    """
    from langchain_core.messages import messages_from_dict

    def fetch(url: str) -> str:
        if not url.startswith(_KEPT):
            return url
        header, _, name = url.removeprefix(_KEPT).partition(",")
        return f"{header},{base64.b64encode(files.data(name)).decode('ascii')}"

    try:
        return tuple(messages_from_dict([_with_urls(message, fetch) for message in packed]))
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise StoreError(
            f"the request of a case cannot be read ({type(error).__name__}); the store is damaged"
        ) from error


def _with_urls(message: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    content = message["data"]["content"]
    if isinstance(content, str):
        return message
    blocks = [
        {**block, "image_url": {**block["image_url"], "url": change(block["image_url"]["url"])}}
        if isinstance(block, dict) and block.get("type") == "image_url"
        else block
        for block in content
    ]
    return {**message, "data": {**message["data"], "content": blocks}}
