"""Connections that say nothing, or say it too slowly, end: a few hundred of them would keep everybody else out."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

LONGEST_S = 20.0
"""Longest time from the first byte of a request to the end of its headers, and of a new connection's silence."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to patience: uvicorn waits for headers for ever."""

    longest_s = LONGEST_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and wait for the rest of the headers or for nothing."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._waits:
            self._forget()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.longest_s, self._end)

    @property
    def _waits(self) -> bool:
        """Whether no request is at work: its headers, or bytes that follow a refusal, are still coming."""
        return self.cycle is None or self.cycle.response_complete

    def _end(self) -> None:
        self._timer = None
        if self._waits:
            self.transport.close()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
