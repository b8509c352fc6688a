"""Where an OpenAI-compatible server is, and the key that opens it; the one place that reads either."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vlm_inspect.errors import BackendError

DEFAULT_BASE_URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
_EXAMPLE = "write it like http://127.0.0.1:8000/v1"
_LONGEST_LINE = 300


@dataclass(frozen=True)
class Endpoint:
    """A server. Its representation shows no key, and `shown_url` no password."""

    base_url: str
    key: str | None = field(default=None, repr=False)

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
        if self.key:
            text = text.replace(self.key, "***")
        if "<html" in text.lower() or "<!doctype" in text.lower():
            return "a web page"
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3] + "..."


def find_endpoint(base_url: str | None = None) -> Endpoint:
    """Return the server at this URL, else at OPENAI_BASE_URL, else OpenAI; the key is that of OPENAI_API_KEY.

    Raises:
        BackendError: the URL is no http(s) address, OpenAI is meant and there is no key, or the key cannot be sent.
    """
    url = (base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL).strip().rstrip("/")
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise BackendError(f"{KEY_VARIABLE} holds a character that no key has; set it again")
    endpoint = Endpoint(url, key)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0  # .port checks itself
    except ValueError:
        usable = False
    if not usable or any(c.isspace() or not c.isprintable() for c in url):
        raise BackendError(f"base URL {endpoint.clear(endpoint.shown_url)!r} is no http(s) address; {_EXAMPLE}")
    if key is None and endpoint.host == urlsplit(DEFAULT_BASE_URL).hostname:
        raise BackendError(f"OpenAI needs a key; set {KEY_VARIABLE}, or name your own server with --base-url")
    return endpoint
