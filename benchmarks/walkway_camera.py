"""What light and a camera make of a generated walkway: contrast, shade, leaves in the wind, noise, compression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.floating]
_GREY = 120.0
"""Grey level that contrast is counted from."""
_LEAF = 4
"""Pixels of a leaf."""


@dataclass(frozen=True)
class Camera:
    """How a scene is taken."""

    contrast: float = 1.0
    """Share of the scene's contrast that is left."""
    shade: float = 0.0
    """Share of the light that is missing in the shade, which has a soft edge across the picture."""
    leaves: float = 0.0
    """Share of the picture's width that leaves in the wind take up, on the left."""
    noise: float = 2.5
    """Standard deviation, in grey levels."""
    flicker: float = 0.006
    """Standard deviation of the light from frame to frame."""
    jpeg: int | None = None
    """Quality of compression, 0 to 100; None: there is none."""


CLEAR = Camera()


def make_camera(rng: np.random.Generator) -> Camera:
    """Return an old camera in a bad light."""
    return Camera(
        contrast=float(rng.uniform(0.45, 0.9)),
        shade=float(rng.uniform(0.1, 0.5)),
        leaves=float(rng.choice([0.0, 0.1, 0.2])),
        noise=float(rng.uniform(2.0, 5.0)),
        flicker=float(rng.uniform(0.004, 0.015)),
        jpeg=int(rng.integers(30, 75)),
    )


class Exposure:
    """Takes the frames of one clip."""

    def __init__(self, camera: Camera, size_hw: tuple[int, int], rng: np.random.Generator) -> None:
        """Set the camera up.

        Args:
            camera: how frames are taken.
            size_hw: of the frames.
            rng: light and noise.
        """
        self._camera, self._size_hw, self._rng = camera, size_hw, rng
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] / max(size_hw)
        self._light = np.ones(size_hw)
        if camera.shade:
            angle, at = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2)
            across = (columns - 0.5) * np.cos(angle) + (rows - 0.33) * np.sin(angle) - at
            self._light = 1.0 - camera.shade / (1.0 + np.exp(-across / 0.03))
        self._index = 0
        if camera.leaves:
            import cv2

            wide = round(camera.leaves * size_hw[1])
            leaves = rng.normal(0, 1, (size_hw[0] // _LEAF + 4, wide // _LEAF + 4)).astype(np.float32)
            self._leaves = 80 + 20 * cv2.resize(leaves, None, fx=_LEAF, fy=_LEAF, interpolation=cv2.INTER_CUBIC)

    def take(self, fine: Floats) -> Image:
        """Return a frame, uint8 RGB, of a picture at any larger size, (H, W) in grey levels."""
        import cv2

        camera, rng = self._camera, self._rng
        small = cv2.resize(fine, self._size_hw[::-1], interpolation=cv2.INTER_AREA)
        if camera.leaves:
            self._hang(small)
        lit = (_GREY + camera.contrast * (small - _GREY)) * self._light
        noisy = lit * rng.normal(1.0, camera.flicker) + rng.normal(0, camera.noise, small.shape)
        frame = np.clip(noisy, 0, 255).astype(np.uint8)
        if camera.jpeg is not None:
            _, coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg])
            frame = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
        return np.repeat(frame[..., None], 3, axis=2)

    def _hang(self, picture: Floats) -> None:
        """Draw the leaves, which sway by a pixel or two. In place."""
        rows, wide = picture.shape[0], round(self._camera.leaves * picture.shape[1])
        x, y = (4 + round(1.5 * np.sin(self._index * rate + phase)) for rate, phase in ((0.9, 0.0), (0.6, 1.0)))
        picture[:, :wide] = self._leaves[y : y + rows, x : x + wide]
        self._index += 1
