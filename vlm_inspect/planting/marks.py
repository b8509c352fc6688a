"""Planted defects that change how a surface looks: scratches, cracks, stains, foreign matter, discolouration, dents."""

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.planting.noise import noise_of_grain
from vlm_inspect.planting.shapes import blob, soft_disc, stroke
from vlm_inspect.planting.surface import Pixels, Spot

Changed = tuple[Pixels, NDArray[np.float32]]
"""The window with the defect on the whole of it, and its opacity (h, w): how much of that shows at each pixel."""


def scratch(spot: Spot, generator: np.random.Generator) -> Changed:
    """A thin line, bright or dark, at times with the other beside it as the raised edge of a groove has."""
    opacity = stroke(spot, generator, jagged=False)
    sign = 1.0 if generator.random() < 0.6 else -1.0
    content = spot.pixels + np.float32(sign * spot.amplitude)
    if generator.random() < 0.4:
        shifted = np.roll(opacity, int(generator.choice([-2, 2])), axis=int(generator.integers(2)))
        beside = shifted * (1 - opacity)
        content = np.where(
            (beside > opacity)[:, :, None], spot.pixels - np.float32(0.6 * sign * spot.amplitude), content
        )
        opacity = np.maximum(opacity, 0.8 * beside)
    return content, opacity


def crack(spot: Spot, generator: np.random.Generator) -> Changed:
    """A dark line that changes its direction."""
    return spot.pixels - np.float32(1.1 * spot.amplitude), stroke(spot, generator, jagged=True)


def stain(spot: Spot, generator: np.random.Generator) -> Changed:
    """A mottled shade with a soft edge, darker four times in five; what lies below shows through."""
    opacity = blob(spot, generator, edge_px=0.22 * spot.diameter)
    mottle = 0.75 + 0.5 * noise_of_grain(spot.size_hw, 0.35 * spot.diameter, generator)
    sign = -1.0 if generator.random() < 0.8 else 1.0
    shade = np.float32(sign * spot.amplitude) * _hue(spot, generator, 0.5)
    return spot.pixels + shade * mottle[:, :, None], opacity


def contamination(spot: Spot, generator: np.random.Generator) -> Changed:
    """Foreign matter with a texture of its own that hides what lies below."""
    opacity = blob(spot, generator, edge_px=0.8, ragged=0.5)
    here = _mean_under(spot, opacity)
    sign = 1.0 if generator.random() < 0.5 else -1.0
    base = here + np.float32(sign * spot.amplitude) * _hue(spot, generator, 1.2)
    grain = noise_of_grain(spot.size_hw, float(generator.uniform(2.0, max(2.5, 0.4 * spot.diameter))), generator)
    rough = np.float32(generator.uniform(0.15, 0.5) * spot.amplitude)
    return base + rough * grain[:, :, None], opacity


def discolouration(spot: Spot, generator: np.random.Generator) -> Changed:
    """Another colour with the same texture; another brightness and contrast where the camera sees no colour."""
    opacity = blob(spot, generator, edge_px=0.12 * spot.diameter, ragged=0.25)
    if spot.surface.grey:
        here = _mean_under(spot, opacity)
        gain = np.float32(generator.uniform(0.5, 0.85))
        sign = np.float32(generator.choice([-1.0, 1.0]))
        return here + gain * (spot.pixels - here) + 0.7 * sign * np.float32(spot.amplitude), opacity
    hue = _hue(spot, generator, 2.0)
    return spot.pixels + np.float32(0.9 * spot.amplitude) * (hue - hue.mean()) * 1.2, opacity


def dent(spot: Spot, generator: np.random.Generator) -> Changed:
    """A dent or a bulge: the texture is drawn together or apart, and one flank is lit while the other lies in shade."""
    import cv2

    hump, away = soft_disc(spot, generator)
    sign = np.float32(generator.choice([-1.0, 1.0]))
    pull = sign * np.float32(0.22 * spot.diameter) * hump * (1 - hump) * 4
    y, x = np.mgrid[: spot.size_hw[0], : spot.size_hw[1]].astype(np.float32)
    bent = cv2.remap(
        spot.pixels, x + pull * away[..., 1], y + pull * away[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    light = float(generator.uniform(0, 2 * np.pi))
    slope = np.gradient(hump)
    lit = (np.sin(light) * slope[0] + np.cos(light) * slope[1]).astype(np.float32)
    lit *= sign * np.float32(spot.amplitude) / max(float(np.abs(lit).max()), 1e-6)
    return np.asarray(bent + lit[:, :, None], np.float32), (hump > 0.02).astype(np.float32)


def deformation(spot: Spot, generator: np.random.Generator) -> Changed:
    """A place bent out of shape, its light unchanged: what is there is pushed to one side, most in the middle."""
    import cv2

    hump, _ = soft_disc(spot, generator)
    angle = float(generator.uniform(0, 2 * np.pi))
    push = hump * np.float32((0.4 + 0.6 * _share(spot)) * float(generator.uniform(0.3, 0.6)) * spot.diameter)
    y, x = np.mgrid[: spot.size_hw[0], : spot.size_hw[1]].astype(np.float32)
    along, across = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    bent = cv2.remap(spot.pixels, x - push * along, y - push * across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(bent, np.float32), (hump > 0.02).astype(np.float32)


def wear(spot: Spot, generator: np.random.Generator) -> Changed:
    """A place rubbed smooth: its fine structure is gone, its colour stays."""
    import cv2

    opacity = blob(spot, generator, edge_px=0.15 * spot.diameter)
    sigma = max(1.0, float(generator.uniform(0.1, 0.3)) * spot.diameter)
    smooth = cv2.GaussianBlur(spot.pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smooth, np.float32), opacity * np.float32(0.5 + 0.5 * _share(spot))


def _share(spot: Spot) -> float:
    """Return the strength asked for as a share of the picture's range, in (0, 1]."""
    return min(1.0, spot.amplitude / spot.surface.range)


def _hue(spot: Spot, generator: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Return factors of the three channels, about 1; all 1 where the camera sees no colour."""
    if spot.surface.grey:
        return np.ones(3, np.float32)
    return np.clip(1.0 + strength * generator.uniform(-0.5, 0.5, 3), 0.0, 2.0).astype(np.float32)


def _mean_under(spot: Spot, opacity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean colour (3,) of what a defect covers."""
    weight = opacity[:, :, None] + np.float32(1e-6)
    return np.asarray((spot.pixels * weight).sum(axis=(0, 1)) / weight.sum(axis=(0, 1)), np.float32)
