"""`about_window`: a request about some views of a clip, and that they show one window of it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.messages import digest_messages
from vlm_inspect.clip_windows import ClipWindow
from vlm_inspect.prompt_files import fill_text, prompt_folder, read_prompt_file

_FILE = "window.yaml"


class WindowWords(BaseModel):
    """The texts of a window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    window: str


@cache
def load_window_words() -> WindowWords:
    """Return the texts.

    Raises:
        PromptError: their file is missing or wrong.
    """
    return read_prompt_file(WindowWords, prompt_folder() / "follow_up" / _FILE)


def about_window(request: Request, window: ClipWindow) -> Request:
    """Return the request with what it shows: one window of a clip, to be judged by itself.

    It comes last, so that the windows of a clip share all that stands before their pictures.

    Args:
        request: with the window's views alone.
        window: the stretch that they show.

    Raises:
        PromptError: the texts of windows are missing or wrong.
    """
    human = request.messages[-1]
    before = human.content if isinstance(human.content, list) else [{"type": "text", "text": human.content}]
    said = fill_text(load_window_words().window, {"window": _facts(window)}, _FILE)
    message = human.model_copy(update={"content": [*before, {"type": "text", "text": said}]})
    messages = (*request.messages[:-1], message)
    return replace(request, messages=messages, prompt_sha256=digest_messages(messages))


def _facts(window: ClipWindow) -> Mapping[str, Any]:
    return {name: getattr(window, name) for name in ("number", "count", "span", "clip_frames")}
