"""Talking with a model: messages and tools in, words as they come and calls of tools out.

Messages are those of the OpenAI protocol, as plain dicts. An OpenAI-compatible server is asked with streaming and
tools; whatever it refuses is left out from then on. Every other backend answers whole, without tools, through
`Backend.generate`.
"""

import json
import random
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from vlm_inspect.backends.backend import Backend, Request
from vlm_inspect.backends.completion import Failure, read_failure
from vlm_inspect.backends.endpoint import Endpoint
from vlm_inspect.backends.spoken import Spoken, SpokenDraft, read_whole
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from openai import OpenAI

    from vlm_inspect.store.case import Case

Message = Mapping[str, Any]
OnText = Callable[[str], None]
ANSWER_SCHEMA = {"type": "object", "required": ["answer"], "properties": {"answer": {"type": "string"}}}
"""The form of an answer of a backend that is held to one."""
MAX_WAIT_S = 60.0
_NO_KEY = "no-key"  # the SDK insists on one
_REFUSALS = frozenset({400, 404, 422, 500, 501})
_OPTIONS = ("stream_options", "tool_choice", "max_tokens", "stream")


class ToolsRefusedError(BackendError):
    """The server or its model takes no tools."""


class Conversation(Protocol):
    """One model that can be talked with."""

    @property
    def name(self) -> str:
        """PROVIDER:NAME."""
        ...

    @property
    def takes_tools(self) -> bool:
        """Whether it is believed to call tools."""
        ...

    def converse(
        self, messages: Sequence[Message], tools: Sequence[Message], on_text: OnText, *, may_call: bool = True
    ) -> Spoken:
        """Return what the model says next.

        Args:
            messages: the conversation so far.
            tools: functions on offer.
            on_text: is given the words as they come.
            may_call: False: it shall answer now.

        Raises:
            ToolsRefusedError: it takes no tools.
            BackendError: it cannot be reached after bounded retries, or rejects the request.
        """
        ...


def open_conversation(backend: Backend, case: "Case", *, timeout_s: float) -> Conversation:
    """Return the way to talk with a backend about a case."""
    from vlm_inspect.backends.openai_compatible import OpenAICompatible

    if isinstance(backend, OpenAICompatible):
        return ServerConversation(backend.model, backend.endpoint, timeout_s=timeout_s)
    return WholeAnswers(backend, case)


class ServerConversation:
    """A model at an OpenAI-compatible server."""

    def __init__(
        self,
        model: str,
        endpoint: Endpoint,
        *,
        timeout_s: float = 120.0,
        max_retries: int = 3,
        first_wait_s: float = 0.5,
        max_tokens: int = 2048,
    ) -> None:
        """Keep the settings; nothing is sent yet.

        Args:
            model: name as the server knows it.
            endpoint: the server.
            timeout_s: longest silence of the server in seconds, that before its first word included.
            max_retries: further attempts after a passing failure, before the first word.
            first_wait_s: wait before the first of them in seconds; doubled each time.
            max_tokens: longest answer in tokens.
        """
        self.model = model
        self.takes_tools = True
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._first_wait_s = first_wait_s
        self._max_tokens = max_tokens
        self._refused: set[str] = set()
        self._client: OpenAI | None = None

    @property
    def name(self) -> str:
        """PROVIDER:NAME."""
        return f"openai:{self.model}"

    def converse(
        self, messages: Sequence[Message], tools: Sequence[Message], on_text: OnText, *, may_call: bool = True
    ) -> Spoken:
        """Return what the model says next; see `Conversation`."""
        waits = self._waits_s()
        while True:
            options = self._options(tools if self.takes_tools else (), may_call=may_call)
            result = self._attempt(messages, options, on_text)
            if isinstance(result, Spoken):
                return result
            if self._gave_way(result, options):
                continue
            wait_s = next(waits, None) if result.passing and (result.wait_s or 0.0) <= MAX_WAIT_S else None
            if wait_s is None:
                raise BackendError(self._explanation(result))
            time.sleep(wait_s if result.wait_s is None else result.wait_s)

    def _options(self, tools: Sequence[Message], *, may_call: bool) -> dict[str, Any]:
        options: dict[str, Any] = {"max_tokens": self._max_tokens, "stream": True}
        options["stream_options"] = {"include_usage": True}
        if tools:
            options["tools"] = [dict(tool) for tool in tools]
            if not may_call:
                options["tool_choice"] = "none"
        if "max_tokens" in self._refused:
            options["max_completion_tokens"] = self._max_tokens
        if "stream" in self._refused:
            options.pop("stream_options")
        return {name: value for name, value in options.items() if name not in self._refused}

    def _gave_way(self, failure: Failure, options: Mapping[str, Any]) -> bool:
        """Leave out what the server refused; returns whether there was something to leave out."""
        if failure.status not in _REFUSALS:
            return False
        text = f"{failure.parameter} {failure.message}".lower()
        for name in _OPTIONS:
            if name in options and (name in text or name.replace("_", " ") in text):
                self._refused.add(name)
                return True
        if "tools" in options and ("tool" in text or "function" in text):
            self.takes_tools = False
            raise ToolsRefusedError(f"{self.name} takes no tools: {failure.message}")
        return False

    def _attempt(self, messages: Sequence[Message], options: dict[str, Any], on_text: OnText) -> Spoken | Failure:
        import httpx
        import openai

        draft = SpokenDraft(on_text)
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
            reason = f"no word within {self._timeout_s:g} s"
            return draft.cut(reason) or Failure(reason, "is the server overloaded?", passing=True)
        except (openai.OpenAIError, httpx.HTTPError, ValueError) as error:
            reason = self._endpoint.clear(str(error.__cause__ or error)) or type(error).__name__
            return draft.cut(reason) or Failure(reason, "is the server up at this URL?", passing=True)
        if not draft.begun:  # it answered whole, although asked for a stream
            return Failure("it does not stream", "", status=400, parameter="stream")
        return draft.finish()

    def _no_answer(self, result: object) -> Failure:
        told = self._endpoint.clear(str(result))
        return Failure(f"not an answer of the protocol: {told}", "does the base URL end in /v1?")

    def _waits_s(self) -> Iterator[float]:
        for attempt in range(self._max_retries):
            yield min(MAX_WAIT_S, self._first_wait_s * 2**attempt) * random.uniform(0.5, 1.0)

    def _connected(self) -> "OpenAI":
        if self._client is None:
            import openai

            # A proxy that the environment names must not be asked for this very machine.
            direct = openai.DefaultHttpxClient(trust_env=False) if self._endpoint.is_loopback else None
            self._client = openai.OpenAI(
                api_key=self._endpoint.key or _NO_KEY,
                base_url=self._endpoint.base_url,
                max_retries=0,
                timeout=self._timeout_s,
                http_client=direct,
            )
            weakref.finalize(self, self._client.close)
        return self._client

    def _explanation(self, failure: Failure) -> str:
        status = "no usable answer" if failure.status is None else f"status {failure.status}"
        return f"{self.name}: {status} from {self._endpoint.shown_url}: {failure.message}; {failure.advice}"


@dataclass(eq=False)
class WholeAnswers:
    """Any other backend: one answer at a time, whole, without tools."""

    backend: Backend
    case: "Case"
    takes_tools: bool = False

    @property
    def name(self) -> str:
        """PROVIDER:NAME."""
        return self.backend.name

    def converse(
        self, messages: Sequence[Message], tools: Sequence[Message], on_text: OnText, *, may_call: bool = True
    ) -> Spoken:
        """Return what the model says next; see `Conversation`."""
        from langchain_core.messages import convert_to_messages

        from vlm_inspect.prompting.assembly import digest_messages

        converted = tuple(convert_to_messages([dict(message) for message in messages]))
        request = Request(
            messages=converted,
            answer_schema=ANSWER_SCHEMA,
            views=self.case.views,
            rules=self.case.rules,
            evidence=self.case.evidence,
            question=None,
            prompt_sha256=digest_messages(converted),
        )
        reply = self.backend.generate(request)[0]
        text = _plain_answer(reply.text)
        on_text(text)
        return Spoken(text, finish_reason=reply.finish_reason, usage=reply.usage)


def _plain_answer(text: str) -> str:
    """Return the answer of a reply in the asked form; another form is an answer as it stands."""
    try:
        told = json.loads(text)
    except ValueError:
        return text
    answer = told.get("answer") if isinstance(told, dict) else None
    return answer if isinstance(answer, str) else text
