"""`plant`: one defect of a stated kind, size and strength on a normal picture.

The planted kinds stand in for real ones: nobody has seen the defects that a class will have. They differ in what
changes (surface, shape, material, place), in size and in contrast, from hardly visible to strong. Everything comes
from the `Generator` that is handed in: equal generators, equal defects.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting import marks, material
from vlm_inspect.planting.design import STRUCTURE, UNEVEN, WHOLE_KINDS
from vlm_inspect.planting.marks import Changed
from vlm_inspect.planting.structure import has_grain, structure
from vlm_inspect.planting.surface import Mask, Spot, Surface, choose_component, choose_place, window_around
from vlm_inspect.planting.uneven import uneven

_VISIBLE = 6.0
"""Grey levels in the most changed channel from which on a pixel has changed."""
_LEAST_SHARE = 0.3
"""Least share of the area asked for that has to change."""
_LEAST_MEAN = 14.0
"""Likewise on the mean of the pixels that changed: fainter, it would be no defect to anybody."""
_LEAST_MEAN_OF_STRUCTURE = 8.0
"""Likewise of another structure: the grain of many surfaces is itself no stronger, and it is all over the part."""
_LEAST_PIXELS = 3
_TRIES = 6

Kind = Callable[[Spot, np.random.Generator], Changed]
SURFACE_KINDS: dict[str, Kind] = {
    "scratch": marks.scratch,
    "crack": marks.crack,
    "stain": marks.stain,
    "contamination": marks.contamination,
    "discolouration": marks.discolouration,
    "dent": marks.dent,
    "deformation": marks.deformation,
    "wear": marks.wear,
    "hole": material.hole,
    "missing component": material.missing_component,
    "displaced component": material.displaced_component,
}
COMPONENT_KINDS = ("missing component", "displaced component", "deformation", "wear")
"""Kinds that need something there."""
OUTLINE_KINDS: dict[str, Kind] = {"missing piece": material.missing_piece, "burr": material.burr}
"""Kinds that need an outline."""
KINDS = {**SURFACE_KINDS, **OUTLINE_KINDS, UNEVEN: uneven, STRUCTURE: structure}


@dataclass(frozen=True, eq=False)
class Planted:
    """A picture with one planted defect."""

    picture: NDArray[np.uint8]
    """uint8, HWC, RGB."""
    mask: Mask
    """(H, W): the pixels that changed."""
    kind: str
    contrast: float
    """The strength asked for, a share of the picture's own range of values, in (0, 1]."""
    size_px: float
    """Diameter of the disc of the changed area, in pixels."""
    size: float
    """The same as a share of the part's longer side."""


def kinds_for(surface: Surface) -> tuple[str, ...]:
    """Return the kinds that a surface can have: one without outline has no burr, a plain one no components, a smooth
    one no structure that could be another."""
    kinds = (*SURFACE_KINDS, *(OUTLINE_KINDS if surface.outlined else ()), UNEVEN)
    kinds = tuple(kind for kind in kinds if kind not in COMPONENT_KINDS or surface.structured)
    return (*kinds, STRUCTURE) if has_grain(surface) else kinds


def plant(surface: Surface, kind: str, size: float, contrast: float, generator: np.random.Generator) -> Planted:
    """Put one defect on a normal picture.

    Args:
        surface: the picture, from `see_surface`.
        kind: one of `kinds_for(surface)`.
        size: diameter of the disc of equal area, as a share of the part's longer side, in (0, 1]; a change of the whole
            surface ends where the part does.
        contrast: strength as a share of the picture's own range of values, in (0, 1].
        generator: source of every choice.

    Returns:
        The picture with its defect. Its measured size differs a little from the one asked for: a defect that reaches
        beyond the part is cut there, and of a weak one on a lively surface not every pixel changes.

    Raises:
        ValueError: an unknown kind, or a size or contrast out of range.
    """
    if kind not in KINDS or not 0 < size <= 1 or not 0 < contrast <= 1:
        raise ValueError(f"cannot plant {kind!r} of size {size!r} and contrast {contrast!r}")
    diameter = max(size * surface.longer_side_px, 2 * math.sqrt(_LEAST_PIXELS / math.pi))
    if kind in WHOLE_KINDS:
        diameter = min(diameter, 2 * math.sqrt(float(surface.part.sum()) / math.pi))
    changed: NDArray[np.uint8] | None = None
    mask = np.zeros(surface.part.shape, bool)
    for attempt in range(_TRIES):  # a place where nothing shows is no defect: stronger, elsewhere
        strength = min(1.0, contrast * (1 + attempt / 3))
        draw = _try_on_small if kind in WHOLE_KINDS else _try
        changed, mask = draw(surface, kind, diameter, strength * surface.range, generator)
        if mask.sum() >= max(_LEAST_PIXELS, _LEAST_SHARE * math.pi * diameter**2 / 4):
            break
    else:
        changed, mask = _invert(surface, diameter, generator)
    size_px = 2 * math.sqrt(float(mask.sum()) / math.pi)
    return Planted(changed, mask, kind, contrast, size_px, size_px / surface.longer_side_px)


def _try(
    surface: Surface, kind: str, diameter: float, amplitude: float, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], Mask]:
    if kind in COMPONENT_KINDS:
        place = choose_component(surface, diameter, generator)
    else:
        place = choose_place(surface, generator, on_outline=kind in OUTLINE_KINDS)
    rows, columns = (slice(None), slice(None)) if kind in WHOLE_KINDS else window_around(surface, place, diameter)
    part = surface.part[rows, columns]
    center = place[0] - (rows.start or 0) + 0.5, place[1] - (columns.start or 0) + 0.5
    pixels = surface.picture[rows, columns].astype(np.float32)
    content, opacity = KINDS[kind](Spot(pixels, part, center, diameter, amplitude, surface), generator)
    if kind != "burr":
        opacity = opacity * part
    blended = pixels + opacity[:, :, None] * (np.clip(content, 0, 255) - pixels)
    after = np.rint(blended).astype(np.uint8)
    moved = np.abs(after.astype(np.float32) - pixels)
    difference = np.maximum(np.maximum(moved[:, :, 0], moved[:, :, 1]), moved[:, :, 2])  # as max(axis=2), but soon
    picture = surface.picture.copy()
    picture[rows, columns] = after
    changed = (difference >= _VISIBLE) & (opacity > 0)
    mask = np.zeros(surface.part.shape, bool)
    least = _LEAST_MEAN_OF_STRUCTURE if kind == STRUCTURE else _LEAST_MEAN
    if changed.any() and float(difference[changed].mean()) >= least:
        mask[rows, columns] = changed
    return picture, mask


def _try_on_small(
    surface: Surface, kind: str, diameter: float, amplitude: float, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], Mask]:
    """Draw what changes a large part of the surface on fewer pixels, and add the change, enlarged, to the picture."""
    import cv2

    small = surface.small
    shrink = small.longer_side_px / surface.longer_side_px
    picture, mask = _try(small, kind, shrink * diameter, amplitude, generator)
    if small is surface:
        return picture, mask
    size_wh = surface.part.shape[::-1]
    change = cv2.resize(picture.astype(np.int16) - small.picture, size_wh, interpolation=cv2.INTER_LINEAR)
    change[~surface.part] = 0
    changed = cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST).astype(bool)
    return np.asarray(cv2.add(surface.picture, change, dtype=cv2.CV_8U), np.uint8), changed & surface.part


def _invert(surface: Surface, diameter: float, generator: np.random.Generator) -> tuple[NDArray[np.uint8], Mask]:
    """Return a disc in which every value moves by half the range: visible on any picture."""
    row, column = choose_place(surface, generator)
    y, x = np.ogrid[: surface.part.shape[0], : surface.part.shape[1]]
    disc = ((y - row) ** 2 + (x - column) ** 2 <= max(1.0, diameter / 2) ** 2) & surface.part
    moved = (surface.picture.astype(np.int16) + 128) % 256
    return np.where(disc[:, :, None], moved, surface.picture).astype(np.uint8), np.asarray(disc)
