"""The pictures that dapo-mini learns from, in an order that a seed fixes: painted ones, textiles and printed boards."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recipes.dapo_mini.painting.canvas import Canvas, fill, mix, some_colour
from recipes.dapo_mini.painting.noise import Random
from recipes.dapo_mini.painting.parts import PARTS
from recipes.dapo_mini.painting.scenes import DEFECTS, FAMILIES, paint_pair, photograph_pair
from vlm_inspect.errors import LocalizerError
from vlm_inspect.training.method import TrainingSample

TEXTILE = "textile"
BOARD_SCAN = "board scan"


@dataclass(frozen=True)
class Corpus:
    """Which pictures there are; `pair` paints or reads one pair of them."""

    seed: int
    side: int
    families: tuple[str, ...] = (*FAMILIES, *sorted(PARTS))
    """Each as often as it stands here: parts on a ground count twice."""
    words: tuple[str, ...] = tuple(DEFECTS)
    textiles: tuple[Path, ...] = ()
    """Pictures of normal cloth."""
    boards: tuple[Path, ...] = ()
    """Pictures of normal printed boards."""
    growth: float = 1.0
    """How many times larger than usual the largest defects may be, in area."""

    def pair(self, index: int) -> tuple[TrainingSample, TrainingSample | None]:
        """Return pair number `index`: a normal picture, and the same with a defect; None where none came out visible.

        Raises:
            LocalizerError: a picture cannot be read.
        """
        random = np.random.default_rng([self.seed, index])
        sources = [*self.families, *([TEXTILE] if self.textiles else []), *([BOARD_SCAN] * 2 if self.boards else [])]
        family = sources[index % len(sources)]
        if family == TEXTILE:
            return self._of_picture(random, self.textiles, family, index)
        if family == BOARD_SCAN:
            return self._of_picture(random, self.boards, family, index)
        seed = (self.seed, index)
        return paint_pair(seed, family=family, words=self.words, side=self.side, growth=self.growth)

    def _of_picture(
        self, random: Random, paths: Sequence[Path], family: str, index: int
    ) -> tuple[TrainingSample, TrainingSample | None]:
        path = paths[int(random.integers(len(paths)))]
        canvas = picture_canvas(random, read_rgb(path), self.side, flat=family == BOARD_SCAN)
        canvas.growth = self.growth
        source = f"{family}/{path.name}/{index}"
        return photograph_pair(random, canvas, self.words, class_name=family, source=source)


def picture_canvas(random: Random, picture: NDArray[np.uint8], side: int, *, flat: bool) -> Canvas:
    """Return a scene made of a crop of a picture, turned, mirrored, and in other colours half of the time."""
    height, width = picture.shape[:2]
    crop = int(min(height, width) * random.uniform(0.5, 1))
    top, left = int(random.integers(height - crop + 1)), int(random.integers(width - crop + 1))
    cut = picture[top : top + crop, left : left + crop]
    cut = np.rot90(cut, int(random.integers(4)))
    if random.random() < 0.5:
        cut = cut[:, ::-1]
    shown = cv2.resize(np.ascontiguousarray(cut), (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if random.random() < 0.5:
        dark, bright = some_colour(random) * 0.5, some_colour(random)
        shown = mix(fill(side, dark), bright, shown.mean(axis=2))
    whole = np.ones((side, side), bool)
    return Canvas(shown, np.zeros((side, side), np.float32), whole, flat=flat and random.random() < 0.5)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Return a picture, uint8 (H, W, 3) RGB.

    Raises:
        LocalizerError: it cannot be read.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise LocalizerError(f"{path} cannot be read as a picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def textile_pictures() -> list[Path]:
    """Return the normal textile pictures of the package conformal-clip-data (MIT), sorted.

    Raises:
        LocalizerError: the package is missing.
    """
    spec = find_spec("conformal_clip_data")
    if spec is None or not spec.submodule_search_locations:
        raise LocalizerError("no textile pictures: pip install --no-deps conformal-clip-data")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data" / "textile_images" / "simulated" / "nominal"
    return sorted(folder.glob("*.jpg"))


def board_pictures(folder: Path) -> list[Path]:
    """Return the defect-free templates of DeepPCB (MIT) in a folder, sorted.

    Raises:
        LocalizerError: there are none.
    """
    found = sorted(folder.glob("*_temp.jpg"))
    if not found:
        raise LocalizerError(f"{folder} holds no DeepPCB templates (*_temp.jpg)")
    return found
