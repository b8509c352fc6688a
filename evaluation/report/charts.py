"""Charts as inline SVG: no script, no style attribute, colours by class so that one page serves light, dark and paper.

plot = Plot("ROC", "overkill rate", "share of anomalous found")
plot.line(points, "curve")
markup = plot.render()
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Point = tuple[float, float]
WIDTH, HEIGHT = 320.0, 236.0
"""Of the drawing in its own units; it scales with the page."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 10.0, 12.0, 38.0


@dataclass
class Plot:
    """One pair of axes and what is drawn on them, in the order of the calls."""

    title: str
    """What a screen reader says."""
    x_label: str
    y_label: str
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] = (0.0, 1.0)
    x_ticks: Sequence[tuple[float, str]] = ()
    """Value and word; by default five round numbers."""
    y_ticks: Sequence[tuple[float, str]] = ()
    """Likewise."""
    counts: bool = False
    """Whether y counts things, so that there is nothing between whole numbers."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    """Room for the words of the y axis."""
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Iterable[Point], kind: str) -> None:
        """Draw straight lines from point to point; `kind` is a class of the style sheet."""
        placed = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self._place, points))
        if placed:
            self._parts.append(f'<polyline class="{kind}" points="{placed}"/>')

    def area(self, points: Sequence[Point], kind: str) -> None:
        """Fill between points and the lowest value of the axis."""
        if not points:
            return
        low = self.y_range[0]
        around = [(points[0][0], low), *points, (points[-1][0], low)]
        placed = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self._place, around))
        self._parts.append(f'<polygon class="{kind}" points="{placed}"/>')

    def dot(self, point: Point, kind: str, *, radius: float = 3.5, says: str = "") -> None:
        """Draw a dot; `says` is shown when the pointer rests on it."""
        x, y = self._place(point)
        title = f"<title>{escape(says)}</title>" if says else ""
        self._parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{title}</circle>')

    def vertical(self, at: float, kind: str, word: str = "") -> None:
        """Draw a line from bottom to top, with a word beside its upper end."""
        x, top = self._place((at, self.y_range[1]))
        bottom = self._place((at, self.y_range[0]))[1]
        self._parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        if word:
            left = x > self.width / 2
            anchor, shift = ("end", -4) if left else ("start", 4)
            self._parts.append(
                f'<text class="word" x="{x + shift:.1f}" y="{top + 9:.1f}" text-anchor="{anchor}">{escape(word)}</text>'
            )

    def whisker(self, at: float, low: float, high: float, kind: str) -> None:
        """Draw an interval at one place of the x axis."""
        x, top = self._place((at, high))
        bottom = self._place((at, low))[1]
        self._parts.append(
            f'<path class="{kind}" d="M{x:.1f} {top:.1f}V{bottom:.1f}'
            f'M{x - 4:.1f} {top:.1f}h8M{x - 4:.1f} {bottom:.1f}h8"/>'
        )

    def reach(self, at: float, low: float, high: float, kind: str) -> None:
        """Draw an interval at one place of the y axis."""
        left, y = self._place((low, at))
        right = self._place((high, at))[0]
        self._parts.append(
            f'<path class="{kind}" d="M{left:.1f} {y:.1f}H{right:.1f}'
            f'M{left:.1f} {y - 4:.1f}v8M{right:.1f} {y - 4:.1f}v8"/>'
        )

    def render(self) -> Markup:
        """Return the drawing as an SVG element."""
        body = "".join([*self._axes(), *self._parts])
        head = (
            f'<svg class="plot" viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" '
            f'aria-label="{escape(self.title)}" preserveAspectRatio="xMidYMid meet">'
        )
        return Markup(head + body + "</svg>")  # every foreign word in it went through `escape`

    def _place(self, point: Point) -> Point:
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        across = (min(max(point[0], x0), x1) - x0) / ((x1 - x0) or 1.0)
        up = (min(max(point[1], y0), y1) - y0) / ((y1 - y0) or 1.0)
        return (
            self.left + across * (self.width - self.left - _RIGHT),
            self.height - _BOTTOM - up * (self.height - _TOP - _BOTTOM),
        )

    def _axes(self) -> Iterable[str]:
        bottom = self.height - _BOTTOM
        y_ticks = [value for value in round_ticks(*self.y_range) if not self.counts or float(value).is_integer()]
        for value, word in self.y_ticks or [(value, _short(value)) for value in y_ticks]:
            y = self._place((self.x_range[0], value))[1]
            yield f'<line class="grid" x1="{self.left}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text class="tick" x="{self.left - 5}" y="{y + 3.5:.1f}" text-anchor="end">{escape(word)}</text>'
        for value, word in self.x_ticks or [(value, _short(value)) for value in round_ticks(*self.x_range)]:
            x = self._place((value, self.y_range[0]))[0]
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{escape(word)}</text>'
        middle = (self.left + self.width - _RIGHT) / 2
        low = self.height - 5
        yield f'<text class="axis" x="{middle}" y="{low}" text-anchor="middle">{escape(self.x_label)}</text>'
        high = (_TOP + bottom) / 2
        yield (
            f'<text class="axis" x="10" y="{high}" text-anchor="middle" '
            f'transform="rotate(-90 10 {high})">{escape(self.y_label)}</text>'
        )


def interval_bar(value: float, low: float, high: float, scale: tuple[float, float]) -> Markup:
    """Return a small horizontal interval with its value, on a scale that all rows of a table share."""
    start, end = scale

    def across(at: float) -> float:
        return 3 + 94 * (min(max(at, start), end) - start) / ((end - start) or 1.0)

    left, right, middle = across(low), across(high), across(value)
    return Markup(
        '<svg class="interval" viewBox="0 0 100 12" aria-hidden="true">'
        '<line class="rail" x1="3" x2="97" y1="6" y2="6"/>'
        f'<line class="reach" x1="{left:.1f}" x2="{max(right, left + 0.5):.1f}" y1="6" y2="6"/>'
        f'<circle class="value" cx="{middle:.1f}" cy="6" r="3.2"/></svg>'
    )


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return at most `most` + 1 round values inside a range, both ends included where they are round."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def _short(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.1e}"
