"""What a model is told in the dialogue: the inspection with its pictures and result, then the turns so far."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vlm_inspect.clip_windows import ClipWindow
from vlm_inspect.errors import PromptError
from vlm_inspect.prompting.encoding import encode
from vlm_inspect.store.case import Case, Turn
from vlm_inspect.tools.result import Picture

Message = dict[str, Any]
MOST_CALLS = 8
"""Most calls of tools in one turn."""
REMEMBERED_TURNS = 24
"""Most turns of the dialogue that a model is told again, the latest."""


class ChatPrompt(BaseModel):
    """The texts of the dialogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    opening: str
    tool_pictures: str
    repeated: str
    too_many: str
    look: str
    closer: str
    answer: str

    def say(self, which: str, **values: object) -> str:
        """Return one text, filled in.

        Raises:
            PromptError: a name of the text has no value.
        """
        from vlm_inspect.prompting import load_template

        return load_template("inspect").fill(getattr(self, which), values)


@cache
def load_chat_prompt() -> ChatPrompt:
    """Read the texts that come with the program.

    Raises:
        PromptError: the file is missing or wrong.
    """
    from vlm_inspect.prompt_files import prompt_folder

    path = prompt_folder() / "words" / "chat_prompt.yaml"
    try:
        return ChatPrompt.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise PromptError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error


def open_messages(case: Case, *, tools: bool, language: str | None = None) -> list[Message]:
    """Return the beginning of every conversation about a case: who the model is, what was inspected, what came of it.

    Args:
        case: what is talked about.
        tools: whether the model may call tools.
        language: of its answers; None: that of each question.

    Raises:
        StoreError: the case's pictures are gone or damaged.
    """
    from langchain_core.messages import convert_to_openai_messages

    from vlm_inspect.backends.messages import in_words

    prompt = load_chat_prompt()
    inspection = case.inspection
    shown = case.told_look
    kept = list(shown.messages) if tools else in_words(shown.messages)
    asked = [message for message in convert_to_openai_messages(kept) if message["role"] != "system"]
    opening = prompt.say(
        "opening",
        outcome=inspection.outcome,
        score=f"{inspection.score:.2f}",
        answer=inspection.answer,
        reasoning=inspection.reasoning,
    )
    system = prompt.say(
        "system", tools=tools, most_calls=MOST_CALLS, language=language, window=_window_facts(shown.facts.window)
    )
    return [{"role": "system", "content": system}, *asked, {"role": "assistant", "content": opening}]


def _window_facts(window: ClipWindow | None) -> dict[str, Any] | None:
    if window is None:
        return None
    return {"name": window.name, "first_view": window.views[0], "last_view": window.views[1] - 1}


def recall_turns(turns: Sequence[Turn], *, tools: bool) -> list[Message]:
    """Return earlier turns as messages: every question that was answered, with its answer."""
    told: list[Message] = []
    question: Turn | None = None
    for turn in turns[-REMEMBERED_TURNS:]:
        if turn.role == "user":
            question = turn
        elif turn.role == "assistant" and question is not None:
            told.append({"role": "user", "content": question.text})
            told += _recalled_calls(turn) if tools else []
            told.append({"role": "assistant", "content": turn.text or "…"})
            question = None
    return told


def picture_blocks(pictures: Sequence[Picture]) -> list[Message]:
    """Return pictures as blocks of a message."""
    return [
        {"type": "image_url", "image_url": {"url": encode(picture, "image/png").data_url, "detail": "high"}}
        for picture in pictures
    ]


def with_pictures(text: str, pictures: Sequence[Picture]) -> Message:
    """Return a user's message of a text and pictures."""
    return {"role": "user", "content": [{"type": "text", "text": text}, *picture_blocks(pictures)]}


def _recalled_calls(turn: Turn) -> list[Message]:
    calls = [call for call in turn.tool_calls if _is_object(call.get("arguments"))]
    if not calls:
        return []
    ids = [f"turn-{turn.number}-{i}" for i in range(len(calls))]
    made = [
        {"id": call_id, "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call_id, call in zip(ids, calls, strict=True)
    ]
    results = [
        {"role": "tool", "tool_call_id": call_id, "content": str(call.get("result", ""))}
        for call_id, call in zip(ids, calls, strict=True)
    ]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


def _is_object(arguments: Any) -> bool:
    """Servers refuse a conversation in which a call's arguments are no JSON object."""
    try:
        return isinstance(json.loads(arguments), Mapping)
    except (TypeError, ValueError):
        return False
