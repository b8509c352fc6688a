"""Any server that speaks the OpenAI chat completions protocol, through the official SDK.

The SDK sends and types one request. What is tried again, and after how long, is decided here, because a refused option
must be dropped between two attempts and the waits must be bounded and testable.
"""

import random
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.capabilities import Capabilities, recall, remember, strict_schema
from vlm_inspect.backends.completion import Failure, read_completion, read_failure, read_tool_call
from vlm_inspect.backends.endpoint import Endpoint, find_endpoint
from vlm_inspect.backends.prices import Prices, load_prices
from vlm_inspect.backends.timed_calls import TimedCalls
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

MAX_WAIT_S = 60.0
"""Longest wait before another attempt in seconds; a server that asks for more has failed."""
_NO_KEY = "no-key"  # the SDK insists on one; servers without keys ignore it
_TOP_LOGPROBS = 5
_SAMPLING_TEMPERATURE = 0.7
"""Several answers to one request must be able to differ; a single one is the likeliest."""
_REFUSALS = frozenset({400, 403, 422})
"""Statuses that servers refuse an option with (OpenAI says 403 to log-probabilities that a model does not give)."""
_STUMBLES = frozenset({400, 422, 500, 501})
"""Statuses that servers answer with where they cannot give several answers to one request."""

Message = dict[str, Any]
_Read = TypeVar("_Read")


class OpenAICompatible:
    """A model at OpenAI, Azure (its `/openai/v1` URL), vLLM, Ollama, llama.cpp, LM Studio and their like."""

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        timeout_s: float = 120.0,
        max_retries: int = 3,
        first_wait_s: float = 0.5,
        max_tokens: int = 4096,
    ) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            model: name as the server knows it.
            base_url: address up to and with `/v1`; None: OPENAI_BASE_URL, else OpenAI.
            timeout_s: longest time of one attempt in seconds, from its first byte out to its last byte in.
            max_retries: further attempts after a passing failure.
            first_wait_s: wait before the first of them in seconds; doubled each time.
            max_tokens: longest answer in tokens.

        Raises:
            BackendError: the URL is none, the key is missing or cannot be sent, or the file of prices is wrong.
        """
        self.model = model
        self.endpoint: Endpoint = find_endpoint(base_url)
        self._prices: Prices = load_prices()
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._first_wait_s = first_wait_s
        self._max_tokens = max_tokens
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
        return recall(self.endpoint.base_url, self.model).structure

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer the request `samples` times: in one call where the server takes that, else in several.

        Raises:
            BackendError: the server cannot be reached after bounded retries, or rejects the request.
        """
        from langchain_core.messages import convert_to_openai_messages

        messages = convert_to_openai_messages(list(request.messages))
        replies: list[Reply] = []
        while len(replies) < samples:
            options = _Options(request.answer_schema, self._max_tokens, samples - len(replies), samples > 1)
            replies += self._call(messages, options)
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

    def _call(self, messages: list[Message], options: "_Options") -> list[Reply]:
        """Make one call that succeeds, dropping the options that the server refuses."""
        able = recall(self.endpoint.base_url, self.model)
        while True:
            result = self._attempt_repeatedly(messages, options.within(able), self._read)
            if not isinstance(result, Failure):
                remember(self.endpoint.base_url, self.model, able)
                return result
            weaker = _weaker(able, result, options)
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
        for attempt in range(self._max_retries):
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
            result = calls.run(call, self._timeout_s)
        except (openai.APITimeoutError, TimeoutError):
            return Failure(f"no answer within {self._timeout_s:g} s", "is the server overloaded?", passing=True)
        except openai.APIConnectionError as error:
            reason = self.endpoint.clear(str(error.__cause__ or error))
            return Failure(reason, "is the server up at this URL?", passing=True)
        except openai.APIStatusError as error:
            return read_failure(error, self.endpoint)
        except (openai.OpenAIError, ValueError) as error:  # a body that claims to be JSON and is not
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
                import openai

                # A proxy that the environment names must not be asked for this very machine.
                direct = openai.DefaultAsyncHttpxClient(trust_env=False) if self.endpoint.is_loopback else None
                self._client = openai.AsyncOpenAI(
                    api_key=self.endpoint.key or _NO_KEY,
                    base_url=self.endpoint.base_url,
                    max_retries=0,
                    timeout=self._timeout_s,
                    http_client=direct,
                )
                self._calls = TimedCalls()
                weakref.finalize(self, self._calls.close, self._client.close)
            return self._client, self._calls

    def _explanation(self, failure: Failure) -> str:
        status = "no usable answer" if failure.status is None else f"status {failure.status}"
        tries = f" after {self._max_retries + 1} attempts" if failure.passing and self._max_retries else ""
        return f"{self.name}: {status} from {self.endpoint.shown_url}{tries}: {failure.message}; {failure.advice}"

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.model!r}, base_url={self.endpoint.shown_url!r})"


def _weaker(able: Capabilities, failure: Failure, options: "_Options") -> Capabilities | None:
    """Return what to ask for after a failure, or None where asking for less will not help."""
    left = None
    if failure.status in _REFUSALS:
        left = able.without(failure.message, failure.parameter, guess=failure.status != 403)
    if left is None and options.wanted > 1 and able.choices and failure.status in _STUMBLES:
        return replace(able, choices=False)  # some servers break on several answers without saying so
    return left


@dataclass(frozen=True)
class _Options:
    """What one call would ask for at a server that takes everything."""

    schema: Mapping[str, Any]
    max_tokens: int
    wanted: int
    """Number of answers."""
    varied: bool
    """True where the answers must be able to differ."""

    def within(self, able: Capabilities) -> dict[str, Any]:
        """Return the options for a server of these capabilities."""
        options: dict[str, Any] = {}
        if able.structure == "schema":
            strict = {"name": "inspection", "strict": True, "schema": strict_schema(dict(self.schema))}
            options["response_format"] = {"type": "json_schema", "json_schema": strict}
        elif able.structure == "json":
            options["response_format"] = {"type": "json_object"}
        if able.logprobs:
            options |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        if able.limit:
            options[able.limit] = self.max_tokens
        if able.temperature:
            options["temperature"] = _SAMPLING_TEMPERATURE if self.varied else 0.0
        if able.choices and self.wanted > 1:
            options["n"] = self.wanted
        return options
