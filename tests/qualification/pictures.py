"""Small photographs of one class, and a localizer that needs no network."""

from pathlib import Path

import numpy as np
from PIL import Image

from converters.sample import ImageSample
from converters.view import ViewBudget
from vlm_inspect.evidence import AnomalyMap
from vlm_inspect.localization.localizer import Localization
from vlm_inspect.localization.subject import ANY_SUBJECT
from vlm_inspect.references import Part, ReferenceSet, load_references
from vlm_inspect.tolerance import tolerance_from_normals


def write_plates(folder: Path, count: int, *, first: int = 0, odd: int | None = None) -> list[Path]:
    """Write noisy grey plates; the one numbered `odd` has a dark blot."""
    paths = []
    for number in range(first, first + count):
        picture = np.random.default_rng(number).normal(130, 5, (72, 96, 1))
        if number == odd:
            picture[20:50, 30:70] -= 60
        path = folder / f"{number}.png"
        Image.fromarray(np.repeat(picture, 3, axis=2).clip(0, 255).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


def read_plates(folder: Path, count: int, **options: int) -> ReferenceSet:
    """Return plates as references."""
    return load_references(write_plates(folder, count, **options), "image", ViewBudget())


class Difference:
    """Compares the smoothed picture with the mean of the references; scores by its highest place."""

    name = "difference"
    kinds = frozenset({"image"})

    def __init__(self, sigma: float = 2.0) -> None:
        self.identity, self.sigma = f"sigma {sigma}", sigma

    def fit(self, references: ReferenceSet, subject=ANY_SUBJECT):
        return FittedDifference([smooth(part, self.sigma) for part in references.parts], self.sigma)


class FittedDifference:
    name = "difference"
    judged_by = "difference 1"

    def __init__(self, pictures, sigma: float) -> None:
        self.sigma = sigma
        self.mean = np.mean(pictures, axis=0)
        self.scores = [float(np.abs(one - self.mean).max()) for one in pictures]

    def localize(self, part: Part) -> Localization:
        values = np.abs(smooth(part, self.sigma) - self.mean).astype(np.float32)
        tolerance = tolerance_from_normals(self.scores)
        return Localization((AnomalyMap(0, values, float(values.max()), self.name, tolerance=tolerance),))


def smooth(part: Part, sigma: float):
    import cv2

    assert isinstance(part.sample, ImageSample)
    return cv2.GaussianBlur(part.views[0].image.astype(np.float32).mean(axis=2), (0, 0), sigma)
