"""Who is told of judged parts, for every command that judges many: the options and the receivers made of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vlm_inspect.secret_values import secret_value

if TYPE_CHECKING:
    from vlm_inspect.sinks.mqtt import MqttTopic
    from vlm_inspect.sinks.webhook import Webhook

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "--webhook",
        "webhooks",
        multiple=True,
        metavar="URL",
        help="Post each result as JSON, signed with VLM_INSPECT_WEBHOOK_SECRET, retried until it arrives; repeatable.",
    ),
    click.option(
        "--mqtt",
        "topics",
        multiple=True,
        metavar="mqtt://HOST/TOPIC",
        help="Publish each result as JSON on an MQTT topic, retried until the broker has it; repeatable.",
    ),
)


def receiver_options(command: Command) -> Command:
    """Add the options that say who is told of each part."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def receivers_of(options: dict[str, Any]) -> "list[Webhook | MqttTopic]":
    """Return the receivers that the options name, checked.

    Raises:
        ConfigError: an address, a secret or a password cannot be used.
    """
    from vlm_inspect.sinks.mqtt import PASSWORD_VARIABLE, MqttTopic
    from vlm_inspect.sinks.webhook import SECRET_VARIABLE, Webhook

    secret, password = secret_value(SECRET_VARIABLE) or "", secret_value(PASSWORD_VARIABLE) or ""
    receivers: list[Webhook | MqttTopic] = [Webhook(url, secret) for url in dict.fromkeys(options["webhooks"])]
    receivers += [MqttTopic(url, password) for url in dict.fromkeys(options["topics"])]
    for receiver in receivers:
        receiver.check()
    return receivers
