"""A limit of tokens a minute, held over every window of 60 seconds."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

WINDOW_S = 60.0
_LOOK_AGAIN_S = 1.0
"""Estimates that were too high are settled while one waits."""


@dataclass
class Reservation:
    """Tokens of one request: an estimate until its reply says how many there were."""

    at_s: float
    tokens: int


class TokenRate:
    """Lets requests pass as long as those of the last minute stay inside the limit."""

    def __init__(
        self,
        per_minute: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start empty.

        Args:
            per_minute: tokens in any 60 seconds; None: no limit.
            clock: seconds, for tests.
            sleep: waits, for tests.
        """
        self._limit = per_minute
        self._clock = clock
        self._sleep = sleep
        self._window: deque[Reservation] = deque()
        self._turn = asyncio.Lock()  # first come, first served: a large request is not overtaken for ever

    async def reserve(self, tokens: int) -> Reservation:
        """Wait until that many tokens fit, and take them; a request larger than the limit passes alone."""
        if self._limit is None:
            return Reservation(self._clock(), tokens)
        async with self._turn:
            while (wait_s := self._wait_s(tokens, self._limit)) > 0:
                await self._sleep(min(wait_s, _LOOK_AGAIN_S))
            taken = Reservation(self._clock(), tokens)
            self._window.append(taken)
            return taken

    def settle(self, taken: Reservation, tokens: int) -> None:
        """Replace the estimate by what it really was."""
        taken.tokens = tokens

    def _wait_s(self, tokens: int, limit: int) -> float:
        now = self._clock()
        while self._window and self._window[0].at_s <= now - WINDOW_S:
            self._window.popleft()
        used = sum(one.tokens for one in self._window)
        if not self._window or used + tokens <= limit:
            return 0.0
        return max(0.001, self._window[0].at_s + WINDOW_S - now)
