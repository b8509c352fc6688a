"""What a LangChain chat model answered: text, reason of its end, token probabilities, usage and calls."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlm_inspect.backends.backend import Reply, TokenProbability
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.inspection import Usage

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

_CALL_REASONS = frozenset({"tool_calls", "tool_use", "function_call"})
_FINISH_REASONS = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"), "stop"),
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
}


def read_answer(answer: "AIMessage", latency_s: float) -> Reply:
    """Return a chat model's message as a reply: text, reason of its end, token probabilities and usage."""
    about: Mapping[str, Any] = answer.response_metadata or {}
    told = about.get("finish_reason") or about.get("stop_reason") or about.get("done_reason") or "stop"
    usage = answer.usage_metadata
    refusal = answer.additional_kwargs.get("refusal")
    return Reply(
        text=str(refusal or answer.text),
        finish_reason="refusal" if refusal else _FINISH_REASONS.get(str(told).lower(), str(told)),
        tokens=_tokens_of(about.get("logprobs")),
        usage=Usage(
            prompt_tokens=usage["input_tokens"] if usage else 0,
            completion_tokens=usage["output_tokens"] if usage else 0,
            latency_s=latency_s,
            calls=1,
        ),
        model=str(about.get("model_name") or about.get("model") or ""),
    )


def read_structured(told: Any, latency_s: float) -> Reply:
    """Return the answer of a model that was held to a form: as text, or as the arguments of a call that stands for it.

    Args:
        told: what `with_structured_output(include_raw=True)` gives.
        latency_s: time of the call in seconds.
    """
    raw = told.get("raw") if isinstance(told, Mapping) else None
    if raw is None:
        return Reply(json.dumps(told) if isinstance(told, Mapping) else str(told))
    reply = read_answer(raw, latency_s)
    calls = calls_of(raw)
    if reply.text.strip() or not calls:
        return reply
    reason = "stop" if reply.finish_reason in _CALL_REASONS else reply.finish_reason
    return replace(reply, text=calls[0].arguments, finish_reason=reason)


def calls_of(answer: Any) -> tuple[ToolCall, ...]:
    """Return the calls of functions that a message makes."""
    calls = getattr(answer, "tool_calls", None) or ()
    return tuple(
        ToolCall(str(call.get("id") or f"call-{i}"), str(call["name"]), json.dumps(call.get("args") or {}, default=str))
        for i, call in enumerate(calls)
    )


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
