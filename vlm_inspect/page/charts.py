"""Charts as points of an SVG, drawn by the template; every chart has its numbers in a table beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from vlm_inspect.page.trust import Day
from vlm_inspect.sensitivity.record import CurvePoint

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 26


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """The parts of one day, from the bottom: OK, NG, REVIEW."""

    x: float
    width: float
    pieces: tuple[tuple[str, float, float], ...]
    """Outcome, top and height in pixels."""


@dataclass(frozen=True)
class Chart:
    """One chart: lines by name as SVG points, dots, bars, ticks."""

    lines: dict[str, str]
    dots: tuple[tuple[float, float, bool], ...]
    """x, y, and whether it stands out."""
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    bottom: int = HEIGHT - _BOTTOM


def outcome_chart(days: Sequence[Day]) -> Chart:
    """Draw the parts of every day, stacked by outcome."""
    most = max((day.count for day in days), default=1)
    step = (WIDTH - _LEFT - _RIGHT) / max(len(days), 1)
    bars = []
    for number, day in enumerate(days):
        base = 0
        pieces = []
        for outcome, count in (("ok", day.ok), ("ng", day.ng), ("review", day.review)):
            top = _y((base + count) / most)
            pieces.append((outcome, round(top, 1), round(_y(base / most) - top, 1)))
            base += count
        wide = min(step * 0.7, 60.0)
        bars.append(Bar(round(_day_x(number, len(days)) - wide / 2, 1), round(wide, 1), tuple(pieces)))
    ticks = tuple(
        Tick(round(_y(share), 1), f"{most * share:.0f}") for share in ((0.0, 0.5, 1.0) if most > 1 else (0.0, 1.0))
    )
    return Chart({}, (), tuple(bars), _day_ticks(days), ticks)


def review_chart(days: Sequence[Day]) -> Chart:
    """Draw the share in REVIEW by day with its limits: a p-chart."""
    top = max([0.1, *(max(day.share, day.high) for day in days)])
    xs = [_day_x(number, len(days)) for number in range(len(days))]
    lines = {
        "low": _points(xs, [day.low / top for day in days]),
        "high": _points(xs, [day.high / top for day in days]),
        "share": _points(xs, [day.share / top for day in days]),
    }
    dots = tuple((round(x, 1), round(_y(day.share / top), 1), day.is_out) for x, day in zip(xs, days, strict=True))
    ticks = tuple(Tick(round(_y(share), 1), f"{100 * top * share:.0f} %") for share in (0.0, 0.5, 1.0))
    return Chart(lines, dots, (), _day_ticks(days), ticks)


def sensitivity_chart(curve: Sequence[CurvePoint]) -> Chart:
    """Draw the share of planted defects that were found, over their size in per cent, with its interval."""
    most = max((point.size_pct for point in curve), default=1.0)
    xs = [_LEFT + (WIDTH - _LEFT - _RIGHT) * point.size_pct / most for point in curve]
    lines = {
        "low": _points(xs, [point.lower for point in curve]),
        "high": _points(xs, [point.upper for point in curve]),
        "share": _points(xs, [point.pod for point in curve]),
    }
    x_ticks = tuple(
        Tick(round(_LEFT + (WIDTH - _LEFT - _RIGHT) * share, 1), f"{most * share:.3g} %") for share in (0.0, 0.5, 1.0)
    )
    y_ticks = tuple(Tick(round(_y(share), 1), f"{100 * share:.0f} %") for share in (0.0, 0.5, 0.9, 1.0))
    return Chart(lines, (), (), x_ticks, y_ticks)


def _y(share: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1.0 - share)


def _day_x(number: int, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (number + 0.5) / count


def _day_ticks(days: Sequence[Day]) -> tuple[Tick, ...]:
    every = max(1, len(days) // 6)
    return tuple(
        Tick(round(_day_x(number, len(days)), 1), day.date[5:])
        for number, day in enumerate(days)
        if number % every == 0
    )


def _points(xs: Sequence[float], shares: Sequence[float]) -> str:
    return " ".join(f"{x:.1f},{_y(share):.1f}" for x, share in zip(xs, shares, strict=True))
