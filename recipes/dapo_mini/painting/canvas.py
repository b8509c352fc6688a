"""What is painted: colour, relief and where the part is; and how light makes a picture of it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.painting.noise import Field, Random, coordinates

Colour = NDArray[np.float32]
"""(3,) RGB in [0, 1]."""


@dataclass(eq=False)
class Canvas:
    """A scene before it is photographed; painters change its arrays in place."""

    colour: NDArray[np.float32]
    """(S, S, 3) RGB in [0, 1]: what the material reflects."""
    relief: Field
    """(S, S): height in pixels towards the camera."""
    part: NDArray[np.bool_]
    """(S, S): True on the part, where defects may be; all True where the surface fills the picture."""
    gloss: float = 0.0
    """Share of mirrored light."""
    ground: "Canvas | None" = None
    """What lies under the part."""
    flat: bool = False
    """A flatbed scan: no light from the side."""
    growth: float = 1.0
    """How many times larger than usual the largest defects may be, in area."""

    @property
    def side(self) -> int:
        """S in pixels."""
        return int(self.relief.shape[0])

    def copy(self) -> "Canvas":
        """Return one that can be painted without changing this one; the ground is shared."""
        return Canvas(
            self.colour.copy(), self.relief.copy(), self.part.copy(), self.gloss, self.ground, self.flat, self.growth
        )


@dataclass(frozen=True)
class Light:
    """Where light comes from and how much."""

    direction: tuple[float, float, float]
    """Unit vector towards the lamp: x right, y down, z to the camera."""
    ambient: float
    strength: float
    slope: tuple[float, float]
    """Change of brightness across and down the picture."""
    vignette: float
    steepness: float
    """Exaggeration of the relief."""


def some_light(random: Random) -> Light:
    """Return the light of one picture."""
    azimuth, height = random.uniform(0, 2 * np.pi), random.uniform(0.35, 1.4)
    flat = np.cos(height)
    direction = (float(np.cos(azimuth) * flat), float(np.sin(azimuth) * flat), float(np.sin(height)))
    return Light(
        direction=direction,
        ambient=float(random.uniform(0.25, 0.6)),
        strength=float(random.uniform(0.45, 0.8)),
        slope=(float(random.normal(0, 0.08)), float(random.normal(0, 0.08))),
        vignette=float(random.uniform(0, 0.25) if random.random() < 0.4 else 0.0),
        steepness=float(random.uniform(0.6, 1.4)),
    )


def shine(canvas: Canvas, light: Light) -> NDArray[np.float32]:
    """Return the lit scene, (S, S, 3) RGB in [0, 1]: Lambert's law, Blinn's highlights, uneven lighting."""
    x, y = coordinates(canvas.side)
    if canvas.flat:
        return np.clip(canvas.colour, 0, 1)
    smooth = cv2.GaussianBlur(canvas.relief, (0, 0), 0.6) * light.steepness
    slope_x, slope_y = np.gradient(smooth, axis=1), np.gradient(smooth, axis=0)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    lx, ly, lz = light.direction
    facing = np.clip((lz - lx * slope_x - ly * slope_y) / length, 0, 1)
    brightness = light.ambient + light.strength * facing
    brightness *= 1 + light.slope[0] * x + light.slope[1] * y - light.vignette * (x * x + y * y)
    image = canvas.colour * brightness[..., None]
    if canvas.gloss > 0:
        half = np.array([lx, ly, lz + 1.0])
        half /= np.linalg.norm(half)
        mirrored = np.clip((half[2] - half[0] * slope_x - half[1] * slope_y) / length, 0, 1)
        image = image + (canvas.gloss * mirrored**24)[..., None]
    return np.asarray(np.clip(image, 0, 1), np.float32)


def some_colour(random: Random, *, grey: float = 0.4) -> Colour:
    """Return a colour: without hue with probability `grey`, else of any hue and mostly weak saturation."""
    value = random.uniform(0.12, 0.95)
    saturation = 0.0 if random.random() < grey else float(random.beta(1.2, 2.0))
    return hue(random.uniform(0, 360), saturation, value)


def hue(degrees: float, saturation: float, value: float) -> Colour:
    """Return the RGB colour of a hue in degrees."""
    cell = np.array([[[degrees % 360, saturation, value]]], np.float32)
    return np.asarray(cv2.cvtColor(cell, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def near(random: Random, colour: Colour, spread: float = 0.1) -> Colour:
    """Return a colour like this one."""
    shared = random.normal(0, spread)
    return np.asarray(np.clip(colour + shared + random.normal(0, spread / 4, 3), 0.03, 1), np.float32)


def fill(side: int, colour: Colour) -> NDArray[np.float32]:
    """Return a picture of one colour."""
    return np.broadcast_to(np.asarray(colour, np.float32), (side, side, 3)).copy()


def mix(canvas: NDArray[np.float32], colour: NDArray[np.float32], share: Field) -> NDArray[np.float32]:
    """Return the picture with `share` (S, S) in [0, 1] of it replaced by a colour or another picture."""
    weight = np.clip(share, 0, 1)[..., None]
    return np.asarray(canvas * (1 - weight) + colour * weight, np.float32)
