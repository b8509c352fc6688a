"""`View` refuses what is no picture, and every origin of this package answers to `Origin`."""

from pathlib import Path

import numpy as np
import pytest

from converters.image import ImageOrigin, render_image
from converters.sample import ImageSample, VideoClip
from converters.view import Origin, Pane, Place, View, ViewBudget

ORIGIN = ImageOrigin((0, 0, 8, 4))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 8), np.uint8),
        np.zeros((4, 8, 4), np.uint8),
        np.zeros((4, 8, 3), np.float32),
        np.zeros((1, 4, 8, 3), np.uint8),
    ],
)
def test_a_view_is_8bit_rgb(image: np.ndarray) -> None:
    with pytest.raises(TypeError, match="uint8 HWC RGB"):
        View(image, "image", "photo", ORIGIN)


def test_a_mask_has_the_size_of_its_view() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    with pytest.raises(TypeError, match="does not fit"):
        View(image, "image", "photo", ORIGIN, mask=np.ones((8, 4), np.bool_))
    view = View(image, "image", "photo", ORIGIN, mask=np.ones((4, 8), np.bool_), panes=(Pane((0, 0, 4, 4), "left"),))
    assert view.size_hw == (4, 8)
    assert view.panes[0].name == "left"


def test_an_image_origin_is_an_origin() -> None:
    assert isinstance(ORIGIN, Origin)
    assert ORIGIN.locate((0.5, 0.5, 1.0, 1.0)) == Place(source_xyxy=(4, 2, 8, 4))
    assert ImageOrigin((10, 20, 18, 24), page=2).locate((0, 0, 0.5, 0.5)) == Place(source_xyxy=(10, 20, 14, 22), page=2)


def test_rendering_leaves_the_sample_as_it_was() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    before = pixels.copy()
    views = render_image(ImageSample(Path("photo.png"), (pixels,)), ViewBudget(max_side=40))
    assert len(views) > 1
    assert all(view.image.flags.c_contiguous for view in views)
    np.testing.assert_array_equal(pixels, before)


def test_duration_of_a_clip() -> None:
    clip = VideoClip(Path("clip.mp4"), (48, 64), frame_count=50, fps=25.0, frames=lambda wanted=None: iter(()))
    assert clip.duration_s == 2.0
