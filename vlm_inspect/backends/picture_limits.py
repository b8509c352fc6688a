"""No more pictures than a server takes: the least telling are left out, and what then is too much goes on one sheet."""

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from vlm_inspect.backends.picture_roles import left_out_of
from vlm_inspect.errors import BackendError
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file

if TYPE_CHECKING:
    from PIL import Image

Message = dict[str, Any]
Block = Mapping[str, Any]
_SHEET_SIDE = 1536


class LimitWords(BaseModel):
    """What a model is told of pictures that are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    left_out: str


@dataclass(frozen=True)
class Fitted:
    """Messages that hold no more pictures than allowed."""

    messages: list[Message]
    left_out: tuple[str, ...] = ()
    """Labels of pictures that are not sent."""
    on_sheet: int = 0
    """How many pictures share one sheet; 0: each stands by itself."""

    def notes(self, most: int) -> tuple[str, ...]:
        """Say what an engineer should know of it."""
        told = []
        if self.left_out:
            told.append(f"a request takes at most {most} pictures; left out: {'; '.join(self.left_out)}")
        if self.on_sheet:
            told.append(f"a request takes at most {most} pictures; {self.on_sheet} were put on one sheet")
        return tuple(told)


def count_pictures(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return how many pictures messages of the OpenAI protocol hold."""
    return sum(is_picture(block) for message in messages for block in _blocks(message))


def fit_pictures(
    messages: Sequence[Message], most: int, roles: Sequence[str] = (), labels: Sequence[str] = ()
) -> Fitted:
    """Return the messages with at most `most` pictures.

    Zoomed places go first, the weakest before the others, then the copies with marks, then references but one, then
    sides of a scan on which nothing stands out. What is still too much is put on one sheet, in numbered fields.

    Args:
        messages: those of the OpenAI protocol.
        most: at least 1.
        roles: what each picture is there for, in order; "view" beyond them.
        labels: what each picture is called, in order.

    Raises:
        BackendError: a picture cannot be read.
        PromptError: the texts are missing or wrong.
    """
    count = count_pictures(messages)
    if count <= most:
        return Fitted(list(messages))
    dropped = left_out_of(count, most, roles)
    kept, left_out = _without(messages, dropped, most, labels)
    remaining = count - len(dropped)
    if remaining <= most:
        return Fitted(kept, left_out)
    return Fitted(_on_sheet(kept), left_out, remaining)


def _without(
    messages: Sequence[Message], dropped: frozenset[int], most: int, labels: Sequence[str]
) -> tuple[list[Message], tuple[str, ...]]:
    """Leave pictures out, each with the text that announces it, and say so at the end of their message."""
    number, told, kept = 0, list[str](), list[Message]()
    for message in messages:
        blocks: list[Block] = []
        here: list[str] = []
        for block in _blocks(message):
            if not is_picture(block):
                blocks.append(block)
                continue
            if number not in dropped:
                blocks.append(block)
            else:
                before = blocks.pop() if blocks and not is_picture(blocks[-1]) else {"text": ""}
                here.append(labels[number] if number < len(labels) else str(before.get("text", "")).strip())
            number += 1
        if here:
            text = fill_text(_words().left_out, {"most": most, "labels": here}, "picture_limit.yaml")
            blocks.append({"type": "text", "text": text})
        told += here
        kept.append({**message, "content": blocks} if isinstance(message.get("content"), list) else dict(message))
    return kept, tuple(told)


def _on_sheet(messages: Sequence[Message]) -> list[Message]:
    """Put all pictures on one sheet before the first text of the person, and name its fields where they stood."""
    from vlm_inspect.backends.hf.families import load_words
    from vlm_inspect.backends.hf.sheet import compose_sheet

    words, number = load_words(), 0
    pictures: list[Image.Image] = []
    changed: list[Message] = []
    for message in messages:
        blocks: list[Block] = []
        for block in _blocks(message):
            if is_picture(block):
                number += 1
                pictures.append(read_picture(block))
                blocks.append({"type": "text", "text": words.place.format(number=number)})
            else:
                blocks.append(block)
        changed.append({**message, "content": blocks} if isinstance(message.get("content"), list) else dict(message))
    sheet = compose_sheet(pictures, _SHEET_SIDE)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    head = [
        {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
        {"type": "text", "text": words.sheet.format(count=len(pictures))},
    ]
    first = next(i for i, message in enumerate(changed) if message["role"] != "system")
    rest = changed[first]["content"]
    body = rest if isinstance(rest, list) else [{"type": "text", "text": str(rest)}]
    changed[first] = {**changed[first], "content": [*head, *body]}
    return changed


def read_picture(block: Block) -> "Image.Image":
    """Return the picture of a block; raises BackendError where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        data = base64.b64decode(str(block["image_url"]["url"]).partition(",")[2], validate=True)
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB")
    except (ValueError, OSError, KeyError, UnidentifiedImageError, binascii.Error) as error:
        raise BackendError(f"a picture of the request cannot be read: {error}") from error


def _blocks(message: Mapping[str, Any]) -> Sequence[Block]:
    content = message.get("content")
    return [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []


def is_picture(block: Block) -> bool:
    """Return whether a block of a message is a picture."""
    return block.get("type") == "image_url"


@cache
def _words() -> LimitWords:
    return read_prompt_file(LimitWords, prompt_folder() / "words" / "picture_limit.yaml")
