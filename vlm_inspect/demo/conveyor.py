"""Clips of a conveyor belt with bottles passing from left to right: normal ones, and one with a toppled bottle."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.demo.truth import DemoCase, DemoDefect
from vlm_inspect.errors import OutputError

RULES = "rules/conveyor.yaml"
SIZE_HW = (360, 640)
FPS = 25.0
SECONDS = 5.0
REFERENCES = 4

Image = NDArray[np.uint8]
Sprite = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Colours (H, W, 3) in [0, 255] and opacity (H, W, 1) in [0, 1]."""
_SPEED_PX_S = 860.0
"""So fast that a bottle is in sight for less than half a second before and after it passes the middle."""
_GAP_PX = 240.0
_BELT_Y = 296
_BOTTLE_WH = (84, 204)
_TOPPLED_EXTRA_PX = 90.0
_DOUBLED_PX = 100.0
_SPEED_EVENT_S = 1.0
_SPEED_FACTORS = {"reversed": -1.0, "slow": 0.5}
EVENT_KINDS = ("toppled", "missing", "reversed", "slow", "doubled")
"""What `film_events` can let go wrong."""


def write_conveyors(folder: Path, generator: Callable[[str], np.random.Generator]) -> list[DemoCase]:
    """Write every clip under `folder/conveyor`; returns their truth, paths relative to `folder`.

    Raises:
        OutputError: this build of OpenCV cannot write mp4 files.
    """
    references = tuple(f"conveyor/references/normal_{i:02d}.mp4" for i in range(1, REFERENCES + 1))
    (folder / "conveyor" / "references").mkdir(parents=True)
    for name in (*references, "conveyor/normal.mp4"):
        _write_clip(folder / name, film(generator(name), toppled_at_s=None))
    rng = generator("conveyor/toppled.mp4")
    time_s = round(rng.uniform(1.75, 3.5) * FPS) / FPS
    _write_clip(folder / "conveyor/toppled.mp4", film(rng, toppled_at_s=time_s))
    normal = DemoCase(source="conveyor/normal.mp4", rules=RULES, references=references, outcome="OK")
    defect = DemoDefect(type="toppled part", time_s=time_s)
    toppled = DemoCase(
        source="conveyor/toppled.mp4", rules=RULES, references=references, outcome="NG", defects=(defect,)
    )
    return [normal, toppled]


def _write_clip(path: Path, frames: Iterator[Image]) -> None:
    import cv2

    height, width = SIZE_HW
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    try:
        if not writer.isOpened():
            raise OutputError(f"{path}: this OpenCV cannot write mp4 clips; install opencv-python-headless from PyPI")
        for frame in frames:
            writer.write(frame[..., ::-1])
    finally:
        writer.release()


def film(rng: np.random.Generator, *, toppled_at_s: float | None) -> Iterator[Image]:
    """Film one clip, frame by frame, uint8 RGB of `SIZE_HW`.

    Args:
        rng: what makes this clip differ from the next: gaps, speed, light, camera shake, noise.
        toppled_at_s: second at which the toppled bottle is in the middle of the picture; None: no bottle toppled.
    """
    speed = _SPEED_PX_S * rng.normal(1.0, 0.02)
    light = rng.normal(1.0, 0.03)
    bottles, toppled = _place_bottles(rng, speed, toppled_at_s)
    upright = [_bottle(shade) for shade in rng.normal(1.0, 0.04, size=4)]
    lying = _fallen(upright[0])
    hall, grain = _hall(), rng.normal(scale=3.0, size=(6, *SIZE_HW, 3)).astype(np.int16)
    for index in range(round(SECONDS * FPS)):
        time_s = index / FPS
        scene = hall.copy()
        _draw_belt(scene, speed * time_s)
        for number, start in enumerate(bottles):
            _paste(scene, upright[number % len(upright)], start + speed * time_s)
        if toppled is not None:
            _paste(scene, lying, toppled + speed * time_s)
        yield _expose(scene, rng, light, grain)


@dataclass(frozen=True)
class BeltEvent:
    """What goes wrong on a belt, and when."""

    kind: str
    """One of `EVENT_KINDS`."""
    first_s: float
    last_s: float
    """Seconds between which it can be seen: of a bottle that is wrong, while it is in the picture."""


def film_events(
    rng: np.random.Generator, wanted: Sequence[tuple[str, float]], *, seconds: float, speed_px_s: float
) -> tuple[Iterator[Image], list[BeltEvent]]:
    """Film a clip with events, frame by frame, uint8 RGB of `SIZE_HW`, and say when they can be seen.

    Args:
        rng: what makes this clip differ from the next.
        wanted: kinds of events, and the second at which each has its middle; those of one clip are seconds apart.
        seconds: length of the clip.
        speed_px_s: of the belt, in pixels a second.
    """
    speed = speed_px_s * rng.normal(1.0, 0.02)
    times = np.arange(round(seconds * FPS)) / FPS
    speeds = np.full(len(times), speed)
    for kind, at_s in wanted:
        if kind in _SPEED_FACTORS:
            speeds[np.abs(times - at_s) <= _SPEED_EVENT_S / 2] *= _SPEED_FACTORS[kind]
    moved = np.concatenate([[0.0], np.cumsum(speeds[:-1])]) / FPS
    count = round((SIZE_HW[1] + moved.max() - min(0.0, moved.min())) / _GAP_PX) + 6
    places = list(np.cumsum(np.clip(rng.normal(_GAP_PX, 14.0, count), 200, 280)) - moved.max() - 2 * _GAP_PX)
    lying: list[float] = []
    events = []
    for kind, at_s in wanted:
        if kind in _SPEED_FACTORS:
            events.append(BeltEvent(kind, at_s - _SPEED_EVENT_S / 2, at_s + _SPEED_EVENT_S / 2))
            continue
        here = SIZE_HW[1] / 2 - float(np.interp(at_s, times, moved))
        place = min(places, key=lambda one: abs(one - here))
        _upset(kind, place, places, lying)
        seen = times[(place + moved > 0) & (place + moved < SIZE_HW[1])]
        events.append(BeltEvent(kind, float(seen[0]), float(seen[-1])))
    return _film_belt(rng, places, lying, moved), events


def _upset(kind: str, place: float, places: list[float], lying: list[float]) -> None:
    """Let the bottle at a place be missing, toppled or doubled. In place."""
    if kind == "doubled":
        places.append(place - _DOUBLED_PX)
        return
    places.remove(place)
    if kind == "toppled":
        lying.append(place)
        places[:] = [one + float(np.sign(one - place)) * _TOPPLED_EXTRA_PX for one in places]


def _film_belt(
    rng: np.random.Generator, places: Sequence[float], lying: Sequence[float], moved: NDArray[np.float64]
) -> Iterator[Image]:
    light = rng.normal(1.0, 0.03)
    upright = [_bottle(shade) for shade in rng.normal(1.0, 0.04, size=4)]
    fallen = _fallen(upright[0])
    hall, grain = _hall(), rng.normal(scale=3.0, size=(6, *SIZE_HW, 3)).astype(np.int16)
    for shift in moved:
        scene = hall.copy()
        _draw_belt(scene, shift)
        for number, place in enumerate(places):
            _paste(scene, upright[number % len(upright)], place + shift)
        for place in lying:
            _paste(scene, fallen, place + shift)
        yield _expose(scene, rng, light, grain)


def _fallen(bottle: Sprite) -> Sprite:
    colours, opacity = (np.ascontiguousarray(np.rot90(layer)) for layer in bottle)
    return colours, opacity


def _place_bottles(
    rng: np.random.Generator, speed: float, toppled_at_s: float | None
) -> tuple[list[float], float | None]:
    """Return where the middle of each upright bottle and of the toppled one is at second 0, in pixels."""
    first = -speed * SECONDS - _GAP_PX
    gaps = np.clip(rng.normal(_GAP_PX, 14.0, size=round((SIZE_HW[1] - first) / _GAP_PX) + 3), 200, 280)
    places = first + np.cumsum(gaps)
    if toppled_at_s is None:
        return list(places), None
    toppled = SIZE_HW[1] / 2 - speed * toppled_at_s
    offset = places - toppled
    offset -= offset[np.argmin(np.abs(offset))]  # the nearest bottle is the one that fell
    apart = offset + np.sign(offset) * _TOPPLED_EXTRA_PX
    return [toppled + o for o in apart if abs(o) > 1.0], toppled


def _hall() -> NDArray[np.float32]:
    """Paint what does not move: wall, window light, guard rail, belt frame; float32 RGB."""
    import cv2

    height, width = SIZE_HW
    wall = np.linspace(118, 158, height)[:, None, None] * np.array([0.97, 1.0, 1.03])
    scene = np.broadcast_to(wall, (height, width, 3)).astype(np.float32, order="C")
    scene *= 1.0 + 0.10 * np.sin(np.linspace(0, 2.4, width))[None, :, None].astype(np.float32)
    for x in (90, 330, 566):
        cv2.rectangle(scene, (x - 13, 0), (x + 13, _BELT_Y), (102, 108, 114), -1)
        cv2.line(scene, (x - 13, 0), (x - 13, _BELT_Y), (138, 143, 148), 2)
    cv2.rectangle(scene, (420, 26), (520, 92), (78, 88, 100), -1)
    cv2.rectangle(scene, (430, 36), (510, 76), (64, 122, 138), -1)
    for y in (136, 196):
        cv2.line(scene, (0, y), (width, y), (172, 176, 178), 6)
        cv2.line(scene, (0, y + 4), (width, y + 4), (112, 116, 118), 2)
    cv2.rectangle(scene, (0, _BELT_Y + 26), (width, height), (92, 97, 104), -1)
    cv2.rectangle(scene, (0, _BELT_Y + 26), (width, _BELT_Y + 34), (146, 150, 154), -1)
    for x in range(40, width, 112):
        cv2.circle(scene, (x, _BELT_Y + 50), 12, (62, 66, 71), -1)
        cv2.circle(scene, (x, _BELT_Y + 50), 5, (150, 154, 158), -1)
    return cv2.GaussianBlur(scene, (0, 0), 0.9)  # type: ignore[no-any-return]  # cv2 is untyped


def _draw_belt(scene: NDArray[np.float32], moved_px: float) -> None:
    import cv2

    cv2.rectangle(scene, (0, _BELT_Y - 4), (SIZE_HW[1], _BELT_Y + 25), (46, 50, 52), -1)
    cv2.line(scene, (0, _BELT_Y - 4), (SIZE_HW[1], _BELT_Y - 4), (84, 90, 92), 2)
    for x in np.arange(moved_px % 64 - 64, SIZE_HW[1] + 64, 64):
        cv2.line(scene, (round(x), _BELT_Y), (round(x) - 8, _BELT_Y + 24), (66, 71, 73), 3)


def _bottle(shade: float) -> Sprite:
    """Paint one upright bottle of `_BOTTLE_WH` pixels: amber glass, white label, blue cap."""
    import cv2

    scale, width, height = 4, 62, 150
    shape = np.zeros((height * scale, width * scale), np.float32)
    right = [(42, 26), (43, 46), (60, 68), (61, 74), (61, 143), (56, 150)]
    outline = np.array(right + [(width - x, y) for x, y in reversed(right)])
    cv2.fillPoly(shape, [outline * scale], 1.0)
    cv2.rectangle(shape, (18 * scale, 3 * scale), (44 * scale, 27 * scale), 1.0, -1)
    across = np.linspace(-1, 1, width * scale, dtype=np.float32)
    round_light = (0.55 + 0.5 * np.sqrt(np.clip(1 - across**2, 0, 1)))[None, :, None]
    colour = np.empty((height * scale, width * scale, 3), np.float32)
    colour[:] = (150, 84, 34)
    colour[: 25 * scale] = (36, 78, 158)
    colour[84 * scale : 130 * scale] = (226, 222, 210)
    colour[92 * scale : 98 * scale] = (188, 48, 42)
    for line in range(3):
        y = (104 + 7 * line) * scale
        colour[y : y + 2 * scale, 14 * scale : (46 - 6 * line) * scale] = (96, 96, 100)
    colour *= round_light * shade
    shine = slice(12 * scale, 16 * scale)
    colour[66 * scale : 84 * scale, shine] += 70
    colour[130 * scale : 142 * scale, shine] += 50
    alpha = cv2.resize(shape, _BOTTLE_WH, interpolation=cv2.INTER_AREA)[..., None]
    return cv2.resize(np.clip(colour, 0, 255), _BOTTLE_WH, interpolation=cv2.INTER_AREA), alpha


def _paste(scene: NDArray[np.float32], sprite: Sprite, middle_x: float) -> None:
    """Stand a sprite on the belt with its middle at `middle_x`, and a soft shadow below it. In place."""
    colour, alpha = sprite
    height, width = alpha.shape[:2]
    left, top = round(middle_x - width / 2), _BELT_Y + 2 - height
    x0, x1 = max(left, 0), min(left + width, SIZE_HW[1])
    if x0 >= x1:
        return
    scene[_BELT_Y + 2 : _BELT_Y + 9, x0:x1] *= 0.6
    part = slice(x0 - left, x1 - left)
    below = scene[top : top + height, x0:x1]
    below += alpha[:, part] * (colour[:, part] - below)


def _expose(scene: NDArray[np.float32], rng: np.random.Generator, light: float, grain: NDArray[np.int16]) -> Image:
    """Photograph one frame: lamp flicker, camera shake of a pixel, sensor noise."""
    import cv2

    exposed = cv2.convertScaleAbs(scene, alpha=light * rng.normal(1.0, 0.008))
    shaken = np.roll(exposed, rng.integers(-1, 2, size=2), axis=(0, 1))
    return cv2.add(shaken, grain[rng.integers(len(grain))], dtype=cv2.CV_8U)  # type: ignore[no-any-return]  # cv2 is untyped
