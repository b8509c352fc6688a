"""`SampleCurve`: how unusual every sample of a sensor curve is, and the events in it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.significant_digits import rounded


@dataclass(frozen=True)
class SampleEvent:
    """One stretch of a curve that exceeds the limit."""

    first: int
    peak: int
    last: int
    """Numbers of samples; `last` belongs to it."""
    first_s: float | None
    peak_s: float | None
    last_s: float | None
    """None where the curve keeps no time."""
    score: float
    """P(anomalous) at its peak, in [0, 1]."""
    channels: tuple[str, ...]
    """Which are unusual; at least one."""
    note: str
    """What is unusual, in words."""

    @property
    def span(self) -> str:
        """When it happens, in words."""
        if self.first_s is None or self.peak_s is None or self.last_s is None:
            return f"samples {self.first} to {self.last}, most at {self.peak}"
        if self.first == self.last:
            return f"at {rounded(self.peak_s, 6)} s"
        digits = max(2, 1 - math.floor(math.log10(max(self.last_s - self.first_s, 1e-12))))
        first, peak, last = (f"{one:.{digits}f} s" for one in (self.first_s, self.peak_s, self.last_s))
        return f"{first} to {last}, most at {peak}"


@dataclass(frozen=True, eq=False)
class SampleCurve:
    """One number for every sample."""

    times_s: NDArray[np.float64] | None
    """(N,); None where the curve keeps no time."""
    scores: NDArray[np.float64]
    """(N,): P(anomalous) in [0, 1], 0.5 where a sample leaves what normal ones reach; NaN where values are missing."""
    events: tuple[SampleEvent, ...]
    """In the order of time."""
