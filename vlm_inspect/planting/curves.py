"""Defects planted on curves: bumps, dips, shifts, missing strokes and bursts of noise.

The size is how long the defect lasts, as a share of the curve; the strength is its height, as a share of the range of
the channel that it is planted on.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series

Values = NDArray[np.float64]
CurveKind = Callable[[Values, float, np.random.Generator], Values]
"""Takes the samples of the stretch, a height in the channel's unit, and a generator; returns the stretch anew."""


def plant_on_curve(
    curve: Series, kind: str, size: float, contrast: float, generator: np.random.Generator
) -> tuple[Series, float]:
    """Return the curve with one defect in one channel, and the share of the curve that it lasts.

    Args:
        curve: a normal curve.
        kind: one of `CURVE_KINDS`.
        size: share of the curve's length, in (0, 1); three samples at least.
        contrast: height as a share of the channel's range, in (0, 1].
        generator: source of every choice.
    """
    count = len(curve.time_s)
    lasting = min(count, max(3, round(size * count)))
    start = int(generator.integers(0, count - lasting + 1))
    usable = np.flatnonzero(np.isfinite(curve.values).sum(axis=0) >= 2)
    channel = int(generator.choice(usable)) if len(usable) else 0
    column = curve.values[:, channel]
    known = column[np.isfinite(column)]
    height = contrast * max(float(np.ptp(known)) if known.size else 0.0, 1e-9)
    values = curve.values.copy()
    stretch = slice(start, start + lasting)
    values[stretch, channel] = CURVE_KINDS[kind](column[stretch], height, generator)
    return replace(curve, values=values), lasting / count


def _bump(values: Values, height: float, generator: np.random.Generator) -> Values:
    return values + height * np.hanning(len(values) + 2)[1:-1]


def _dip(values: Values, height: float, generator: np.random.Generator) -> Values:
    return values - height * np.hanning(len(values) + 2)[1:-1]


def _shift(values: Values, height: float, generator: np.random.Generator) -> Values:
    return values + float(generator.choice([-1.0, 1.0])) * height


def _missing_stroke(values: Values, height: float, generator: np.random.Generator) -> Values:
    """Return a straight line from the first sample to the last: what happened there did not happen."""
    ends = values[np.isfinite(values)]
    if not ends.size:
        return values
    return np.linspace(float(ends[0]), float(ends[-1]), len(values))


def _noise(values: Values, height: float, generator: np.random.Generator) -> Values:
    return values + generator.normal(0.0, 0.5 * height, len(values))


CURVE_KINDS: dict[str, CurveKind] = {
    "bump": _bump,
    "dip": _dip,
    "shift": _shift,
    "missing stroke": _missing_stroke,
    "noise": _noise,
}
