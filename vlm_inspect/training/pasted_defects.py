"""Synthetic defects on normal pictures: supervision where nobody has marked a real one.

Three kinds, after what the literature pastes on normal pictures: a foreign texture inside a Perlin-noise shape (DRAEM,
arXiv 2108.07610), a patch of the picture itself put elsewhere (CutPaste, arXiv 2104.04015), and the same as a thin,
turned strip (CutPaste-scar). The mask is exact: every pixel in it changed visibly, and no pixel outside it changed.
Everything comes from the `Generator` that is handed in: equal generators, equal defects.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.localization.foreground import find_foreground
from vlm_inspect.planting.noise import perlin_noise
from vlm_inspect.training.method import TrainingSample

if TYPE_CHECKING:
    from vlm_inspect.localization.dual_encoder.encoder import Rgb

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]
"""(H, W, 3), float32 in [0, 255]."""

LEAST_CHANGE = 12
"""Least change of a pixel's most changed channel (of 255) that counts as visible."""
_LEAST_SIDE = 8
"""Shortest side in pixels of a picture that a defect is put on."""
_LEAST_AREA = 3e-4
"""Least share of the picture that a defect covers, and four pixels at least: less is lost on a patch grid."""
_MOST_SPECK = 0.05
"""Parts of a defect smaller than this share of it are dropped."""
_TRIES = 6
"""Shapes tried until one is visible; the last resort is always visible."""


def paste_defect(
    sample: TrainingSample, generator: np.random.Generator, donors: "Sequence[Rgb]" = ()
) -> TrainingSample:
    """Return the sample with one synthetic defect; its word is the kind of the defect.

    Where the part lies on a plain background, the defect lies on the part.

    Args:
        sample: a normal picture, both sides at least 8 px.
        generator: source of every choice.
        donors: uint8 HWC RGB pictures that foreign textures may come from; without any they are made.

    Raises:
        ValueError: the sample is anomalous already, or too small.
    """
    if sample.mask.any() or sample.word is not None:
        raise ValueError(f"{sample.source} is anomalous already; a defect is pasted on normal pictures only")
    picture = sample.picture
    if min(picture.shape[:2]) < _LEAST_SIDE:
        raise ValueError(f"{sample.source} is {picture.shape[1]} x {picture.shape[0]} px; a defect needs {_LEAST_SIDE}")
    part = find_foreground(picture)
    allowed = np.ones(picture.shape[:2], bool) if part is None else part
    for _ in range(_TRIES):
        word = str(generator.choice(list(KINDS)))
        content, shape, opacity = KINDS[word](picture.astype(np.float32), allowed, generator, donors)
        changed, mask = _blend(picture, content, shape & allowed, opacity)
        if mask.any():
            return replace(sample, picture=changed, mask=mask, word=word)
    changed, mask = _mark(picture, allowed, generator)
    return replace(sample, picture=changed, mask=mask, word="mark")


def _paste_texture(
    picture: Image, allowed: Mask, generator: np.random.Generator, donors: "Sequence[Rgb]"
) -> tuple[Image, Mask, float]:
    """Another picture's surface, or a made one, inside a few blobs of Perlin noise."""
    size_hw = picture.shape[:2]
    noise = perlin_noise(size_hw, _random_cells(size_hw, generator, most=5), generator)
    share = generator.uniform(0.01, 0.12)
    shape = noise > np.quantile(noise[allowed], 1 - share)
    shape &= _disc(allowed, generator)  # one place on the part, not every crest of the noise
    use_donor = len(donors) > 0 and generator.random() < 0.5
    texture = _donated(size_hw, generator, donors) if use_donor else _made(size_hw, generator)
    return texture, shape, float(generator.uniform(0.35, 1.0))


def _paste_patch(
    picture: Image, allowed: Mask, generator: np.random.Generator, _donors: "Sequence[Rgb]"
) -> tuple[Image, Mask, float]:
    """A rectangle of the picture at another place: 0.5 to 8 % of the part's area, aspect 0.3 to 3.3."""
    area = float(allowed.sum()) * generator.uniform(0.005, 0.08)
    aspect = float(np.exp(generator.uniform(np.log(0.3), np.log(3.3))))
    sides = float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect))
    return *_move(picture, allowed, sides, 0.0, generator), 1.0


def _paste_scar(
    picture: Image, allowed: Mask, generator: np.random.Generator, _donors: "Sequence[Rgb]"
) -> tuple[Image, Mask, float]:
    """A thin strip of the picture, turned, at another place; sides are shares of the part's mean side."""
    unit = float(np.sqrt(allowed.sum()))
    sides = unit * generator.uniform(0.12, 0.45), max(2.0, unit * generator.uniform(0.012, 0.06))
    return *_move(picture, allowed, sides, float(generator.uniform(-90, 90)), generator), 1.0


KINDS: "dict[str, Callable[[Image, Mask, np.random.Generator, Sequence[Rgb]], tuple[Image, Mask, float]]]" = {
    "texture": _paste_texture,
    "patch": _paste_patch,
    "scar": _paste_scar,
}
"""Each returns what is pasted (on the whole picture), where, and with which opacity."""


def _blend(picture: "Rgb", content: Image, shape: Mask, opacity: float) -> "tuple[Rgb, Mask]":
    """Lay content over the picture; where that shows is the mask, and everything else stays untouched."""
    weight = np.float32(opacity)
    blended = np.rint((1 - weight) * picture + weight * np.clip(content, 0, 255)).astype(np.uint8)
    change = np.abs(blended.astype(np.int16) - picture).max(axis=2)
    mask = _drop_specks(shape & (change >= LEAST_CHANGE))
    if mask.sum() < max(4, _LEAST_AREA * mask.size):
        return picture, np.zeros_like(mask)
    return np.where(mask[:, :, None], blended, picture), mask


def _drop_specks(mask: Mask) -> Mask:
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and one defect at most
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= max(2.0, _MOST_SPECK * float(areas[1:].sum()))
    kept[0] = False
    return np.asarray(kept[labels])


def _mark(picture: "Rgb", allowed: Mask, generator: np.random.Generator) -> "tuple[Rgb, Mask]":
    """A disc in which every value moves by half the range: visible on any picture, even on a black or a white one."""
    mask = _disc(allowed, generator)
    moved = (picture.astype(np.int16) + 128) % 256
    return np.where(mask[:, :, None], moved, picture).astype(np.uint8), mask


def _disc(allowed: Mask, generator: np.random.Generator) -> Mask:
    """Return an ellipse around a random pixel of the part, 8 to 30 % of the part's mean side in radius."""
    row, column = _random_place(allowed, generator)
    unit = float(np.sqrt(allowed.sum()))
    down, right = np.maximum(2.0, unit * generator.uniform(0.08, 0.3, 2))
    y, x = np.ogrid[: allowed.shape[0], : allowed.shape[1]]
    return np.asarray((((y - row) / down) ** 2 + ((x - column) / right) ** 2 <= 1) & allowed)


def _random_place(allowed: Mask, generator: np.random.Generator) -> tuple[int, int]:
    places = np.flatnonzero(allowed)
    row, column = np.unravel_index(int(generator.choice(places)), allowed.shape)
    return int(row), int(column)


def _move(
    picture: Image, allowed: Mask, sides: tuple[float, float], angle: float, generator: np.random.Generator
) -> tuple[Image, Mask]:
    """Return the picture turned and moved so that one random place lies on another, and the rectangle around it.

    Args:
        picture: the picture.
        allowed: both places lie here.
        sides: length and width of the rectangle in pixels.
        angle: how far content and rectangle are turned, in degrees.
        generator: source of the places and of a change of colour.
    """
    import cv2

    size = picture.shape[1], picture.shape[0]
    (from_row, from_column), (row, column) = (_random_place(allowed, generator) for _ in range(2))
    turn = cv2.getRotationMatrix2D((float(from_column), float(from_row)), angle, 1.0)
    turn[:, 2] += column - from_column, row - from_row
    content = cv2.warpAffine(picture, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    box = cv2.boxPoints(((float(column), float(row)), sides, -angle))
    shape = cv2.fillPoly(np.zeros(size[::-1], np.uint8), [np.rint(box).astype(np.int32)], 1) > 0
    return _tint(content, generator), np.asarray(shape)


def _tint(content: Image, generator: np.random.Generator) -> Image:
    """Change contrast, brightness and the balance of the colours a little."""
    contrast = np.float32(generator.uniform(0.7, 1.3))
    shift = np.asarray(generator.uniform(-35, 35) + generator.uniform(-12, 12, 3), np.float32)
    mean = content.mean(axis=(0, 1))
    tinted: Image = content * contrast + (mean * (1 - contrast) + shift)
    return tinted


def _donated(size_hw: tuple[int, int], generator: np.random.Generator, donors: "Sequence[Rgb]") -> Image:
    """Return a random crop of another picture, enlarged to the size, perhaps mirrored, with other colours."""
    import cv2

    donor = donors[int(generator.integers(len(donors)))]
    height, width = (max(1, int(side * generator.uniform(0.3, 0.9))) for side in donor.shape[:2])
    top, left = (int(generator.integers(n - m + 1)) for n, m in zip(donor.shape[:2], (height, width), strict=True))
    crop = donor[top : top + height, left : left + width].astype(np.float32)
    crop = crop[:: int(generator.choice([-1, 1])), :: int(generator.choice([-1, 1]))]
    resized = cv2.resize(np.ascontiguousarray(crop), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return _tint(np.asarray(resized, np.float32), generator)


def _made(size_hw: tuple[int, int], generator: np.random.Generator) -> Image:
    """Return a surface of two colours, mixed by two octaves of noise, with grain."""
    coarse, fine = (perlin_noise(size_hw, _random_cells(size_hw, generator, most=n), generator) for n in (4, 6))
    mixture = np.clip(0.5 + 0.7 * coarse + 0.35 * fine, 0, 1)[:, :, None]
    dark, light = generator.uniform(0, 255, (2, 3)).astype(np.float32)
    grain = generator.standard_normal((*size_hw, 1), np.float32) * np.float32(generator.uniform(0, 16))
    made: Image = dark + (light - dark) * mixture + grain
    return made


def _random_cells(size_hw: tuple[int, int], generator: np.random.Generator, *, most: int) -> tuple[int, int]:
    """Return 2 to 2**most lattice cells a side, independently, and no cell below four pixels."""
    rows, columns = (int(np.clip(2 ** generator.integers(1, most + 1), 1, max(1, size // 4))) for size in size_hw)
    return rows, columns
