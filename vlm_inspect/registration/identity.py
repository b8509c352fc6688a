"""Whether a scan shows the part of its reference at all, and if not, what it shows instead.

Asked only of a scan that deviates grossly, since each answer costs an alignment: in another unit, mirrored, several
parts in one scan, a piece of the part, or another part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.registration.alignment import Alignment, agreement, align
from vlm_inspect.registration.connected import large_pieces
from vlm_inspect.registration.levels import Levels, levels
from vlm_inspect.registration.surface import Points, Surface

_MIRROR_IMAGE: Final = (
    "The scan is a mirror image of the reference: check the handedness of its axes, or that it is the part."
)
_UNITS: Final[dict[float, str]] = {
    1 / 25.4: "inches where the reference is in millimetres",
    25.4: "millimetres where the reference is in inches",
    1e-3: "metres where the reference is in millimetres",
    1e3: "millimetres where the reference is in metres",
    0.1: "centimetres where the reference is in millimetres",
    10.0: "millimetres where the reference is in centimetres",
}
"""Size of a scan over that of its reference, and what its unit then seems to be."""
_SAME_SIZE = 0.06
"""How far a ratio of sizes may be from that of two units."""
_FITS, _PIECE = 0.93, 0.9
"""Overlap from which two scans show one part; below the second of the reference's, a piece of it."""
_MIRRORED = 0.75
"""RMS distance of the mirror image over that of the scan itself, below which the scan is mirrored."""
_MIRROR_SIZE = 0.1
"""How far the size of a mirror image may be from that of the part."""
_BESIDE = 0.1
"""Share of a scan off a reference that it shows whole from which it shows something else, too,"""
_ON = 0.2
"""Point spacings that half of what a scan and its reference share lies off the other at most: more is another part."""
_TWICE = 0.3
"""and from which that may be the part once more."""
_ROUGHLY, _SMALLER = 0.03, 0.6
"""How far, in shares of its size, a piece without a shape of its own may lie off, and what it covers at most."""
_STRANGE, _STRANGE_SIZE = 0.5, 0.1
"""Share of the surfaces below which, and change of the size from which, no deviation is told: a bent part, which lies
off its reference as widely, keeps its size."""
_NEAR, _OTHER = 0.01, 0.85
"""Two scans of one part lie within this share of its size of each other, over at least this share of their surface."""

Shown = Literal["part", "piece", "other part", "mirror image", "several parts", "other unit", "other clock"]
"""What a scan shows: the part or what may be taken for it, a piece of it, another part, or what cannot be compared
with it at all; the last is of curves, with their time in another unit."""
SHOWN: Final[tuple[Shown, ...]] = get_args(Shown)
INCOMPARABLE: Final[frozenset[Shown]] = frozenset({"mirror image", "several parts", "other unit", "other clock"})


@dataclass(frozen=True)
class Mismatch:
    """What is amiss with a scan as a scan of the part."""

    said: str
    """As sentences."""
    shows: Shown = "part"


def other_unit(scan: Surface, fixed: Levels) -> Mismatch | None:
    """Return in which other unit than its reference a scan seems to be; None: in the same.

    Args:
        scan: its surface.
        fixed: a sound part.
    """
    ratio = size_of(scan.points) / size_of(fixed.dense.points)
    for unit_ratio, said in _UNITS.items():
        if abs(ratio / unit_ratio - 1.0) < _SAME_SIZE and fits(align(scan.points / unit_ratio, fixed, pieces=False)):
            told = f"The scan seems to be in {said}: its size is {ratio:.3g} of the reference's. Convert it."
            return Mismatch(told, "other unit")
    return None


def told_several(count: int, alike: int) -> Mismatch:
    """Return what is said of a scan of so many parts, of which some are like the reference."""
    others = "" if alike == count else f", {alike} of them like the reference"
    return Mismatch(f"The scan shows {count} separate parts{others}: give one scan for each.", "several parts")


def mismatch(scan: Surface, reference: Surface, *, share: float | None = None) -> Mismatch | None:
    """Return what a scan shows instead of the part of its reference; None: it shows that part.

    Args:
        scan: its surface, laid onto the reference as well as it goes.
        reference: that of a sound part.
        share: of the part that the scan shows, in (0, 1), where that was measured; None: it is estimated.
    """
    fixed = levels(reference.points)
    if (unit := other_unit(scan, fixed)) is not None:
        return unit
    ratio = size_of(scan.points) / size_of(reference.points)
    found = agreement(scan.points, fixed)
    if (mirrored := _mirrored(scan, found, fixed)) is not None:
        return mirrored
    pieces = large_pieces(scan)
    if len(pieces) > 1 and (count := _alike(scan, pieces, fixed)):
        return told_several(len(pieces), count)
    covered = 100 * (found.fixed_overlap if share is None else share)
    spacing = max(scan.spacing, reference.spacing)
    reach = max(_NEAR * _extent(scan), 2.0 * spacing)
    off = reference.distances(scan.smoothed)
    if (off < reach).mean() >= _FITS and np.median(off) < _ON * spacing and found.fixed_overlap < _PIECE:
        return Mismatch(f"The scan shows a piece of the reference, about {covered:.0f} % of its surface.", "piece")
    beside = np.flatnonzero(off > 2.0 * reach)
    close = max(_NEAR * fixed.size, 2.0 * spacing)
    there = scan.distances(reference.smoothed)
    all_there = (there < close).mean() >= _FITS and np.median(there) < _ON * spacing
    if len(beside) > _BESIDE * len(off) and all_there:
        return _with_more(scan, beside, fixed)
    if (off < _ROUGHLY * _extent(scan)).mean() >= _FITS and found.fixed_overlap < _SMALLER:
        said = (
            f"The scan covers about {covered:.0f} % of the reference and lies on it only roughly: it "
            "shows a piece of the part, or another part."
        )
        return Mismatch(said, "piece")
    near = _near(scan, reference, close)
    if near >= _OTHER:
        return None
    size = "" if abs(ratio - 1.0) < 0.05 else f", and it is {ratio:.2f} times as large"
    return Mismatch(
        f"This does not seem to be the part of the reference: only {100 * near:.0f} % of the two surfaces lie within "
        f"{100 * _NEAR:.0f} % of the part's size of each other{size}.",
        "other part" if near < _STRANGE and abs(ratio - 1.0) > _STRANGE_SIZE else "part",
    )


def _with_more(scan: Surface, beside: NDArray[np.intp], fixed: Levels) -> Mismatch:
    """Return what a scan shows that has all of the part, and more planes beside it (K,)."""
    if len(beside) > _TWICE * len(scan.points) and align(scan.points[beside], fixed, pieces=False).overlap >= _FITS:
        return Mismatch("The scan shows the part of the reference twice: give one scan for each.", "several parts")
    share = 100 * len(beside) / len(scan.points)
    return Mismatch(
        f"The scan shows the part of the reference and something beside it, {share:.0f} % of the scan: scan the part "
        "alone, or cut the rest away."
    )


def _near(scan: Surface, reference: Surface, reach: float) -> float:
    """Return the share of points that lie that near to the other surface, of the way that has fewer."""
    ways = reference.distances(scan.smoothed), scan.distances(reference.smoothed)
    return float(min((way < reach).mean() for way in ways))


def looks_mirrored(references: Sequence[Surface]) -> bool:
    """Return whether a mirrored scan of a part looks as its scans do: nobody could tell it by its shape.

    So it is of a part that is its own mirror image, and of one whose handedness its scans are too coarse to show.

    Args:
        references: sound parts in one frame, at least one.
    """
    one, other = references[0].points, references[-1].points
    if len(references) == 1:  # its halves differ as two scans of the part do that are half as fine
        one, other = one[::2], one[1::2]
    fixed = levels(one)
    mirrored = align(other * [1.0, 1.0, -1.0], fixed, pieces=False)
    return agreement(other, fixed).rms_mm >= _MIRRORED * mirrored.rms_mm


def mirror_image(scan: Surface, reference: Surface) -> Mismatch | None:
    """Return that a scan, laid onto its reference as well as it goes, is a mirror image; None: it is not."""
    fixed = levels(reference.points)
    return _mirrored(scan, agreement(scan.points, fixed), fixed)


def _mirrored(scan: Surface, found: Alignment, fixed: Levels) -> Mismatch | None:
    if abs(size_of(scan.points) / size_of(fixed.dense.points) - 1.0) > _MIRROR_SIZE:
        return None
    mirror = align(scan.points * [1.0, 1.0, -1.0], fixed, pieces=False)
    mirrored = fits(mirror) and mirror.rms_mm < _MIRRORED * found.rms_mm
    return Mismatch(_MIRROR_IMAGE, "mirror image") if mirrored else None


def _alike(scan: Surface, pieces: list[NDArray[np.intp]], fixed: Levels) -> int:
    return sum(fits(align(scan.points[piece], fixed, pieces=False)) for piece in pieces)


def fits(found: Alignment) -> bool:
    """Whether two scans show one part, by how they lie on each other."""
    return found.moving_overlap >= _FITS and found.fixed_overlap >= _FITS


def _extent(scan: Surface) -> float:
    return float(np.linalg.norm(np.ptp(scan.points, axis=0)))


def size_of(points: Points) -> float:
    """Return the RMS distance of points from their middle, which strays hardly change and no pose does."""
    return float(np.sqrt(((points - np.median(points, axis=0)) ** 2).sum(axis=1).mean()))
