"""`LiveSource`: the frames of a stream or a camera, as they come; `FrameSource`: what is watched, live or not."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from vlm_inspect.errors import InspectError
from vlm_inspect.live.buffer import FrameBuffer, LiveFrame

_STREAM = re.compile(r"(rtsps?|rtmps?|https?|udp|tcp|srt)://", re.IGNORECASE)
_SILENT_S = 10.0
_SILENT_SHARE = 0.9
"""A read that took this share of the limit was given up."""
_WAITS_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until a lost source is tried again; the last one for good."""
_LOOK_S = 0.2
_MOST_FPS = 1000.0
"""More is no rate but the clock of a stream that does not say one."""


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


def utc_moment(time_s: float) -> str:
    """Return a time in seconds since 1970 as it is written in names: `20261130T021500.250Z`."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(time_s))}.{int(time_s % 1 * 1000):03d}Z"


class FrameSource(Protocol):
    """What is watched."""

    stop: threading.Event
    """Ends it."""

    @property
    def name(self) -> str:
        """How it is called in what is said."""
        ...

    @property
    def announced_fps(self) -> float:
        """Frames a second as the source says; 0.0 where it does not."""
        ...

    def frames(self) -> Iterator[LiveFrame | None]:
        """Yield the frames until the source ends or `stop` is set; None: frames are missing here."""
        ...

    def moment(self, time_s: float) -> str:
        """Return how the time of a frame is written in the name of a file."""
        ...

    def skip_waiting(self) -> None:
        """Forget the frames that wait, where they would be older than what is done now."""
        ...


@dataclass
class LiveSource:
    """A source that is read in a thread of its own; use as a context manager.

    Attributes:
        address: of a stream; a number is a camera.
        stop: ends it.
        tell: told in one line when the source is lost, and when it is back.
        waits_s: until a lost source is tried again.
        silent_s: a source that gives no frame for so long is lost.
    """

    address: str | int
    stop: threading.Event
    tell: Callable[[str], None] = lambda line: None
    waits_s: tuple[float, ...] = _WAITS_S
    silent_s: float = _SILENT_S
    announced_fps: float = 0.0
    _waiting: FrameBuffer = field(default_factory=FrameBuffer)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _looked_at: bool = False
    """Whether somebody looks at every frame now, and would miss one."""

    @property
    def name(self) -> str:
        """How it is called in what is said."""
        return f"camera {self.address}" if isinstance(self.address, int) else shown_address(self.address)

    @property
    def dropped(self) -> int:
        """Frames that came faster than they could be looked at."""
        return self._waiting.dropped

    def __enter__(self) -> "LiveSource":
        """Connect; raises InspectError where the source cannot be opened."""
        capture = self._open()
        if capture is None:
            check = (
                "check that it is plugged in and that no other program uses it; --camera 0 is the first"
                if isinstance(self.address, int)
                else "check that it is there and plays, and its user and password"
            )
            raise InspectError(f"{self.name} cannot be opened; {check}")
        self._thread = threading.Thread(target=self._read, args=(capture,), name="live", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * self.silent_s)

    def frames(self) -> Iterator[LiveFrame | None]:
        """Yield the frames until the source ends or `stop` is set; None: frames are missing here."""
        while not self.stop.is_set():
            try:
                yield self._waiting.get(_LOOK_S)
            except TimeoutError:
                if self._ended.is_set():
                    return

    def moment(self, time_s: float) -> str:
        """Return the time in UTC."""
        return utc_moment(time_s)

    def skip_waiting(self) -> None:
        """Forget the frames that wait: they are older than what is done now."""
        self._waiting.clear()
        self._looked_at = True

    def _read(self, capture: Any) -> None:
        try:
            while not self._over:
                silent_s = self._play(capture)
                capture.release()
                if self._over or (again := self._connect_again(silent_s)) is None:
                    return
                capture = again
        finally:
            capture.release()
            self._ended.set()

    @property
    def _over(self) -> bool:
        return self.stop.is_set() or self._ended.is_set()

    def _play(self, capture: Any) -> float:
        """Read until the source gives no more frames; returns how long it was waited for the last one, in seconds."""
        import cv2

        waited_s = 0.0
        while not self._over:
            asked = time.monotonic()
            there, picture = capture.read()
            waited_s = time.monotonic() - asked
            if there:
                image = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
                self._hand_on(LiveFrame(image, time.time()))
            if not there or waited_s >= _SILENT_SHARE * self.silent_s:  # given up, a decoder still has its last frame
                break
        return waited_s

    def _hand_on(self, frame: LiveFrame) -> None:
        """Let a frame wait; the first time that others give way it is said."""
        if self._waiting.put(frame) and self._looked_at:
            self._looked_at = False  # once is enough
            self.tell(
                f"{self.name} gives frames faster than they can be looked at here, so some are left out; fewer or "
                "smaller ones would help"
            )

    def _connect_again(self, silent_s: float) -> Any | None:
        why = "is lost" if silent_s < _SILENT_SHARE * self.silent_s else f"has given no frame for {silent_s:.0f} s"
        self.tell(f"{self.name} {why}; trying to reach it again")
        self._waiting.put(None)
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
        address = self.address
        address, limit_ms = self.address, round(1000 * self.silent_s)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
        backend = cv2.CAP_ANY if isinstance(address, int) else cv2.CAP_FFMPEG
        capture = cv2.VideoCapture(address, backend, [] if isinstance(address, int) else timeouts)
        if capture.isOpened():
            fps = capture.get(cv2.CAP_PROP_FPS)
            self.announced_fps = fps if 0.0 < fps < _MOST_FPS else 0.0
            return capture
        capture.release()
        return None
