"""A request to tokens and picture tensors, by the model's own chat template."""

import base64
import binascii
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.hf.families import Manner, load_words
from vlm_inspect.backends.hf.sheet import compose_sheet, square
from vlm_inspect.backends.messages import roles_and_labels
from vlm_inspect.backends.picture_roles import spared_by_a_sheet
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from PIL import Image

SHEET_SIDE = 1008
"""Side of the sheet in pixels; the processor scales it to what its model takes (336 to 672 for LLaVA)."""
_TEXT_TENSORS = frozenset({"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"})


@dataclass(frozen=True)
class PlacedPicture:
    """One picture among the tokens of a prompt."""

    sha256: str
    """Digest of its pixels and size."""
    start: int
    """Position of its first token."""
    stop: int
    """Position after its last token."""
    tokens: int
    """Number of tokens that stand for its pixels; there may be others between them."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """One conversation as the model reads it."""

    ids: tuple[int, ...]
    pictures: tuple[PlacedPicture, ...]
    tensors: dict[str, Any]
    """What the processor made of the pictures, by the names of the model's arguments."""
    token_types: tuple[int, ...] | None
    """1 for the tokens of pictures, for models that want to know."""


@dataclass(frozen=True, eq=False)
class _Talk:
    conversation: list[dict[str, Any]]
    pictures: "list[Image.Image]"


def encode_prompt(messages: "Sequence[BaseMessage]", processor: Any, manner: Manner, *, on_sheet: bool) -> Prompt:
    """Turn messages with pictures into tokens.

    Texts of the request cannot forge the model's control tokens: those are only read where the template writes them.

    Args:
        messages: of a `Request`; pictures as `data:` URLs.
        processor: of the model.
        manner: how the model is spoken to.
        on_sheet: whether all pictures are shown on one sheet.

    Raises:
        BackendError: a picture is none, or the processor cannot take the conversation.
    """
    spared = spared_by_a_sheet(roles_and_labels(messages)[0]) if on_sheet else frozenset[int]()
    talk = _put_on_sheet(_read(messages, spared), manner) if on_sheet else _placed(_read(messages), manner)
    try:
        made = processor.apply_chat_template(
            _for_template(talk.conversation, manner),
            chat_template=manner.chat_template,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=manner.guards_tokens,
            processor_kwargs={"return_text_replacement_offsets": True},
        )
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        told = " ".join(str(error).split())[:300]
        raise BackendError(f"the model's processor cannot take this conversation: {told}") from error
    ids = tuple(made["input_ids"][0].tolist())
    types = made.get("mm_token_type_ids")
    return Prompt(
        ids,
        _place(ids, made["text_replacement_offsets"][0], processor, talk.pictures),
        {k: v for k, v in made.items() if k not in _TEXT_TENSORS and k != "text_replacement_offsets"},
        None if types is None else tuple(types[0].tolist()),
    )


def _read(messages: "Sequence[BaseMessage]", spared: frozenset[int] = frozenset()) -> _Talk:
    """Read LangChain messages: texts, and pictures decoded; those to spare go, and so do the texts before them."""
    conversation, pictures, count = [], [], 0
    for message in messages:
        content = message.content if isinstance(message.content, list) else [{"type": "text", "text": message.content}]
        parts: list[dict[str, Any]] = []
        for block in content:
            if isinstance(block, str) or block.get("type") == "text":
                parts.append({"type": "text", "text": block if isinstance(block, str) else str(block["text"])})
                continue
            if count in spared:
                del parts[-1:]
            else:
                pictures.append(_decode(block))
                parts.append({"type": "image", "image": pictures[-1]})
            count += 1
        roles = {"human": "user", "ai": "assistant"}
        conversation.append({"role": roles.get(message.type, message.type), "content": parts})
    return _Talk(conversation, pictures)


def _decode(block: dict[Any, Any]) -> "Image.Image":
    from PIL import Image, UnidentifiedImageError

    url = str(block.get("image_url", {}).get("url", ""))
    try:
        if not url.startswith("data:image/"):
            raise ValueError("it is not a data: URL")
        data = base64.b64decode(url.partition(",")[2], validate=True)
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB")
    except (ValueError, OSError, UnidentifiedImageError, binascii.Error) as error:
        raise BackendError(f"a picture of the request cannot be read: {error}") from error


def _placed(talk: _Talk, manner: Manner) -> _Talk:
    """Leave every picture where it stands; name the places where the template moves pictures to the front."""
    pictures = [square(picture) for picture in talk.pictures] if manner.squares_pictures else talk.pictures
    waiting = iter(pictures)
    named = not manner.interleaved and len(pictures) > 1
    count = 0
    conversation: list[dict[str, Any]] = []
    for message in talk.conversation:
        parts: list[dict[str, Any]] = []
        for part in message["content"]:
            if part["type"] != "image":
                parts.append(part)
                continue
            count += 1
            if named:
                parts.append({"type": "text", "text": load_words().place.format(number=count)})
            parts.append({"type": "image", "image": next(waiting)})
        conversation.append({**message, "content": parts})
    return _Talk(_introduced(conversation, load_words().pictures_first) if named else conversation, pictures)


def _put_on_sheet(talk: _Talk, manner: Manner) -> _Talk:
    """Replace several pictures by one sheet before the text, and name its fields where they stood."""
    if len(talk.pictures) < 2:
        return _placed(talk, manner)
    words, count, sheet = load_words(), 0, compose_sheet(talk.pictures, SHEET_SIDE)
    conversation: list[dict[str, Any]] = []
    for message in talk.conversation:
        parts: list[dict[str, Any]] = []
        for part in message["content"]:
            if part["type"] == "image":
                count += 1
                parts.append({"type": "text", "text": words.place.format(number=count)})
            else:
                parts.append(part)
        conversation.append({**message, "content": parts})
    return _Talk(_introduced(conversation, words.sheet.format(count=count), sheet), [sheet])


def _introduced(
    conversation: list[dict[str, Any]], text: str, picture: "Image.Image | None" = None
) -> list[dict[str, Any]]:
    """Put a text, and a picture before it, at the head of the first message that is not the system's."""
    head: list[dict[str, Any]] = [] if picture is None else [{"type": "image", "image": picture}]
    head.append({"type": "text", "text": text})
    first = next(i for i, message in enumerate(conversation) if message["role"] != "system")
    changed = {**conversation[first], "content": [*head, *conversation[first]["content"]]}
    return [*conversation[:first], changed, *conversation[first + 1 :]]


def _for_template(conversation: list[dict[str, Any]], manner: Manner) -> list[dict[str, Any]]:
    """Put the system's words where the template reads them, and keep neighbouring texts apart."""
    if not manner.system_role:
        told = [part for message in conversation if message["role"] == "system" for part in message["content"]]
        others = [message for message in conversation if message["role"] != "system"]
        conversation = [{**others[0], "content": [*told, *others[0]["content"]]}, *others[1:]]
    return [{**message, "content": _spaced(message["content"])} for message in conversation]


def _spaced(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join neighbouring texts by a blank line and put pictures on lines of their own: templates add nothing between."""
    joined: list[dict[str, Any]] = []
    for part in parts:
        before = joined[-1]["type"] if joined else None
        if part["type"] == "text" and before == "text":
            joined[-1] = {"type": "text", "text": f"{joined[-1]['text']}\n\n{part['text']}"}
        elif part["type"] == "text":
            joined.append({"type": "text", "text": ("\n" if before == "image" else "") + part["text"]})
        else:
            if before == "text":
                joined[-1] = {"type": "text", "text": joined[-1]["text"] + "\n"}
            joined.append(part)
    return joined


def _place(
    ids: Sequence[int], offsets: Sequence[dict[str, Any]], processor: Any, pictures: "Sequence[Image.Image]"
) -> tuple[PlacedPicture, ...]:
    """Find each picture's tokens: they follow in the order of the pictures, as many as its replacement text holds."""
    token = str(processor.image_token)
    positions = [i for i, token_id in enumerate(ids) if token_id == processor.image_token_id]
    counts = [str(entry["replacement"]).count(token) for entry in offsets if entry["type"] == "image"]
    if len(counts) != len(pictures) or sum(counts) != len(positions):
        raise BackendError("the model's processor lost a picture of this request; its chat template does not fit it")
    placed, done = [], 0
    for count, picture in zip(counts, pictures, strict=True):
        own = positions[done : done + count]
        placed.append(PlacedPicture(_digest(picture), own[0], own[-1] + 1, count))
        done += count
    return tuple(placed)


def _digest(picture: "Image.Image") -> str:
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
