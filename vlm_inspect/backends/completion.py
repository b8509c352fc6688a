"""What an OpenAI-compatible server answered with status 200, as replies or as a failure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.backends.endpoint import Endpoint
from vlm_inspect.backends.failure import ADVICE, Failure, error_within
from vlm_inspect.backends.messages import text_of
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.backends.prices import Price
from vlm_inspect.inspection import Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from openai.types.chat.chat_completion import Choice

_BROKEN = "error"
"""Finish reason of an answer that a failure ended, where the server calls it finished."""
_MOST_TOKENS = 10**12
"""A larger count is none."""
_FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


def read_completion(
    result: object, endpoint: Endpoint, latency_s: float, price: Price | None = None
) -> "list[Reply] | Failure":
    """Read an answer of status 200: one reply a choice; its cost in USD where the price is known.

    The tokens and the time of the call are counted once, with the first reply. An answer without a choice is an empty
    reply, which the parser refuses; one that is no completion at all is a failure.
    """
    from openai.types.chat import ChatCompletion

    if not isinstance(result, ChatCompletion):  # the SDK hands a page of another type through, as text
        return Failure(f"not an answer of the protocol, but {endpoint.clear(str(result))!r}", ADVICE[404])
    choices = getattr(result, "choices", None)
    if not choices and (told := _extra(result, "error")):
        return error_within(told, endpoint)
    if not isinstance(choices, list):
        return Failure("not an answer of the protocol: it has no choices", ADVICE[404])
    usage = _usage_of(result, latency_s, price)
    name = str(getattr(result, "model", "") or "")
    failures = [error_within(told, endpoint) for choice in choices if (told := _extra(choice, "error"))]
    replies = [_reply_of(choice, endpoint) for choice in choices] or [Reply("")]
    counted = [replace(one, usage=Usage() if i else usage, model=name) for i, one in enumerate(replies)]
    return replace(failures[0], replies=tuple(counted)) if failures else counted


def read_tool_call(result: object, latency_s: float) -> "Mapping[str, Any] | None":
    """Return the arguments of the first function that an answer of status 200 calls; None where it calls none."""
    choices = getattr(result, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    calls = getattr(message, "tool_calls", None)
    function = getattr(calls[0], "function", None) if isinstance(calls, list) and calls else None
    try:
        arguments = json.loads(str(getattr(function, "arguments", "")))
    except (ValueError, RecursionError):
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
    return value if isinstance(value, int) and 0 < value < _MOST_TOKENS else 0


def _extra(holder: object, name: str) -> Any:
    """Return what a server adds to the protocol."""
    return (getattr(holder, "model_extra", None) or {}).get(name)


def _reply_of(choice: "Choice", endpoint: Endpoint) -> Reply:
    message = getattr(choice, "message", None)
    refusal = getattr(message, "refusal", None)
    text = str(refusal or "") or text_of(getattr(message, "content", None))
    aside = text_of(getattr(message, "reasoning_content", None)) or text_of(getattr(message, "reasoning", None))
    told = str(getattr(choice, "finish_reason", None) or "stop")
    reason = "refusal" if refusal else _FINISH_REASONS.get(told, told)
    tokens, calls = _tokens_of(getattr(choice, "logprobs", None)), tuple(_calls_of(message))
    reply = Reply(text, reason, tokens, reasoning=aside, calls=calls)
    if not (broken := _extra(choice, "error")):
        return reply
    reason = reason if reason != "stop" else _BROKEN
    return replace(reply, finish_reason=reason, notes=(error_within(broken, endpoint).message,))


def _calls_of(message: object) -> Iterator[ToolCall]:
    """Yield the functions that a message calls; what has another form is none."""
    calls = getattr(message, "tool_calls", None)
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        function = getattr(call, "function", None)
        if function is not None:
            arguments = str(getattr(function, "arguments", "") or "")
            yield ToolCall(
                str(getattr(call, "id", "") or f"call-{number}"), str(getattr(function, "name", "")), arguments
            )


def _tokens_of(logprobs: object) -> tuple[TokenProbability, ...]:
    """Read log-probabilities in either form that servers write; what has another form is none at all.

    A list of tokens under `content` (the protocol), or lists side by side under `tokens`, `token_logprobs` and
    `top_logprobs` (the older completions endpoint, which some servers copy into chat).
    """
    try:
        listed = _field(logprobs, "content")
        found = _modern(listed) if listed else _older(logprobs)
        return tuple(TokenProbability(text, own, {**others, text: own}) for text, own, others in found)
    except (TypeError, ValueError, AttributeError, OverflowError):
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
