"""Clips of a walkway from code, with what happens in them: a second world beside the belts of `vlm_inspect.demo`.

A ground in metres is seen through a pinhole camera: from above with walkers coming and going (`far`), or across with
walkers passing (`side`). Everyone has a height, a speed, clothes and a gait of their own; groups walk together. Events
are a bicycle, a cart, a runner, someone on a board who stands still and rolls, someone who crosses where nobody walks,
and someone who goes against the stream where all go one way. Nothing of it is drawn after a real clip.
`crowded` is the hard one of the views.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.walkway_camera import CLEAR, Camera, Exposure, make_camera

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
EVENT_KINDS = ("bicycle", "cart", "runner", "board", "crossing", "against")
VIEWS = ("far", "side")
HARD_VIEW = "crowded"
"""As `far`, with a crowd, people who stand about, and an old camera in a bad light (`walkway_camera.py`)."""
FPS = 10.0
SIZE_HW = (160, 240)
_FINE = 2
"""Pixels are drawn this much finer and averaged."""
_WALK_M_S = (1.3, 0.2)
_SPEEDS_M_S = {"bicycle": 4.2, "cart": 2.6, "runner": 3.2, "board": 3.0}


@dataclass(frozen=True)
class Scene:
    """How the ground is seen, and how people walk on it."""

    view: str
    camera_m: float
    """Height of the camera."""
    focal_px: float
    horizon_px: float
    near_m: float
    far_m: float
    width_m: float
    """The path, across."""
    slant: float
    """Metres to the right for each metre away."""
    one_way: bool
    crowd: float
    """Walkers that come in a second."""
    standing: int = 0
    """Walkers who stand about in groups of two."""
    camera: Camera = CLEAR
    """What the light and the camera make of it."""

    def project(self, across_m: Floats, away_m: Floats, up_m: Floats) -> Floats:
        """Return pixels (N, 2), x to the right and y down."""
        depth = np.maximum(away_m, 0.5)
        x = SIZE_HW[1] / 2 + self.focal_px * (across_m + self.slant * (away_m - self.near_m)) / depth
        y = self.horizon_px + self.focal_px * (self.camera_m - up_m) / depth
        return np.stack([x, y], axis=-1)


@dataclass(frozen=True)
class Mover:
    """Somebody, or something, that passes once."""

    kind: str
    start_s: float
    from_m: tuple[float, float]
    """(across, away)."""
    speed_m_s: tuple[float, float]
    height_m: float
    shades: tuple[float, float, float]
    """Head, body and legs, in [0, 255]."""
    stride_hz: float
    phase: float

    def place(self, time_s: float) -> tuple[float, float]:
        """Return (across, away) in metres at a time."""
        passed = time_s - self.start_s
        return self.from_m[0] + self.speed_m_s[0] * passed, self.from_m[1] + self.speed_m_s[1] * passed


@dataclass(frozen=True)
class WalkwayEvent:
    """What is out of the ordinary, and in which frames it can be seen."""

    kind: str
    first: int
    last: int


def make_scene(rng: np.random.Generator, view: str) -> Scene:
    """Return a camera over a path; `view` is one of `VIEWS`, or `HARD_VIEW`."""
    if view == HARD_VIEW:
        scene, crowd = make_scene(rng, "far"), float(rng.uniform(0.6, 1.4))
        return replace(scene, crowd=crowd, standing=int(rng.integers(0, 7)), camera=make_camera(rng))
    if view == "far":
        return Scene(
            view=view,
            camera_m=float(rng.uniform(7, 10)),
            focal_px=float(rng.uniform(240, 300)),
            horizon_px=float(rng.uniform(-60, -30)),
            near_m=float(rng.uniform(11, 13)),
            far_m=float(rng.uniform(32, 42)),
            width_m=float(rng.uniform(5, 8)),
            slant=float(rng.uniform(-0.2, 0.2)),
            one_way=bool(rng.random() < 0.3),
            crowd=float(rng.uniform(0.25, 0.8)),
        )
    return Scene(
        view=view,
        camera_m=float(rng.uniform(4, 6)),
        focal_px=float(rng.uniform(260, 330)),
        horizon_px=float(rng.uniform(-10, 15)),
        near_m=float(rng.uniform(11, 13)),
        far_m=float(rng.uniform(16, 19)),
        width_m=float(rng.uniform(12, 15)),
        slant=0.0,
        one_way=bool(rng.random() < 0.3),
        crowd=float(rng.uniform(0.25, 0.7)),
    )


def film_walkway(
    rng: np.random.Generator, scene: Scene, wanted: Sequence[tuple[str, float]], *, frames: int
) -> tuple[list[Image], list[WalkwayEvent]]:
    """Film a clip, uint8 RGB of `SIZE_HW`, and say in which frames each event can be seen.

    Args:
        rng: walkers, clothes, light and noise.
        scene: the camera and the path.
        wanted: kinds of events, and the second at which each comes into the picture.
        frames: how many.
    """
    walkers = list(_crowd(rng, scene, frames / FPS))
    walkers += _standing(rng, scene)
    ground = _ground(rng, scene)
    exposure = Exposure(scene.camera, SIZE_HW, np.random.default_rng(rng.integers(2**31)))
    odd = [_odd_one(rng, scene, kind, at_s) for kind, at_s in wanted]
    film = [exposure.take(_draw(ground, scene, [*walkers, *odd], index / FPS)) for index in range(frames)]
    events = []
    for mover in odd:
        seen = [index for index in range(frames) if _in_sight(scene, mover, index / FPS)]
        if seen:
            events.append(WalkwayEvent(mover.kind, seen[0], seen[-1]))
    return film, events


def _crowd(rng: np.random.Generator, scene: Scene, seconds: float) -> Iterator[Mover]:
    """Yield walkers that come from before the clip begins to its end, alone or two and three together."""
    time_s = -40.0
    while time_s < seconds:
        time_s += rng.exponential(1.0 / scene.crowd)
        first = _walker(rng, scene, time_s, coming=scene.one_way or rng.random() < 0.5)
        yield first
        for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2]))):
            beside = (first.from_m[0] + rng.uniform(-0.9, 0.9), first.from_m[1] + rng.uniform(-0.9, 0.9))
            friend = _walker(rng, scene, time_s, coming=True)
            yield Mover("walker", time_s, beside, first.speed_m_s, friend.height_m, friend.shades, friend.stride_hz,
                        friend.phase)  # fmt: skip


def _standing(rng: np.random.Generator, scene: Scene) -> Iterator[Mover]:
    """Yield people who stand about, two and two; they shift from one leg to the other."""
    for number in range(scene.standing):
        if number % 2 == 0:
            place = (rng.uniform(-0.5, 0.5) * scene.width_m, rng.uniform(scene.near_m + 1, 0.8 * scene.far_m))
        beside = place if number % 2 == 0 else (place[0] + 0.7, place[1])
        plain = _walker(rng, scene, 0.0, coming=True)
        yield replace(plain, start_s=-40.0, from_m=beside, speed_m_s=(0.0, 0.0), stride_hz=0.15)


def _walker(rng: np.random.Generator, scene: Scene, time_s: float, *, coming: bool) -> Mover:
    speed = max(0.7, rng.normal(*_WALK_M_S))
    start, velocity = _lane(rng, scene, speed, coming=coming)
    shades = (float(rng.uniform(40, 130)), float(rng.uniform(20, 235)), float(rng.uniform(20, 140)))
    height, stride = float(rng.normal(1.72, 0.08)), float(rng.normal(0.95, 0.08))
    return Mover("walker", time_s, start, velocity, height, shades, stride, float(rng.uniform(0, 1)))


def _lane(
    rng: np.random.Generator, scene: Scene, speed: float, *, coming: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where somebody begins and the velocity along the path, a few degrees off."""
    drift = rng.normal(0, 0.06) * speed
    if scene.view == "far":
        across = rng.uniform(-0.5, 0.5) * scene.width_m
        away = scene.far_m if coming else scene.near_m - 3.0
        return (across, away), (drift, -speed if coming else speed)
    away = rng.uniform(scene.near_m, scene.far_m)
    side = (scene.width_m / 2 + 2.0) * away / scene.near_m
    return (-side if coming else side, away), (speed if coming else -speed, drift * 0.3)


def _odd_one(rng: np.random.Generator, scene: Scene, kind: str, at_s: float) -> Mover:
    plain = _walker(rng, scene, at_s, coming=scene.one_way or rng.random() < 0.5)
    if kind == "against":
        plain = _walker(rng, scene, at_s, coming=not scene.one_way)
        return _as(plain, kind, plain.from_m, plain.speed_m_s, plain.stride_hz)
    if kind == "crossing":
        speed = _WALK_M_S[0]
        if scene.view == "far":
            away = float(rng.uniform(scene.near_m + 2, 0.6 * scene.far_m))
            edge = SIZE_HW[1] / 2 / scene.focal_px * away
            middle = -scene.slant * (away - scene.near_m)
            return _as(plain, kind, (middle - edge, away), (speed, 0.0), plain.stride_hz)
        return _as(plain, kind, (float(rng.uniform(-4, 4)), scene.far_m + 8.0), (0.0, -speed), plain.stride_hz)
    speed = _SPEEDS_M_S[kind] * float(rng.normal(1.0, 0.1))
    factor = speed / max(np.hypot(*plain.speed_m_s), 1e-6)
    velocity = (plain.speed_m_s[0] * factor, plain.speed_m_s[1] * factor)
    stride = {"runner": 1.5, "bicycle": 0.9}.get(kind, 0.0)
    return _as(plain, kind, plain.from_m, velocity, stride)


def _as(plain: Mover, kind: str, start: tuple[float, float], velocity: tuple[float, float], stride_hz: float) -> Mover:
    return Mover(kind, plain.start_s, start, velocity, plain.height_m, plain.shades, stride_hz, plain.phase)


def _in_sight(scene: Scene, mover: Mover, time_s: float) -> bool:
    """Whether any of a mover, but for a sliver at the edge, is in the picture."""
    if time_s < mover.start_s:
        return False
    across, away = mover.place(time_s)
    if away < 3.0 or away > scene.far_m + 12.0:
        return False
    wide = {"cart": 1.2, "bicycle": 0.7}.get(mover.kind, 0.2)
    sides = np.array([across - wide, across + wide])
    (left, foot), (right, head) = scene.project(sides, np.array([away, away]), np.array([0.2, mover.height_m - 0.2]))
    return bool(right > 0 and left < SIZE_HW[1] and foot > 0 and head < SIZE_HW[0])


def _ground(rng: np.random.Generator, scene: Scene) -> Floats:
    """Return the empty scene (H, W) at the fine size: grass, a brighter path with joints, light and shade."""
    import cv2

    height, width = (side * _FINE for side in SIZE_HW)
    coarse = rng.normal(0, 1, (height // 16, width // 16))
    base = 105 + 9 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    base += rng.normal(0, 6, (height, width))
    half, far = scene.width_m / 2 + 0.5, scene.far_m + 8
    if scene.view == "far":
        corners = [(-half, scene.near_m - 5), (half, scene.near_m - 5), (half, far), (-half, far)]
    else:
        corners = [(-40, scene.near_m - 1), (40, scene.near_m - 1), (40, scene.far_m + 1), (-40, scene.far_m + 1)]
    outline = scene.project(*(np.array([c[k] for c in corners]) for k in (0, 1)), np.zeros(4))
    path = np.zeros((height, width), np.float32)
    cv2.fillPoly(path, [np.round(outline * _FINE).astype(np.int32)], 1.0)
    path = cv2.GaussianBlur(path, (0, 0), 2.0)
    return np.asarray(base + path * float(rng.uniform(25, 60)), np.float64)


def _draw(ground: Floats, scene: Scene, movers: Sequence[Mover], time_s: float) -> Floats:
    picture = ground.astype(np.float32)
    there = [one for one in movers if _near_sight(scene, one, time_s)]
    for mover in sorted(there, key=lambda one: -one.place(time_s)[1]):  # what is near hides what is far
        _paint(picture, scene, mover, time_s)
    return picture.astype(np.float64)


def _near_sight(scene: Scene, mover: Mover, time_s: float) -> bool:
    across, away = mover.place(time_s)
    if time_s < mover.start_s or away < 3.0 or away > scene.far_m + 12.0:
        return False
    x, y = scene.project(np.array(across), np.array(away), np.array(mover.height_m / 2))
    return bool(-60 <= x < SIZE_HW[1] + 60 and -60 <= y < SIZE_HW[0] + 60)


def _paint(picture: NDArray[np.float32], scene: Scene, mover: Mover, time_s: float) -> None:
    """Draw one mover. In place."""
    across, away = mover.place(time_s)
    foot = scene.project(np.array(across), np.array(away), np.array(0.0)) * _FINE
    unit = scene.focal_px / away * _FINE  # pixels a metre at that distance
    swing = np.sin(2 * np.pi * (mover.stride_hz * time_s + mover.phase)) if mover.stride_hz else 0.25
    sideways = float(np.sign(mover.speed_m_s[0] + scene.slant * mover.speed_m_s[1])) if scene.view == "side" else 0.3
    lean = 0.12 * sideways if mover.kind == "runner" else 0.0
    _ellipse(picture, foot + np.array([0.1, 0.0]) * unit, (0.32 * unit, 0.1 * unit), picture.mean() * 0.72)
    if mover.kind == "cart":
        _box(picture, foot, unit, (-1.3, 1.3) if scene.view == "side" else (-0.8, 0.8), (0.35, 1.5), mover.shades[1])
        _box(picture, foot, unit, (-0.6, 0.6), (1.5, 1.9), mover.shades[2])
        for side in (-0.8, 0.8):
            _ellipse(picture, foot + np.array([side * 0.8, -0.25]) * unit, (0.25 * unit, 0.25 * unit), 30.0)
        return
    lifted = {"bicycle": 0.45, "board": 0.12}.get(mover.kind, 0.0)
    if mover.kind == "bicycle":
        reach = 0.55 if scene.view == "side" else 0.12
        for side in (-reach, reach):
            _ellipse(
                picture,
                foot + np.array([side, -0.34]) * unit,
                (0.34 * unit * max(reach / 0.55, 0.3), 0.34 * unit),
                45.0,
            )
    height = mover.height_m
    for side in (-1, 1):
        step = 0.22 * side * swing * (1.0 if scene.view == "side" else 0.45)
        hip = foot + np.array([0.0, -(0.48 * height + lifted)]) * unit
        end = foot + np.array([step + 0.06 * side, -lifted - 0.05 * max(0.0, side * swing)]) * unit
        _limb(picture, hip, end, 0.15 * unit, mover.shades[2])
    chest = foot + np.array([lean, -(0.82 * height + lifted)]) * unit
    _limb(picture, foot + np.array([0.0, -(0.5 * height + lifted)]) * unit, chest, 0.4 * unit, mover.shades[1])
    _ellipse(
        picture, chest + np.array([lean * 0.5, -0.13 * height]) * unit, (0.11 * unit, 0.14 * unit), mover.shades[0]
    )


def _box(picture: NDArray[np.float32], foot: Floats, unit: float, across: tuple[float, float], up: tuple[float, float],
         shade: float) -> None:  # fmt: skip
    corners = np.array([(across[0], -up[0]), (across[1], -up[0]), (across[1], -up[1]), (across[0], -up[1])])
    _polygon(picture, foot + corners * unit, shade)


def _limb(picture: NDArray[np.float32], start: Floats, end: Floats, width: float, shade: float) -> None:
    along = end - start
    aside = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) * width / 2
    _polygon(picture, np.array([start + aside, start - aside, end - aside, end + aside]), shade)


def _polygon(picture: NDArray[np.float32], corners: Floats, shade: float) -> None:
    import cv2

    cv2.fillPoly(picture, [np.round(corners * 16).astype(np.int32)], shade, lineType=cv2.LINE_AA, shift=4)


def _ellipse(picture: NDArray[np.float32], middle: Floats, axes: tuple[float, float], shade: float) -> None:
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    _polygon(picture, middle + np.stack([np.cos(angles) * axes[0], np.sin(angles) * axes[1]], axis=-1), float(shade))
