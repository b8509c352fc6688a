"""Replies under a hash of what was asked, shared between runs: a question that was paid for is not paid for twice.

The key is that of `backends/kept_replies.py`. A cache that cannot be used costs money only: it is a miss.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlm_inspect.backends.backend import Reply
from vlm_inspect.backends.kept_replies import reply_from_json, reply_to_json

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
            return Cached(tuple(reply_from_json(one) for one in json.loads(zlib.decompress(row[1]))), str(row[0]))
        except (sqlite3.Error, zlib.error, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, replies: Sequence[Reply], run: str) -> None:
        """Keep replies; empty ones are not worth keeping."""
        if self._database is None or not any(reply.text.strip() or reply.calls for reply in replies):
            return
        packed = zlib.compress(json.dumps([reply_to_json(reply) for reply in replies]).encode())
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
