"""What stands out from the plain background beside the part.

The memory compares what lies on the part: background is no defect, and a part may lie anywhere on it. So a chip, a
second part or a tool beside the part has to be seen by itself. Every place of the background is held against what is
around it (a difference of Gaussians, so that a vignette or a slow shade is nothing), twice: finely, and coarsely where
shades of the part end. The more a place lies beside the part, the less shadow and glare of it the references show
there, so every distance has a bound of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn
from vlm_inspect.localization.foreground import fit_background
from vlm_inspect.localization.whole_part.looking import Look

_DISTANCES = (0.012, 0.04, 0.08, 0.15)
"""Where the zones of the background begin, as distances from the part in longer sides of the photo. Nearer, it is the
part's own blurred outline."""
_SMOOTH = 1.0
"""Gaussian width in pixels of what is looked at: dust of one pixel is nothing."""
_AROUND = (10.0, 30.0)
"""Gaussian widths of what is around it, finely and coarsely."""
_LEAST = (12.0, 11.0)
"""CIELAB differences up to which nothing is said, likewise. The most on the training pictures of hazelnuts and screws,
dust, fibres and the dark underside of a nut included, are 18 finely close to the part, 8 from 0.15 of the side on, and
10.5 coarsely."""
_BEYOND = 1.5
"""How many times as strong as in any reference something has to be, likewise."""
_SHADE = 6.0
"""CIELAB difference from the background that still belongs to the part where it reaches up to it: its dark side, its
shadow and its glare."""
_THIN = 3
"""The colour of the background is fitted through every third pixel of every third row, to save time."""
_PIECES = 0.03
"""Share of what stands on the background that may be no part of the largest piece, in every reference: else pieces of
the part may lie apart."""
_AT_PART = 0.016
"""Distance, in longer sides of the photo, from where every reference shows the part, up to which a place is of the
part: what a bite out of its rim leaves of it stands apart."""
_HALF = 0.5
"""A foreign thing reaches as far as it is half as strong as at its strongest."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The background of one photo."""

    strength: NDArray[np.float32]
    """(2, H, W): CIELAB difference of every place from what is around it, finely and coarsely; 0 on the part."""
    zone: NDArray[np.int8]
    """(2, H, W): by its distance from the part, from 0 for the nearest; -1 on the part."""

    @property
    def most(self) -> NDArray[np.float64]:
        """(2, zones): strongest difference in a zone; 0 where there is none of it."""
        zones = range(len(_DISTANCES))
        return np.array(
            [[float(s[z == k].max(initial=0.0)) for k in zones] for s, z in zip(self.strength, self.zone, strict=True)]
        )


def surroundings_of(look: Look, *, in_pieces: bool = False) -> Surroundings | None:
    """Look at the background of a photo; None where it is not plain, or shows no part.

    Args:
        look: the photo.
        in_pieces: whether parts of the class lie there in several pieces, so that no piece is foreign.
    """
    import cv2

    if look.part is None:
        return None
    part = look.part | look.rest if in_pieces else look.part
    far = cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 5) / look.side
    shaded = _with_shade(look, part, far)
    far_from_shade = cv2.distanceTransform((~shaded).astype(np.uint8), cv2.DIST_L2, 5) / look.side
    zones = [np.digitize(away, _DISTANCES).astype(np.int8) - 1 for away in (far, far_from_shade)]
    strength = [_unlike_around(look.lab, zone >= 0, width) for zone, width in zip(zones, _AROUND, strict=True)]
    return Surroundings(np.stack(strength), np.stack(zones))


def is_in_pieces(looks: Sequence[Look]) -> bool:
    """Tell whether parts of a class, by its references, may lie on the background in several pieces."""
    return any(look.in_pieces > _PIECES for look in looks)


def bounds_of(references: Sequence[Surroundings]) -> NDArray[np.float64]:
    """Return the strongest difference, (2, zones), that is still usual; no zone has less than one further off."""
    most = np.max([one.most for one in references], axis=0)
    nearer = np.maximum.accumulate(most[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.maximum(_BEYOND * nearer, np.array(_LEAST)[:, None]))


def place_of(looks: Sequence[Look]) -> NDArray[np.bool_] | None:
    """Return where every reference shows the part, (H, W); None where photos have several sizes, or one shows none."""
    parts = [look.part for look in looks if look.part is not None]
    if len(parts) < len(looks) or len({part.shape for part in parts}) != 1:
        return None
    return np.asarray(np.logical_and.reduce(parts))


def at_place(look: Look, place: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Return what is no place beside the part, (H, W); None where this part lies elsewhere than its references."""
    import cv2

    if place is None or look.part is None or look.part.shape != place.shape or not place.any():
        return None
    if (look.part & place).sum() < _HALF * place.sum():
        return None
    away = cv2.distanceTransform((~place).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away <= _AT_PART * look.side)


def foreign_boxes(
    seen: Surroundings, bounds: NDArray[np.float64], at_part: NDArray[np.bool_] | None = None
) -> list[tuple[BoxXyxyn, float]]:
    """Return where something stands out, the strongest first, each with how many times its bound it is.

    Args:
        seen: the background of the photo.
        bounds: see `bounds_of`.
        at_part: (H, W), where the part usually is; what lies there for the most is not beside it.
    """
    import cv2

    _, height, width = seen.strength.shape
    over = np.zeros((height, width))
    for strength, zone, bound in zip(seen.strength, seen.zone, bounds, strict=True):
        over = np.maximum(over, np.where(zone >= 0, strength / bound[np.maximum(zone, 0)], 0.0))
    found: list[tuple[BoxXyxyn, float]] = []
    _, labels = cv2.connectedComponents((over > 1.0).astype(np.uint8), connectivity=8)
    while (strongest := float(over.max())) > 1.0:
        peak_y, peak_x = divmod(int(over.argmax()), width)
        around = over * (labels == labels[peak_y, peak_x])
        over = np.where(around > 0, 0.0, over)
        if at_part is not None and at_part[around > 0].mean() > _HALF:
            continue
        y, x = np.nonzero(around >= max(1.0, _HALF * strongest))  # further out, it is what is around that differs
        left, top = max(int(x.min()) - 1, 0), max(int(y.min()) - 1, 0)
        right, bottom = min(int(x.max()) + 2, width), min(int(y.max()) + 2, height)
        found.append(((left / width, top / height, right / width, bottom / height), strongest))
    return found


def _with_shade(look: Look, part: NDArray[np.bool_], far: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the part with what differs from the background and reaches up to it."""
    import cv2

    shown = np.zeros(part.shape, bool)
    shown[::_THIN, ::_THIN] = far[::_THIN, ::_THIN] > _DISTANCES[1]
    background = fit_background(look.lab, shown)
    if background is None:
        return part
    off = np.linalg.norm(cv2.GaussianBlur(look.lab - background, (0, 0), _SMOOTH), axis=2)
    _, labels = cv2.connectedComponents(((off > _SHADE) | (far < _DISTANCES[0])).astype(np.uint8), connectivity=8)
    own = np.unique(labels[part])
    return np.isin(labels, own[own > 0])


def _unlike_around(lab: NDArray[np.float32], counted: NDArray[np.bool_], width: float) -> NDArray[np.float32]:
    """Return the CIELAB difference of every counted place from what is counted around it, (H, W)."""
    near, far = (_mean_of(lab, counted, sigma) for sigma in (_SMOOTH, width))
    unlike: NDArray[np.float32] = np.linalg.norm(near - far, axis=2).astype(np.float32)
    unlike[~counted] = 0.0
    return unlike


def _mean_of(lab: NDArray[np.float32], counted: NDArray[np.bool_], sigma: float) -> NDArray[np.float32]:
    """Return the mean colour of what is counted around every place, with Gaussian weights."""
    import cv2

    weights = cv2.GaussianBlur(counted.astype(np.float32), (0, 0), sigma)
    total = cv2.GaussianBlur(lab * counted[..., None], (0, 0), sigma)
    return np.asarray(total / np.maximum(weights, 1e-3)[..., None])
