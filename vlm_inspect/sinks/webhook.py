"""A webhook: a signed POST of JSON.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com), so that a receiver checks them
with any of its libraries: `webhook-signature: v1,` and base64 of HMAC-SHA256 over "id.timestamp.body".
"""

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vlm_inspect.errors import ConfigError
from vlm_inspect.store import Message

SECRET_VARIABLE = "VLM_INSPECT_WEBHOOK_SECRET"
_TIMEOUT_S = 10.0
_SECRET_PREFIX = "whsec_"


class NotDeliveredError(Exception):
    """A message did not arrive; one line that says why."""


@dataclass(frozen=True)
class Webhook:
    """Posts messages to one address.

    Attributes:
        target: http:// or https:// URL.
        secret: key of the signature; empty: none is made.
    """

    target: str
    secret: str = field(default="", repr=False)

    def check(self) -> None:
        """Raise ConfigError where the address or the secret cannot be used."""
        parts = urlsplit(self.target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{self.target}: a webhook is an http:// or https:// address")
        if parts.username or parts.password:
            raise ConfigError(f"an address with a password is kept in the store; sign with {SECRET_VARIABLE} instead")
        key_of(self.secret)

    def send(self, message: Message) -> None:
        """Post a message; raises NotDeliveredError unless the receiver answers with 2xx."""
        import httpx

        body = message.body.encode()
        headers = {"content-type": "application/json", **signed_headers(message.id, body, self.secret)}
        try:
            answer = httpx.post(self.target, content=body, headers=headers, timeout=_TIMEOUT_S, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotDeliveredError(f"{type(error).__name__}: {error}") from error
        if not answer.is_success:
            raise NotDeliveredError(f"the receiver answered {answer.status_code}")


def key_of(secret: str) -> bytes:
    """Return the key of a secret: what base64 stands after `whsec_`, else its letters.

    Raises:
        ConfigError: no base64 stands there.
    """
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ConfigError(f"{SECRET_VARIABLE} begins with {_SECRET_PREFIX}, but no base64 follows") from error


def signed_headers(message_id: str, body: bytes, secret: str, *, now_s: float | None = None) -> dict[str, str]:
    """Return the headers of a message: id, time, and with a secret the signature.

    Args:
        message_id: what a receiver keeps to take a message once.
        body: what is signed with it.
        secret: see `key_of`; empty: no signature.
        now_s: seconds since 1970; None: now.
    """
    moment = str(int(time.time() if now_s is None else now_s))
    headers = {"webhook-id": message_id, "webhook-timestamp": moment}
    if secret:
        signed = hmac.new(key_of(secret), f"{message_id}.{moment}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return headers
