"""Evidence along the paths of what moves: the heat of a thing averaged with that of the same thing before and after.

One look at somebody who walks behind others, small and in noise, says little, and a place that is looked at for a while
sees many who pass. So each place is followed forward and back with the flow, frame by frame, and what was hot there
counts, the less the longer ago. What stands still is followed in its place. Nothing is told apart and nothing is
numbered: where two meet, their paths share what the flow says of both.
"""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.clip_events.features import CELL, ClipFeatures
from vlm_inspect.localization.clip_events.grid import Floats, box_mean, mean_over_frames

REACH = 8
"""Frames that a path is followed forward and back."""
_FADES = 0.85
"""What a frame counts for that is one frame further away."""
_LEAST_SHARE = 0.03
"""A place in which less than this share changes does not move."""


def along_paths(heats: Floats, features: ClipFeatures) -> Floats:
    """Return heat as far as it lasts: averaged along paths, and at no time more than it is then.

    Without the second, whatever is seen for a moment would be hot in the frames around it.

    Args:
        heats: (C, N, gh, gw), of C channels.
        features: of the same N frames.
    """
    stacked = np.ascontiguousarray(np.moveaxis(heats, 0, -1), np.float32)  # (N, gh, gw, C)
    across, down = _steps(features)
    total = stacked.copy()
    weight = np.ones(len(stacked), np.float32)
    for sign in (1, -1):
        before = _come_from(across, down, sign)
        followed = stacked
        for step in range(1, min(REACH, len(stacked) - 1) + 1):
            followed = _followed(followed, before, sign)
            known = slice(step, None) if sign > 0 else slice(None, -step)
            total[known] += _FADES**step * followed[known]
            weight[known] += _FADES**step
    lasting = np.minimum(stacked, total / weight[:, None, None, None])
    return np.ascontiguousarray(np.moveaxis(lasting, -1, 0))


def _steps(features: ClipFeatures) -> tuple[Floats, Floats]:
    """Return by how many places what is in each of them moves in a frame, to the right and down, (N, gh, gw) each."""
    motion = mean_over_frames(features.motion, 1)
    share, across, down = (box_mean(motion[..., k], 3) for k in range(3))
    moves = np.where(share > _LEAST_SHARE, 1.0 / np.maximum(share, 1e-6) / CELL, 0.0)
    return (across * moves).astype(np.float32), (down * moves).astype(np.float32)


def _come_from(across: Floats, down: Floats, sign: int) -> tuple[Floats, Floats]:
    """Return where each place was in the frame before (sign 1), or will be in the next one (-1), x and y."""
    rows, columns = np.mgrid[: across.shape[1], : across.shape[2]].astype(np.float32)
    return columns - sign * across, rows - sign * down


def _followed(values: Floats, places: tuple[Floats, Floats], sign: int) -> Floats:
    """Return the values (N, gh, gw, C) of the frame before, or after, each at its place; 0 where there is no frame."""
    import cv2

    made = np.zeros_like(values)
    count = len(values)
    for frame in range(count):
        source = frame - sign
        if 0 <= source < count:
            taken: NDArray[np.float32] = np.asarray(
                cv2.remap(
                    values[source],
                    places[0][frame],
                    places[1][frame],
                    cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE,
                ),
                np.float32,
            )
            made[frame] = taken.reshape(values[source].shape)  # of one channel the last axis is left out
    return made
