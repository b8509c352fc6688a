"""What a server takes, found out by its own refusals.

OpenAI-compatible servers differ in the options they accept, and no endpoint tells. So the fullest request is sent
first; an answer that refuses an option takes it away, and the smaller request is sent at once. `learned.py` keeps what
was found out.
"""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.backends.picture_count import allowed_pictures

Structure = Literal["schema", "json", "text"]
LimitName = Literal["max_tokens", "max_completion_tokens"]

_WEAKER: dict[Structure, Structure] = {"schema": "json", "json": "text"}


class Capabilities(BaseModel):
    """Options that a model at a server is believed to take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    structure: Structure = "schema"
    """How the form of the answer is enforced: by JSON schema, as any JSON, or by the prompt alone."""
    logprobs: bool = True
    limit: LimitName | None = "max_tokens"
    """What the longest answer is called; None: it takes neither name, and decides by itself."""
    temperature: bool = True
    choices: bool = True
    """Several answers to one request."""
    system: bool = True
    """The system's role; without it, its words stand at the head of the user's turn."""
    detail: bool = True
    """How closely pictures shall be looked at."""
    effort: bool = True
    """How much it shall think."""
    pictures: int | None = Field(default=None, ge=1)
    """Most pictures of one request; None: no limit was met."""
    side: int | None = Field(default=None, ge=1)
    """Longest side of a picture in pixels; None: no limit was met."""
    stream: bool = True
    stream_options: bool = True
    tools: bool = True
    tool_choice: bool = True

    def without(
        self, refusal: str, parameter: str = "", *, guess: bool = True, pictures: int = 0
    ) -> "Capabilities | None":
        """Return what is left after a refusal, or None when the refusal is not about an option.

        Args:
            refusal: the server's message.
            parameter: the parameter that the server blames, or "".
            guess: whether a message that names no option, but says that something is not supported, takes one away.
            pictures: how many pictures the refused request held.
        """
        text = refusal.lower()
        if (most := allowed_pictures(text, pictures)) is not None:
            return self._changed(pictures=most)
        places = re.split(r"[.\[\]]+", parameter.lower())[::-1]
        if "detail" in places and self.detail:
            return self._changed(detail=False)
        for name in (*places, *re.findall(r"[a-z_]{2,}", text)):
            if (left := self._without_option(name)) is not None:
                return left
        for pattern, option in _TOLD:
            if pattern.search(text) and getattr(self, option):
                return self._changed(**{option: False})
        if _STRUCTURE.search(text):
            return self._weaker_structure()
        if _NO_ENDPOINT.search(text):  # a router that finds no server for all of the options
            return self._without_option("logprobs") or self._weaker_structure() or self._without_option("temperature")
        if guess and _UNSUPPORTED.search(text) and not _CONTENT.search(text):
            # Servers differ most in the form of the answer; the log-probabilities come next.
            return self._weaker_structure() or self._without_option("logprobs")
        return None

    def _without_option(self, name: str) -> "Capabilities | None":
        if name.startswith(("response_format", "response_schema", "json_schema", "json_object")):
            return self._weaker_structure()
        if name in _LIMITS:
            # The message may use either name, whichever was sent.
            weaker: dict[str, LimitName | None] = {"max_tokens": "max_completion_tokens", "max_completion_tokens": None}
            return self._changed(limit=weaker[self.limit]) if self.limit else None
        option = _OPTIONS.get(name)
        return self._changed(**{option: False}) if option and getattr(self, option) else None

    def _weaker_structure(self) -> "Capabilities | None":
        weaker = _WEAKER.get(self.structure)
        return self._changed(structure=weaker) if weaker else None

    def _changed(self, **changes: object) -> "Capabilities":
        return self.model_copy(update=changes)


_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens"})
_OPTIONS = {
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
    "temperature": "temperature",
    "n": "choices",
    "reasoning_effort": "effort",
    "stream_options": "stream_options",
    "tool_choice": "tool_choice",
}
_TOLD = (
    (
        re.compile(
            r"\bsystem[ _-]?(?:role|prompt|message|instruction)|\broles?\b.{0,40}\bsystem\b|\bsystem\b.{0,20}\brole\b|"
            r"developer[ _]instruction|only (?:the )?user and assistant roles|roles must alternate"
        ),
        "system",
    ),
    (
        re.compile(
            r"image_url\.detail|['\"`]detail['\"`]|\bdetail\b.{0,30}(?:support|allowed|permitted|invalid|unknown)"
        ),
        "detail",
    ),
    (re.compile(r"""['"`]n['"`]|\bn (must|should|is|>|=)|multiple (choices|completions)"""), "choices"),
)
_STRUCTURE = re.compile(
    r"structured[ -]output|json[ -](mode|schema)|grammar|guided|response[_ ]schema|json_validate_failed|"
    r"failed to (?:generate|validate) json"
)
_NO_ENDPOINT = re.compile(r"no (?:allowed )?(?:endpoints?|providers?)\b.{0,60}(?:support|handle|parameter)")
_UNSUPPORTED = re.compile(r"support|unknown|unrecogni[sz]ed|unexpected|extra|not permitted|not allowed|not implemented")
_CONTENT = re.compile(r"image|context|token|message|content|role|model\b")
