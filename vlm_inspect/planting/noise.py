"""Gradient noise: the uneven edges and mottled surfaces of planted defects."""

import numpy as np
from numpy.typing import NDArray

Noise = NDArray[np.float32]


def perlin_noise(size_hw: tuple[int, int], cells_hw: tuple[int, int], generator: np.random.Generator) -> Noise:
    """Return gradient noise, float32 (H, W), about -1 to 1 (K. Perlin, Improving Noise, SIGGRAPH 2002).

    Args:
        size_hw: height and width in pixels.
        cells_hw: how many lattice cells the noise has along each side, 1 or more.
        generator: source of the gradients.
    """
    rows, columns = (
        np.linspace(0, cells, size, endpoint=False, dtype=np.float32)
        for size, cells in zip(size_hw, cells_hw, strict=True)
    )
    angles = generator.uniform(0, 2 * np.pi, (cells_hw[0] + 1, cells_hw[1] + 1)).astype(np.float32)
    i, j = rows.astype(int)[:, None], columns.astype(int)[None, :]
    y, x = rows[:, None] % 1, columns[None, :] % 1

    def corner(down: int, right: int) -> Noise:
        angle = angles[i + down, j + right]
        noise: Noise = np.cos(angle) * (x - right) + np.sin(angle) * (y - down)
        return noise

    fade_y, fade_x = (t**3 * (t * (t * 6 - 15) + 10) for t in (y, x))
    top = corner(0, 0) * (1 - fade_x) + corner(0, 1) * fade_x
    bottom = corner(1, 0) * (1 - fade_x) + corner(1, 1) * fade_x
    return np.asarray(np.sqrt(2) * (top * (1 - fade_y) + bottom * fade_y), np.float32)


def noise_of_grain(size_hw: tuple[int, int], grain_px: float, generator: np.random.Generator) -> Noise:
    """Return gradient noise whose bumps are about `grain_px` wide, float32 (H, W), about -1 to 1."""
    rows, columns = (max(1, round(side / max(grain_px, 2.0))) for side in size_hw)
    return perlin_noise(size_hw, (rows, columns), generator)
