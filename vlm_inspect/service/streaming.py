"""Work of a thread as server-sent events: what it sends, until it ends."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

from fastapi.responses import StreamingResponse

from vlm_inspect.service.access import too_many

_LOG = logging.getLogger("vlm_inspect.service")
Send = Callable[[str, Any], None]
"""Sends one event: its name, and its JSON values."""


def event(name: str, told: Any) -> str:
    """Return one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(told, ensure_ascii=False)}\n\n"


def stream_work(place: AbstractContextManager[bool], busy: str, work: Callable[[Send], None]) -> StreamingResponse:
    """Answer with what a piece of work sends; a client that leaves does not stop it.

    Args:
        place: what it holds while it works; it gives whether it is free.
        busy: the refusal where it is not.
        work: called in a thread of its own; it sends its errors itself.

    Raises:
        HTTPException: 429, where the place is not free.
    """
    if not place.__enter__():
        place.__exit__(None, None, None)
        raise too_many(busy, 2.0)
    events: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(told: str | None) -> None:
        try:
            loop.call_soon_threadsafe(events.put_nowait, told)
        except RuntimeError:
            _LOG.info("the service ended before an answer did")

    def run() -> None:
        try:
            work(lambda name, told: put(event(name, told)))
        finally:
            place.__exit__(None, None, None)
            put(None)

    threading.Thread(target=run, name="stream", daemon=True).start()

    async def stream() -> AsyncIterator[str]:
        while (told := await events.get()) is not None:
            yield told

    return StreamingResponse(stream(), media_type="text/event-stream")
