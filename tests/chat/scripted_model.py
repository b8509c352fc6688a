"""Behaviours of the loopback server that stream: words, calls of tools, and what goes wrong with either."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.backends.openai_server import Behaviour, Body, Response


def says(text: str, *, finish_reason: str = "stop") -> Behaviour:
    """Stream this text, word by word."""
    words = text.split(" ")
    pieces = [word if i == len(words) - 1 else f"{word} " for i, word in enumerate(words)]
    return stream([*({"content": piece} for piece in pieces)], finish_reason=finish_reason)


def calls(*made: tuple[str, Mapping[str, Any] | str], text: str = "") -> Behaviour:
    """Stream calls of tools, their arguments in two pieces each, as servers do."""
    deltas: list[dict[str, Any]] = [{"content": text}] if text else []
    for index, (name, arguments) in enumerate(made):
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        half = len(written) // 2
        first = {"index": index, "id": f"id-{index}", "type": "function"}
        deltas.append({"tool_calls": [{**first, "function": {"name": name, "arguments": written[:half]}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": written[half:]}}]})
    return stream(deltas, finish_reason="tool_calls")


def stream(deltas: Sequence[Mapping[str, Any]], *, finish_reason: str = "stop", cut: bool = False) -> Behaviour:
    """Stream these deltas; `cut` breaks the connection off after the last of them."""

    def respond(body: Body) -> Response:
        lines = [_event({"index": 0, "delta": dict(delta), "finish_reason": None}, body) for delta in deltas]
        if not cut:
            lines.append(_event({"index": 0, "delta": {}, "finish_reason": finish_reason}, body))
            lines.append("data: [DONE]\n\n")
        return Response("".join(lines).encode(), content_type="text/event-stream", cut=cut)

    return respond


def slow(seconds: float, then: Behaviour) -> Behaviour:
    """Wait before the first byte."""

    def respond(body: Body) -> Response:
        from dataclasses import replace

        return replace(then(body), delay_s=seconds)

    return respond


def _event(choice: Mapping[str, Any], body: Body) -> str:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body.get("model", ""),
        "choices": [choice],
    }
    return f"data: {json.dumps(chunk)}\n\n"
