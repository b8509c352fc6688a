"""MQTT: a message published with QoS 1, so that the broker has it when it counts as delivered."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from vlm_inspect.errors import ConfigError
from vlm_inspect.sinks.webhook import NotDeliveredError
from vlm_inspect.store import Message

PASSWORD_VARIABLE = "VLM_INSPECT_MQTT_PASSWORD"
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class MqttTopic:
    """Publishes messages on one topic.

    Attributes:
        target: mqtt://[USER@]HOST[:PORT]/TOPIC, or mqtts:// for TLS.
        password: of the user; empty: none.
    """

    target: str
    password: str = field(default="", repr=False)

    def check(self) -> None:
        """Raise ConfigError where the address cannot be used, or aiomqtt is not installed."""
        try:
            import aiomqtt  # noqa: F401
        except ImportError as error:
            raise ConfigError("--mqtt needs aiomqtt: pip install 'vlm-inspect[mqtt]'") from error
        parts = urlsplit(self.target)
        topic = unquote(parts.path.lstrip("/"))
        if parts.scheme not in _PORTS or not parts.hostname or not topic or set(self.target) & set("+#?\0"):
            raise ConfigError(f"{self.target}: write mqtt://HOST[:PORT]/TOPIC, and no +, # or ? in it")
        if parts.password:
            raise ConfigError(f"an address with a password is kept in the store; set {PASSWORD_VARIABLE} instead")

    def send(self, message: Message) -> None:
        """Publish a message; raises NotDeliveredError unless the broker confirms it."""
        import aiomqtt

        try:
            asyncio.run(asyncio.wait_for(self._publish(message), _TIMEOUT_S))
        except (aiomqtt.MqttError, OSError, TimeoutError) as error:
            raise NotDeliveredError(f"{type(error).__name__}: {error}") from error

    async def _publish(self, message: Message) -> None:
        import aiomqtt

        parts = urlsplit(self.target)
        assert parts.hostname is not None
        client = aiomqtt.Client(
            parts.hostname,
            parts.port or _PORTS[parts.scheme],
            username=unquote(parts.username) if parts.username else None,
            password=self.password or None,
            tls_params=aiomqtt.TLSParameters() if parts.scheme == "mqtts" else None,
        )
        async with client:
            await client.publish(unquote(parts.path.lstrip("/")), message.body.encode(), qos=1)
