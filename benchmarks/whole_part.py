"""What lies beside the part, and another colour, size or contrast: how often is it told, and of how many normal parts?

    python -m benchmarks.whole_part FOLDER... [--pictures 50] [--draws 20]

Each folder holds normal pictures of one class. Draws of references are taken from them and others judged by
`localization/whole_part` alone, no network and no label. Then, with four references, pictures are changed: discs laid
on the background, the part turned in hue, its colour, light or contrast weakened.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.registry import read, render
from converters.view import View, ViewBudget
from vlm_inspect.localization.foreground import find_foreground
from vlm_inspect.localization.whole_part.usual_part import UsualPart, usual_part

Pixels = NDArray[np.uint8]
_REFERENCES: Final = (1, 2, 4, 8)
_CHANGED: Final = 12
"""Pictures that are changed in each way."""


def main() -> None:
    """Print one table a folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of normal pictures of one class each")
    parser.add_argument("--pictures", type=int, default=50, help="most pictures of a class (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=20, help="draws of references (default: %(default)s)")
    asked = parser.parse_args()
    for folder in asked.folders:
        paths = sorted(path for path in folder.iterdir() if path.is_file())[: asked.pictures]
        views = [next(view for view in render(read(path), ViewBudget()) if view.key == "image") for path in paths]
        generator = random.Random(0)
        print(f"{folder}: {len(views)} pictures")
        for count in _REFERENCES:
            told, judged = _told_of_normal(views, count, asked.draws, generator)
            print(f"  {count} references: {told} of {judged} others told")
        for name, (told, tried) in _told_of_changed(views, generator).items():
            print(f"  {name}: {told} of {tried} told")


def _told_of_normal(views: Sequence[View], count: int, draws: int, generator: random.Random) -> tuple[int, int]:
    told, judged = 0, 0
    for _ in range(draws):
        order = generator.sample(range(len(views)), len(views))
        usual = _learn([views[at] for at in order[:count]])
        others = generator.sample(order[count:], min(_CHANGED, len(order) - count))
        told += sum(_is_told(usual, views[at]) for at in others)
        judged += len(others)
    return told, judged


def _told_of_changed(views: Sequence[View], generator: random.Random) -> dict[str, tuple[int, int]]:
    order = generator.sample(range(len(views)), len(views))
    usual, others = _learn([views[at] for at in order[:4]]), [views[at] for at in order[4 : 4 + _CHANGED]]
    found = {}
    for name, change in CHANGES.items():
        changed = [(view, image) for view in others if (image := change(view.image, generator)) is not None]
        found[name] = sum(_is_told(usual, replace(view, image=image)) for view, image in changed), len(changed)
    return found


def _learn(references: Sequence[View]) -> UsualPart:
    return usual_part([(view,) for view in references])


def _is_told(usual: UsualPart, view: View) -> bool:
    return bool(usual.unusual([view]).said)


def _disc(share: float, contrast: float) -> Callable[[Pixels, random.Random], Pixels | None]:
    """Return what lays a disc on the background, lighter on a dark one and darker on a light one."""

    def change(image: Pixels, generator: random.Random) -> Pixels | None:
        part = find_foreground(image)
        if part is None:
            return None
        radius = share * max(image.shape[:2]) / 2
        free = cv2.copyMakeBorder((~part).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
        room = cv2.distanceTransform(free, cv2.DIST_L2, 5)[1:-1, 1:-1] > 1.3 * radius + 2
        if not room.any():
            return None
        y, x = generator.choice(np.argwhere(room).tolist())
        ground = image[y, x].astype(np.float32)
        colour = ground + contrast * (1 if ground.mean() < 128 else -1)
        disc = np.zeros(image.shape[:2], np.float32)
        cv2.circle(disc, (x, y), max(1, round(radius)), (1.0,), -1, cv2.LINE_AA)
        return _blend(image, np.broadcast_to(colour, image.shape), disc)

    return change


def _colour(hue_deg: float, strength: float, light: float = 1.0) -> Callable[[Pixels, random.Random], Pixels | None]:
    """Return what turns and weakens the colour of the part, or of all where the background is not plain."""

    def change(image: Pixels, generator: random.Random) -> Pixels | None:
        lab = cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        if float(np.hypot(lab[..., 1], lab[..., 2]).max()) < 2.0 and light == 1.0:
            return None  # in grey
        turn = np.deg2rad(hue_deg)
        a, b = lab[..., 1].copy(), lab[..., 2].copy()
        lab[..., 1] = strength * (a * np.cos(turn) - b * np.sin(turn))
        lab[..., 2] = strength * (a * np.sin(turn) + b * np.cos(turn))
        lab[..., 0] *= light
        return _on_part(image, 255 * cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))

    return change


def _contrast(share: float) -> Callable[[Pixels, random.Random], Pixels | None]:
    def change(image: Pixels, generator: random.Random) -> Pixels | None:
        part = find_foreground(image)
        if part is None:
            return None
        mean = image[part].astype(np.float32).mean(axis=0)
        return _on_part(image, mean + share * (image - mean))

    return change


def _on_part(image: Pixels, changed: NDArray[np.floating]) -> Pixels:
    part = find_foreground(image)
    where = np.ones(image.shape[:2], np.float32) if part is None else part.astype(np.float32)
    return _blend(image, changed, where if part is None else cv2.GaussianBlur(where, (0, 0), 1.0))


def _blend(image: Pixels, other: NDArray[np.floating], share: NDArray[np.float32]) -> Pixels:
    mixed = image + share[..., None] * (other - image)
    return np.asarray(np.clip(mixed, 0, 255).round().astype(np.uint8))


CHANGES: Final[dict[str, Callable[[Pixels, random.Random], Pixels | None]]] = {
    **{f"disc of {size} %, contrast {by}": _disc(size / 100, by) for size in (3, 5, 10, 16) for by in (25, 40, 80)},
    **{f"turned by {angle} degrees in hue": _colour(angle, 1.0) for angle in (10, 25, -25, 45, 90)},
    "half the colour": _colour(0, 0.5),
    "no colour": _colour(0, 0.0),
    "0.6 times as light": _colour(0, 1.0, 0.6),
    "0.3 times the contrast": _contrast(0.3),
}
"""Ways to change a picture; None where it cannot be changed so."""


if __name__ == "__main__":
    main()
