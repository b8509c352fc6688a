"""A real HTTP server on this machine that speaks the OpenAI chat completions protocol, as told.

    with OpenAIServer([status(429, retry_after="0"), answer({"reasoning": "…", "anomalous": True})]) as server:
        backend = load_backend("openai:tiny", base_url=server.base_url)
        ...
    assert len(server.requests) == 2

Each request takes the next behaviour; the last one stays. A request with an option in `refuses` gets a 400 that names
the option, and takes no behaviour.
"""

import json
import math
import re
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

Body = dict[str, Any]


@dataclass(frozen=True)
class Response:
    """What goes back over the wire."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: bool = False
    """Close the connection in the middle of the body."""
    drip_s: float = 0.0
    """Pause in seconds after every byte of what `drips` names."""
    drips: Literal["headers", "body"] = "body"


Behaviour = Callable[[Body], Response]


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Body

    @property
    def structure(self) -> str:
        """The asked form of the answer: "json_schema", "json_object" or "text"."""
        return str(self.body.get("response_format", {}).get("type", "text"))


def answer(
    content: str | Mapping[str, Any] | None,
    *,
    finish_reason: str = "stop",
    refusal: str | None = None,
    probabilities: Mapping[str, float] | None = None,
    takes_n: bool = True,
) -> Behaviour:
    """Answer with this text, or this object as JSON; with `probabilities` also token by token, where asked for.

    `probabilities` are the alternatives of every token that is one of its keys: {"true": 0.8, "false": 0.2}.
    """
    text = content if content is None or isinstance(content, str) else json.dumps(content)

    def respond(body: Body) -> Response:
        logprobs = None
        if body.get("logprobs") and probabilities is not None:
            logprobs = {"content": [_token(t, probabilities) for t in re.findall(r"\w+|\W", text or "")]}
        message = {"role": "assistant", "content": text, "refusal": refusal}
        choices = [
            {"index": i, "message": message, "finish_reason": finish_reason, "logprobs": logprobs}
            for i in range(body.get("n") or 1 if takes_n else 1)
        ]
        return completion({"choices": choices, "usage": _usage(completion_tokens=7 * len(choices))}, body)

    return respond


def completion(parts: Mapping[str, Any], body: Body) -> Response:
    """A completion with these parts in place of the usual ones."""
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body.get("model", ""), **parts}
    return Response(json.dumps(whole).encode())


def raw(data: object, *, content_type: str = "application/json", code: int = 200) -> Behaviour:
    """Answer with exactly this: bytes as they are, anything else as JSON."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return lambda _: Response(body, code, content_type)


def status(
    code: int, message: str = "no", *, param: str | None = None, error_code: str | None = None, **headers: str
) -> Behaviour:
    """Answer with an error; headers are written with underscores: retry_after="1"."""
    body = {"error": {"message": message, "type": "test", "param": param, "code": error_code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(json.dumps(body).encode(), code, headers=named)


def echo_headers(code: int) -> Behaviour:
    """Answer with an error whose message holds the request's headers; a careless server does that."""

    def respond(body: Body) -> Response:
        return Response(json.dumps({"error": {"message": f"bad headers: {body['_headers']}"}}).encode(), code)

    return respond


def hang(seconds: float) -> Behaviour:
    """Say nothing for so long."""
    return lambda _: Response(b"{}", delay_s=seconds)


def drip(part: Literal["headers", "body"], pause_s: float = 0.05) -> Behaviour:
    """Send one byte at a time, for ever within any test: no single wait is long, the answer never ends."""
    return lambda _: Response(b" " * 100_000, drip_s=pause_s, drips=part)


def cut() -> Behaviour:
    """Close the connection in the middle of the answer."""
    return lambda _: Response(b'{"choices": [', cut=True)


class OpenAIServer:
    """The server; it runs between `with` and its end. `requests` keeps all that came."""

    def __init__(self, behaviours: Sequence[Behaviour], *, refuses: Sequence[str] = ()) -> None:
        self.requests: list[Recorded] = []
        self._behaviours = list(behaviours)
        self._refuses = frozenset(refuses)
        self._served = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._folder = uuid.uuid4().hex  # what is learned about one server must not be taken for another on its port
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                server._serve(self)

            def log_message(self, *args: object) -> None:
                pass

        class Http(ThreadingHTTPServer):
            request_queue_size = 512  # of 5, the default, more clients at once wait a second for their next try

            def handle_error(self, request: object, client_address: object) -> None:
                if not isinstance(sys.exception(), ConnectionError):  # a client that was killed is no fault of ours
                    super().handle_error(request, client_address)  # type: ignore[arg-type]

        self._http = Http(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """What `--base-url` takes."""
        return f"http://127.0.0.1:{self._http.server_port}/{self._folder}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(size := int(handler.headers["content-length"]))
        if len(sent) < size:
            handler.close_connection = True  # the client was killed while it asked
            return
        body = json.loads(sent)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self.requests.append(Recorded(handler.path, headers, body))
            behaviour = self._refusal(body)
            if behaviour is None:
                behaviour = self._behaviours[min(self._served, len(self._behaviours) - 1)]
                self._served += 1
        if not handler.path.endswith("/v1/chat/completions"):
            behaviour = status(404, f"no such page: {handler.path}")
        self._send(handler, behaviour({**body, "_headers": headers}))

    def _refusal(self, body: Body) -> Behaviour | None:
        used = [name for name in body if name in self._refuses]
        kind = body.get("response_format", {}).get("type")
        if kind in self._refuses:
            return status(400, f"response_format of type '{kind}' is not supported", param="response_format")
        return status(400, f"Unsupported parameter: '{used[0]}'", param=used[0]) if used else None

    def _send(self, handler: BaseHTTPRequestHandler, response: Response) -> None:
        if response.delay_s:
            self._over.wait(response.delay_s)
        if response.drip_s:
            self._drip(handler, response)
            return
        try:
            handler.send_response(response.status)
            handler.send_header("content-type", response.content_type)
            handler.send_header("content-length", str(len(response.body) + (100 if response.cut else 0)))
            for name, value in response.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(response.body)
        except OSError:
            handler.close_connection = True  # the client gave up waiting
        if response.cut:
            handler.close_connection = True

    def _drip(self, handler: BaseHTTPRequestHandler, response: Response) -> None:
        handler.close_connection = True
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        if response.drips == "body":
            head += f"content-length: {len(response.body)}\r\n\r\n".encode()
        try:
            handler.wfile.write(head)
            for _ in response.body:
                handler.wfile.write(b"x")
                if self._over.wait(response.drip_s):
                    return
        except OSError:
            return  # the client gave up waiting


def _usage(completion_tokens: int) -> Body:
    return {"prompt_tokens": 1000, "completion_tokens": completion_tokens, "total_tokens": 1000 + completion_tokens}


def _token(text: str, probabilities: Mapping[str, float]) -> Body:
    known = probabilities if text in probabilities else {text: 0.99}
    listed = [{"token": t, "logprob": math.log(p), "bytes": list(t.encode())} for t, p in known.items()]
    return {"token": text, "logprob": math.log(known[text]), "bytes": list(text.encode()), "top_logprobs": listed}
