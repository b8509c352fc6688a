"""`LiveSource`: the frames of a stream, a camera or a file that plays, as they come."""

import contextlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import InspectError

_STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)
_WAITING = 16
"""Frames that may wait to be looked at; of a source that is faster than that, frames are dropped, and counted."""
_TIMEOUT_MS = 10_000
_WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until a lost source is tried again; the last one for good."""
_LOOK_S = 0.2
_USUAL_FPS = 25.0


def is_stream(text: str) -> bool:
    """Tell whether a source is the address of a stream."""
    return _STREAM.match(text) is not None


def shown_address(address: str) -> str:
    """Return an address without user and password."""
    if not is_stream(address):
        return address
    try:
        parts = urlsplit(address)
        _, at, host = parts.netloc.rpartition("@")
    except ValueError:
        return f"{address.split('://', maxsplit=1)[0]}://…"
    return urlunsplit((parts.scheme, f"…@{host}" if at else host, parts.path, "", ""))


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame: `image` uint8 (H, W, 3) RGB, and when it came, in seconds since 1970."""

    image: NDArray[np.uint8]
    time_s: float


@dataclass
class LiveSource:
    """A source that is read in a thread of its own; use as a context manager.

    Attributes:
        address: of a stream; a number is a camera; a path is a file that plays at its own rate.
        stop: ends it.
        tell: told in one line when the source is lost, and when it is back.
        waits_s: until a lost source is tried again.
    """

    address: str | int | Path
    stop: threading.Event
    tell: Callable[[str], None] = lambda line: None
    waits_s: tuple[float, ...] = _WAITS_S
    dropped: int = 0
    """Frames that came faster than they could be looked at."""
    _frames: "queue.Queue[LiveFrame | None]" = field(default_factory=lambda: queue.Queue(_WAITING))
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """How it is called in what is said."""
        return f"camera {self.address}" if isinstance(self.address, int) else shown_address(str(self.address))

    def __enter__(self) -> "LiveSource":
        """Connect; raises InspectError where the source cannot be opened."""
        capture = self._open()
        if capture is None:
            raise InspectError(
                f"{self.name} cannot be opened; check that it is there and plays, and its user and password"
            )
        self._thread = threading.Thread(target=self._read, args=(capture,), name="live", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _TIMEOUT_MS / 1000)

    def frames(self) -> Iterator[LiveFrame | None]:
        """Yield the frames until the source ends or `stop` is set; None: frames are missing here."""
        while not self.stop.is_set():
            try:
                yield self._frames.get(timeout=_LOOK_S)
            except queue.Empty:
                if self._ended.is_set():
                    return

    def skip_waiting(self) -> None:
        """Forget the frames that wait: they are older than what is done now."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._frames.get_nowait()

    def _read(self, capture: Any) -> None:
        try:
            while not self._over:
                self._play(capture)
                capture.release()
                if isinstance(self.address, Path) or (again := self._connect_again()) is None:
                    return
                capture = again
        finally:
            capture.release()
            self._ended.set()

    @property
    def _over(self) -> bool:
        return self.stop.is_set() or self._ended.is_set()

    def _play(self, capture: Any) -> None:
        """Read until the source gives no more frames."""
        import cv2

        pace_s = 1.0 / (capture.get(cv2.CAP_PROP_FPS) or _USUAL_FPS) if isinstance(self.address, Path) else 0.0
        due = time.monotonic()
        while not self._over:
            there, picture = capture.read()
            if not there:
                return
            due += pace_s
            if pace_s and (early := due - time.monotonic()) > 0:
                self.stop.wait(early)
            self._hand_on(LiveFrame(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), time.time()))

    def _hand_on(self, frame: LiveFrame | None) -> None:
        """Queue a frame; where too many wait, the oldest gives way."""
        while True:
            try:
                self._frames.put_nowait(frame)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._frames.get_nowait()
                    self.dropped += 1
            else:
                return

    def _connect_again(self) -> Any | None:
        self.tell(f"{self.name} is lost; trying to reach it again")
        self._hand_on(None)
        tries = 0
        while not self.stop.wait(self.waits_s[min(tries, len(self.waits_s) - 1)]) and not self._ended.is_set():
            tries += 1
            if (capture := self._open()) is not None:
                self.tell(f"{self.name} is back")
                return capture
        return None

    def _open(self) -> Any | None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its own lines would tell the address with its password
        import cv2

        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        address = self.address if isinstance(self.address, int) else str(self.address)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        backend = cv2.CAP_ANY if isinstance(address, int) else cv2.CAP_FFMPEG
        capture = cv2.VideoCapture(address, backend, [] if isinstance(address, int) else timeouts)
        if capture.isOpened():
            return capture
        capture.release()
        return None
