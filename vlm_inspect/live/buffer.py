"""`FrameBuffer`: frames of a live source that wait to be looked at."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 256 << 20
"""Of pixels that wait: eleven seconds of 640 x 480 at 25 frames a second, or 40 frames of 1920 x 1080."""
_MOST_LATE_S = 20.0
"""What has waited longer is no news."""
_LEAST = 16


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame: `image` uint8 (H, W, 3) RGB, and when it came, in seconds since 1970."""

    image: NDArray[np.uint8]
    time_s: float


class FrameBuffer:
    """Keeps what comes while the last frames are looked at; where too much waits, the older half of it gives way.

    So what is left out is one gap, which is told, and not a frame here and there, which would pass for faster motion.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Hold so many bytes of pixels, and 16 frames at least."""
        self._most_bytes = most_bytes
        self._waiting: deque[LiveFrame | None] = deque()
        self._changed = threading.Condition()
        self.dropped = 0
        """Frames that gave way."""

    def put(self, frame: LiveFrame | None) -> bool:
        """Add a frame, or None where frames are missing; returns whether others gave way."""
        with self._changed:
            full = frame is not None and self._is_full(frame)
            if full:
                for _ in range(len(self._waiting) // 2):
                    self.dropped += self._waiting.popleft() is not None
                self._waiting.appendleft(None)
            self._waiting.append(frame)
            self._changed.notify()
        return full

    def get(self, timeout_s: float) -> LiveFrame | None:
        """Return what has waited longest.

        Raises:
            TimeoutError: nothing came.
        """
        with self._changed:
            if not self._waiting and not self._changed.wait_for(lambda: bool(self._waiting), timeout_s):
                raise TimeoutError
            return self._waiting.popleft()

    def clear(self) -> None:
        """Forget what waits; nobody wanted to look at it, so it does not count as left out, nor does what gave way."""
        with self._changed:
            self._waiting.clear()
            self.dropped = 0

    def _is_full(self, frame: LiveFrame) -> bool:
        if len(self._waiting) < _LEAST:
            return False
        oldest = next((one.time_s for one in self._waiting if one is not None), frame.time_s)
        return len(self._waiting) >= self._most_bytes // frame.image.nbytes or frame.time_s - oldest > _MOST_LATE_S
