"""A series of photographs of one populated circuit board: normal ones, scratched ones and ones with a missing part.

Every board has the same layout; what differs is the photograph: light falls off to one side, the board lies a little
turned, parts sit a little off their pads, the sensor adds noise.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn
from vlm_inspect.demo.board_layout import PARTS, SIZE_HW, Point
from vlm_inspect.demo.board_painting import BACKGROUND, SCALE, Image, paint_board
from vlm_inspect.demo.truth import DemoCase, DemoDefect
from vlm_inspect.inspection import Outcome

RULES = "rules/circuit_board.yaml"
REFERENCES = 8

_COPPER, _PLASTIC = (214.0, 176.0, 140.0), (168.0, 168.0, 164.0)
"""Colours that a scratch lays bare, on the board and on a chip."""


def write_circuit_boards(folder: Path, generator: Callable[[str], np.random.Generator]) -> list[DemoCase]:
    """Write every photograph under `folder/circuit_board`; returns their truth, paths relative to `folder`."""
    references = tuple(f"circuit_board/references/normal_{i:02d}.jpg" for i in range(1, REFERENCES + 1))
    (folder / "circuit_board" / "references").mkdir(parents=True)
    for name in references:
        _write_photo(folder / name, photograph(generator(name))[0])
    plans: dict[str, tuple[str | None, str | None, list[Point] | None]] = {
        "circuit_board/normal.jpg": (None, None, None),
        "circuit_board/scratched.jpg": ("scratch", None, [(92, 236), (122, 262), (150, 276), (186, 284)]),
        "circuit_board/scratched_chip.png": ("scratch", None, [(300, 210), (336, 222), (372, 246), (398, 252)]),
        "circuit_board/missing_part.jpg": ("missing part", "C2", None),
        "circuit_board/missing_resistor.jpg": ("missing part", "R3", None),
    }
    cases = []
    for source, (defect_type, missing, scratch) in plans.items():
        photo, box_xyxyn = photograph(generator(source), missing=missing, scratch=scratch)
        _write_photo(folder / source, photo)
        defects = () if defect_type is None else (DemoDefect(type=defect_type, box_xyxyn=box_xyxyn),)
        outcome: Outcome = "NG" if defects else "OK"
        cases.append(DemoCase(source=source, rules=RULES, references=references, outcome=outcome, defects=defects))
    return cases


def _write_photo(path: Path, photo: Image) -> None:
    from PIL import Image as PillowImage

    PillowImage.fromarray(photo).save(path, quality=92)  # png ignores the quality


def photograph(
    rng: np.random.Generator, *, missing: str | None = None, scratch: list[Point] | None = None
) -> tuple[Image, BoxXyxyn | None]:
    """Photograph one board, uint8 RGB of `SIZE_HW`.

    Args:
        rng: what makes this board and this photograph differ from the next.
        missing: name of the part to leave out.
        scratch: corners of a scratch, in pixels of the photograph.

    Returns:
        The photograph, and the box of its defect (None: there is none).
    """
    board = paint_board(rng, missing)
    corners = None
    if missing:
        x0, y0, x1, y1 = next(part.box_xyxy for part in PARTS if part.name == missing)
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=float)
    if scratch:
        _scratch(board, rng, scratch)
        corners = np.array(scratch, dtype=float)
    turn = _turn(rng)
    photo = _expose(board, rng, turn)
    return photo, None if corners is None else _box_of(corners, turn)


def _scratch(board: NDArray[np.float32], rng: np.random.Generator, points: list[Point]) -> None:
    """Draw a scratch of uneven width and brightness: bare metal with a dark burr beside it. In place."""
    import cv2

    untouched = board.copy()
    steps = np.linspace(0, len(points) - 1, 160)
    path = np.stack([np.interp(steps, range(len(points)), [p[axis] for p in points]) for axis in (0, 1)], axis=-1)
    path = (path + np.cumsum(rng.normal(scale=0.12, size=path.shape), axis=0) * 0.4) * SCALE
    for i, (start, end) in enumerate(itertools.pairwise(path)):
        fade = np.sin(np.pi * (i + 1) / len(path)) ** 0.4
        width = max(1, round(fade * rng.uniform(3.5, 6.5)))
        ends = [tuple(int(v) for v in np.round(p)) for p in (start, end)]
        red, green, _ = untouched[ends[0][1], ends[0][0]]
        bright = tuple(float(c) for c in np.array(_COPPER if green > 1.5 * red else _PLASTIC) * rng.uniform(0.9, 1.15))
        below = [(x, y + width) for x, y in ends]
        cv2.line(board, below[0], below[1], (14.0, 44.0, 28.0), max(1, width // 2), cv2.LINE_AA)
        cv2.line(board, ends[0], ends[1], bright, width, cv2.LINE_AA)


def _turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw how the board lies: a rotation about the picture's centre and a shift; (2, 3), pixels of the photograph."""
    height, width = SIZE_HW
    angle = np.radians(rng.normal(scale=0.25))
    c, s = np.cos(angle), np.sin(angle)
    shift = rng.uniform(-2.5, 2.5, size=2)
    centre = np.array([width, height]) / 2
    rotation = np.array([[c, -s], [s, c]])
    return np.column_stack([rotation, centre - rotation @ centre + shift])


def _expose(board: NDArray[np.float32], rng: np.random.Generator, turn: NDArray[np.float64]) -> Image:
    """Photograph the painted board: pose, light, lens, sensor noise."""
    import cv2

    height, width = SIZE_HW
    small = cv2.resize(board, (width, height), interpolation=cv2.INTER_AREA)
    scene = cv2.warpAffine(small, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=BACKGROUND)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    tilt = rng.normal(scale=0.03, size=2)
    light = rng.normal(1.0, 0.03) * (1 + tilt[0] * x + tilt[1] * y) * (1.04 - 0.12 * (x**2 + y**2) / 2)
    white = rng.normal(1.0, 0.01, size=3)
    grain = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 2.0) * 6.0
    noise = rng.normal(scale=2.2, size=(height, width, 3))
    photo = np.asarray(scene, dtype=np.float64) * (light[..., None] * white) + grain[..., None] + noise
    return np.asarray(np.clip(np.round(photo), 0, 255), dtype=np.uint8)


def _box_of(corners: NDArray[np.float64], turn: NDArray[np.float64], *, margin: float = 4.0) -> BoxXyxyn:
    """Return the box around points of the layout as they lie on the photograph, relative to it."""
    height, width = SIZE_HW
    moved = corners @ turn[:, :2].T + turn[:, 2]
    low, high = moved.min(axis=0) - margin, moved.max(axis=0) + margin
    x0, x1 = (round(float(np.clip(v / width, 0, 1)), 4) for v in (low[0], high[0]))
    y0, y1 = (round(float(np.clip(v / height, 0, 1)), 4) for v in (low[1], high[1]))
    return x0, y0, x1, y1
