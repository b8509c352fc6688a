"""Planted defects that add, remove or move material: holes, broken edges, burrs, missing and displaced components."""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting.marks import Changed
from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.shapes import blob, rectangle
from vlm_inspect.planting.surface import Pixels, Spot

_WORK_SIDE = 96
"""Longest side in pixels at which a gap is filled from its surround."""


def hole(spot: Spot, generator: np.random.Generator) -> Changed:
    """A pit: dark, or with a bright ground, and a rim that catches the light."""
    opacity = blob(spot, generator, edge_px=0.8, ragged=0.3)
    sign = np.float32(-1.0 if generator.random() < 0.75 else 1.0)
    content = 0.35 * spot.pixels + 0.65 * _surround(spot, opacity) + sign * np.float32(1.2 * spot.amplitude)
    rim = np.roll(opacity, 1, axis=0) - opacity
    return content + np.float32(0.5 * spot.amplitude) * np.maximum(rim, 0)[:, :, None], opacity


def missing_piece(spot: Spot, generator: np.random.Generator) -> Changed:
    """A bite out of the outline: the ground shows where the part should be."""
    import cv2

    opacity = blob(spot, generator, edge_px=0.8, ragged=0.3)
    outside = (~spot.part).astype(np.uint8)
    content = np.broadcast_to(spot.surface.ground, spot.pixels.shape).astype(np.float32)
    if outside.sum() > 20:  # the ground as it is hereabouts, shade included
        near = np.asarray(cv2.mean(spot.pixels, outside)[:3], np.float32)
        spread = float(spot.pixels[outside > 0].std(axis=0).mean())
        grain = generator.normal(0, min(spread, 8.0), (*spot.size_hw, 1)).astype(np.float32)
        content = near + 0.5 * grain
    return np.asarray(content, np.float32), opacity


def burr(spot: Spot, generator: np.random.Generator) -> Changed:
    """Material beyond the outline: the part's own surface, continued."""
    opacity = blob(spot, generator, edge_px=0.8, ragged=0.6)
    inside = spot.part[:, :, None].astype(np.float32)
    mean = (spot.pixels * inside).sum(axis=(0, 1)) / max(float(inside.sum()), 1.0)
    grain = noise_of_grain(spot.size_hw, 3.0, generator)[:, :, None]
    return (mean + np.float32(0.35 * spot.amplitude) * grain).astype(np.float32), opacity * ~spot.part


def missing_component(spot: Spot, generator: np.random.Generator) -> Changed:
    """Where something was, its surround goes on."""
    opacity = rectangle(spot, generator) if generator.random() < 0.6 else blob(spot, generator, ragged=0.2)
    return _surround(spot, opacity), opacity


def displaced_component(spot: Spot, generator: np.random.Generator) -> Changed:
    """A patch moved and turned a little; where it was, its surround goes on.

    Half of the area is where it was, half where it is now, as long as the two do not overlap.
    """
    import cv2

    half = Spot(spot.pixels, spot.part, spot.center_yx, spot.diameter / np.sqrt(2), spot.amplitude, spot.surface)
    origin = rectangle(half, generator)
    angle = float(generator.uniform(0, 2 * np.pi))
    step = half.diameter * float(generator.uniform(0.35, 1.1))
    shift = (float(np.cos(angle)) * step, float(np.sin(angle)) * step)
    turn = cv2.getRotationMatrix2D(spot.center_yx[::-1], float(generator.normal(0, 8)), 1.0)
    turn[:, 2] += shift
    size = spot.size_hw[::-1]
    moved = cv2.warpAffine(spot.pixels, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    there = cv2.warpAffine(origin, turn, size, flags=cv2.INTER_LINEAR)[:, :, None]
    left = _surround(half, origin)
    return np.asarray(left * (1 - there) + moved * there, np.float32), np.maximum(origin, there[:, :, 0])


def _surround(spot: Spot, opacity: NDArray[np.float32]) -> Pixels:
    """Return the window with the surround continued over the shape (Telea, J. Graphics Tools 9(1), 2004), and grain."""
    import cv2

    rows, columns = np.nonzero(opacity > 0.02)
    if not len(rows):
        return spot.pixels.copy()
    margin = max(4, int(0.35 * spot.diameter))
    top, bottom = max(0, int(rows.min()) - margin), min(spot.size_hw[0], int(rows.max()) + margin + 1)
    left, right = max(0, int(columns.min()) - margin), min(spot.size_hw[1], int(columns.max()) + margin + 1)
    cut = np.clip(spot.pixels[top:bottom, left:right], 0, 255).astype(np.uint8)
    gap = (opacity[top:bottom, left:right] > 0.02).astype(np.uint8)
    scale = min(1.0, _WORK_SIDE / max(cut.shape[:2]))
    small = max(4, round(cut.shape[1] * scale)), max(4, round(cut.shape[0] * scale))
    cut_small = cv2.resize(cut, small, interpolation=cv2.INTER_AREA)
    gap_small = cv2.dilate(cv2.resize(gap, small, interpolation=cv2.INTER_NEAREST), np.ones((3, 3), np.uint8))
    filled = cv2.inpaint(cut_small, gap_small, 3, cv2.INPAINT_TELEA).astype(np.float32)
    fine = cv2.resize(filled, cut.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    slow = cv2.GaussianBlur(cut.astype(np.float32), (0, 0), 2.0)
    grain = (cut - slow)[::-1, ::-1] * np.float32(0.7)  # as rough as hereabouts, from elsewhere in the cut
    grain -= grain.mean(axis=(0, 1))
    limit = np.float32(12.0)
    whole = spot.pixels.copy()
    whole[top:bottom, left:right] = fine + np.clip(grain, -limit, limit)
    return whole
