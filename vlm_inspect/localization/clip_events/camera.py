"""Where the camera stands: a shake is found and taken out before motion is measured, a camera that moves is told.

Every frame is held against one picture of the normal scene, the anchor, by phase correlation (Kuglin & Hines, Proc.
IEEE Conf. Cybernetics and Society, 1975). A shift counts where most parts of the picture that have structure bear it
out: a crowd that goes one way, or a belt, has the rest of the picture against it. Where no shift explains a frame, a
turn or a zoom may (`turns.py`). Where most of the normal scene moves, as a belt does that fills the picture, only what
stands still beside it counts; where nothing does, or no more than plain walls and straight rails, there is no anchor,
and nothing is taken out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.clip_events.turns import STILL, Corners, Pose, displacement, shift_pose, turned_back

Grey = NDArray[np.uint8]
Fine = NDArray[np.float32]
Spectrum = NDArray[np.complex64]
State = Literal["steady", "shaken", "moved", "unknown"]

ANCHOR_FRAMES: Final = 9
"""Frames that an anchor is the median of."""
ANCHOR_SPAN: Final = 150
"""Frames of a clip's beginning that they are taken from."""
_LEAST_SHIFT = 0.35
"""Pixels below which a shift is none to speak of."""
MOST_SHAKE: Final = 0.03
"""Share of the longer side up to which a shift is a shake; beyond it the camera has moved."""
_STEP = 2
"""Pixels beside a shift at which the picture must fit less well."""
_BETTER = 0.9
_AGREE = 0.6
"""Share of the blocks with structure that must bear a shift out."""
_KNOWN = 2 / 3
"""Share of an anchor's frames that must fit each other."""
_CALM = 10
"""Per cent of the picture that stand still at least, where there is something still beside what moves."""
_LEAST_CALM = 0.03
"""Share of the picture that must, for it to be told from what moves."""
_STANDS_OUT = 4.0
"""Power of the slopes of what stands still, over that of the noise, in the direction in which it has least."""
_FINE = 300
"""Longer side in pixels from which frames are compared at half their size."""
_AROUND = 15
"""Pixels a side of the surroundings that a detail stands out from."""
_PEAK = 1.0
"""Standard deviation of the correlation's peak, in pixels."""
_BLOCKS = 4
_LEAST_BLOCKS = 4
_LEAST_STRUCTURE = 1.0
"""Grey levels, the mean deviation of a block from its surroundings."""


@dataclass(frozen=True)
class Stand:
    """Where the camera stands in one frame."""

    state: State
    shift_xy: tuple[float, float] = (0.0, 0.0)
    """Pixels that the scene lies to the right and below its place in the anchor."""


class Anchor:
    """One picture of the normal scene, uint8 (h, w), that frames are held against."""

    def __init__(self, picture: Grey, still: Fine | None = None) -> None:
        """Prepare the picture.

        Args:
            picture: of the scene.
            still: (h, w) in [0, 1], what stands still in it and counts; None: all of it.
        """
        self.picture = picture
        self._still = still
        self._scene = _Scene(picture, still)

    @cached_property
    def _corners(self) -> Corners:
        return Corners(self.picture)

    def shift_of(self, grey: Grey) -> Stand:
        """Return how a frame of the same size is shifted; "unknown" where the pictures do not fit."""
        return self._scene.shift_of(grey, most=MOST_SHAKE * max(grey.shape))

    def stand(self, grey: Grey) -> Stand:
        """Return where the camera stands in a frame: where it is shifted, but not by things that moved together."""
        found = self.shift_of(grey)
        if found.state == "moved" and not self._scene.bears_out(grey, shift_pose(found.shift_xy)):
            return Stand("steady") if self._scene.fits(grey) else Stand("unknown")
        return found

    def pose_in(self, grey: Grey, corners: Corners) -> Pose | None:
        """Return how the scene lies in a frame with these corners: turned, zoomed or shifted; None: not told."""
        if self._still is not None:
            return None
        pose = self._corners.pose_in(corners)
        return pose if pose is not None and self._scene.bears_out(grey, pose) else None


class _Scene:
    """A picture that others of the same size are laid onto."""

    def __init__(self, picture: Grey, still: Fine | None = None) -> None:
        self._scale = 2 if max(picture.shape) >= _FINE else 1
        self._still = None if still is None else _smaller(still, self._scale)
        self._detail = self._of_the_still(_detail(picture, self._scale))
        self._spectrum = _spectrum(self._detail)
        self._structured = _in_blocks(np.abs(self._detail)).mean(axis=1) >= _LEAST_STRUCTURE
        """(B,): which blocks have structure."""

    def shift_of(self, grey: Grey, most: float) -> Stand:
        """Return how far a frame is shifted; beyond `most` pixels the camera has moved."""
        if self._structured.sum() < _LEAST_BLOCKS:
            return Stand("unknown")
        detail = self._of_the_still(_detail(grey, self._scale))
        shift = _correlated(self._spectrum, _spectrum(detail))
        if self._scale * np.hypot(*shift) < _LEAST_SHIFT:
            shift = (0.0, 0.0)
        if not self._fits(detail, shift):
            return Stand("unknown")
        shift = (self._scale * shift[0], self._scale * shift[1])
        far = float(np.hypot(*shift))
        return Stand("steady" if far == 0.0 else "shaken" if far <= most else "moved", shift)

    def fits(self, grey: Grey) -> bool:
        """Tell whether a frame fits as it is."""
        return self._fits(self._of_the_still(_detail(grey, self._scale)), (0.0, 0.0))

    def bears_out(self, grey: Grey, pose: Pose) -> bool:
        """Tell whether most blocks of a frame fit better where a pose says that they lie than where they are.

        Bottles that are taken away together have most of the corners of a plain scene, and are not the scene.
        """
        scaled = pose.copy()
        scaled[:2, 2] /= self._scale
        detail = self._of_the_still(_detail(grey, self._scale))
        there = turned_back(detail, scaled, np.full_like(detail, np.nan))
        known = np.isfinite(there)
        blocks = _in_blocks(known).mean(axis=1) > _KNOWN
        told = blocks & self._structured
        if not told.any():
            return True
        apart = np.abs(np.where(known, there, self._detail) - self._detail), np.abs(detail - self._detail)
        with_it, without = (np.median(_in_blocks(one)[told], axis=1) for one in apart)
        return bool((with_it < without).mean() >= _AGREE)

    def _of_the_still(self, detail: Fine) -> Fine:
        return detail if self._still is None else detail * self._still

    def _fits(self, detail: Fine, shift: tuple[float, float]) -> bool:
        """Tell whether most blocks fit at a shift, and less well beside it."""
        step = _STEP / self._scale
        beside = [(shift[0] + dx, shift[1] + dy) for dx, dy in ((step, 0), (-step, 0), (0, step), (0, -step))]
        here, *there = [self._misfits(detail, one) for one in (shift, *beside)]
        return float((here < _BETTER * np.mean(there, axis=0)).mean()) >= _AGREE

    def _misfits(self, detail: Fine, shift: tuple[float, float]) -> NDArray[np.float64]:
        """Return the median difference of each block with structure, (B,): what passes by covers less than half."""
        apart = np.abs(shifted(detail, (-shift[0], -shift[1]), self._detail) - self._detail)
        return np.asarray(np.median(_in_blocks(apart[::2, ::2])[self._structured], axis=1), np.float64)


class CameraWatch:
    """Follows the camera from frame to frame, also where the scene has left the anchor."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._last: Grey | None = None
        self._pose = STILL

    def follow(self, grey: Grey) -> tuple[Grey, float, bool]:
        """Return the next frame without its shake, how many pixels that was, and whether the camera has moved away."""
        stand = self._anchor.stand(grey)
        last, self._last = self._last, grey
        if stand.state in ("steady", "shaken"):
            self._pose = shift_pose(stand.shift_xy)
            if stand.state == "steady":
                return grey, 0.0, False
            fixed = shifted(grey, (-stand.shift_xy[0], -stand.shift_xy[1]), self._anchor.picture)
            return np.asarray(fixed, np.uint8), float(np.hypot(*stand.shift_xy)), False
        if stand.state == "moved":
            self._pose = shift_pose(stand.shift_xy)
            return grey, 0.0, True
        return self._turned(grey, last)

    def _turned(self, grey: Grey, last: Grey | None) -> tuple[Grey, float, bool]:
        """Follow a frame that no shift explains: by a turn or zoom against the scene, else from the frame before."""
        most = MOST_SHAKE * max(grey.shape)
        corners = Corners(grey)
        pose = self._anchor.pose_in(grey, corners)
        if pose is not None:
            self._pose, far = pose, displacement(pose, grey.shape)
            if _LEAST_SHIFT < far <= most:
                return np.asarray(turned_back(grey, pose, self._anchor.picture), np.uint8), far, False
            return grey, 0.0, far > most
        if last is not None:
            before = _Scene(last)
            step = before.shift_of(grey, most=np.inf)
            way = shift_pose(step.shift_xy) if step.state != "unknown" else Corners(last).pose_in(corners)
            if way is not None and before.bears_out(grey, way):
                self._pose = way @ self._pose
        return grey, 0.0, displacement(self._pose, grey.shape) > most


def make_anchor(frames: Sequence[Grey]) -> Anchor | None:
    """Return the anchor of some frames of a normal clip, uint8 (h, w); None where no scene stands still in them."""
    if len(frames) < 3:
        return None
    middle = frames[len(frames) // 2]
    return _anchor_of(frames, Anchor(middle), None) or _still_anchor(frames)


def _anchor_of(frames: Sequence[Grey], first: Anchor, still: Fine | None) -> Anchor | None:
    """Return the median of the frames that fit a first anchor; None where too few do."""
    fitting = []
    for frame in frames:
        stand = first.shift_of(frame)
        if stand.state in ("steady", "shaken"):
            fitting.append(shifted(frame, (-stand.shift_xy[0], -stand.shift_xy[1]), frame))
    if len(fitting) < _KNOWN * len(frames):
        return None
    return Anchor(np.median(np.stack(fitting), axis=0).astype(np.uint8), still)


def _still_anchor(frames: Sequence[Grey]) -> Anchor | None:
    """Return an anchor of what stands still beside something that moves over most of the picture; None: too little."""
    import cv2

    stack = np.stack([cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.0) for frame in frames])
    median = np.median(stack, axis=0)
    apart = np.median(np.abs(stack - median), axis=0)
    noise = max(_LEAST_STRUCTURE, 2.0 * float(np.percentile(apart, _CALM)))
    calm = cv2.erode((apart <= noise).astype(np.uint8), np.ones((_AROUND, _AROUND), np.uint8))
    if float(calm.mean()) < _LEAST_CALM or not _tells_place(stack, calm.astype(bool)):
        return None
    still = cv2.GaussianBlur(calm.astype(np.float32), (0, 0), 2.0)
    return _anchor_of(frames, Anchor(median.astype(np.uint8), still), still)


def _tells_place(stack: Fine, calm: NDArray[np.bool_]) -> bool:
    """Tell whether what stands still has structure in both directions, more than noise has.

    Rails alone do not tell where they lie along their own direction: a shift found of them is one of the noise. The
    lesser eigenvalue of the structure tensor (Harris & Stephens, Alvey Vision Conf., 1988) is held against the noise.

    Args:
        stack: (n, h, w), smoothed frames.
        calm: (h, w), where nothing moves.
    """
    median: Fine = np.asarray(np.median(stack, axis=0), np.float32)
    down, across = (np.asarray(np.gradient(median, axis=one))[calm] for one in (0, 1))
    mixed = np.mean(down * across)
    tensor = np.array([[np.mean(down**2), mixed], [mixed, np.mean(across**2)]])
    noise = np.mean([np.median(slope**2, axis=0)[calm].mean() for slope in np.gradient(stack - median, axis=(1, 2))])
    return bool(np.linalg.eigvalsh(tensor)[0] > _STANDS_OUT * noise)


def shifted(picture: NDArray[Any], by_xy: tuple[float, float], beside: NDArray[Any]) -> NDArray[Any]:
    """Return a picture moved to the right and down; what comes in from outside is taken from another one."""
    import cv2

    if by_xy == (0.0, 0.0):
        return picture
    moved = np.ascontiguousarray(beside).copy()
    matrix = np.array([[1.0, 0.0, by_xy[0]], [0.0, 1.0, by_xy[1]]])
    size_wh = (picture.shape[1], picture.shape[0])
    cv2.warpAffine(picture, matrix, size_wh, dst=moved, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT)
    return moved


def _spectrum(detail: Fine) -> Spectrum:
    """Return the spectrum of a picture's details, (h, w / 2 + 1), every place of about the same weight.

    Otherwise somebody in dark clothes who walks by would weigh more than the whole ground.
    """
    from scipy.fft import rfft2

    usual = 2.0 * float(np.median(np.abs(detail))) + 1e-6
    rows, columns = detail.shape[0], detail.shape[1] // 2 * 2
    return np.asarray(rfft2(np.clip(detail[:, :columns] / usual, -1.0, 1.0) * _window((rows, columns))), np.complex64)


@lru_cache(maxsize=4)
def _window(shape_hw: tuple[int, int]) -> Fine:
    """Return weights that fall off to the edges, which are no detail of the scene."""
    return np.asarray(np.hanning(shape_hw[0])[:, None] * np.hanning(shape_hw[1]), np.float32)


@lru_cache(maxsize=4)
def _softness(shape_hw: tuple[int, int]) -> Fine:
    """Return the weight of each frequency: that of a Gaussian of `_PEAK` pixels, (h, w / 2 + 1)."""
    down, across = np.meshgrid(np.fft.fftfreq(shape_hw[0]), np.fft.rfftfreq(shape_hw[1]), indexing="ij")
    return np.asarray(np.exp(-2.0 * (np.pi * _PEAK) ** 2 * (down**2 + across**2)), np.float32)


def _correlated(first: Spectrum, second: Spectrum) -> tuple[float, float]:
    """Return the shift in pixels that makes the first spectrum most like the second, to the right and down.

    Their phases alone count, low frequencies most, so that the peak is a Gaussian of `_PEAK` pixels: its place between
    pixels follows from its logarithms.
    """
    from scipy.fft import irfft2

    rows, columns = first.shape[0], 2 * (first.shape[1] - 1)
    cross = second * np.conj(first)
    likeness = irfft2(cross / np.maximum(np.abs(cross), 1e-9) * _softness((rows, columns)), s=(rows, columns))
    row, column = (int(one) for one in np.unravel_index(int(likeness.argmax()), likeness.shape))
    y = row + _between(likeness[(row - 1) % rows, column], likeness[row, column], likeness[(row + 1) % rows, column])
    x = column + _between(
        likeness[row, (column - 1) % columns], likeness[row, column], likeness[row, (column + 1) % columns]
    )
    wrapped = [one - side if one > side / 2 else one for one, side in ((x, columns), (y, rows))]
    return float(wrapped[0]), float(wrapped[1])


def _between(before: float, peak: float, after: float) -> float:
    """Return where a Gaussian has its peak, from its values at -1, 0 and 1."""
    low, middle, high = (float(np.log(max(one, 1e-9))) for one in (before, peak, after))
    bend = low - 2.0 * middle + high
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5))


def _smaller(values: Fine, scale: int) -> Fine:
    import cv2

    if scale == 1:
        return values
    return np.asarray(cv2.resize(values, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA), np.float32)


def _detail(picture: Grey, scale: int) -> Fine:
    """Return a picture, so many times smaller, without its noise and without slow changes of brightness."""
    import cv2

    smooth = cv2.GaussianBlur(_smaller(picture.astype(np.float32), scale), (0, 0), 1.0)
    return np.asarray(smooth - cv2.blur(smooth, (_AROUND, _AROUND)), np.float32)


def _in_blocks(values: Fine) -> Fine:
    """Return the values (h, w) of 4 x 4 blocks, (16, n); a rest at the right and lower edge is left out."""
    high, wide = values.shape[0] // _BLOCKS, values.shape[1] // _BLOCKS
    cut = values[: high * _BLOCKS, : wide * _BLOCKS].reshape(_BLOCKS, high, _BLOCKS, wide)
    return np.ascontiguousarray(cut.transpose(0, 2, 1, 3).reshape(_BLOCKS**2, -1))
