"""A real MQTT broker (amqtt) on loopback, and what was published to it."""

import asyncio
import socket
import threading
from typing import Any, Self

from tests.waiting import LONGEST_S, until


class Broker:
    """Runs in a thread; `wait_for` returns the bodies that a subscriber was given."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._bodies: list[bytes] = []
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(LONGEST_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LONGEST_S)

    def wait_for(self, count: int) -> list[bytes]:
        """Return what was published, when it is that much."""
        until(lambda: len(self._bodies) >= count)
        return list(self._bodies)

    async def _run(self) -> None:
        import aiomqtt
        from amqtt.broker import Broker as Server

        config: dict[str, Any] = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        server = Server(config)
        await server.start()
        try:
            async with aiomqtt.Client("127.0.0.1", self.port) as client:
                await client.subscribe("line/#", qos=1)
                reader = asyncio.create_task(self._read(client))
                self._ready.set()
                while not self._stop.is_set():
                    await asyncio.sleep(0.02)
                reader.cancel()
        finally:
            await server.shutdown()

    async def _read(self, client: Any) -> None:
        async for message in client.messages:
            self._bodies.append(bytes(message.payload))
