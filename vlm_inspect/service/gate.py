"""`Gate`: what holds for every request before any route: hosts, origins, bodies, headers of answers (ASGI)."""

import json
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vlm_inspect.service.bodies import (
    MOST_BYTES,
    MOST_BYTES_OF_STRANGERS,
    bounded_receive,
    is_too_long,
    too_large,
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script, style or picture from elsewhere, none within the page."""
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
"""Of a report, whose style is in it; its own policy names that by digest."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Lets requests in that name a known host and, where they change something, come from no other site."""

    def __init__(
        self, app: ASGIApp, *, hosts: Sequence[str], uploads: Sequence[str], knows: Callable[[Request], bool]
    ) -> None:
        """Stand before an application.

        Args:
            app: the application.
            hosts: names under which it is reached; none: any name will do.
            uploads: paths that bound the bodies of their POST requests themselves.
            knows: whether somebody who may use the service asks.
        """
        self._app, self._uploads, self._knows = app, frozenset(uploads), knows
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        why = self._refusal(scope["method"], headers)
        if why:
            await _refuse(send_guarded, 403, why)
            return
        if scope["method"] not in _SAFE and scope["path"] not in self._uploads:
            most = MOST_BYTES if self._knows(Request(scope)) else MOST_BYTES_OF_STRANGERS
            if is_too_long(headers.get("content-length", ""), most):
                await _refuse(send_guarded, 413, str(too_large(most).detail))
                return
            receive = bounded_receive(receive, most=most)
        await self._app(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> str:
        host = headers.get("host", "")
        if self._hosts and _name_of(host) not in self._hosts:
            return "this service does not go by that name; start it with --allow-host NAME"
        if method in _SAFE:
            return ""
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "a change that another site asks for is not made"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "a change that another site asks for is not made"
        return ""


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
