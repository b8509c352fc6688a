"""Replies that are kept under what was asked: their key, and their form on disk.

The key covers the model, its server, every byte of the prompt (pictures included), the form of the answer and the
number of samples.
"""

import hashlib
import json
from typing import Any

from vlm_inspect.backends.backend import Backend, Reply, Request, TokenProbability
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.inspection import Usage


def key_of_request(backend: Backend, request: Request, samples: int, salt: str = "") -> str:
    """Return the hash of all that a reply depends on; another salt makes another question of it.

    Functions on offer are no part of it: a step says the same in either form, and a server may refuse them at any time.
    """
    endpoint = getattr(backend, "endpoint", None)
    server = None if endpoint is None else endpoint.shown_url
    schema = json.dumps(request.answer_schema, sort_keys=True)
    further = [*(["refuter"] if request.of_refuter else []), *([salt] if salt else [])]
    told = [backend.name, server, request.prompt_sha256, schema, samples, *further]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def reply_to_json(reply: Reply) -> dict[str, Any]:
    """Return a reply as JSON values."""
    tokens = [[one.token, one.logprob, dict(one.alternatives)] for one in reply.tokens]
    return {
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "tokens": tokens,
        "usage": reply.usage.model_dump(),
        "model": reply.model,
        "reasoning": reply.reasoning,
        "first_text": reply.first_text,
        "notes": list(reply.notes),
        "sent_side": reply.sent_side,
        "calls": [[call.id, call.name, call.arguments] for call in reply.calls],
    }


def reply_from_json(told: dict[str, Any]) -> Reply:
    """Return the reply again.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    return Reply(
        text=told["text"],
        finish_reason=told["finish_reason"],
        tokens=tuple(TokenProbability(token, logprob, others) for token, logprob, others in told["tokens"]),
        usage=Usage.model_validate(told["usage"]),
        model=told["model"],
        reasoning=told.get("reasoning", ""),
        first_text=told.get("first_text", ""),
        notes=tuple(told.get("notes", ())),
        sent_side=told.get("sent_side"),
        calls=tuple(ToolCall(*call) for call in told.get("calls", ())),
    )
