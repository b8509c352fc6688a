"""One painted picture after another: a scene, what is wrong with it, and the photograph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.painting import lines, shapes, spots
from recipes.dapo_mini.painting.canvas import Canvas, Light, shine, some_light
from recipes.dapo_mini.painting.marks import add_marks
from recipes.dapo_mini.painting.noise import Random
from recipes.dapo_mini.painting.parts import BOARDS, PARTS
from recipes.dapo_mini.painting.surfaces import SURFACES, plain
from vlm_inspect.training.method import TrainingSample

Defect = Callable[[Random, Canvas], NDArray[np.bool_]]

DEFECTS: dict[str, Defect] = {
    "scratch": lines.scratch,
    "crack": lines.crack,
    "cut": lines.cut,
    "thread": lines.thread,
    "stain": spots.stain,
    "discoloration": spots.discoloration,
    "hole": spots.hole,
    "dent": spots.dent,
    "bubble": spots.bubble,
    "contamination": spots.contamination,
    "liquid": spots.liquid,
    "rust": spots.rust,
    "burnt": spots.burn,
    "wear": spots.wear,
    "misprint": spots.misprint,
    "foreign material": spots.foreign,
    "chip": shapes.chip,
    "broken": shapes.broken,
    "bent": shapes.bent,
    "missing": shapes.missing,
    "misplaced": shapes.misplaced,
}
"""Painters by the word that the prompts use."""

FAMILIES = (*sorted(SURFACES), *sorted(BOARDS), *sorted(PARTS))
_TRIES = 6
_LEAST_CHANGE = 0.03
"""Smallest mean change of brightness within a mask that counts as a visible defect."""


@dataclass(frozen=True)
class Photograph:
    """What a camera does to a scene; drawn once for a scene, so that a defect changes nothing else."""

    light: Light
    blur: float
    noise: float
    quality: int
    shrink: float
    grey: bool
    gain: float
    seed: int


def some_photograph(random: Random) -> Photograph:
    """Return the camera of one picture."""
    return Photograph(
        light=some_light(random),
        blur=float(random.uniform(0.3, 1.6) if random.random() < 0.5 else 0.0),
        noise=float(random.exponential(0.008)),
        quality=int(random.integers(60, 100)),
        shrink=float(random.uniform(0.5, 1) if random.random() < 0.3 else 1.0),
        grey=bool(random.random() < 0.3),
        gain=float(random.uniform(0.8, 1.25)),
        seed=int(random.integers(2**31)),
    )


def take(canvas: Canvas, camera: Photograph) -> NDArray[np.uint8]:
    """Return the photograph of a scene, uint8 (S, S, 3) RGB."""
    image = shine(canvas, camera.light) * camera.gain
    side = canvas.side
    if camera.grey:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if camera.blur:
        image = cv2.GaussianBlur(image, (0, 0), camera.blur)
    if camera.shrink < 1:
        small = max(32, round(side * camera.shrink))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)
    random = np.random.default_rng(camera.seed)
    grain = random.standard_normal((side, side, 1), np.float32) * camera.noise
    pixels = np.clip((image + grain) * 255, 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR) if done else pixels, np.uint8)


def paint_scene(random: Random, family: str, side: int) -> Canvas:
    """Return a scene without defects.

    Raises:
        KeyError: no such family.
    """
    if family in PARTS:
        under = plain if random.random() < 0.65 else SURFACES[str(random.choice(sorted(SURFACES)))]
        canvas = PARTS[family](random, under(random, side))
    else:
        canvas = {**SURFACES, **BOARDS}[family](random, side)
    add_marks(random, canvas)
    return canvas


def spoil(
    random: Random, canvas: Canvas, camera: Photograph, words: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], str] | None:
    """Return the photograph of the scene with one defect, its mask and its word; None where none came out visible."""
    normal = take(canvas, camera).astype(np.int16)
    for _ in range(_TRIES):
        word = str(random.choice(list(words)))
        spoiled = canvas.copy()
        region = DEFECTS[word](random, spoiled)
        picture = take(spoiled, camera)
        change = np.abs(picture.astype(np.int16) - normal).max(axis=2) / 255.0
        mask = _trimmed(region, change)
        share = float(mask.mean())
        if 0.0001 < share < min(0.4 * canvas.growth, 0.6) and float(change[mask].mean()) > _LEAST_CHANGE:
            return picture, mask, word
    return None


def _trimmed(region: NDArray[np.bool_], change: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the part of a region that shows in the picture, without gaps."""
    shows = cv2.GaussianBlur(np.asarray(change, np.float32), (0, 0), 1.5) > _LEAST_CHANGE * 0.4
    whole = cv2.morphologyEx((region & shows).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    return np.asarray((whole > 0) & region)


def paint_pair(
    seed: Sequence[int], *, family: str, words: Sequence[str], side: int, growth: float = 1.0
) -> tuple[TrainingSample, TrainingSample | None]:
    """Return a normal picture, and the same one with a defect; equal seeds give equal pictures.

    Args:
        seed: numbers that identify the pair.
        family: one of `FAMILIES`.
        words: the defects to choose from, keys of `DEFECTS`.
        side: of the pictures in pixels.
        growth: `Canvas.growth`.
    """
    random = np.random.default_rng(list(seed))
    canvas = paint_scene(random, family, side)
    canvas.growth = growth
    return photograph_pair(random, canvas, words, class_name=family, source=f"{family}/{seed}")


def photograph_pair(
    random: Random, canvas: Canvas, words: Sequence[str], *, class_name: str, source: str
) -> tuple[TrainingSample, TrainingSample | None]:
    """Return the photographs of a scene without and with a defect; the second is None where none came out visible."""
    camera = some_photograph(random)
    empty = np.zeros(canvas.relief.shape, bool)
    normal = TrainingSample(take(canvas, camera), empty, None, class_name, f"{source}/normal")
    spoiled = spoil(random, canvas, camera, words)
    if spoiled is None:
        return normal, None
    picture, mask, word = spoiled
    return normal, TrainingSample(picture, mask, word, class_name, f"{source}/{word}")
