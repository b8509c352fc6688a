"""`Recording`: the frames of a clip that is watched, every one of them, as fast as they can be looked at."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from converters.errors import ConversionError
from vlm_inspect.errors import InspectError
from vlm_inspect.live.buffer import LiveFrame

if TYPE_CHECKING:
    from converters.video_source import FrameSource

_USUAL_FPS = 25.0
"""Of a clip that does not say."""


@dataclass
class Recording:
    """A clip in place of a live source; use as a context manager.

    A file waits, so no frame is left out, however slow the machine is. The file was last written when its last frame
    was seen: so the times of its events, and with them their names, stay the same when it is watched again.

    Attributes:
        path: of the clip.
        stop: ends it.
        seen: how many frames were given.
    """

    path: Path
    stop: threading.Event
    seen: int = 0
    announced_fps: float = 0.0
    _began_s: float = 0.0
    _frames: Iterator[LiveFrame] = field(default_factory=lambda: iter(()))

    @property
    def name(self) -> str:
        """How it is called in what is said."""
        return str(self.path)

    def __enter__(self) -> "Recording":
        """Open it; raises ConversionError where it is no clip, or is truncated."""
        from converters.video_source import open_source

        source = open_source(self.path)
        self.announced_fps = source.fps
        self._frames = self._read(source)
        return self

    def __exit__(self, *_: object) -> None:
        self._frames = iter(())

    def frames(self) -> Iterator[LiveFrame]:
        """Yield the frames that were not given yet, until the clip ends or `stop` is set.

        Raises:
            InspectError: the clip breaks off.
        """
        while not self.stop.is_set():
            try:
                frame = next(self._frames, None)
            except ConversionError as error:
                raise InspectError(f"{error}; its {self.seen} frames before that were looked at") from error
            if frame is None:
                return
            self.seen += 1
            yield frame

    def moment(self, time_s: float) -> str:
        """Return the clip's name and the seconds since it began."""
        return f"{self.path.stem}-{max(0.0, time_s - self._began_s):08.2f}s"

    def skip_waiting(self) -> None:
        """Do nothing: the frames of a file wait."""

    def _read(self, source: "FrameSource") -> Iterator[LiveFrame]:
        fps = source.fps or _USUAL_FPS
        self._began_s = began_s = self.path.stat().st_mtime - source.expected / fps
        for index, (time_s, image) in enumerate(source.walk(lambda index: True)):
            assert image is not None
            yield LiveFrame(image, began_s + (index / fps if time_s is None else time_s))
