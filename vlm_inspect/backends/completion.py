"""What an OpenAI-compatible server answered, as replies or as a failure."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.backends.endpoint import KEY_VARIABLE, Endpoint
from vlm_inspect.backends.prices import Price
from vlm_inspect.inspection import Usage

if TYPE_CHECKING:
    from openai import APIStatusError
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice

_PASSING = frozenset({408, 409, 429})
_ADVICE = {
    401: f"set {KEY_VARIABLE} to a key that this server accepts",
    403: f"the key in {KEY_VARIABLE} may not use this model",
    404: "check the model's name, and that the base URL ends in /v1",
    413: "send fewer or smaller pictures",
    429: "wait, or ask for a higher limit",
}
_FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


@dataclass(frozen=True)
class Failure:
    """Why one attempt failed. It holds no exception: those carry the request, and with it the key."""

    message: str
    advice: str
    status: int | None = None
    """HTTP status; None: there was no answer, or it was none of the protocol."""
    parameter: str = ""
    """The option that the server blames."""
    passing: bool = False
    """True where a further attempt may succeed."""
    wait_s: float | None = None
    """What the server asks to wait in seconds."""


def read_failure(error: "APIStatusError", endpoint: Endpoint) -> Failure:
    """Read an answer of status 4xx or 5xx."""
    status = error.status_code
    final = error.response.headers.get("x-should-retry") == "false" or error.code == "insufficient_quota"
    return Failure(
        endpoint.clear(_message_of(error.body if error.body is not None else error.message)),
        _ADVICE.get(status, "try again later" if status >= 500 else "the request does not fit this model"),
        status=status,
        parameter=error.param or "",
        passing=(status in _PASSING or status >= 500) and not final,
        wait_s=_retry_after_s(error.response.headers),
    )


def read_completion(
    result: object, endpoint: Endpoint, latency_s: float, price: Price | None = None
) -> "list[Reply] | Failure":
    """Read an answer of status 200: one reply a choice; its cost in USD where the price is known.

    The tokens and the time of the call are counted once, with the first reply. An answer without a choice is an empty
    reply, which the parser refuses; one that is no completion at all is a failure.
    """
    from openai.types.chat import ChatCompletion

    if not isinstance(result, ChatCompletion):  # the SDK hands a page of another type through, as text
        return Failure(f"not an answer of the protocol, but {endpoint.clear(str(result))!r}", _ADVICE[404])
    choices = getattr(result, "choices", None)
    if not isinstance(choices, list):
        told = (result.model_extra or {}).get("error")
        message = _message_of({"error": told}) if told else "not an answer of the protocol: it has no choices"
        return Failure(endpoint.clear(message), _ADVICE[404])
    usage = _usage_of(result, latency_s, price)
    name = str(getattr(result, "model", "") or "")
    replies = [_reply_of(choice) for choice in choices] or [Reply("")]
    return [Reply(r.text, r.finish_reason, r.tokens, Usage() if i else usage, name) for i, r in enumerate(replies)]


def read_tool_call(result: object, latency_s: float) -> "Mapping[str, Any] | None":
    """Return the arguments of the first function that an answer of status 200 calls; None where it calls none."""
    choices = getattr(result, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    calls = getattr(message, "tool_calls", None)
    function = getattr(calls[0], "function", None) if isinstance(calls, list) and calls else None
    try:
        arguments = json.loads(str(getattr(function, "arguments", "")))
    except ValueError:
        return None
    return arguments if isinstance(arguments, dict) else None


def _usage_of(completion: "ChatCompletion", latency_s: float, price: Price | None) -> Usage:
    counted = getattr(completion, "usage", None)
    prompt, answer = _count(counted, "prompt_tokens"), _count(counted, "completion_tokens")
    cached = _count(getattr(counted, "prompt_tokens_details", None), "cached_tokens")
    counts = prompt > 0  # a server that counts nothing has not answered for nothing
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        latency_s=latency_s,
        calls=1,
        cost_usd=price.cost_usd(prompt, answer, cached) if price is not None and counts else None,
    )


def _count(holder: object, name: str) -> int:
    value = _field(holder, name)
    return value if isinstance(value, int) and value > 0 else 0


def _reply_of(choice: "Choice") -> Reply:
    message = getattr(choice, "message", None)
    refusal = getattr(message, "refusal", None)
    text = str(refusal or "") or text_of(getattr(message, "content", None))
    aside = text_of(getattr(message, "reasoning_content", None)) or text_of(getattr(message, "reasoning", None))
    told = str(getattr(choice, "finish_reason", None) or "stop")
    reason = "refusal" if refusal else _FINISH_REASONS.get(told, told)
    return Reply(text, reason, _tokens_of(getattr(choice, "logprobs", None)), reasoning=aside)


def _tokens_of(logprobs: object) -> tuple[TokenProbability, ...]:
    """Read log-probabilities in either form that servers write; what has another form is none at all.

    A list of tokens under `content` (the protocol), or lists side by side under `tokens`, `token_logprobs` and
    `top_logprobs` (the older completions endpoint, which some servers copy into chat).
    """
    try:
        listed = _field(logprobs, "content")
        found = _modern(listed) if listed else _older(logprobs)
        return tuple(TokenProbability(text, own, {**others, text: own}) for text, own, others in found)
    except (TypeError, ValueError, AttributeError):
        return ()


_Spelt = tuple[str, float, dict[str, float]]


def _modern(listed: Any) -> Iterator[_Spelt]:
    for token in listed:
        others = {str(_field(o, "token")): float(_field(o, "logprob")) for o in _field(token, "top_logprobs") or ()}
        yield str(_field(token, "token")), float(_field(token, "logprob")), others


def _older(logprobs: object) -> Iterator[_Spelt]:
    tokens, own = _field(logprobs, "tokens") or (), _field(logprobs, "token_logprobs") or ()
    tops = _field(logprobs, "top_logprobs") or [{}] * len(tokens)
    for token, logprob, others in zip(tokens, own, tops, strict=True):
        yield str(token), float(logprob), {str(t): float(p) for t, p in (others or {}).items()}


def _field(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _text_of(content: object) -> str:
    """Return the text of a message; some servers answer in blocks, as requests are written."""
    if isinstance(content, list):
        return "".join(str(block.get("text", "")) for block in content if isinstance(block, Mapping))
    return content if isinstance(content, str) else ""


def _message_of(body: object) -> str:
    """Return the message of an error body; servers write {"error": {"message": …}}, {"error": …} or {"detail": …}."""
    while isinstance(body, Mapping):
        inner = next((body[key] for key in ("error", "message", "detail") if body.get(key)), None)
        if inner is None:
            break
        body = inner
    return str(body)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return what `Retry-After` asks for in seconds: a number of seconds or a date (RFC 9110, section 10.2.3)."""
    asked = headers.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)
