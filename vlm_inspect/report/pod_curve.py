"""The curve of a sensitivity as SVG: probability of detection over size, with its 95 % band."""

import math
from collections.abc import Sequence

from vlm_inspect.sensitivity.record import CurvePoint, Sensitivity

_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 10, 10, 34
_TICKS = (0.5, 1, 2, 5, 10, 20, 50)


def draw_pod_curve(sensitivity: Sensitivity) -> str:
    """Return the SVG, or "" where there is no curve. It holds numbers alone, and needs no style of its own page."""
    points = sensitivity.curve
    if len(points) < 2:
        return ""
    low, high = math.log(points[0].size_pct), math.log(points[-1].size_pct)

    def x(size_pct: float) -> float:
        return _LEFT + (math.log(size_pct) - low) / max(high - low, 1e-9) * (_WIDTH - _LEFT - _RIGHT)

    def y(pod: float) -> float:
        return _TOP + (1 - pod) * (_HEIGHT - _TOP - _BOTTOM)

    def path(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(size):.1f},{y(pod):.1f}" for size, pod in values)

    band = [*((p.size_pct, p.upper) for p in points), *((p.size_pct, p.lower) for p in reversed(points))]
    parts = [
        f'<svg class="pod" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="probability of detection over size">',
        f'<polygon class="pod-band" points="{path(band)}"/>',
        f'<polyline class="pod-line" points="{path([(p.size_pct, p.pod) for p in points])}"/>',
        *(_level(pod, y(pod)) for pod in (0.0, 0.5, 0.9, 1.0)),
        *(_tick(size, x(size)) for size in _ticks(points)),
    ]
    if sensitivity.size_pct is not None and low <= math.log(max(sensitivity.size_pct, 1e-9)) <= high:
        at = x(sensitivity.size_pct)
        parts.append(f'<line class="pod-mark" x1="{at:.1f}" x2="{at:.1f}" y1="{y(1.0):.1f}" y2="{y(0.0):.1f}"/>')
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 4}">size, % of the longer side</text></svg>')
    return "".join(parts)


def _ticks(points: Sequence[CurvePoint]) -> list[float]:
    return [size for size in _TICKS if points[0].size_pct <= size <= points[-1].size_pct]


def _level(pod: float, at: float) -> str:
    line = f'<line class="pod-grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
    return f'{line}<text class="pod-left" x="{_LEFT - 5}" y="{at + 4:.1f}">{100 * pod:.0f} %</text>'


def _tick(size: float, at: float) -> str:
    return f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 15}">{size:g}</text>'
