"""Decoded pixels of any type to upright 8-bit RGB: robust range, alpha over white, orientation."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.limits import note

TRANSPARENT = "The opacity (alpha) is 0 everywhere; the colours were taken as opaque."
"""Note of a photo of which nothing would be to be seen."""
_SAMPLE = 2**20
"""Values that the range is estimated from; more add time and nothing else."""

_CHUNK = 2**18
"""Values converted at a time: no second copy of a large image in float64, and they fit the processor's cache."""


@dataclass(frozen=True, eq=False)
class RawPage:
    """Pixels as they were decoded."""

    pixels: NDArray[Any]
    """(H, W) or (H, W, C) of any integer, float or bool type; C is 1 or 2 (grey), 3 or 4 (RGB)."""
    has_alpha: bool = False
    """True where the last channel is opacity: 0 to the type's largest value, or 0 to 1 for floats."""
    white_is_zero: bool = False


def rgb_from(page: RawPage) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB. 8-bit pixels keep their values; others are mapped by `robust_range`.

    One range serves all channels, so that hues survive. NaN becomes black, infinities the ends of the range.
    Transparent pixels are laid over white.
    """
    pixels = page.pixels if page.pixels.ndim == 3 else page.pixels[:, :, None]
    alpha = _opacity(pixels[:, :, -1]) if page.has_alpha else None
    colors = pixels[:, :, :-1] if page.has_alpha else pixels
    colors = to_8bit(colors[:, :, :3] if colors.shape[2] >= 3 else colors[:, :, :1])
    if page.white_is_zero:
        colors = 255 - colors
    rgb = np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors
    return np.ascontiguousarray(rgb if alpha is None else flattened(rgb, alpha))


def to_8bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map values of any type to 0..255, keeping the shape; integers that all lie in 0..255 are left as they are."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind in "iu" and (values.dtype == np.uint8 or (values.min() >= 0 and values.max() <= 255)):
        return values.astype(np.uint8)
    low, high = robust_range(values)
    if low == high:
        return np.full(values.shape, _constant_level(low, values.dtype), np.uint8)
    return _stretch(values, low, high)


def robust_range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become black and white.

    The 0.1 and 99.9 percentiles of the finite values, so that a few hot pixels do not turn the rest black; the true
    ends where they are not far away (nothing is clipped then). Both are moved outwards to a multiple of a power of two,
    so that two pictures of one scene get the same range although their noise differs; that costs at most an eighth of
    the contrast. Equal for a constant image.
    """
    flat = values.reshape(-1)
    if flat.size > _SAMPLE:
        flat = flat[np.random.default_rng(0).integers(0, flat.size, _SAMPLE)]
    finite = np.clip(flat[np.isfinite(flat)].astype(np.float64), -1e300, 1e300)
    if not finite.size:
        return 0.0, 0.0
    least, most = float(finite.min()), float(finite.max())
    low, high = (float(edge) for edge in np.percentile(finite, [0.1, 99.9]))
    if low >= high or most - least <= 1.5 * (high - low):
        low, high = least, most
    step = math.ldexp(1.0, math.frexp(high - low)[1] - 5) if high > low else 0.0
    return (math.floor(low / step) * step, math.ceil(high / step) * step) if step else (low, high)


def flattened(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours (H, W, 3) without their alpha channel (H, W): laid over white.

    Opacity 0 everywhere is a channel that the writer never filled (32-bit BMP and TGA of frame grabbers): the colours
    count, and the reader says so.
    """
    if alpha.any():
        return over_white(rgb, alpha)
    note(TRANSPARENT)
    return np.ascontiguousarray(rgb)


def over_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay (H, W, 3) uint8 colours with (H, W) uint8 opacity over white: a c + (1 - a) 255, rounded."""
    out = np.empty(rgb.shape, np.uint8)
    rows = max(1, _CHUNK // max(1, rgb[:1].size))
    for start in range(0, len(rgb), rows):
        part = slice(start, start + rows)
        opacity = alpha[part, :, None].astype(np.uint16)
        out[part] = (rgb[part] * opacity + (255 - opacity) * np.uint16(255) + 127) // 255
    return out


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn (H, W, C) pixels as the EXIF / TIFF orientation (1 to 8) says; any other number changes nothing."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _opacity(alpha: NDArray[Any]) -> NDArray[np.uint8]:
    full = float(np.iinfo(alpha.dtype).max) if alpha.dtype.kind in "iu" else 1.0
    return _stretch(alpha, 0.0, full)


def _constant_level(value: float, dtype: np.dtype[Any]) -> int:
    """Grey level of an image that is one value everywhere: its share of the type's range, or of 0 to 1 for floats."""
    full = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
    return round(255 * min(max(value / full, 0.0), 1.0))


def _stretch(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    out = np.empty(values.shape, np.uint8)
    rows = max(1, _CHUNK // max(1, values[:1].size))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), rows):
            share = (values[start : start + rows].astype(np.float64) - low) / (high - low)
            share[np.isnan(share)] = 0.0
            out[start : start + rows] = np.rint(np.clip(share, 0.0, 1.0) * 255)
    return out
