"""One score for every frame of a clip: the curve of what happens in it."""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.frame_curve import FrameCurve

GIVEN_AS_NORMAL = -1.0
"""In place of the score of a frame that was taken as a normal reference: it is not scored."""
NOT_LOOKED_AT = -2.0
"""In place of the score of a frame that was not looked at: it counts as wrong."""


def frame_scores(curve: FrameCurve | None) -> NDArray[np.float32] | None:
    """Return P(anomalous) of every frame of a clip, (T,), float32 in [0, 1], or one of the two values above.

    None where the clip could not be held against its references frame by frame: the frames that happened to be shown
    say nothing of the others. Scores are not stretched clip by clip.
    """
    if curve is None:
        return None
    scores = np.nan_to_num(curve.scores, nan=NOT_LOOKED_AT).astype(np.float32)
    scores[: curve.normal_frames] = GIVEN_AS_NORMAL
    return scores


def scored_frames(
    scores: NDArray[np.float32], flags: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return scores and flags of the frames that count.

    Args:
        scores: (T,), as `frame_scores` returns them, rounded by less than 0.1.
        flags: (T,), which frames are anomalous.
        known: (T,), of which frames that is known.
    """
    unseen = scores < (GIVEN_AS_NORMAL + NOT_LOOKED_AT) / 2
    wrong = np.where(flags, np.float32(-1.0), np.float32(2.0))
    counts = known & (unseen | (scores > GIVEN_AS_NORMAL / 2))
    return np.where(unseen, wrong, scores)[counts], flags[counts]
