"""Where an OpenAI-compatible server is, and the key that opens it; the one place that reads either."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from vlm_inspect.errors import BackendError

DEFAULT_BASE_URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
_EXAMPLE = "write it like http://127.0.0.1:8000/v1"
_LONGEST_LINE = 300
_SHORTEST_SECRET = 6
"""A shorter value of a header is a word like any other."""


@dataclass(frozen=True)
class Endpoint:
    """A server. Its representation shows no key, and `shown_url` no password."""

    base_url: str
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers of every request."""
    ca_file: Path | None = None
    """Certificates of the authorities to trust, as PEM; None: those of the system."""

    @property
    def address(self) -> str:
        """The URL without its query, to which the path of a call is added."""
        return self.base_url.partition("?")[0].rstrip("/")

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the query, which stands at the end of every call."""
        return tuple(parse_qsl(urlsplit(self.base_url).query, keep_blank_values=True))

    @property
    def host(self) -> str:
        """Name or address of the machine."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_loopback(self) -> bool:
        """True for this very machine."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    @property
    def shown_url(self) -> str:
        """The URL without user, password and query, which may hold secrets."""
        address, _, _ = self.base_url.partition("?")
        scheme, separator, rest = address.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}"

    def clear(self, text: str) -> str:
        """Return a server's text fit for one line of an error: short, printable, without the key."""
        for secret in (self.key, *self.headers.values()):
            text = text.replace(secret, "***") if secret and len(secret) >= _SHORTEST_SECRET else text
        if "<html" in text.lower() or "<!doctype" in text.lower():
            return "a web page"
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


def find_endpoint(
    base_url: str | None = None, *, headers: Mapping[str, str] | None = None, ca_file: Path | None = None
) -> Endpoint:
    """Return the server at this URL, else at OPENAI_BASE_URL, else OpenAI; the key is that of OPENAI_API_KEY.

    Args:
        base_url: address up to and with `/v1`; a query stays at the end of every call.
        headers: further headers of every request.
        ca_file: certificates of the authorities to trust, as PEM.

    Raises:
        BackendError: the URL is no http(s) address, OpenAI is meant and there is no key, the key or a header cannot be
            sent, or there is no such file.
    """
    url = (base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL).strip().rstrip("/")
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise BackendError(f"{KEY_VARIABLE} holds a character that no key has; set it again")
    for name, value in (headers or {}).items():
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum() and _can_be_sent(value)):
            raise BackendError(f"the header {name[:40]!r} cannot be sent; write it as NAME: VALUE, in plain letters")
    if ca_file is not None and not ca_file.is_file():
        raise BackendError(f"--ca-file {ca_file}: no such file; name one of certificates in the form PEM")
    endpoint = Endpoint(url, key, dict(headers or {}), ca_file)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0  # .port checks itself
    except ValueError:
        usable = False
    if not usable or any(c.isspace() or not c.isprintable() for c in url):
        raise BackendError(f"base URL {endpoint.clear(endpoint.shown_url)!r} is not an http(s) address; {_EXAMPLE}")
    if key is None and endpoint.host == urlsplit(DEFAULT_BASE_URL).hostname:
        raise BackendError(f"OpenAI needs a key; set {KEY_VARIABLE}, or name your own server with --base-url")
    return endpoint


def _can_be_sent(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and value == value.strip()
