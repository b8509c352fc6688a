"""A small RTSP server: Motion JPEG in RTP (RFC 2435) over the connection itself (RFC 2326, 10.12), Basic passwords."""

import base64
import re
import socketserver
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from tests.waiting import LONGEST_S

_PACKET = 1400
_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"

Film = Iterable[np.ndarray | None]
"""Pictures (H, W, 3) whose sides 8 divides; None: from here on nothing comes, and the connection stays."""


def _parts_of(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return the quantization tables (128 bytes) and the coded picture."""
    tables, at = b"", 2
    while jpeg[at + 1] != 0xDA:  # start of scan
        length = int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] == 0xDB:
            tables += jpeg[at + 5 : at + 2 + length]
        at += 2 + length
    return tables, jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4]) : -2]


def _packets(picture: np.ndarray, number: int, clock: int) -> Iterator[bytes]:
    """Yield the RTP packets of a picture, each with its four bytes for the connection."""
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    tables, coded = _parts_of(jpeg)
    height, width = picture.shape[:2]
    for at in range(0, len(coded), _PACKET):
        piece = coded[at : at + _PACKET]
        last = at + _PACKET >= len(coded)
        head = struct.pack(">BBHII", 0x80, 26 | (0x80 if last else 0), number & 0xFFFF, clock, 7)
        kind = struct.pack(">IBBBB", at, 1, 255, width // 8, height // 8)  # 4:2:0, tables in the first packet
        quantization = struct.pack(">BBH", 0, 0, len(tables)) + tables if at == 0 else b""
        packet = head + kind + quantization + piece
        number += 1
        yield b"$\0" + struct.pack(">H", len(packet)) + packet


class _Handler(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        while (request := self._read()) is not None:
            method, fields = request
            wanted = self.server.password
            if wanted is not None and fields.get("authorization") != f"Basic {wanted}":
                self._answer(401, fields, 'WWW-Authenticate: Basic realm="camera"')
            elif method == "OPTIONS":
                self._answer(200, fields, "Public: DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE" and self.server.films:
                self._answer(200, fields, "Content-Type: application/sdp", body=_SDP)
            elif method == "SETUP" and "TCP" in fields["transport"]:
                self._answer(200, fields, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1")
            elif method == "PLAY":
                self._answer(200, fields, "Session: 1")
                self._play(self.server.films.pop(0))
                return
            else:
                self._answer(404, fields)

    def _read(self) -> tuple[str, dict[str, str]] | None:
        lines = []
        while (line := self.rfile.readline().decode("latin-1").strip()) or not lines:
            if not line:
                return None
            lines.append(line)
        fields = dict(re.split(r":\s*", one, maxsplit=1) for one in lines[1:])
        return lines[0].split()[0], {key.lower(): value for key, value in fields.items()}

    def _answer(self, code: int, fields: dict[str, str], *more: str, body: str = "") -> None:
        head = [
            f"RTSP/1.0 {code} .",
            f"CSeq: {fields['cseq']}",
            *more,
            *([f"Content-Length: {len(body)}"] * bool(body)),
        ]
        self.wfile.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())

    def _play(self, film: Film) -> None:
        number = 0
        for k, picture in enumerate(film):
            if picture is None:
                self.server.ended.wait(LONGEST_S)
                return
            for packet in _packets(picture, number, round(90_000 * k / self.server.fps)):
                number += 1
                self.wfile.write(packet)
            time.sleep(1 / self.server.fps)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    films: list[Film]
    password: str | None
    fps: float
    ended: threading.Event

    def handle_error(self, *_: object) -> None:
        """Say nothing: the client went away."""


@contextmanager
def rtsp(films: Iterable[Film], *, fps: float = 25.0, user: str | None = None) -> Iterator[str]:
    """Serve one film after the other, one a connection, and yield the address without user.

    Args:
        films: each ends, and the connection with it.
        fps: pictures a second.
        user: `name:password` that is asked for.
    """
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.films, server.fps, server.ended = list(films), fps, threading.Event()
        server.password = None if user is None else base64.b64encode(user.encode()).decode()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"rtsp://127.0.0.1:{server.server_address[1]}/line1"
        finally:
            server.ended.set()
            server.shutdown()
