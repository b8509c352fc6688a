"""`EventRecorder`: the last frames in memory; an event becomes a clip, with what was before and after it."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import OutputError
from vlm_inspect.live.buffer import LiveFrame
from vlm_inspect.live.source import utc_moment

CLIP_NAME = "event-*.avi"
_LIMIT, _EDGE = 1.0, 0.6
"""An event begins beyond the limit of normal, and ends where frames stay below the other for a while."""
_QUALITY = 92
_UNFINISHED = ".part.avi"


@dataclass(frozen=True)
class ClipLengths:
    """What becomes of an event, in seconds."""

    before_s: float = 3.0
    after_s: float = 3.0
    most_s: float = 60.0
    """A longer event is several clips, so that none is waited for for ever."""


@dataclass(frozen=True)
class _Kept:
    jpeg: bytes
    time_s: float


class EventRecorder:
    """Takes every frame at once and its height later, and gives clips."""

    def __init__(
        self, folder: Path, fps: float, lengths: ClipLengths, moment: Callable[[float], str] = utc_moment
    ) -> None:
        """Write clips into a folder.

        Args:
            folder: exists.
            fps: of the clips: that of the normal ones, with which they are compared.
            lengths: what becomes of an event.
            moment: how the time at which a clip begins is written in its name.
        """
        self._folder, self._fps, self._moment = folder, fps, moment
        self._before, self._after = round(lengths.before_s * fps), max(1, round(lengths.after_s * fps))
        self._most = max(2 * self._after, round(lengths.most_s * fps))
        self._waiting: deque[_Kept] = deque()
        """Frames without a height; as many as scores are late."""
        self._past: deque[_Kept] = deque(maxlen=max(1, self._before))
        self._clip: ClipWriter | None = None
        self._quiet = 0

    def add(self, frame: LiveFrame) -> None:
        """Keep a frame until its height is known, as a JPEG."""
        self._waiting.append(_Kept(coded(frame), frame.time_s))

    def judge(self, heights: NDArray[np.float64]) -> list[Path]:
        """Take the heights of the frames that have waited longest, and return clips that are complete.

        Raises:
            OutputError: a clip cannot be written.
        """
        done = [self._judge_one(self._waiting.popleft(), float(height)) for height in heights]
        return [path for path in done if path is not None]

    def finish(self) -> list[Path]:
        """End the event that goes on, and forget all frames; returns its clip."""
        clip, self._clip = self._clip, None
        self._waiting.clear()
        self._past.clear()
        return [] if clip is None else [clip.close()]

    def _judge_one(self, frame: _Kept, height: float) -> Path | None:
        if self._clip is None:
            if height <= _LIMIT:
                self._past.append(frame)
                return None
            began_s = self._past[0].time_s if self._past else frame.time_s  # its name and its own seconds are one clock
            name = CLIP_NAME.replace("*", self._moment(began_s))
            self._clip = ClipWriter(self._folder / name, began_s, self._fps)
            while self._past:
                self._clip.write(self._past.popleft().jpeg)
            self._quiet = 0
        self._clip.write(frame.jpeg)
        self._quiet = self._quiet + 1 if height <= _EDGE else 0
        if self._quiet < self._after and self._clip.count < self._most:
            return None
        clip, self._clip = self._clip, None
        return clip.close()


class ClipWriter:
    """A clip that is being written, under another name until it is complete."""

    def __init__(self, path: Path, time_s: float, fps: float) -> None:
        """Begin a clip.

        Args:
            path: where it will be.
            time_s: when its first frame was seen, in seconds since 1970; the file will be as old.
            fps: frames a second.
        """
        self.path, self._time_s, self._fps = path, time_s, fps
        self._unfinished = path.with_name(f".{path.stem}{_UNFINISHED}")
        self._writer: Any = None
        self._size_wh = (0, 0)
        self.count = 0

    def write(self, jpeg: bytes) -> None:
        """Add a frame; raises OutputError where that is not possible."""
        import cv2

        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        if self._writer is None:
            self._size_wh = size = (picture.shape[1], picture.shape[0])
            self._writer = cv2.VideoWriter(str(self._unfinished), cv2.VideoWriter.fourcc(*"MJPG"), self._fps, size)
            if not self._writer.isOpened():
                raise OutputError(f"{self.path} cannot be written; may its folder be written to?")
        if picture.shape[1::-1] != self._size_wh:  # the source came back with another size; the writer would drop it
            picture = cv2.resize(picture, self._size_wh, interpolation=cv2.INTER_AREA)
        self._writer.write(picture)
        self.count += 1

    def close(self) -> Path:
        """Return where the clip is; raises OutputError where it cannot be put there."""
        self._writer.release()
        try:
            os.utime(self._unfinished, (self._time_s, self._time_s))
            self._unfinished.replace(self.path)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}; make room") from error
        return self.path

    def discard(self) -> None:
        """Leave nothing of it."""
        self._writer.release()
        self._unfinished.unlink(missing_ok=True)


def coded(frame: LiveFrame) -> bytes:
    """Return a frame as a JPEG."""
    import cv2

    picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return jpeg.tobytes()


def clear_unfinished(folder: Path) -> None:
    """Remove what a kill left of clips."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)
