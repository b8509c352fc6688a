"""`Sender`: threads that send what waits in the outbox, until it has arrived."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from vlm_inspect.errors import StoreError
from vlm_inspect.sinks.webhook import NotDeliveredError
from vlm_inspect.store import Message, Outbox

_MOST_NOTED = 1000
"""Messages that are noted as refused by one receiver."""
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
    """Sends the messages of an outbox, a thread for each receiver: a slow one holds up no other. A context manager."""

    def __init__(
        self,
        outbox: Outbox,
        receivers: Sequence[Receiver],
        *,
        last_s: float = 10.0,
        trouble: Callable[[str, str], None] = lambda target, why: None,
        recovered: Callable[[str], None] = lambda target: None,
    ) -> None:
        """Begin at the start of the `with` block, with what earlier runs left, too.

        Args:
            outbox: of the store.
            receivers: whose messages are sent; those of others stay.
            last_s: longest wait, at the end, for messages that were never tried, in seconds.
            trouble: told the URL of a receiver that does not take a message, and why; once until it takes all again.
            recovered: told the URL of a receiver that takes messages again.
        """
        self._outbox, self._last_s, self._trouble, self._recovered = outbox, last_s, trouble, recovered
        self._targets = [one.target for one in receivers]
        self._new = {target: threading.Event() for target in self._targets}
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(one,), name="sender", daemon=True) for one in receivers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Try once what was never tried, then end."""
        if not self._threads or self._ended.is_set():
            return
        deadline = time.monotonic() + self._last_s
        while time.monotonic() < deadline and self._outbox.count_waiting(self._targets, untried=True):
            self.wake()
            time.sleep(0.02)
        self._ended.set()
        self.wake()
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))

    def wake(self) -> None:
        """Say that there is something new."""
        for new in self._new.values():
            new.set()

    def left(self) -> int:
        """Return how many messages to these receivers have not arrived."""
        return self._outbox.count_waiting(self._targets) if self._targets else 0

    def _run(self, receiver: Receiver) -> None:
        new, outage = self._new[receiver.target], _Outage()
        while not self._ended.is_set():
            new.clear()
            try:
                tried = self._send_some(receiver, outage)
            except StoreError:  # locked for a moment: the messages are in it, and wait
                tried = 0
            if not tried:
                new.wait(_LOOK_S)

    def _send_some(self, receiver: Receiver, outage: "_Outage") -> int:
        """Try some messages; returns how many."""
        messages = self._outbox.take([receiver.target])
        for message in messages:
            try:
                receiver.send(message)
            except NotDeliveredError as error:
                if outage.begins_with(message):
                    self._trouble(receiver.target, str(error))
                self._outbox.mark_failed(message, str(error))
            else:
                if outage.ends_with(message):
                    self._recovered(receiver.target)
                self._outbox.mark_delivered(message)
            if self._ended.is_set():
                break
        return len(messages)


class _Outage:
    """Whether one receiver takes messages. One message that it never takes is told once, though others arrive."""

    def __init__(self) -> None:
        self._lasts = False
        self._refused: set[str] = set()

    def begins_with(self, message: Message) -> bool:
        """Note a message that was not taken; returns whether that is news."""
        is_news = not self._lasts and message.id not in self._refused
        if len(self._refused) < _MOST_NOTED:
            self._refused.add(message.id)
        self._lasts = self._lasts or is_news
        return is_news

    def ends_with(self, message: Message) -> bool:
        """Note a message that arrived; returns whether an outage ends with it."""
        ends, self._lasts = self._lasts, False
        self._refused.discard(message.id)
        return ends
