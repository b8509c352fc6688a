"""The smallest defect that matters, as a rule book states it: `1.0` in its unit, or `3 %` of the part's longer side."""

import math
from dataclasses import dataclass

from vlm_inspect.errors import ReferenceSampleError


@dataclass(frozen=True)
class SmallestDefect:
    """A size: the diameter of the disc of equal area."""

    value: float
    in_per_cent: bool
    """Of the part's longer side (of a curve, of its length); else in the unit of the scan, or in seconds."""

    def __str__(self) -> str:
        return f"{self.value:g} %" if self.in_per_cent else f"{self.value:g}"

    def as_share(self, unit_per_share: float | None) -> float:
        """Return the size as a share of the longer side.

        Args:
            unit_per_share: length of the longer side in the unit; None where the scale is not known.

        Raises:
            ReferenceSampleError: the size is absolute and the scale is not known, or it is no size on this part.
        """
        if self.in_per_cent:
            return self.value / 100
        if unit_per_share is None:
            raise ReferenceSampleError(
                f"smallest_defect {self} is a length, and a picture has no scale; write a share such as '3 %'"
            )
        if not self.value < 0.5 * unit_per_share:
            raise ReferenceSampleError(
                f"smallest_defect {self} is more than half the part ({unit_per_share:.4g}); write a smaller one"
            )
        return self.value / unit_per_share


def parse_smallest_defect(said: object) -> SmallestDefect:
    """Return the size that a rule book states.

    Raises:
        ValueError: it is neither a positive number nor a share of up to 50 %.
    """
    if isinstance(said, SmallestDefect):
        return said
    text = str(said).strip()
    in_per_cent = text.endswith("%")
    try:
        value = float(text.rstrip("%")) if not isinstance(said, bool) else math.nan
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0 < value <= (50 if in_per_cent else math.inf)):
        raise ValueError("smallest_defect is a length such as 1.0, or a share of the part such as 3 % (50 % at most)")
    return SmallestDefect(value, in_per_cent)
