"""Of real photos of normal parts none is refused for how it was taken, and of defects hardly any; most others are."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.image import ImageSample, render_image
from converters.registry import read, render
from converters.view import View, ViewBudget
from vlm_inspect.localization.photo_mismatch import usual_photo
from vlm_inspect.planting.picture import kinds_for, plant
from vlm_inspect.planting.surface import see_surface

CLASSES = {
    "bottle": "mvtec/bottle/train/good",
    "screw": "mvtec/screw/train/good",
    "hazelnut": "mvtec/hazelnut/train/good",
    "transistor": "mvtec/transistor/train/good",
    "tile": "magnetic_tile/train/good",
}


def views_of(path: Path) -> list[View]:
    return render(read(path), ViewBudget())


def views_of_pixels(pixels: np.ndarray) -> list[View]:
    return render_image(ImageSample(Path("made.png"), (pixels,)), ViewBudget())


@pytest.mark.parametrize("name", CLASSES)
def test_normal_photos_and_defects_are_compared_and_most_of_other_classes_are_not(name: str, shared_data: Path) -> None:
    files = sorted((shared_data / CLASSES[name]).iterdir())[:36:3]
    photos = [views_of(path) for path in files]
    for first, count in product((0, 6), (1, 4)):
        usual = usual_photo(photos[first : first + count])
        assert {usual.mismatch(one) for one in (*photos[:first], *photos[first + count :])} == {""}, (first, count)
    usual = usual_photo(photos[:4])
    generator = np.random.default_rng(0)
    surface = see_surface(photos[9][0].image)
    defects = [plant(surface, kind, 0.25, 0.6, generator).picture for kind in kinds_for(surface)]
    assert sum(usual.mismatch(views_of_pixels(one)) != "" for one in defects) <= 1
    small = np.asarray(Image.fromarray(photos[9][0].image).reduce(6))
    assert "another resolution" in usual.mismatch(views_of_pixels(small))
    if name != "tile":  # tiles differ as much in size and light as classes do
        others = [shared_data / folder for other, folder in CLASSES.items() if other not in (name, "tile")]
        told = [usual.mismatch(views_of(sorted(folder.iterdir())[0])) for folder in others]
        assert sum(said != "" for said in told) >= 2, told
