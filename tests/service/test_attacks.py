"""What somebody who means harm sends: too much, too slowly, for ever; names, serials and headers that lead astray."""

import contextlib
import json
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from tests.service.conftest import Held, Starter, listening, part, photo, settings_in
from tests.waiting import LONGEST_S, until
from vlm_inspect.service import bodies
from vlm_inspect.service.app import make_app
from vlm_inspect.service.connections import PatientProtocol
from vlm_inspect.service.settings import Limits
from vlm_inspect.service.tokens import Tokens, entry_line

TOKEN = "a token that is long enough"


@contextlib.contextmanager
def raw(client: httpx.Client, head: str) -> Iterator[socket.socket]:
    """Open a connection and send what begins a request."""
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=LONGEST_S) as opened:
        opened.sendall(head.replace("\n", "\r\n").encode())
        yield opened


def answer_of(opened: socket.socket) -> bytes:
    received = b""
    while chunk := opened.recv(1 << 16):
        received += chunk
        if b"\r\n\r\n{" in received and received.endswith(b"}"):
            break
    return received


@pytest.mark.parametrize(
    ("path", "token", "size", "status"),
    [
        ("/v1/rules/plate", "", 1 << 30, 413),
        ("/v1/rules/plate", TOKEN, 1 << 30, 413),
        ("/v1/session", "", 100_000, 413),
        ("/v1/inspections", "", 1 << 30, 401),
        ("/v1/inspections", TOKEN, 1 << 30, 413),
    ],
)
def test_a_body_that_says_it_is_too_long_is_not_read(
    start: Starter, path: str, token: str, size: int, status: int
) -> None:
    client = start(tokens=Tokens(token=TOKEN))
    method = "PUT" if "rules" in path else "POST"
    head = f"{method} {path} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: {size}\n"
    with raw(client, head + (f"Authorization: Bearer {token}\n" if token else "") + "\n") as opened:
        assert answer_of(opened).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("token", ["", TOKEN])
def test_chunks_without_an_end_are_cut_off(start: Starter, token: str) -> None:
    client = start(tokens=Tokens(token=TOKEN))
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64 << 20:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    with contextlib.suppress(httpx.TransportError):  # it may be cut off while it still sends
        assert client.put("/v1/rules/plate", content=chunks(), headers=headers).status_code == 413
    assert client.get("/healthz").status_code == 200


def test_a_request_that_trickles_ends(start: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LONGEST_S", 0.3)
    monkeypatch.setitem(bodies.bounded_receive.__kwdefaults__, "within_s", 0.3)
    client = start()
    head = "PUT /v1/rules/plate HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: 900\n\n{"
    with raw(client, head) as opened:
        assert answer_of(opened).startswith(b"HTTP/1.1 408 ")


def health_from(connection: socket.socket) -> bytes:
    """Return one answer of /healthz, whose head and body may come in pieces."""
    answer = b""
    while not answer.endswith(b'{"status":"ok"}'):
        piece = connection.recv(1 << 16)
        assert piece, answer
        answer += piece
    return answer


def test_headers_that_never_end_cost_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientProtocol, "longest_s", 2.0)
    with listening(make_app(settings_in(tmp_path), Tokens()), http=PatientProtocol) as address:
        client = httpx.Client(base_url=address, timeout=LONGEST_S)
        began = time.monotonic()
        with raw(client, "") as silent, raw(client, "GET /healthz HTTP/1.1\nHost: loc") as slow:
            for _ in range(3):
                time.sleep(0.1)
                slow.sendall(b"a")
            assert (silent.recv(9), slow.recv(9)) == (b"", b"")
        assert time.monotonic() - began < LONGEST_S
        with raw(client, "") as late:
            time.sleep(0.1)
            for _ in range(2):
                late.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert health_from(late).startswith(b"HTTP/1.1 200 OK")
        with raw(client, "GET /v1/inspections HTTP/1.1\nHost: localhost\n\n") as whole:
            assert whole.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        client.close()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that unpacks to gigabytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 0, 0, 0, 0))
    packed = zlib.compress(bytes(1 << 22))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


BOMBS = {
    "large.png": bomb(60_000, 60_000),
    "points.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\n"
    b"property float x\nproperty float y\nproperty float z\nend_header\n",
    "array.npy": b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000000, 3), }".ljust(117)
    + b"\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(start: Starter, name: str, tmp_path: Path) -> None:
    client = start()
    answer = client.post("/v1/inspections", files={"file": (name, BOMBS[name])})
    assert answer.status_code == 422, answer.text
    assert answer.json()["state"] == "failed"
    assert str(tmp_path) not in answer.text
    assert "waiting/" not in answer.text
    assert client.post("/v1/inspections", files=part()).status_code == 200


NAMES = (
    "../../rules/plate.yaml",
    "/etc/passwd",
    "..",
    "a\r\nX-Evil: 1.png",
    "=cmd|' /C calc'!A0.png",
    "\u202egnp.exe",
    "x" * 4000,
)


def test_names_serials_and_rules_lead_nowhere(start: Starter, tmp_path: Path) -> None:
    client = start()
    before = (tmp_path / "rules" / "plate.yaml").read_bytes()
    for name in NAMES:
        sent = json.dumps({"file": "aGVsbG8=", "name": name[:400], "serial": name[:200], "rules": "plate"})
        answer = client.post("/v1/inspections", content=sent, headers={"content-type": "application/json"})
        assert answer.status_code == 422, (name, answer.text)
        assert "x-evil" not in answer.headers
        assert str(tmp_path) not in answer.text
    for book in ("../plate", "..%2Fplate", "plate/../plate", "/etc/passwd", "plate\0", "*"):
        assert client.post("/v1/inspections", files=part(), data={"rules": book}).status_code == 404, book
        assert client.get(f"/v1/rules/{quote(book, safe='/%')}").status_code in (200, 404), book
    for path in (
        "/v1/inspections/..%2f..%2frules",
        "/v1/inspections/%00",
        "/static/../../etc/passwd",
        "/static/%2e%2e/x",
    ):
        assert client.get(path).status_code in (404, 422), path
    assert (tmp_path / "rules" / "plate.yaml").read_bytes() == before
    found = {path.name for path in tmp_path.iterdir()} - {"cases.db-shm", "cases.db-wal"}
    assert found == {"cases.db", "cases.db.files", "data", "rules"}
    kept = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert all(path.name.isprintable() and len(path.name) <= 120 for path in kept)


def test_control_characters_and_repeated_fields_are_refused(start: Starter) -> None:
    client = start()
    for field, text in (("serial", "a\n<b>\x01"), ("serial", "a\n"), ("question", "why\0")):
        answer = client.post("/v1/inspections", files=part(), data={field: text})
        assert (answer.status_code, field in answer.text) == (422, True), answer.text
    twice = [*part().items(), ("rules", (None, "plate")), ("rules", (None, "other"))]
    answer = client.post("/v1/inspections", files=twice)
    assert (answer.status_code, "once" in answer.text) == (422, True), answer.text
    ident = client.post("/v1/inspections", files=part()).json()["id"]
    bad = client.post(f"/v1/inspections/{ident}/judgement", json={"outcome": "OK", "reason": "a\0b"})
    assert bad.status_code == 422, bad.text


def test_an_internal_error_tells_nothing(
    start: Starter, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps: list[FastAPI] = []
    client = start(prepare=apps.append)
    until(lambda: client.get("/readyz").status_code == 200)

    def broken() -> None:
        raise RuntimeError(f"secret at {tmp_path}")

    monkeypatch.setattr(apps[0].state.station.books, "names", broken)
    answer = client.get("/v1/rules")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error, please report it; the service's log tells more"}
    assert "secret at" in caplog.text


def test_followers_are_few_and_let_go_when_they_hang_up(start: Starter, tmp_path: Path, held: Held) -> None:
    client = start(settings=settings_in(tmp_path, limits=Limits(streams=2)), prepare=held)
    case = client.post("/v1/inspections", files=part(), params={"wait": 0}).json()["id"]
    head = f"GET /v1/inspections/{case}/events HTTP/1.1\nHost: localhost\n\n"

    def begins(follower: socket.socket) -> bytes:
        received = b""
        while b"event: " not in received:
            received += follower.recv(1 << 16)
        return received

    for _ in range(2):  # those that hung up are gone
        with contextlib.ExitStack() as stack:
            for told in (b"event: state", b"event: state", b"follows 2 parts already"):
                assert told in begins(stack.enter_context(raw(client, head)))
        until(lambda: not held.station.followed._open)
    held.let_go()
    until(lambda: client.get(f"/v1/inspections/{case}").json()["state"] == "done")
    assert client.post("/v1/inspections", files={"file": ("a.png", photo(seed=3))}).status_code == 200


def test_somebody_s_open_uploads_are_few(start: Starter, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text(
        entry_line("line-3", "operator", TOKEN) + "\n" + entry_line("anna", "engineer", TOKEN + "2") + "\n"
    )
    client = start(tokens=Tokens(tokens), settings=settings_in(tmp_path, limits=Limits(uploads=1)))
    head = (
        f"POST /v1/inspections HTTP/1.1\nHost: localhost\nAuthorization: Bearer {TOKEN}\nContent-Length: 5000\n"
        "Content-Type: multipart/form-data; boundary=b\n\n--b\n"
    )
    drafts = tmp_path / "data" / "parts" / "drafts"
    with raw(client, head):
        until(lambda: len(list(drafts.iterdir())) == 1)
        refused = client.post("/v1/inspections", files=part(), headers={"Authorization": f"Bearer {TOKEN}"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        other = client.post("/v1/inspections", files=part(), headers={"Authorization": f"Bearer {TOKEN}2"})
        assert other.status_code == 200
    until(lambda: not list(drafts.iterdir()))
    again = client.post("/v1/inspections", files=part(), headers={"Authorization": f"Bearer {TOKEN}"})
    assert again.status_code == 200
