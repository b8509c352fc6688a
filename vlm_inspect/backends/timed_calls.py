"""`TimedCalls`: network calls under a deadline for their whole length, whatever the server does meanwhile.

The timeouts of HTTP clients bound the wait for the next byte, so that a server which sends one byte at a time never
runs into them. A call that is a task of an event loop can be ended at any moment, its connection with it.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")
_LAST_WORDS_S = 5.0
"""Longest wait for connections to close, in seconds."""


class TimedCalls:
    """Runs calls on an event loop in a thread of its own, for any thread that asks, be it one of another loop."""

    def __init__(self) -> None:
        """Start the thread; it ends with `close`, or with the program."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="vlm-inspect calls", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], Coroutine[Any, Any, Answer]], timeout_s: float) -> Answer:
        """Make a call and return what it returns.

        Raises:
            TimeoutError: it did not end within `timeout_s` seconds, and was cancelled.
        """
        asked = asyncio.run_coroutine_threadsafe(_bounded(call, timeout_s), self._loop)
        try:
            return asked.result()
        except BaseException:
            asked.cancel()  # the person pressed Ctrl-C: the call must not go on behind their back
            raise

    def close(self, last_call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Make a last call, which closes connections, and end the thread."""
        if self._loop.is_closed():
            return
        if threading.current_thread() is self._thread:  # the garbage collector runs wherever it likes
            self._loop.create_task(_then_stop(last_call, self._loop))
            return
        asyncio.run_coroutine_threadsafe(_then_stop(last_call, self._loop), self._loop)
        self._thread.join(_LAST_WORDS_S)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


async def _bounded(call: Callable[[], Coroutine[Any, Any, Answer]], timeout_s: float) -> Answer:
    async with asyncio.timeout(timeout_s):
        return await call()


async def _then_stop(last_call: Callable[[], Coroutine[Any, Any, object]], loop: asyncio.AbstractEventLoop) -> None:
    left = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task(loop)]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    try:
        await last_call()
    finally:
        loop.stop()
