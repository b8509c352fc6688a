"""A photo of which no reference has some page is never OK by what the other pages score."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vlm_inspect.config import InspectorConfig

SIZE = 96


def cloth(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 6, (SIZE, SIZE, 3))
    stripes = 120 + 40 * np.sin(np.arange(SIZE) / 2.5)[None, :, None]
    return Image.fromarray(np.clip(stripes + noise, 0, 255).astype(np.uint8))


def blotted(picture: Image.Image) -> Image.Image:
    pixels = np.array(picture)
    cv2.circle(pixels, (50, 40), 14, (250, 20, 20), -1)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("cloth")
    for seed in range(4):
        cloth(seed).save(folder / f"{seed}.png")
    return sorted(folder.glob("*.png"))


def test_a_second_page_that_no_reference_has_is_looked_at_by_a_person(references: list[Path], tmp_path: Path) -> None:
    config = InspectorConfig().with_changes(references=[str(one) for one in references])
    inspector = config.build()
    first, second, pages = cloth(9), blotted(cloth(10)), tmp_path / "pages.tif"
    first.save(pages, save_all=True, append_images=[second])
    found = inspector.inspect(pages)
    assert found.outcome == "REVIEW"
    assert "not every view could be compared with a reference" in found.review_reasons
    assert "1 of 2 views have no counterpart in a reference: give references of the same size, with as many pages." in (
        found.notes
    )
    assert found.sensitivity is None
    second.save(tmp_path / "second.png")
    assert inspector.inspect(tmp_path / "second.png").outcome == "NG"
