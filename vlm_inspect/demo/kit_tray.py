"""A tray of parts whose rules are logic: how many nuts, wires in which order, which washer where, and a label.

Texture tells nothing here: a right tray may be dirty, and a wrong one looks as clean as the others. What is wrong is
one field of four, so a model has to look at each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.view import BoxXyxyn
from vlm_inspect.demo.truth import DemoCase, DemoDefect
from vlm_inspect.inspection import Outcome

if TYPE_CHECKING:
    from PIL import ImageDraw

RULES = "rules/logic.yaml"
SIZE_HW = (360, 480)
REFERENCES = 4
EACH = 3
"""Trays of each kind that is wrong; of clean and of dirty right ones there are twice as many."""
FIELDS: dict[str, BoxXyxyn] = {
    "nut-count": (0.04, 0.07, 0.47, 0.47),
    "wire-order": (0.53, 0.07, 0.96, 0.47),
    "washer-places": (0.04, 0.54, 0.47, 0.94),
    "label": (0.53, 0.54, 0.96, 0.94),
}
"""Rule -> the field of the tray that shows it."""
Fault = Literal["count", "order", "swapped", "label"]
_FAULTS: dict[Fault, tuple[str, str]] = {
    "count": ("nut-count", "wrong number of nuts"),
    "order": ("wire-order", "wires in the wrong order"),
    "swapped": ("washer-places", "washers swapped"),
    "label": ("label", "missing label"),
}
"""Fault -> the rule that it breaks, and its kind."""
_COLOURS = {"red": (196, 52, 44), "yellow": (226, 188, 40), "green": (52, 140, 72), "blue": (46, 84, 176)}
_NUTS = 4
_TRAY, _FIELD, _STEEL, _DARK = (150, 152, 156), (188, 190, 194), (122, 126, 134), (64, 66, 72)


@dataclass(frozen=True)
class Tray:
    """What lies on a tray."""

    nuts: int = _NUTS
    wires: tuple[str, ...] = tuple(_COLOURS)
    large_first: bool = True
    labelled: bool = True
    dirty: bool = False


def write_kit_trays(folder: Path, generator: Callable[[str], np.random.Generator]) -> list[DemoCase]:
    """Write every photograph under `folder/logic`, laid out for `bench`; returns their truth, relative to `folder`."""
    references = tuple(f"logic/references/{number:02d}.png" for number in range(1, REFERENCES + 1))
    for name in references:
        _write(folder / name, Tray(), generator(name))
    cases = []
    for source, tray, fault in _plans():
        rng = generator(source)
        _write(folder / source, tray if fault is None else _spoiled(tray, fault, rng), rng)
        defects = () if fault is None else (DemoDefect(type=_FAULTS[fault][1], box_xyxyn=FIELDS[_FAULTS[fault][0]]),)
        outcome: Outcome = "NG" if defects else "OK"
        cases.append(DemoCase(source=source, rules=RULES, references=references, outcome=outcome, defects=defects))
    return cases


def paint_tray(tray: Tray, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photograph one tray, uint8 RGB of `SIZE_HW`: light falls off to one side, parts lie a little askew, noise.

    Args:
        tray: what lies on it.
        rng: what makes this photograph differ from the next.
    """
    from PIL import Image, ImageDraw

    height, width = SIZE_HW
    picture = Image.new("RGB", (width, height), _TRAY)
    draw = ImageDraw.Draw(picture)
    for box in FIELDS.values():
        draw.rounded_rectangle(_pixels(box), radius=8, fill=_FIELD, outline=_DARK, width=2)
    _draw_nuts(draw, tray.nuts, rng)
    _draw_wires(draw, tray.wires, rng)
    _draw_washers(draw, rng, large_first=tray.large_first)
    if tray.labelled:
        _draw_label(draw, rng)
    seen = np.asarray(picture, np.float32)
    if tray.dirty:
        seen = _soiled(seen, rng)
    falloff = np.linspace(1.06, rng.uniform(0.82, 0.94), width, dtype=np.float32)[None, :, None]
    noisy = seen * falloff + rng.normal(0.0, 2.5, seen.shape).astype(np.float32)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _plans() -> list[tuple[str, Tray, Fault | None]]:
    right: list[tuple[str, Tray, Fault | None]] = []
    for number in range(1, 2 * EACH + 1):
        right.append((f"logic/normal/clean_{number}.png", Tray(), None))
        right.append((f"logic/normal/dirty_{number}.png", Tray(dirty=True), None))
    wrong: list[tuple[str, Tray, Fault | None]] = [
        (f"logic/anomalous/{fault}/{number}.png", Tray(dirty=number == EACH), fault)
        for fault in _FAULTS
        for number in range(1, EACH + 1)
    ]
    return right + wrong


def _spoiled(tray: Tray, fault: Fault, rng: np.random.Generator) -> Tray:
    if fault == "count":
        return replace(tray, nuts=_NUTS + int(rng.choice([-1, 1])))
    if fault == "order":
        first = int(rng.integers(0, len(tray.wires) - 1))
        wires = list(tray.wires)
        wires[first], wires[first + 1] = wires[first + 1], wires[first]
        return replace(tray, wires=tuple(wires))
    return replace(tray, large_first=False) if fault == "swapped" else replace(tray, labelled=False)


def _write(path: Path, tray: Tray, rng: np.random.Generator) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(paint_tray(tray, rng)).save(path)


def _pixels(box: BoxXyxyn) -> tuple[float, float, float, float]:
    height, width = SIZE_HW
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def _draw_nuts(draw: "ImageDraw.ImageDraw", count: int, rng: np.random.Generator) -> None:
    x0, y0, x1, y1 = _pixels(FIELDS["nut-count"])
    for slot in rng.permutation(6)[:count]:
        x = x0 + (x1 - x0) * (slot % 3 + 0.5) / 3 + rng.uniform(-8, 8)
        y = y0 + (y1 - y0) * (slot // 3 + 0.5) / 2 + rng.uniform(-8, 8)
        draw.regular_polygon((x, y, 17), 6, rotation=rng.uniform(0, 60), fill=_STEEL, outline=_DARK)
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=_FIELD, outline=_DARK, width=2)


def _draw_wires(draw: "ImageDraw.ImageDraw", wires: tuple[str, ...], rng: np.random.Generator) -> None:
    x0, y0, x1, y1 = _pixels(FIELDS["wire-order"])
    for place, colour in enumerate(wires):
        x = x0 + (x1 - x0) * (place + 0.5) / len(wires)
        ends = [(x + rng.uniform(-6, 6), y0 + 10), (x + rng.uniform(-9, 9), (y0 + y1) / 2), (x, y1 - 10)]
        draw.line(ends, fill=_COLOURS[colour], width=11, joint="curve")


def _draw_washers(draw: "ImageDraw.ImageDraw", rng: np.random.Generator, *, large_first: bool) -> None:
    x0, y0, x1, y1 = _pixels(FIELDS["washer-places"])
    radii = (42, 24) if large_first else (24, 42)
    for place, radius in enumerate(radii):
        x = x0 + (x1 - x0) * (0.27 + 0.46 * place) + rng.uniform(-4, 4)
        y = (y0 + y1) / 2 + rng.uniform(-8, 8)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_STEEL, outline=_DARK, width=2)
        hole = radius * 0.45
        draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=_FIELD, outline=_DARK, width=2)


def _draw_label(draw: "ImageDraw.ImageDraw", rng: np.random.Generator) -> None:
    x0, y0 = _pixels(FIELDS["label"])[:2]
    left, top = x0 + 34 + rng.uniform(-8, 8), y0 + 34 + rng.uniform(-8, 8)
    draw.rectangle((left, top, left + 136, top + 74), fill=(246, 244, 236), outline=_DARK)
    at = left + 12
    while at < left + 122:
        bar: Any = rng.choice([2, 3, 5])
        draw.rectangle((at, top + 12, at + bar, top + 50), fill=(20, 20, 22))
        at += bar + 4


def _soiled(seen: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a photograph with brown stains and dust, which hide nothing."""
    height, width = SIZE_HW
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    brown = np.array([96.0, 74.0, 48.0], np.float32)
    for _ in range(int(rng.integers(6, 11))):
        x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(10, 34)
        stain = 0.45 * np.exp(-((columns - x) ** 2 + ((rows - y) * rng.uniform(0.7, 1.4)) ** 2) / (2 * size**2))
        seen = seen * (1 - stain[..., None]) + brown * stain[..., None]
    dust = rng.random((height, width)) < 0.004
    return np.where(dust[..., None], seen * 0.6, seen).astype(np.float32)
