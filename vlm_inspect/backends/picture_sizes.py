"""Pictures no larger than a server takes: what its refusal says of their size, and requests with smaller ones."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vlm_inspect.backends.capabilities import Capabilities
from vlm_inspect.backends.failure import Failure
from vlm_inspect.backends.picture_limits import Message, is_picture, read_picture
from vlm_inspect.errors import BackendError

SMALLEST_SIDE = 256
"""Pictures are not made smaller than this: no defect would be seen on them."""
_SIDES = (1536, 1024, 768, 512, 384, SMALLEST_SIDE)
"""Longest sides that are tried in turn where a server names none, in pixels."""
_JPEG_QUALITY = 90
_REFUSALS = frozenset({400, 413, 422})
_PICTURE = r"(?:images?|pictures?|image_url)"
_TOO_LARGE = re.compile(
    rf"(?:payload|entity|body|request|content|{_PICTURE})(?: (?:size|body|dimensions?))? (?:is |are )?too (?:large|big)"
    "|"
    rf"(?:request|body|payload|{_PICTURE})[^.]{{0,40}}\bexceeds?\b[^.]{{0,40}}(?:size|bytes|\bmb\b|pixels|px|dimension)|"
    rf"(?:maximum|max) (?:allowed )?(?:request|body|payload|{_PICTURE}) (?:size|dimension)"
)
_SIDE = re.compile(r"(\d{3,5}) ?(?:px|pixels)|(\d{3,5}) ?[x×] ?\d{3,5}")


def longest_side(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return the longest side of all pictures in messages of the OpenAI protocol, in pixels; 0: there is none."""
    sides = (max(_size_of(block)) for message in messages for block in _blocks(message) if is_picture(block))
    return max(sides, default=0)


def is_about_size(status: int | None, message: str) -> bool:
    """Return whether a refusal is about the size of pictures, or of all of them together.

    Args:
        status: of the refusal; 413 is about size whatever it says (RFC 9110, section 15.5.14).
        message: the server's own.
    """
    return status == 413 or (status in _REFUSALS and bool(_TOO_LARGE.search(message.lower())))


def allowed_side(message: str, sent: int) -> int | None:
    """Return the longest side to try after a refusal, in pixels; None: they are as small as they may be.

    Args:
        message: the server's own; a side that it names counts.
        sent: longest side of the pictures that were sent, in pixels.
    """
    text = message.lower()
    if sent <= SMALLEST_SIDE:
        return None
    named = [int(number) for found in _SIDE.findall(text) for number in found if number]
    fitting = [side for side in named if SMALLEST_SIDE <= side < sent]
    return max(fitting, default=next(side for side in _SIDES if side < sent))


def smaller_pictures(
    able: Capabilities, failure: Failure, messages: Sequence[Mapping[str, Any]]
) -> Capabilities | None:
    """Return what a server takes after it refused the size of the pictures; None where it did not, or none is left.

    Args:
        able: what it was believed to take.
        failure: its refusal.
        messages: what it refused.
    """
    if not is_about_size(failure.status, failure.message):
        return None
    side = allowed_side(failure.message, longest_side(messages))
    return None if side is None else able.model_copy(update={"side": side})


def shrink_pictures(messages: Sequence[Message], side: int) -> list[Message]:
    """Return the messages with no picture longer than `side` pixels; photographs stay JPEG, drawings PNG.

    Raises:
        BackendError: a picture cannot be read.
    """
    return [_shrunk(message, side) for message in messages]


def _shrunk(message: Message, side: int) -> Message:
    if not isinstance(message.get("content"), list):
        return message
    return {**message, "content": [_smaller(block, side) if is_picture(block) else block for block in _blocks(message)]}


def _smaller(block: Mapping[str, Any], side: int) -> Mapping[str, Any]:
    from PIL import Image

    if max(_size_of(block)) <= side:
        return block
    picture = read_picture(block)
    scale = side / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    kind = "jpeg" if str(block["image_url"]["url"]).startswith("data:image/jpeg") else "png"
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": _JPEG_QUALITY, "subsampling": 0} if kind == "jpeg" else {}
    picture.resize((width, height), Image.Resampling.LANCZOS).save(buffer, kind, **options)
    url = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return {**block, "image_url": {**block["image_url"], "url": url}}


def _size_of(block: Mapping[str, Any]) -> tuple[int, int]:
    """Return width and height of a picture in pixels, without decoding it."""
    from PIL import Image, UnidentifiedImageError

    try:
        data = base64.b64decode(str(block["image_url"]["url"]).partition(",")[2], validate=True)
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except (ValueError, OSError, KeyError, UnidentifiedImageError) as error:
        raise BackendError(f"a picture of the request cannot be read: {error}") from error


def _blocks(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []
