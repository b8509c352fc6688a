"""Messages as readable text, for the golden files, the record and `--debug`."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.messages import PICTURE_LABELS

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def describe_messages(messages: "Sequence[BaseMessage]") -> str:
    """Return the messages as text, each picture as `[image: image/png 512x512 "depth, front"]` (width x height)."""
    lines: list[str] = []
    for message in messages:
        lines += [f"=== {message.type} ===", "", *_described(message), *_calls(message)]
    return "\n".join(lines).rstrip() + "\n"


def _described(message: "BaseMessage") -> Iterator[str]:
    if isinstance(message.content, str):
        yield from (message.content, "")
        return
    labels = iter(message.additional_kwargs.get(PICTURE_LABELS, ()))
    for block in message.content:
        if isinstance(block, str):
            yield from (block, "")
        elif block.get("type") == "text":
            yield from (str(block["text"]), "")
        else:
            yield from (_picture(block, next(labels, "")), "")


def _calls(message: "BaseMessage") -> Iterator[str]:
    for call in getattr(message, "tool_calls", None) or ():
        yield from (f"[call: {call['name']} {json.dumps(call['args'], ensure_ascii=False)}]", "")


def _picture(block: dict[Any, Any], label: str) -> str:
    from PIL import Image

    url = str(block.get("image_url", {}).get("url", ""))
    header, _, data = url.partition(",")
    if not header.startswith("data:"):
        return f"[{block.get('type', 'block')}]"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        width, height = picture.size
    mime_type = header.removeprefix("data:").removesuffix(";base64")
    return f'[image: {mime_type} {width}x{height} "{label}"]'
