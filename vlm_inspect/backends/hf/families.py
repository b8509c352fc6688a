"""What a model takes: how many pictures, which roles, and whether text and pictures keep their order.

The number is a matter of how a family was trained, so it stands in a table; the rest is asked of the chat template.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.errors import BackendError, PromptError

SINGLE_PICTURE = frozenset({"llava", "llava_next", "vipllava", "paligemma", "blip-2", "instructblip", "kosmos-2"})
"""Types that were trained on one picture a conversation; every other one takes several."""


class LocalWords(BaseModel):
    """The sentences of `prompts/words/local_models.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sheet: str
    place: str
    pictures_first: str
    field: str
    plain_chat: str


@cache
def load_words() -> LocalWords:
    """Read the sentences that come with the program.

    Raises:
        PromptError: the file is missing or wrong.
    """
    from vlm_inspect.prompt_files import prompt_folder

    path = prompt_folder() / "words" / "local_models.yaml"
    try:
        return LocalWords.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise PromptError(f"{path} cannot be used: {' '.join(str(error).split())}") from error


@dataclass(frozen=True)
class Manner:
    """How one model is spoken to."""

    chat_template: str
    single_picture: bool
    system_role: bool
    """False: what belongs to the system is said at the head of the user's message."""
    interleaved: bool
    """False: the template puts every picture before every text."""
    squares_pictures: bool
    """True where the processor cuts the middle square out of a picture, so that its edges would be lost."""
    guards_tokens: bool
    """True where the processor can read control tokens in the template only. (`clean_data` disarms those in rules and
    questions before; this is the second lock.)"""


def find_manner(model_type: str, processor: Any, shown: str) -> Manner:
    """Ask a processor's chat template how it treats a conversation.

    Raises:
        BackendError: the template is broken, or puts no picture anywhere.
    """
    template = _template_of(processor)
    picture = str(getattr(processor, "image_token", "<image>"))
    told = _render(processor, template, [_message("system", "S1"), _message("user", "U1", None, "U2")])
    system = told is not None and "S1" in told
    if told is None or not system:
        told = _render(processor, template, [_message("user", "U1", None, "U2")])
    if told is None or picture not in told or "U2" not in told:
        raise BackendError(f"{shown}: its chat template places no picture ({picture}); it cannot be asked about one")
    return Manner(
        chat_template=template,
        single_picture=model_type in SINGLE_PICTURE,
        system_role=system,
        interleaved=told.index("U1") < told.index(picture) < told.index("U2"),
        squares_pictures=bool(getattr(processor.image_processor, "do_center_crop", False)),
        guards_tokens=_guards_tokens(processor, template),
    )


def _template_of(processor: Any) -> str:
    """Return the model's own template, else a plain one."""
    for owner in (processor, processor.tokenizer):
        own = getattr(owner, "chat_template", None)
        if isinstance(own, Mapping):
            own = own.get("default")
        if own:
            return str(own)
    picture = str(getattr(processor, "image_token", "<image>"))
    return "{%- set picture = " + repr(picture) + " -%}" + load_words().plain_chat


def _message(role: str, *content: str | None) -> dict[str, Any]:
    parts = [{"type": "image"} if text is None else {"type": "text", "text": text} for text in content]
    return {"role": role, "content": parts}


def _render(processor: Any, template: str, conversation: list[dict[str, Any]]) -> str | None:
    """Return the conversation as the model would read it, or None where the template refuses it."""
    from jinja2 import TemplateError

    try:
        return str(
            processor.apply_chat_template(
                conversation, chat_template=template, add_generation_prompt=True, tokenize=False
            )
        )
    except (TemplateError, ValueError, TypeError, KeyError, IndexError):
        return None


def _guards_tokens(processor: Any, template: str) -> bool:
    """Try it: Idefics3's processor asks its tokenizer for what it then does not have."""
    from PIL import Image

    content = [{"type": "image", "image": Image.new("RGB", (64, 64))}, {"type": "text", "text": "U1"}]
    try:
        processor.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=template,
            tokenize=True,
            sanitize_control_tokens=True,
            processor_kwargs={"return_text_replacement_offsets": True},
        )
    except (ValueError, NotImplementedError):
        return False
    return True
