"""The SDK's clients for a server: which certificates, headers and proxies, and what a redirect may do."""

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from vlm_inspect.backends.endpoint import Endpoint
from vlm_inspect.errors import BackendError

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI, OpenAI

_NO_KEY = "no-key"  # the SDK insists on one; servers without keys ignore it


def open_client(endpoint: Endpoint, timeout_s: float) -> "OpenAI":
    """Return a client that waits.

    Raises:
        BackendError: the file of certificates cannot be used.
    """
    import openai

    async_only: list[Any] = [_keep_the_post]
    http = openai.DefaultHttpxClient(**_http_options(endpoint), event_hooks={"response": async_only})
    return openai.OpenAI(**_sdk_options(endpoint, timeout_s), http_client=http)


def open_async_client(endpoint: Endpoint, timeout_s: float) -> "AsyncOpenAI":
    """Return a client for an event loop.

    Raises:
        BackendError: the file of certificates cannot be used.
    """
    import openai

    async def keep_the_post(response: "httpx.Response") -> None:
        _keep_the_post(response)

    http = openai.DefaultAsyncHttpxClient(**_http_options(endpoint), event_hooks={"response": [keep_the_post]})
    return openai.AsyncOpenAI(**_sdk_options(endpoint, timeout_s), http_client=http)


def _sdk_options(endpoint: Endpoint, timeout_s: float) -> dict[str, Any]:
    return {
        "api_key": endpoint.key or _NO_KEY,
        "base_url": endpoint.address,
        "default_query": dict(endpoint.query),
        "default_headers": dict(endpoint.headers),
        "max_retries": 0,
        "timeout": timeout_s,
    }


def _http_options(endpoint: Endpoint) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if endpoint.is_loopback:
        options["trust_env"] = False  # a proxy that the environment names must not be asked for this very machine
    if endpoint.ca_file is not None:
        try:
            options["verify"] = ssl.create_default_context(cafile=str(endpoint.ca_file))
        except (OSError, ssl.SSLError) as error:
            told = getattr(error, "strerror", None) or "holds no certificate in the form PEM"
            raise BackendError(f"--ca-file {endpoint.ca_file}: {told}") from error
    return options


def _keep_the_post(response: "httpx.Response") -> None:
    """Make a redirect of a POST one that keeps it, and let none lead to another machine.

    301 and 302 turn a POST into a GET (RFC 9110, section 15.4), which then asks for nothing. And pictures go to the
    server that was named, not to whichever it names.
    """
    import httpx

    if response.status_code not in {301, 302, 307, 308} or response.request.method != "POST":
        return
    target = urljoin(str(response.request.url), response.headers.get("location", ""))
    if urlsplit(target).hostname != response.request.url.host:
        raise httpx.RemoteProtocolError(f"it redirects to {target.partition('?')[0]}", request=response.request)
    response.status_code = 308
