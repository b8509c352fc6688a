"""Paints the demo circuit board: solder mask, traces, pads, silk screen and parts, at twice the size."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.demo.board_layout import EDGE, HOLES, PARTS, SIZE_HW, TRACES, Component, Point

SCALE = 2
"""The painting is this much larger than the photograph."""
BACKGROUND = (58, 60, 64)

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
_BoxF = tuple[float, float, float, float]
_MASK: Colour = (22, 92, 52)
_TRACE: Colour = (38, 122, 72)
_TIN: Colour = (196, 198, 196)
_GOLD: Colour = (206, 172, 88)
_SILK: Colour = (226, 230, 222)


def paint_board(rng: np.random.Generator, missing: str | None) -> NDArray[np.float32]:
    """Paint board and parts, float32 RGB at `SCALE` times the size."""
    import cv2

    height, width = SIZE_HW
    canvas = np.full((height * SCALE, width * SCALE, 3), BACKGROUND, np.uint8)
    brush = _Brush(canvas)
    brush.box(EDGE, _MASK, corner=14)
    for trace in TRACES:
        brush.line(trace, _TRACE, 4)
        for end in (trace[0], trace[-1]):
            brush.disc(end, 4.5, _TRACE)
    for hole in HOLES:
        brush.disc(hole, 14, _GOLD)
        brush.disc(hole, 8.5, (40, 41, 44))
    for via in np.random.default_rng(7).uniform((90, 60), (690, 470), (60, 2)):  # the layout: the same on every board
        brush.disc((via[0], via[1]), 3.2, (150, 152, 110))
        brush.disc((via[0], via[1]), 1.4, (24, 40, 30))
    brush.text("VI-4021  REV C", (520, 474), 0.5, _SILK)
    brush.text("MOTOR CTRL", (286, 52), 0.5, _SILK)
    for part in PARTS:
        _paint_part(brush, part, rng, absent=part.name == missing)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.0), dtype=np.float32)


class _Brush:
    """Draws on a canvas at `SCALE` times the size, in coordinates of the photograph."""

    def __init__(self, canvas: Image) -> None:
        import cv2

        self.canvas = canvas
        self._cv2: Any = cv2

    def line(self, points: tuple[Point, ...], colour: Colour, width: float) -> None:
        path = np.round(np.array(points) * SCALE).astype(np.int32)
        self._cv2.polylines(self.canvas, [path], False, colour, round(width * SCALE), self._cv2.LINE_AA)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        at = (round(centre[0] * SCALE), round(centre[1] * SCALE))
        self._cv2.circle(self.canvas, at, round(radius * SCALE), colour, -1, self._cv2.LINE_AA)

    def box(self, box: tuple[float, float, float, float], colour: Colour, *, corner: int = 0) -> None:
        x0, y0, x1, y1 = (round(v * SCALE) for v in box)
        r = corner * SCALE
        self._cv2.rectangle(self.canvas, (x0 + r, y0), (x1 - r, y1), colour, -1)
        self._cv2.rectangle(self.canvas, (x0, y0 + r), (x1, y1 - r), colour, -1)
        for x, y in ((x0 + r, y0 + r), (x1 - r, y0 + r), (x0 + r, y1 - r), (x1 - r, y1 - r)):
            self._cv2.circle(self.canvas, (x, y), r, colour, -1, self._cv2.LINE_AA)

    def text(self, text: str, at: Point, size: float, colour: Colour) -> None:
        where = (round(at[0] * SCALE), round(at[1] * SCALE))
        face = self._cv2.FONT_HERSHEY_SIMPLEX
        self._cv2.putText(self.canvas, text, where, face, size * SCALE, colour, SCALE, self._cv2.LINE_AA)


def _paint_part(brush: _Brush, part: Component, rng: np.random.Generator, *, absent: bool) -> None:
    x0, y0, x1, y1 = part.box_xyxy
    brush.text(part.name, (x0, y0 - 5), 0.34, _SILK)
    dx, dy = rng.normal(scale=0.5, size=2)
    shade = float(rng.normal(1.0, 0.03))
    _PADS[part.kind](brush, part)
    if not absent:
        _BODIES[part.kind](brush, (x0 + dx, y0 + dy, x1 + dx, y1 + dy), shade, part.name)


def _shaded(colour: Colour, shade: float) -> Colour:
    r, g, b = (int(np.clip(c * shade, 0, 255)) for c in colour)
    return r, g, b


def _end_pads(brush: _Brush, part: Component) -> None:
    x0, y0, x1, y1 = part.box_xyxy
    inset = (x1 - x0) * 0.3
    brush.box((x0 - 4, y0 - 1, x0 + inset, y1 + 1), _TIN)
    brush.box((x1 - inset, y0 - 1, x1 + 4, y1 + 1), _TIN)


def _round_pads(brush: _Brush, part: Component) -> None:
    x0, y0, x1, y1 = part.box_xyxy
    middle = (y0 + y1) / 2
    brush.box((x0 + 2, middle - 7, x0 + 20, middle + 7), _TIN)
    brush.box((x1 - 20, middle - 7, x1 - 2, middle + 7), _TIN)


def _leg_pads(brush: _Brush, part: Component) -> None:
    x0, y0, x1, y1 = part.box_xyxy
    for x in range(x0 + 14, x1 - 6, 16):
        brush.box((x - 3, y0, x + 3, y0 + 12), _TIN)
        brush.box((x - 3, y1 - 12, x + 3, y1), _TIN)
    if y1 - y0 > 100:
        for y in range(y0 + 14, y1 - 6, 16):
            brush.box((x0, y - 3, x0 + 12, y + 3), _TIN)
            brush.box((x1 - 12, y - 3, x1, y + 3), _TIN)


def _chip(brush: _Brush, box: _BoxF, shade: float, name: str) -> None:
    x0, y0, x1, y1 = box
    large = y1 - y0 > 100
    side = 10 if large else 0
    brush.box((x0 + side, y0 + 10, x1 - side, y1 - 10), _shaded((44, 45, 48), shade), corner=2)
    brush.disc((x0 + side + 10, y1 - 20), 4, _shaded((70, 71, 74), shade))
    label = {"U1": "VX32F4", "U2": "DRV88", "U3": "MAX48"}[name]
    brush.text(label, (x0 + side + 12, (y0 + y1) / 2 + 4), 0.5 if large else 0.36, _shaded((150, 152, 150), shade))


def _can(brush: _Brush, box: _BoxF, shade: float, _name: str) -> None:
    x0, y0, x1, y1 = box
    centre, radius = ((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0) / 2
    brush.box((x0, y0, x1, y1), _shaded((30, 31, 34), shade), corner=6)
    brush.disc(centre, radius - 2, _shaded((176, 180, 184), shade))
    brush.disc(centre, radius - 5, _shaded((202, 206, 210), shade))
    brush.box((centre[0] - radius + 6, centre[1] - 9, centre[0] - radius + 15, centre[1] + 9), (36, 38, 60), corner=2)


def _resistor(brush: _Brush, box: _BoxF, shade: float, name: str) -> None:
    x0, y0, x1, y1 = box
    brush.box((x0, y0, x1, y1), _shaded((212, 212, 208), shade))
    brush.box((x0 + 7, y0, x1 - 7, y1), _shaded((34, 34, 38), shade))
    brush.text(f"{100 + 47 * int(name[1:])}", (x0 + 10, y1 - 5), 0.3, _shaded((200, 200, 200), shade))


def _capacitor(brush: _Brush, box: _BoxF, shade: float, _name: str) -> None:
    x0, y0, x1, y1 = box
    brush.box((x0, y0, x1, y1), _shaded((208, 208, 204), shade))
    brush.box((x0 + 6, y0, x1 - 6, y1), _shaded((166, 132, 96), shade))


def _crystal(brush: _Brush, box: _BoxF, shade: float, _name: str) -> None:
    x0, y0, x1, y1 = box
    brush.box((x0, y0, x1, y1), _shaded((168, 170, 172), shade), corner=12)
    brush.box((x0 + 4, y0 + 4, x1 - 4, y1 - 4), _shaded((196, 198, 200), shade), corner=10)
    brush.text("16.000", (x0 + 22, y1 - 12), 0.4, _shaded((96, 98, 100), shade))


def _socket(brush: _Brush, box: _BoxF, shade: float, _name: str) -> None:
    x0, y0, x1, y1 = box
    brush.box((x0, y0, x1, y1), _shaded((226, 222, 206), shade), corner=2)
    for x in np.linspace(x0 + 18, x1 - 18, 9):
        brush.box((x - 9, y0 + 9, x + 9, y1 - 7), _shaded((70, 68, 62), shade))
        brush.box((x - 3, y0 + 14, x + 3, y1 - 12), _shaded(_GOLD, shade))


def _led(brush: _Brush, box: _BoxF, shade: float, _name: str) -> None:
    x0, y0, x1, y1 = box
    brush.box((x0, y0, x1, y1), _shaded((236, 234, 226), shade))
    brush.disc(((x0 + x1) / 2, (y0 + y1) / 2), 7, _shaded((232, 200, 96), shade))


_Painter = Callable[[_Brush, _BoxF, float, str], None]
_BODIES: dict[str, _Painter] = {
    "chip": _chip,
    "can": _can,
    "resistor": _resistor,
    "capacitor": _capacitor,
    "crystal": _crystal,
    "socket": _socket,
    "led": _led,
}
_PADS: dict[str, Callable[[_Brush, Component], None]] = {
    "chip": _leg_pads,
    "can": _round_pads,
    "resistor": _end_pads,
    "capacitor": _end_pads,
    "crystal": _end_pads,
    "socket": _end_pads,
    "led": _end_pads,
}
