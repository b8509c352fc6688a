"""Any LangChain chat model that takes pictures: `langchain:MODULE:FACTORY`.

FACTORY is a name in MODULE: a function without arguments that returns a `BaseChatModel`, or such a model itself. What
the model needs (keys, addresses) is the factory's affair.
"""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.box_conventions import BoxConvention
from vlm_inspect.backends.langchain_answer import calls_of, read_answer, read_structured
from vlm_inspect.backends.learned import BoxHabit, boxes_of, remember_boxes
from vlm_inspect.backends.messages import in_words
from vlm_inspect.backends.model_turn import ModelTurn
from vlm_inspect.backends.strict_schema import strict_schema
from vlm_inspect.errors import BackendError, ToolsRefusedError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

Message = Mapping[str, Any]
OnText = Callable[[str], None]
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


class _FormRefusedError(Exception):
    """The model, held to a form, rejects the request."""


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
        self._takes_form = self._takes_tools = True
        self._max_retries = max_retries
        self._first_wait_s = first_wait_s

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer the request `samples` times, one call each.

        Raises:
            BackendError: the model cannot be reached after bounded retries, or rejects the request.
        """
        return [self._answer_request(request) for _ in range(samples)]

    @property
    def takes_functions(self) -> bool:
        """Whether it can be given functions, as far as it is known."""
        from langchain_core.language_models import BaseChatModel

        return self._takes_tools and type(self._model).bind_tools is not BaseChatModel.bind_tools

    @property
    def boxes(self) -> BoxConvention:
        """How this model is asked for boxes: as `doctor` found it to write them, else as its family does."""
        return boxes_of("", self._habits_key, known_as=self._habits_key)

    def keep_boxes(self, habit: BoxHabit) -> None:
        """Keep how this model was found to write boxes."""
        remember_boxes("", self._habits_key, habit)

    @property
    def _habits_key(self) -> str:
        """The factory, and the model that it makes: a factory may make another one tomorrow."""
        names = (getattr(self._model, one, None) for one in ("model_name", "model", "model_id"))
        return " ".join([self.name, next((name for name in names if isinstance(name, str)), "")]).strip()

    @property
    def takes_tools(self) -> bool:
        """Whether it is believed to call functions."""
        return self._takes_tools

    @property
    def speaks_plainly(self) -> bool:
        """It answers whole, so that nothing is shown before all of it is known."""
        return False

    def keep_manner(self, *, speaks_plainly: bool) -> None:
        """Keep nothing: the answer is known before it is shown."""

    def converse(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message],
        on_text: OnText,
        *,
        may_call: bool = True,
        on_apart: Callable[[], None] | None = None,
    ) -> ModelTurn:
        """Return what the model says next in a conversation, with functions on offer, whole.

        Args:
            messages: the conversation so far, in the form of the OpenAI protocol.
            tools: functions on offer, in the same form.
            on_text: is given the words.
            may_call: False: it shall answer now.
            on_apart: is never told: what comes whole needs no telling.

        Raises:
            ToolsRefusedError: it takes no functions.
            BackendError: it cannot be reached after bounded retries, or rejects the request.
        """
        from langchain_core.messages import convert_to_messages

        asked = [with_picture_blocks(one) for one in convert_to_messages([dict(message) for message in messages])]
        runnable: Any = self._model
        if tools and may_call:
            try:
                runnable = self._model.bind_tools([dict(tool) for tool in tools])
            except (NotImplementedError, TypeError, ValueError) as error:
                self._takes_tools = False
                raise ToolsRefusedError(f"{self.name} takes no tools") from error
        answer, took_s = self._invoke(runnable, asked)
        reply = read_answer(answer, took_s)
        if reply.text:
            on_text(reply.text)
        return ModelTurn(reply.text, calls_of(answer), reply.finish_reason, reply.usage)

    def offer_tool(self, question: str, tool: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask a question with one function on offer, and return the arguments that the model calls it with.

        None where it answers without a call, or takes no functions.

        Raises:
            BackendError: it cannot be reached after bounded retries, or rejects the request.
        """
        message = {"role": "user", "content": question}
        try:
            turn = self.converse([message], [{"type": "function", "function": dict(tool)}], lambda text: None)
        except ToolsRefusedError:
            return None
        told = json.loads(turn.calls[0].arguments) if turn.calls else None
        return told if isinstance(told, dict) else None

    def _answer_request(self, request: Request) -> Reply:
        """Answer once: with functions on offer where it takes them, else in the form."""
        if request.tools and request.may_call and self.takes_functions:
            messages = [with_picture_blocks(one) for one in request.messages]
            try:
                runnable: Any = self._model.bind_tools([dict(tool) for tool in request.tools])
                answer, took_s = self._invoke(runnable, messages)
                return replace(read_answer(answer, took_s), calls=calls_of(answer))
            except (_FormRefusedError, NotImplementedError, TypeError, ValueError):
                self._takes_tools = False
        told = request.messages if self.takes_functions else in_words(request.messages)
        return self._answer([with_picture_blocks(one) for one in told], request.answer_schema)

    def _answer(self, messages: "list[BaseMessage]", schema: Mapping[str, Any]) -> Reply:
        """Ask for an answer in its form; where the model takes none, for the answer as it comes."""
        held = self._held_to(schema) if self._takes_form else None
        if held is not None:
            try:
                told, took_s = self._invoke(held, messages)
                return read_structured(told, took_s)
            except _FormRefusedError:
                self._takes_form = False
        answer, took_s = self._invoke(self._model, messages)
        return read_answer(answer, took_s)

    def _held_to(self, schema: Mapping[str, Any]) -> Any:
        """Return the model held to a form; None where it cannot be."""
        try:
            return self._model.with_structured_output(
                {"title": "inspection", **strict_schema(dict(schema))}, include_raw=True
            )
        except (NotImplementedError, TypeError, ValueError, AttributeError):
            self._takes_form = False
            return None

    def _invoke(self, runnable: Any, messages: "list[BaseMessage]") -> tuple[Any, float]:
        """Return what a call gives, and its time in seconds."""
        attempt = 0
        while True:
            started = time.monotonic()
            try:
                return runnable.invoke(messages), time.monotonic() - started
            except Exception as error:  # the classes of a provider's errors cannot be known here
                if runnable is not self._model and _refuses_form(error):
                    raise _FormRefusedError from error
                attempt += 1
                if not _is_passing(error) or attempt > self._max_retries:
                    raise BackendError(self._explanation(error, attempt)) from error
                wait_s = min(MAX_WAIT_S, self._first_wait_s * 2 ** (attempt - 1))
                time.sleep(wait_s * random.uniform(0.5, 1.0))

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


def _refuses_form(error: BaseException) -> bool:
    return isinstance(error, (NotImplementedError, TypeError)) or _status_of(error) in {400, 404, 422}


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
    detail = block["image_url"].get("detail")
    extras = {"extras": {"detail": detail}} if detail else {}
    return {"type": "image", "base64": data, "mime_type": mime_type, **extras}


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
