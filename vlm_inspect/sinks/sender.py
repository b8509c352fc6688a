"""`Sender`: a thread that sends what waits in the outbox, until it has arrived."""

import threading
import time
from collections.abc import Sequence
from typing import Protocol, Self

from vlm_inspect.errors import StoreError
from vlm_inspect.sinks.webhook import NotDeliveredError
from vlm_inspect.store import Message, Outbox

_LOOK_S = 1.0
"""How often the outbox is looked into, in seconds, where nobody says that there is something new."""


class Receiver(Protocol):
    """Where messages go."""

    @property
    def target(self) -> str:
        """URL, which tells its messages."""
        ...

    def send(self, message: Message) -> None:
        """Send one; raises NotDeliveredError where it did not arrive."""
        ...


class Sender:
    """Sends the messages of an outbox to their receivers. Use as a context manager."""

    def __init__(self, outbox: Outbox, receivers: Sequence[Receiver], *, last_s: float = 10.0) -> None:
        """Begin at the start of the `with` block, with what earlier runs left, too.

        Args:
            outbox: of the store.
            receivers: whose messages are sent; those of others stay.
            last_s: longest wait, at the end, for messages that were never tried, in seconds.
        """
        self._outbox, self._last_s = outbox, last_s
        self._receivers = {one.target: one for one in receivers}
        self._new, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def __enter__(self) -> Self:
        if self._receivers:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Try once what was never tried, then end."""
        if not self._receivers or self._ended.is_set():
            return
        deadline = time.monotonic() + self._last_s
        while time.monotonic() < deadline and self._outbox.count_waiting(list(self._receivers), untried=True):
            self.wake()
            time.sleep(0.02)
        self._ended.set()
        self.wake()
        self._thread.join(self._last_s)

    def wake(self) -> None:
        """Say that there is something new."""
        self._new.set()

    def left(self) -> int:
        """Return how many messages to these receivers have not arrived."""
        return self._outbox.count_waiting(list(self._receivers)) if self._receivers else 0

    def _run(self) -> None:
        while not self._ended.is_set():
            self._new.clear()
            try:
                sent = self._send_some()
            except StoreError:  # locked for a moment: the messages are in it, and wait
                sent = 0
            if not sent:
                self._new.wait(_LOOK_S)

    def _send_some(self) -> int:
        messages = self._outbox.take(list(self._receivers))
        for message in messages:
            try:
                self._receivers[message.target].send(message)
            except NotDeliveredError as error:
                self._outbox.mark_failed(message, str(error))
            else:
                self._outbox.mark_delivered(message)
            if self._ended.is_set():
                break
        return len(messages)
