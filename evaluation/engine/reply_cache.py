"""Replies under a hash of what was asked, shared between runs: a question that was paid for is not paid for twice.

The key covers the model, its server, every byte of the prompt (pictures included), the form of the answer and the
number of samples. A cache that cannot be used costs money only: it is a miss.
"""

import hashlib
import json
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlm_inspect.backends.backend import Backend, Reply, Request, TokenProbability
from vlm_inspect.backends.model_turn import ToolCall
from vlm_inspect.inspection import Usage

NAME = "replies.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, run TEXT NOT NULL, replies BLOB NOT NULL)"


@dataclass(frozen=True)
class Cached:
    """Replies with the run that paid for them."""

    replies: tuple[Reply, ...]
    run: str


class ReplyCache:
    """Looks replies up on disk; safe for threads, and for several runs at once."""

    def __init__(self, folder: Path | None) -> None:
        """Use a folder, made if new; None keeps nothing."""
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(folder / NAME, timeout=10.0, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(_TABLE)
            self._database = database
        except (OSError, sqlite3.Error):
            self._database = None

    @property
    def usable(self) -> bool:
        """Whether anything is kept."""
        return self._database is not None

    def get(self, key: str) -> Cached | None:
        """Return what is kept under a key; None where nothing is, or it is damaged."""
        if self._database is None:
            return None
        try:
            with self._lock:
                row = self._database.execute("SELECT run, replies FROM replies WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            return Cached(tuple(_from_json(one) for one in json.loads(zlib.decompress(row[1]))), str(row[0]))
        except (sqlite3.Error, zlib.error, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, replies: Sequence[Reply], run: str) -> None:
        """Keep replies; empty ones are not worth keeping."""
        if self._database is None or not any(reply.text.strip() or reply.calls for reply in replies):
            return
        packed = zlib.compress(json.dumps([_to_json(reply) for reply in replies]).encode())
        try:
            with self._lock:
                self._database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", (key, run, packed))
        except sqlite3.Error:
            return

    def close(self) -> None:
        """Let the file go."""
        if self._database is not None:
            self._database.close()
            self._database = None


def key_of_request(backend: Backend, request: Request, samples: int, salt: str = "") -> str:
    """Return the hash of all that a reply depends on; another salt makes another question of it.

    Functions on offer are no part of it: a step says the same in either form, and a server may refuse them at any time.
    """
    endpoint = getattr(backend, "endpoint", None)
    server = None if endpoint is None else endpoint.shown_url
    schema = json.dumps(request.answer_schema, sort_keys=True)
    told = [
        backend.name,
        server,
        request.prompt_sha256,
        schema,
        samples,
        *(["refuter"] if request.of_refuter else []),
        *([salt] if salt else []),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _to_json(reply: Reply) -> dict[str, Any]:
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
        "calls": [[call.id, call.name, call.arguments] for call in reply.calls],
    }


def _from_json(told: dict[str, Any]) -> Reply:
    return Reply(
        text=told["text"],
        finish_reason=told["finish_reason"],
        tokens=tuple(TokenProbability(token, logprob, others) for token, logprob, others in told["tokens"]),
        usage=Usage.model_validate(told["usage"]),
        model=told["model"],
        reasoning=told.get("reasoning", ""),
        first_text=told.get("first_text", ""),
        notes=tuple(told.get("notes", ())),
        calls=tuple(ToolCall(*call) for call in told.get("calls", ())),
    )
