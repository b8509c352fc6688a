"""Parts, colours and sharpness of pictures that were drawn, so the truth is known."""

import numpy as np
import pytest
from skimage.color import lab2rgb

from vlm_inspect.errors import MeasurementError
from vlm_inspect.measurement import image
from vlm_inspect.measurement.foreground import foreground, shrunk


def table(
    colour: tuple[int, int, int] = (200, 200, 195), size: tuple[int, int] = (240, 320), seed: int = 0
) -> np.ndarray:
    """A noisy, shaded background."""
    rng = np.random.default_rng(seed)
    shade = np.linspace(0.95, 1.05, size[1])[None, :, None]
    return np.clip(np.array(colour) * shade + rng.normal(0, 3, (*size, 1)), 0, 255).astype(np.uint8)


def with_discs(picture: np.ndarray, centres: list[tuple[int, int]], radius: int, colour: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.indices(picture.shape[:2])
    out = picture.copy()
    for y, x in centres:
        out[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = colour
    return out


@pytest.mark.parametrize("count", [1, 3, 6])
def test_separate_parts_are_counted(count: int) -> None:
    centres = [(60 + 110 * (i // 3), 60 + 100 * (i % 3)) for i in range(count)]
    for colour in ((40, 60, 120), (30, 30, 30), (200, 40, 40)):
        assert image.part_count(with_discs(table(), centres, 25, colour)) == count


def test_touching_parts_count_as_one_and_specks_do_not_count() -> None:
    picture = with_discs(table(), [(100, 100), (100, 140)], 25, (30, 30, 30))
    picture = with_discs(picture, [(200, 250)], 2, (30, 30, 30))
    assert image.part_count(picture) == 1


def test_fill_ratio_is_the_covered_share_at_any_size() -> None:
    small = with_discs(table(), [(120, 160)], 60, (40, 60, 120))
    truth = np.pi * 60**2 / (240 * 320)
    assert image.fill_ratio(small) == pytest.approx(truth, rel=0.03)
    assert image.fill_ratio(np.kron(small, np.ones((4, 4, 1), np.uint8))) == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize("picture", [table(), np.full((50, 60, 3), 128, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_where_nothing_stands_out_nothing_is_counted(picture: np.ndarray) -> None:
    assert foreground(picture) is None
    with pytest.raises(MeasurementError, match="no part stands out"):
        image.part_count(picture)


def test_a_texture_is_no_foreground() -> None:
    rng = np.random.default_rng(0)
    assert foreground(rng.integers(0, 255, (200, 200, 3), dtype=np.uint8)) is None


def test_mean_colour_is_that_of_the_part_alone() -> None:
    lab = np.array([45.0, 40.0, -20.0])
    rgb = tuple(round(255 * c) for c in lab2rgb(lab[None, None])[0, 0])
    part = with_discs(table(), [(120, 160)], 60, rgb)
    found = [image.mean_color_l(part), image.mean_color_a(part), image.mean_color_b(part)]
    assert found == pytest.approx(lab, abs=2.0)


def test_colour_distance_is_to_the_nearest_reference() -> None:
    red = with_discs(table(seed=1), [(120, 160)], 60, (180, 40, 40))
    darker = with_discs(table(seed=2), [(100, 150)], 50, (150, 40, 40))
    blue = with_discs(table(seed=3), [(120, 160)], 60, (40, 40, 180))
    assert image.color_distance(red, [red]) == pytest.approx(0.0, abs=1e-6)
    assert 2.0 < image.color_distance(red, [darker]) < 15.0
    assert image.color_distance(red, [blue]) > 35.0
    assert image.color_distance(red, [blue, darker]) == image.color_distance(red, [darker])
    plain = table((90, 90, 90))
    assert image.color_distance(plain, [red]) == pytest.approx(image.color_distance(red, [plain]), rel=1e-6)


def test_sharpness_falls_with_blur_and_not_with_resolution() -> None:
    import cv2

    board = np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((40, 40)))
    sharp = np.repeat((60 + 120 * board).astype(np.uint8)[..., None], 3, axis=2)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    assert image.sharpness(blurred) < 0.2 * image.sharpness(sharp)
    assert image.sharpness(np.full((30, 30, 3), 9, np.uint8)) == 0.0
    assert max(shrunk(np.zeros((3000, 100, 3), np.uint8), 1024).shape) == 1024


def test_brightness_is_the_mean_grey_level() -> None:
    assert image.brightness(np.full((10, 10, 3), 77, np.uint8)) == pytest.approx(77.0)
    assert image.brightness(np.full((4, 4, 3), (255, 0, 0), np.uint8)) == pytest.approx(0.299 * 255, abs=0.6)


def test_real_bottle_stands_out_as_one_part(shared_data) -> None:
    from PIL import Image

    paths = sorted((shared_data / "mvtec" / "bottle" / "train" / "good").glob("*.*"))[:3]
    if not paths:
        pytest.skip("no bottle photographs")
    for path in paths:
        page = np.asarray(Image.open(path).convert("RGB"))
        assert image.part_count(page) == 1
        assert 0.4 < image.fill_ratio(page) < 0.8
