"""Organised scans, a grid of pixels as MVTec 3D-AD has: the plane under the part, and the photo of its pixels.

A sensor that looks down on a part sees what it lies on, too. That plane says nothing of the part, fills most of the
picture, and tells a registration nothing either. It is found where the picture ends: Bergmann et al., "The MVTec 3D-AD
dataset" (VISAPP 2022), place every part in the middle of the field of view.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.decoding import decode_pages
from converters.errors import ConversionError
from converters.limits import note

_BORDER = 0.06
"""Share of the longer side of what the sensor saw that counts as its border."""
_FEWEST, _TRIPLES = 60, 200
_ON_PLANE = 0.75
"""Least share of the border's points that lie on a background plane."""
_THICK = 0.01
"""How far a point of the plane may lie off it, as a share of the extent of the border's points; less where it is
smooth: six robust standard deviations."""
_LEAST_PART, _LEAST_STEP = 0.03, 2.0
"""A part is at least this share of all points, and ends in a step of so many times what the plane is thick: a sheet
that fills the picture and rises in a smooth bump is a part itself."""
_SENSOR, _HIGH = 0.4, 10.0
"""Depth of the middle of a scan, as a share of its extent, below which the sensor is not at the origin (a camera that
sees 60 degrees has 0.9); it is taken to be so many extents above then."""
_SPECK = 0.02
"""Connected pieces smaller than this share of the part's pixels are specks of the background."""

Bools = NDArray[np.bool_]


def sensor_of(points: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return where the sensor of an organised scan (N, 3) is: at the origin, or high above a map of heights.

    Cameras measure from themselves. Where z lies about 0, as on a table that heights are measured from, it points up.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    extent, middle = float(np.linalg.norm(high - low)), np.median(points, axis=0)
    if abs(middle[2]) >= _SENSOR * extent:
        return 0.0, 0.0, 0.0
    return float(middle[0]), float(middle[1]), float(middle[2]) + _HIGH * extent


def without_background(
    points: NDArray[np.float64], known: Bools, size_hw: tuple[int, int], sensor: tuple[float, float, float]
) -> Bools:
    """Return which pixels (H * W,) of an organised scan show the part; all known ones where it lies on no plane.

    Args:
        points: (H * W, 3) in raster order.
        known: (H * W,) which pixels have a point.
        size_hw: of the picture.
        sensor: where it is; see `sensor_of`.
    """
    border = _border(known.reshape(size_hw)).ravel()
    ends = points[known & border]
    if len(ends) < _FEWEST:
        return known
    plane = _plane(ends, np.asarray(sensor))
    if plane is None:
        return known
    normal, offset, thick = plane
    above = points @ normal - offset
    part = known & (above > thick)
    share = part.sum() / known.sum()
    if share < _LEAST_PART or (part & border).sum() > _SPECK * border.sum():
        return known
    shown = _without_specks(part.reshape(size_hw))
    outline = shown & ~_eroded(shown)
    if np.median(above.reshape(size_hw)[outline]) < _LEAST_STEP * thick:
        return known
    part = shown.ravel()
    note(f"The plane behind the part, {100 * (1.0 - part.sum() / known.sum()):.0f} % of the points, was left out.")
    return part


def _border(known: Bools) -> Bools:
    """Return the pixels (H, W) near the end of what a sensor saw: many pictures have a frame without any point."""
    import cv2

    seen = _between(known) & _between(known.T).T
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    reach = max(1, round(_BORDER * max(np.ptp(rows), np.ptp(columns))))
    framed = np.pad(seen.astype(np.uint8), 1)
    inner = cv2.erode(framed, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8), borderValue=0)[1:-1, 1:-1]
    return np.asarray(seen & (inner == 0))


def _between(known: Bools) -> Bools:
    """Return the pixels from the first to the last known one of each row: a shadow within is no end."""
    before = np.maximum.accumulate(known, axis=1)
    after = np.maximum.accumulate(known[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(before & after)


def check_pixels(path: Path, points: NDArray[np.float64]) -> None:
    """Refuse an organised scan of which no pixel saw anything, or whose pixels lack a coordinate.

    Args:
        path: of the scan.
        points: (N, 3), finite, of the pixels that are not (0, 0, 0).

    Raises:
        ConversionError: there is none, or one coordinate is 0 in all of them.
    """
    if not len(points):
        raise ConversionError(
            f"{path}: holds no point: every pixel is 0 or no number, so the sensor saw nothing: scan the part again "
            "(if it is a photo, say --as image)"
        )
    empty = [axis for axis, values in zip("xyz", points.T, strict=True) if not values.any()]
    if empty:
        raise ConversionError(
            f"{path}: holds no {' and no '.join(empty)}: that channel is 0 in every pixel: export the scan again with "
            "x, y and z"
        )


def photo_colors(path: Path, size_hw: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Return the colours (H * W, 3) of `../rgb/NAME.png` beside a scan `xyz/NAME.tiff`; None where there is none.

    Pixel by pixel: the photo of MVTec 3D-AD is registered to the scan. One of another size, or that cannot be read, is
    noted and left out.
    """
    photo = path.parent.parent / "rgb" / f"{path.stem}.png"
    if path.parent.name != "xyz" or not photo.is_file():
        return None
    try:
        page = decode_pages(photo)[0]
    except ConversionError as error:
        note(f"The photo of the scan was not used: {error}")
        return None
    if page.shape[:2] != size_hw:
        wide = "x".join(str(side) for side in page.shape[1::-1])
        note(f"The photo rgb/{photo.name} of {wide} pixels was not used: the scan has {size_hw[1]}x{size_hw[0]}.")
        return None
    note(f"The points have the colours of rgb/{photo.name}.")
    return page.reshape(-1, 3)


def _plane(ends: NDArray[np.float64], sensor: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float] | None:
    """Return a normal towards the sensor, its offset, and how far the plane's points lie off it; None: no plane."""
    rough = _THICK * float(np.linalg.norm(np.ptp(ends, axis=0)))
    triple = ends[np.random.default_rng(0).integers(0, len(ends), (_TRIPLES, 3))]
    normals = np.cross(triple[:, 1] - triple[:, 0], triple[:, 2] - triple[:, 0])
    long = np.linalg.norm(normals, axis=1)
    normals, triple = normals[long > 0.0] / long[long > 0.0, None], triple[long > 0.0]
    some = ends[:: max(1, len(ends) // 2_000)]
    if not len(triple):
        return None
    off = np.abs(some @ normals.T - np.einsum("kj,kj->k", normals, triple[:, 0]))
    best = int((off < rough).sum(axis=0).argmax())
    on = np.abs((ends - triple[best, 0]) @ normals[best]) < rough
    if on.mean() < _ON_PLANE:
        return None
    middle = ends[on].mean(axis=0)
    normal = np.linalg.svd(ends[on] - middle, full_matrices=False)[2][2]
    offset = float(normal @ middle)
    if normal @ sensor < offset:  # the sensor is on the positive side
        normal, offset = -normal, -offset
    spread = 1.4826 * float(np.median(np.abs(ends[on] @ normal - offset)))
    return normal, offset, min(rough, max(6.0 * spread, 0.1 * rough))


def _eroded(part: Bools) -> Bools:
    import cv2

    return np.asarray(cv2.erode(part.astype(np.uint8), np.ones((3, 3), np.uint8)), dtype=bool)


def _without_specks(part: Bools) -> Bools:
    """Return the pixels (H, W) of large connected pieces."""
    import cv2

    count, labels = cv2.connectedComponents(part.astype(np.uint8), connectivity=8)
    sizes = np.bincount(labels.ravel(), minlength=count)
    kept = sizes >= _SPECK * part.sum()
    kept[0] = False
    return np.asarray(kept[labels])
