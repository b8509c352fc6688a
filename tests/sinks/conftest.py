"""Grey plates, bright ones normal and dark ones not, and the book that tells them by their brightness."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BOOK = (
    "class_name: plate\nrules:\n  - {id: bright, text: The plate is bright., check: {measure: brightness, min: 100}}\n"
)


def write_plate(path: Path, grey: float, seed: int = 0) -> Path:
    """Write a photo of a plate, 40 x 60 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).standard_normal((40, 60, 3))
    Image.fromarray(np.clip(grey + 6 * noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def plate() -> Callable[[Path, float, int], Path]:
    return write_plate


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "plate.yaml").write_text(BOOK)
    return tmp_path / "plate.yaml"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of two bright plates and a dark one."""
    for number, grey in ((1, 180.0), (2, 60.0), (3, 190.0)):
        write_plate(tmp_path / "parts" / f"SN{number:03d}_a.png", grey, number)
    return tmp_path / "parts"
