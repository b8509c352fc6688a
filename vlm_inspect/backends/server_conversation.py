"""A conversation with a model at an OpenAI-compatible server: streamed, with tools.

Whatever the server refuses is left out from then on, and what it taught is shared with `OpenAICompatible`.
"""

import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from vlm_inspect.backends.call_options import shape_messages
from vlm_inspect.backends.capabilities import Capabilities
from vlm_inspect.backends.clients import open_client
from vlm_inspect.backends.endpoint import find_endpoint
from vlm_inspect.backends.failure import SEES_NOTHING, Failure, lost_connection, read_failure
from vlm_inspect.backends.learned import recall, remember, remember_manner
from vlm_inspect.backends.model_turn import ModelTurn, TurnDraft, read_whole
from vlm_inspect.backends.picture_limits import count_pictures, fit_pictures
from vlm_inspect.backends.picture_sizes import shrink_pictures, smaller_pictures
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError, ToolsRefusedError

if TYPE_CHECKING:
    from openai import OpenAI

Message = Mapping[str, Any]
OnText = Callable[[str], None]
OnApart = Callable[[], None]
MAX_TOKENS = 2048
"""Longest answer in tokens, where the user names none."""
MAX_WAIT_S = 60.0
_REFUSALS = frozenset({400, 403, 404, 415, 422, 500, 501})
_NO_LIMIT = 1_000_000


class ServerConversation:
    """A model at an OpenAI-compatible server."""

    def __init__(self, model: str, connection: Connection, *, first_wait_s: float = 0.5) -> None:
        """Keep the settings; nothing is sent yet.

        Args:
            model: name as the server knows it.
            connection: where the server is, and what every request asks for. Its time limit is that of one silence,
                that before the first word included; its retries come before the first word.
            first_wait_s: wait before the first further attempt in seconds; doubled each time.

        Raises:
            BackendError: the URL is none, or the key is missing or cannot be sent.
        """
        self.model = model
        self._connection = connection
        self._endpoint = find_endpoint(connection.base_url, headers=connection.headers, ca_file=connection.ca_file)
        self._first_wait_s = first_wait_s
        self._client: OpenAI | None = None

    @property
    def takes_tools(self) -> bool:
        """Whether it is believed to call tools."""
        return self._able.tools

    @property
    def name(self) -> str:
        """PROVIDER:NAME."""
        return f"openai:{self.model}"

    @property
    def speaks_plainly(self) -> bool:
        """Whether it is known that its words hold no thinking."""
        return recall(self._endpoint.base_url, self.model).speaks_plainly is True

    def keep_manner(self, *, speaks_plainly: bool) -> None:
        """Keep whether its words hold no thinking, for the dialogues to come."""
        remember_manner(self._endpoint.base_url, self.model, speaks_plainly=speaks_plainly)

    def converse(
        self,
        messages: Sequence[Message],
        tools: Sequence[Message],
        on_text: OnText,
        *,
        may_call: bool = True,
        on_apart: OnApart | None = None,
    ) -> ModelTurn:
        """Return what the model says next; see `Conversation`."""
        waits = self._waits_s()
        able = self._able
        while True:
            offered = tools if able.tools else ()
            fitted = fit_pictures([dict(message) for message in messages], able.pictures or _NO_LIMIT)
            shaped = shape_messages(fitted.messages, able)
            if able.side is not None:
                shaped = shrink_pictures(shaped, able.side)
            result = self._attempt(shaped, self._options(able, offered, may_call=may_call), on_text, on_apart)
            if isinstance(result, ModelTurn):
                self._keep(able)
                return result
            weaker = _weaker(able, result, bool(offered), shaped)
            if weaker is not None:
                able = weaker
                if offered and not able.tools:
                    self._keep(able)
                    raise ToolsRefusedError(f"{self.name} takes no tools: {result.message}")
                continue
            wait_s = next(waits, None) if result.passing and (result.wait_s or 0.0) <= MAX_WAIT_S else None
            if wait_s is None:
                raise BackendError(self._explanation(result))
            time.sleep(wait_s if result.wait_s is None else result.wait_s)

    @property
    def _able(self) -> Capabilities:
        return recall(self._endpoint.base_url, self.model).capabilities

    def _keep(self, able: Capabilities) -> None:
        remember(self._endpoint.base_url, self.model, able)

    def _options(self, able: Capabilities, tools: Sequence[Message], *, may_call: bool) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if able.limit:
            options[able.limit] = self._connection.max_tokens or MAX_TOKENS
        if able.effort and self._connection.reasoning_effort:
            options["reasoning_effort"] = self._connection.reasoning_effort
        if able.stream:
            options["stream"] = True
            if able.stream_options:
                options["stream_options"] = {"include_usage": True}
        if tools:
            options["tools"] = [dict(tool) for tool in tools]
            if not may_call and able.tool_choice:
                options["tool_choice"] = "none"
        return options

    def _attempt(
        self, messages: Sequence[Message], options: dict[str, Any], on_text: OnText, on_apart: OnApart | None
    ) -> ModelTurn | Failure:
        import httpx
        import openai

        draft = TurnDraft(on_text, on_apart)
        try:
            result = self._connected().chat.completions.create(
                model=self.model, messages=cast("Any", [dict(message) for message in messages]), **options
            )
            if "stream" not in options:
                return read_whole(result, on_text) or self._no_answer(result)
            for chunk in cast("Any", result):
                draft.add(chunk)
        except openai.APIStatusError as error:
            return read_failure(error, self._endpoint)
        except (openai.APITimeoutError, httpx.TimeoutException):
            reason = f"no word within {self._connection.timeout_s:g} s"
            return draft.cut(reason) or Failure(reason, "is the server overloaded?", passing=True)
        except (openai.OpenAIError, httpx.HTTPError, ValueError, RecursionError) as error:
            lost = lost_connection(error, self._endpoint)
            return draft.cut(lost.message) or lost
        if not draft.begun:  # it answered whole, although asked for a stream
            return Failure("it does not stream", "", status=400, parameter="stream")
        return draft.finish()

    def _no_answer(self, result: object) -> Failure:
        told = self._endpoint.clear(str(result))
        return Failure(f"not an answer of the protocol: {told}", "does the base URL end in /v1?")

    def _waits_s(self) -> Iterator[float]:
        for attempt in range(self._connection.max_retries):
            yield min(MAX_WAIT_S, self._first_wait_s * 2**attempt) * random.uniform(0.5, 1.0)

    def _connected(self) -> "OpenAI":
        if self._client is None:
            self._client = open_client(self._endpoint, self._connection.timeout_s)
            weakref.finalize(self, self._client.close)
        return self._client

    def _explanation(self, failure: Failure) -> str:
        status = "no usable answer" if failure.status is None else f"status {failure.status}"
        return f"{self.name}: {status} from {self._endpoint.shown_url}: {failure.message}; {failure.advice}"


def _weaker(able: Capabilities, failure: Failure, tools: bool, messages: Sequence[Message]) -> Capabilities | None:
    """Return what to ask for after a failure, or None where asking for less will not help."""
    if failure.advice == SEES_NOTHING:
        return None
    if (smaller := smaller_pictures(able, failure, messages)) is not None:
        return smaller
    if failure.status not in _REFUSALS:
        return None
    text = f"{failure.parameter} {failure.message}".lower()
    stated = able.without(failure.message, failure.parameter, guess=False, pictures=count_pictures(messages))
    if stated is not None:
        return stated
    if able.stream and "stream" in text:
        return able.model_copy(update={"stream": False})
    if tools and ("tool" in text or "function" in text):
        return able.model_copy(update={"tools": False})
    return None
