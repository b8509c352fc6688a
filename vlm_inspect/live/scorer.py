"""`StreamScorer`: how unusual each frame of a stream is, in constant memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.clip_events.features import ClipFeatures, FeatureReader, analysed_size
from vlm_inspect.localization.clip_events.normal_clips import NormalClips

STEP = 8
"""Frames that are judged at once."""
_UNKNOWN = 1.01
"""Height of a frame that could not be compared, because the camera has moved or something covers it: beyond normal, so
that its clip is recorded and somebody looks."""


class StreamScorer:
    """Judges each frame as soon as the frames after it that its score depends on have come."""

    def __init__(self, normal: NormalClips) -> None:
        """Hold frames against normal clips."""
        self._normal, self._anchor = normal.behaviour, normal.anchor
        self._size_wh = analysed_size(normal.clip.size_hw)
        self.margin = self._normal.margin
        """By how many frames the scores are late, `STEP` apart."""
        self._begin()

    def _begin(self) -> None:
        self._reader = FeatureReader(self._size_wh, self._anchor)
        self._features: ClipFeatures | None = None
        self._first = self._judged = 0
        """Numbers, since the last gap, of the first frame that is kept and of the next that is judged."""

    def add(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Take the next frames, uint8 (H, W, 3) RGB, and return the heights of those that can be judged now, (K,).

        1 is the limit of normal. K is 0 at first; then every frame is judged once, in order.
        """
        more = self._reader.read(iter(images), len(images))
        if more is None:
            return np.zeros(0)
        self._features = more if self._features is None else self._features.then(more)
        return self._judge(self._first + len(self._features) - self.margin)

    def finish(self) -> NDArray[np.float64]:
        """Return the heights of the frames that wait, and begin anew: after a gap nothing is known of what moved."""
        heights = np.zeros(0) if self._features is None else self._judge(self._first + len(self._features))
        self._begin()
        return heights

    def _judge(self, end: int) -> NDArray[np.float64]:
        """Judge the frames to before `end`, and forget those that no further score depends on."""
        if self._features is None or end <= self._judged:
            return np.zeros(0)
        found = self._normal.judge(self._features, self._judged - self._first, end - self._first)
        self._judged = end
        keep = max(self._first, end - self.margin)
        self._features = self._features.part(keep - self._first, len(self._features))
        self._first = keep
        heights = np.asarray(found.scores.max(axis=1), np.float64)
        return np.where(found.moved, np.maximum(heights, _UNKNOWN), heights)
