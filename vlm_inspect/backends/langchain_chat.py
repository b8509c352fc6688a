"""Any LangChain chat model that takes pictures: `langchain:MODULE:FACTORY`.

FACTORY is a name in MODULE: a function without arguments that returns a `BaseChatModel`, or such a model itself. What
the model needs (keys, addresses) is the factory's affair.
"""

import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import Reply, Request, TokenProbability
from vlm_inspect.errors import BackendError
from vlm_inspect.inspection import Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

MAX_WAIT_S = 60.0
_PASSING = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_PASSING_NAMES = ("timeout", "connection", "ratelimit", "overloaded", "serviceunavailable")
_ADVICE = {
    400: "the request does not fit this model; does it take pictures?",
    401: "check the key that the factory gives it",
    403: "its key may not use this model",
    404: "check the model's name in the factory",
    413: "send fewer or smaller pictures",
    429: "wait, or ask for a higher limit",
}
_FINISH_REASONS = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
}


class LangChainModel:
    """A chat model that the user's own code makes."""

    def __init__(self, name: str, *, max_retries: int = 3, first_wait_s: float = 0.5) -> None:
        """Import the factory and make the model; nothing is sent yet.

        Args:
            name: MODULE:FACTORY.
            max_retries: further attempts after a passing failure, beside those that the model makes itself.
            first_wait_s: wait before the first of them in seconds; doubled each time.

        Raises:
            BackendError: there is no such module or name, or what it makes is no chat model.
        """
        self.name = f"langchain:{name}"
        self._model = _make(name, self.name)
        self._max_retries = max_retries
        self._first_wait_s = first_wait_s

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer the request `samples` times, one call each.

        Raises:
            BackendError: the model cannot be reached after bounded retries, or rejects the request.
        """
        messages = [with_picture_blocks(message) for message in request.messages]
        return [self._ask(messages) for _ in range(samples)]

    def _ask(self, messages: "list[BaseMessage]") -> Reply:
        attempt = 0
        while True:
            started = time.monotonic()
            try:
                answer = self._model.invoke(messages)
            except Exception as error:  # the classes of a provider's errors cannot be known here
                attempt += 1
                if not _is_passing(error) or attempt > self._max_retries:
                    raise BackendError(self._explanation(error, attempt)) from error
                wait_s = min(MAX_WAIT_S, self._first_wait_s * 2 ** (attempt - 1))
                time.sleep(wait_s * random.uniform(0.5, 1.0))
                continue
            return read_answer(answer, time.monotonic() - started)

    def _explanation(self, error: Exception, attempts: int) -> str:
        told = " ".join(str(error).split())[:300] or "no message"
        tries = f" after {attempts} attempts" if attempts > 1 else ""
        advice = _ADVICE.get(_status_of(error) or 0, "see the documentation of the model that the factory makes")
        return f"{self.name}: {type(error).__name__}{tries}: {told}; {advice}"

    def __repr__(self) -> str:
        return f"LangChainModel({self.name!r})"


def with_picture_blocks(message: "BaseMessage") -> "BaseMessage":
    """Return a message whose pictures are LangChain's standard image blocks (base64), which integrations translate."""
    if isinstance(message.content, str):
        return message
    return message.model_copy(update={"content": [_block(block) for block in message.content], "additional_kwargs": {}})


def read_answer(answer: "AIMessage", latency_s: float) -> Reply:
    """Return a chat model's message as a reply: text, reason of its end, token probabilities and usage."""
    about: Mapping[str, Any] = answer.response_metadata or {}
    told = about.get("finish_reason") or about.get("stop_reason") or about.get("done_reason") or "stop"
    usage = answer.usage_metadata
    refusal = answer.additional_kwargs.get("refusal")
    return Reply(
        text=str(refusal or answer.text),
        finish_reason="refusal" if refusal else _FINISH_REASONS.get(str(told).lower(), "stop"),
        tokens=_tokens_of(about.get("logprobs")),
        usage=Usage(
            prompt_tokens=usage["input_tokens"] if usage else 0,
            completion_tokens=usage["output_tokens"] if usage else 0,
            latency_s=latency_s,
            calls=1,
        ),
        model=str(about.get("model_name") or about.get("model") or ""),
    )


def _make(name: str, shown: str) -> "BaseChatModel":
    from importlib import import_module

    from langchain_core.language_models import BaseChatModel

    module_name, _, factory_name = name.partition(":")
    if not module_name or not factory_name:
        raise BackendError(f"{shown}: write langchain:MODULE:FACTORY, such as langchain:my_models:make_chat_model")
    try:
        factory: Any = import_module(module_name)
        for part in factory_name.split("."):
            factory = getattr(factory, part)
        model = factory if isinstance(factory, BaseChatModel) else factory()
    except ModuleNotFoundError as error:
        raise BackendError(
            f"{shown}: no module {error.name!r}; is it installed, or its folder on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        raise BackendError(f"{shown}: {' '.join(str(error).split())[:300]}") from error
    except Exception as error:  # a user's own code: its errors cannot be known here
        told = " ".join(str(error).split())[:300]
        raise BackendError(f"{shown}: the factory failed: {type(error).__name__}: {told}") from error
    if not isinstance(model, BaseChatModel):
        raise BackendError(f"{shown}: it makes a {type(model).__name__}, not a LangChain BaseChatModel")
    return model


def _block(block: str | dict[Any, Any]) -> str | dict[Any, Any]:
    if isinstance(block, str) or block.get("type") != "image_url":
        return block
    header, _, data = str(block["image_url"]["url"]).partition(",")
    mime_type = header.removeprefix("data:").removesuffix(";base64")
    return {"type": "image", "base64": data, "mime_type": mime_type}


def _tokens_of(logprobs: Any) -> tuple[TokenProbability, ...]:
    """Read log-probabilities in OpenAI's form, in which LangChain integrations hand them on; other forms are left."""
    listed = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    try:
        return tuple(
            TokenProbability(
                str(entry["token"]),
                float(entry["logprob"]),
                {str(other["token"]): float(other["logprob"]) for other in entry.get("top_logprobs") or ()},
            )
            for entry in listed or ()
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()


def _status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries in one of the usual places."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int):
                return status
    return None


def _is_passing(error: BaseException) -> bool:
    status = _status_of(error)
    if status is not None:
        return status in _PASSING
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__).lower()
    return any(name in kinds for name in _PASSING_NAMES)
