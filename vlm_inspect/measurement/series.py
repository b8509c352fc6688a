"""Checks of one channel of a curve: `time_s` (N,) strictly rising, `values` (N,); a missing value is NaN."""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.errors import MeasurementError
from vlm_inspect.significant_digits import rounded

Values = NDArray[np.float64]
_PROMINENCE = 0.25
"""A peak stands out from its surroundings by at least this share of the range of the curve."""
_WIDEST_GAP = 5.0


def minimum(time_s: Values, values: Values) -> float:
    """Return the smallest value, in the channel's unit."""
    return float(_known(time_s, values)[1].min())


def maximum(time_s: Values, values: Values) -> float:
    """Return the largest value, in the channel's unit."""
    return float(_known(time_s, values)[1].max())


def rms(time_s: Values, values: Values) -> float:
    """Return the root mean square of the values, mean included, in the channel's unit."""
    return float(np.sqrt((_known(time_s, values)[1] ** 2).mean()))


def peak_count(time_s: Values, values: Values) -> float:
    """Return the number of maxima that stand out by at least a quarter of the range of the curve.

    The range is between the 0.5 % and 99.5 % quantiles, so that one spike does not hide the other peaks; how far a
    maximum stands out is its prominence (scipy.signal.find_peaks).
    """
    from scipy.signal import find_peaks

    known = _known(time_s, values)[1]
    low, high = np.quantile(known, [0.005, 0.995])
    if high <= low:
        low, high = known.min(), known.max()
    if high <= low:
        return 0.0
    peaks, _ = find_peaks(known, prominence=_PROMINENCE * (high - low))
    return float(len(peaks))


def dominant_frequency(time_s: Values, values: Values) -> float:
    """Return the frequency with the most power, the mean taken off, in Hz.

    Hann window, then the vertex of the parabola through the log power of the highest bin and its two neighbours
    (Smith, Spectral Audio Signal Processing, "Quadratic interpolation of spectral peaks"). Uneven sampling is
    interpolated onto an even grid of the median step; a gap of more than five steps is refused.

    Raises:
        MeasurementError: fewer than 8 values, a gap, or a curve without any change.
    """
    time, known = _known(time_s, values)
    if len(known) < 8:
        raise MeasurementError(f"{len(known)} values are too few for a frequency; 8 are needed")
    step = float(np.median(np.diff(time)))
    widest = float(np.diff(time).max())
    if widest > _WIDEST_GAP * step:
        raise MeasurementError(
            f"a gap of {rounded(widest, 3)} s among steps of {rounded(step, 3)} s: no frequency can be told"
        )
    even = np.arange(time[0], time[-1] + 0.5 * step, step)
    signal = np.interp(even, time, known)
    signal -= signal.mean()
    if float(np.abs(signal).max()) <= 1e-12 * max(float(np.abs(known).max()), 1e-300):
        raise MeasurementError("the curve does not change, so it has no frequency")
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    peak = int(np.argmax(power[1:])) + 1
    return (peak + _vertex(power, peak)) / (len(signal) * step)


def _vertex(power: Values, peak: int) -> float:
    """Return where, in bins from the peak, the parabola through three log powers has its top; in [-0.5, 0.5]."""
    if peak + 1 >= len(power) or power[[peak - 1, peak, peak + 1]].min() <= 0.0:
        return 0.0
    a, b, c = np.log(power[peak - 1 : peak + 2])
    bend = a - 2.0 * b + c
    return float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0


def _known(time_s: Values, values: Values) -> tuple[Values, Values]:
    kept = np.isfinite(values)
    if not kept.any():
        raise MeasurementError("the channel holds no value")
    return time_s[kept], values[kept]
