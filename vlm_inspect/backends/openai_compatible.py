"""Any server that speaks the OpenAI chat completions protocol, through the official SDK.

The SDK sends and types one request. What is tried again, and after how long, is decided here, because a refused option
must be dropped between two attempts and the waits must be bounded and testable.
"""

import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.box_conventions import BoxConvention
from vlm_inspect.backends.call_options import CallOptions, Message, shape_messages
from vlm_inspect.backends.capabilities import Capabilities
from vlm_inspect.backends.clients import open_async_client
from vlm_inspect.backends.completion import read_completion, read_tool_call
from vlm_inspect.backends.endpoint import Endpoint, find_endpoint
from vlm_inspect.backends.failure import SEES_NOTHING, Failure, lost_connection, read_failure
from vlm_inspect.backends.learned import BoxHabit, Learned, boxes_of, recall, remember, remember_boxes
from vlm_inspect.backends.messages import in_words, roles_and_labels
from vlm_inspect.backends.picture_limits import count_pictures, fit_pictures
from vlm_inspect.backends.picture_sizes import longest_side, shrink_pictures, smaller_pictures
from vlm_inspect.backends.prices import Prices, load_prices
from vlm_inspect.backends.settings import Connection
from vlm_inspect.backends.timed_calls import TimedCalls
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

MAX_WAIT_S = 60.0
"""Longest wait before another attempt in seconds; a server that asks for more has failed."""
MAX_TOKENS = 4096
"""Longest answer in tokens, where the user names none."""
_NO_LIMIT = 1_000_000
_REFUSALS = frozenset({400, 403, 404, 415, 422, 500, 501})
"""Statuses that servers refuse an option with (OpenAI says 403 to log-probabilities that a model does not give)."""
_GUESSED = frozenset({400, 422})
"""Of these, those whose message need not name the option."""
_TOOLS = re.compile(r"\b(?:tool|function)s?\b")
"""What a server says that calls no functions."""
_STUMBLES = frozenset({400, 422, 500, 501})
"""Statuses that servers answer with where they cannot give several answers to one request."""

_Read = TypeVar("_Read")


class OpenAICompatible:
    """A model at OpenAI, Azure (its `/openai/v1` URL), vLLM, Ollama, llama.cpp, LM Studio and their like."""

    def __init__(self, model: str, connection: Connection | None = None, *, first_wait_s: float = 0.5) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            model: name as the server knows it.
            connection: where the server is, and what every request asks for. Its time limit is that of one attempt,
                from its first byte out to its last byte in.
            first_wait_s: wait before the first further attempt in seconds; doubled each time.

        Raises:
            BackendError: the URL is none, the key is missing or cannot be sent, or the file of prices is wrong.
        """
        self.model = model
        self.connection = connection or Connection()
        self.endpoint: Endpoint = find_endpoint(
            self.connection.base_url, headers=self.connection.headers, ca_file=self.connection.ca_file
        )
        self._prices: Prices = load_prices()
        self._first_wait_s = first_wait_s
        self._client: AsyncOpenAI | None = None
        self._calls: TimedCalls | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """PROVIDER:NAME, for the record."""
        return f"openai:{self.model}"

    @property
    def structure(self) -> str:
        """How the server holds answers to their form, as far as it is known: "schema", "json" or "text"."""
        return self.known.capabilities.structure

    @property
    def takes_functions(self) -> bool:
        """Whether it is believed to call functions; what a request offers is left out where the server refuses it."""
        return self.known.capabilities.tools

    @property
    def known(self) -> Learned:
        """What this server taught, today or before."""
        return recall(self.endpoint.base_url, self.model)

    @property
    def boxes(self) -> BoxConvention:
        """How this model is asked for boxes: as it was found to write them, else as its family does."""
        return boxes_of(self.endpoint.base_url, self.model)

    def keep_boxes(self, habit: BoxHabit) -> None:
        """Keep how this model was found to write boxes."""
        remember_boxes(self.endpoint.base_url, self.model, habit)

    @property
    def most_pictures(self) -> int | None:
        """Most pictures of one request, where a limit was met."""
        return self.known.capabilities.pictures

    @property
    def longest_side(self) -> int | None:
        """Longest side of a picture in pixels, where a limit was met."""
        return self.known.capabilities.side

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer the request `samples` times: in one call where the server takes that, else in several.

        Raises:
            BackendError: the server cannot be reached after bounded retries, or rejects the request.
        """
        most = self.connection.max_tokens or MAX_TOKENS
        effort = self.connection.reasoning_effort
        replies: list[Reply] = []
        while len(replies) < samples:
            options = CallOptions(
                request.answer_schema,
                most,
                samples - len(replies),
                samples > 1,
                effort,
                tools=request.tools,
                may_call=request.may_call,
            )
            replies += self._call(request, options)
        return replies[:samples]

    def offer_tool(self, question: str, tool: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask a question with one function on offer, and return the arguments that the model calls it with.

        None where it answers without a call, where the arguments are no object, or where the server refuses tools.

        Raises:
            BackendError: the server cannot be reached after bounded retries.
        """
        message = {"role": "user", "content": question}
        options = {"tools": [{"type": "function", "function": dict(tool)}]}
        result = self._attempt_repeatedly([message], options, read_tool_call)
        if not isinstance(result, Failure):
            return result
        if result.status is None or result.passing or result.status == 401:
            raise BackendError(self._explanation(result))
        return None

    def _call(self, request: Request, options: CallOptions) -> list[Reply]:
        """Make one call that succeeds, giving way to what the server refuses."""
        from langchain_core.messages import convert_to_openai_messages

        roles, labels = roles_and_labels(request.messages)
        able = self.known.capabilities
        while True:
            told = list(request.messages) if able.tools else in_words(request.messages)
            whole = convert_to_openai_messages(told)
            most = min(able.pictures or _NO_LIMIT, self.connection.most_pictures or _NO_LIMIT)
            fitted = fit_pictures(whole, most, roles, labels)
            messages = shape_messages(fitted.messages, able)
            side = able.side if able.side is not None and longest_side(messages) > able.side else None
            if side is not None:
                messages = shrink_pictures(messages, side)
            result = self._attempt_repeatedly(messages, options.within(able), self._read)
            if not isinstance(result, Failure) or result.replies:
                remember(self.endpoint.base_url, self.model, able)
                notes = (*fitted.notes(most), *_side_notes(side), *_effort_notes(able, options))
                replies = result.replies if isinstance(result, Failure) else result
                return [replace(one, notes=(*one.notes, *notes), sent_side=side) for one in replies]
            weaker = _weaker(able, result, options, messages)
            if weaker is None:
                raise BackendError(self._explanation(result))
            able = weaker

    def _attempt_repeatedly(
        self, messages: list[Message], options: dict[str, Any], read: "Callable[[object, float], _Read | Failure]"
    ) -> "_Read | Failure":
        """Try until it succeeds, fails for good, or the attempts are used up."""
        waits = self._waits_s()
        while True:
            result = self._attempt(messages, options, read)
            if not isinstance(result, Failure) or not result.passing:
                return result
            if (result.wait_s or 0.0) > MAX_WAIT_S:
                return replace(result, passing=False, advice=f"it asks to wait {result.wait_s:.0f} s; try again then")
            wait_s = next(waits, None)
            if wait_s is None:
                return result
            time.sleep(wait_s if result.wait_s is None else result.wait_s)

    def _waits_s(self) -> Iterator[float]:
        """Exponential back-off with jitter: half to all of a doubling wait, so that clients do not retry in step."""
        for attempt in range(self.connection.max_retries):
            yield min(MAX_WAIT_S, self._first_wait_s * 2**attempt) * random.uniform(0.5, 1.0)

    def _attempt(
        self, messages: list[Message], options: dict[str, Any], read: "Callable[[object, float], _Read | Failure]"
    ) -> "_Read | Failure":
        import openai

        client, calls = self._connected()

        # As `extra_body` the request is sent as it is. As arguments the SDK would look for things to translate in every
        # block of every message: 7 ms of processor time a request, holding up all others, and there is nothing.
        body = {"messages": messages, **options}

        def call() -> "Coroutine[Any, Any, ChatCompletion]":
            return client.chat.completions.create(model=self.model, messages=[], extra_body=body)

        started = time.monotonic()
        try:
            result = calls.run(call, self.connection.timeout_s)
        except (openai.APITimeoutError, TimeoutError):
            return Failure(
                f"no answer within {self.connection.timeout_s:g} s", "is the server overloaded?", passing=True
            )
        except openai.APIConnectionError as error:
            return lost_connection(error, self.endpoint)
        except openai.APIStatusError as error:
            return read_failure(error, self.endpoint)
        except (openai.OpenAIError, ValueError, RecursionError) as error:  # a body that claims to be JSON and is not
            told = self.endpoint.clear(str(error))
            return Failure(f"not an answer of the protocol: {told}", "does the base URL end in /v1?")
        return read(result, time.monotonic() - started)

    def _read(self, result: object, latency_s: float) -> list[Reply] | Failure:
        reported = str(getattr(result, "model", "") or "")
        price = self._prices.find([reported, self.model], self.endpoint.host)
        return read_completion(result, self.endpoint, latency_s, price)

    def _connected(self) -> "tuple[AsyncOpenAI, TimedCalls]":
        with self._lock:
            if self._client is None or self._calls is None:
                self._client = open_async_client(self.endpoint, self.connection.timeout_s)
                self._calls = TimedCalls()
                weakref.finalize(self, self._calls.close, self._client.close)
            return self._client, self._calls

    def _explanation(self, failure: Failure) -> str:
        status = "no usable answer" if failure.status is None else f"status {failure.status}"
        tries = (
            f" after {self.connection.max_retries + 1} attempts"
            if failure.passing and self.connection.max_retries
            else ""
        )
        return f"{self.name}: {status} from {self.endpoint.shown_url}{tries}: {failure.message}; {failure.advice}"

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.model!r}, base_url={self.endpoint.shown_url!r})"


def _weaker(
    able: Capabilities, failure: Failure, options: CallOptions, messages: Sequence[Message]
) -> Capabilities | None:
    """Return what to ask for after a failure, or None where asking for less will not help."""
    if failure.advice == SEES_NOTHING:
        return None
    if (smaller := smaller_pictures(able, failure, messages)) is not None:
        return smaller
    left = None
    if options.tools and able.tools and failure.status in _REFUSALS and _TOOLS.search(_words_of(failure)):
        return able.model_copy(update={"tools": False})
    if failure.status in _REFUSALS:
        guess = failure.status in _GUESSED
        left = able.without(failure.message, failure.parameter, guess=guess, pictures=count_pictures(messages))
    if left is None and options.wanted > 1 and able.choices and failure.status in _STUMBLES:
        return able.model_copy(update={"choices": False})  # some servers break on several answers without saying so
    return left


def _words_of(failure: Failure) -> str:
    return f"{failure.parameter} {failure.message}".lower()


def _side_notes(side: int | None) -> tuple[str, ...]:
    return () if side is None else (f"the server takes no larger pictures: they were sent with at most {side} px",)


def _effort_notes(able: Capabilities, options: CallOptions) -> tuple[str, ...]:
    if options.effort is None or able.effort:
        return ()
    return (f"the server takes no reasoning effort; {options.effort!r} was left out",)
