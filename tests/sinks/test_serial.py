"""Serial numbers: from the name, or from a real code on the part."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlm_inspect.inspector import Inspector
from vlm_inspect.part_queue import Judged, judge_many
from vlm_inspect.sinks.serial import SerialFinder, find_serial


@pytest.mark.parametrize(
    ("pattern", "number"),
    [(r"SN(\d+)", "017"), (r"\d+", "017"), (r"(?P<lot>[A-Z])_(?P<serial>\w+)\.", "b"), (r"x(\d+)", ""), (None, "")],
)
def test_the_pattern_finds_the_number(pattern: str | None, number: str) -> None:
    assert find_serial("SN017_A_b.png", None if pattern is None else re.compile(pattern)) == number


def judged(path: Path) -> Judged[Path]:
    return next(judge_many(Inspector(localizer=None).examine, [path]))


@pytest.mark.parametrize("kind", ["DataMatrix", "QRCode", "Code128"])
def test_a_code_on_the_part_is_read(kind: str, tmp_path: Path) -> None:
    zxingcpp = pytest.importorskip("zxingcpp")
    code = zxingcpp.create_barcode("LOT-7/00042", getattr(zxingcpp.BarcodeFormat, kind))
    drawn = np.asarray(zxingcpp.write_barcode_to_image(code, scale=3))
    part = np.full((1600, 2000), 160, dtype=np.uint8)  # larger than a view: its tiles show it in full
    part[300 : 300 + drawn.shape[0], 400 : 400 + drawn.shape[1]] = drawn
    Image.fromarray(part).save(tmp_path / "SN9_part.png")
    found = judged(tmp_path / "SN9_part.png")
    assert SerialFinder(from_code=True).find(found) == "LOT-7/00042"
    assert SerialFinder(re.compile(r"/(\d+)"), from_code=True).find(found) == "00042"
    assert SerialFinder(re.compile(r"SN(\d)"), from_code=True).find(found) == "9"  # no code has it: the name does
    assert SerialFinder().find(found) == ""
