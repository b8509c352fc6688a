"""`LiveEvents`: the events of a live source as clips, an iterator of parts; `record_normal`: its beginning."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converters.digest import sha256_of
from converters.errors import ConversionError
from vlm_inspect.clip_beginning import LEAST_FRAMES, NormalSpan
from vlm_inspect.errors import ReferenceSampleError
from vlm_inspect.live.buffer import LiveFrame
from vlm_inspect.live.recorder import CLIP_NAME, ClipLengths, ClipWriter, EventRecorder, clear_unfinished, coded
from vlm_inspect.live.scorer import STEP, StreamScorer
from vlm_inspect.live.source import FrameSource
from vlm_inspect.localization.clip_events.normal_clips import NormalClips

_BURST_S, _RATE_S = 1.0, 5.0
"""The rate of a source is told from its first seconds without the very first: what waited there comes at once."""
_LIKE = 0.15
"""Share by which a rate that is announced may differ from the one that is seen."""
_USUAL_FPS = 25.0
_LOOK_S = 0.2


def record_normal(source: FrameSource, path: Path, span: NormalSpan) -> Path:
    """Write the beginning of a source, which is normal, as a clip; returns its path.

    Args:
        source: is open.
        path: of the clip.
        span: how much of it.

    Raises:
        ReferenceSampleError: the source ended before, or too few frames are meant.
        OutputError: the clip cannot be written.
    """
    writer: ClipWriter | None = None
    first: list[LiveFrame] = []
    count, began, whole = 0, 0.0, False
    for frame in source.frames():
        if frame is None:
            continue
        began = began or frame.time_s
        count += 1
        whole = count >= span.frames if span.frames is not None else frame.time_s - began >= (span.seconds or 0.0)
        if writer is None:
            first.append(frame)
            if whole or frame.time_s - began >= _RATE_S:
                writer = ClipWriter(path, began, rate_of([one.time_s for one in first], source.announced_fps))
                for one in first:
                    writer.write(coded(one))
        else:
            writer.write(coded(frame))
        if whole:
            break
    if writer is None or count < LEAST_FRAMES or not whole:
        if writer is not None:
            writer.discard()
        told = f"gave {count} normal frames" if whole else f"ended after {count} frames of a normal beginning of {span}"
        raise ReferenceSampleError(f"{source.name} {told}; it takes {LEAST_FRAMES} at least")
    return writer.close()


def rate_of(times_s: Sequence[float], announced: float) -> float:
    """Return the frames a second of a source: as announced where they come like that, else as they come.

    Args:
        times_s: when its first frames came.
        announced: frames a second; 0: the source does not say.
    """
    settled = [one for one in times_s if one - times_s[0] >= _BURST_S]
    counted = settled if len(settled) >= LEAST_FRAMES else list(times_s)
    lasts_s = counted[-1] - counted[0]
    seen = (len(counted) - 1) / lasts_s if lasts_s > 0 else 0.0
    if announced and (not seen or abs(seen - announced) <= _LIKE * announced):
        return announced
    return seen or _USUAL_FPS


@dataclass
class LiveEvents:
    """An iterator of clips, and of None where there is nothing new; it ends with the source, or when that is stopped.

    Attributes:
        source: is open.
        normal: what frames are held against.
        folder: of the clips; those in it that are not known come first.
        is_known: whether a part of this digest was judged before.
        lengths: of the clips.
    """

    source: FrameSource
    normal: NormalClips
    folder: Path
    is_known: Callable[[str], bool] = lambda digest: False
    lengths: ClipLengths = field(default_factory=ClipLengths)
    _clips: "queue.Queue[Path]" = field(default_factory=queue.Queue)
    _error: Exception | None = None
    _given: set[Path] = field(default_factory=set)
    """Clips of this run: a recording that is watched again writes them anew, as they were."""

    def __iter__(self) -> Iterator[Path | None]:
        """Yield the clips.

        Raises:
            InspectError: a clip cannot be written, or a recording breaks off.
        """
        clear_unfinished(self.folder)
        for path in sorted(self.folder.glob(CLIP_NAME)):
            if not self._known(path):
                self._given.add(path)
                yield path
        thread = threading.Thread(target=self._watch, name="events", daemon=True)
        thread.start()
        while thread.is_alive() or not self._clips.empty():
            try:
                yield self._clips.get(timeout=_LOOK_S)
            except queue.Empty:
                yield None
        if self._error is not None:
            raise self._error

    def _known(self, path: Path) -> bool:
        try:
            return self.is_known(sha256_of(path))
        except ConversionError:
            return False  # it cannot be read, which its row says

    def _watch(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001  # raised where the clips are taken, so that it is told
            self._error = error

    def _look(self) -> None:
        scorer = StreamScorer(self.normal)
        recorder = EventRecorder(self.folder, self.normal.clip.fps, self.lengths, self.source.moment)
        waiting: list[LiveFrame] = []

        def judge(*, last: bool) -> None:
            heights = scorer.add([one.image for one in waiting])
            waiting.clear()
            self._give(recorder.judge(heights))
            if last:
                self._give(recorder.judge(scorer.finish()))
                self._give(recorder.finish())

        self.source.skip_waiting()
        for frame in self.source.frames():
            if frame is not None:
                recorder.add(frame)
                waiting.append(frame)
            if frame is None or len(waiting) >= STEP:
                judge(last=frame is None)
        judge(last=True)

    def _give(self, clips: list[Path]) -> None:
        for clip in clips:
            if clip not in self._given and not self._known(clip):
                self._given.add(clip)
                self._clips.put(clip)
