"""A scan that can be turned on the page: what is packed, what the policy lets run, and that it draws in a browser."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.browsing import open_file, until
from vlm_inspect.evidence import SurfaceDeviation
from vlm_inspect.report.html import render_html
from vlm_inspect.report.turntable import MOST_POINTS, pack_scan

if TYPE_CHECKING:
    from playwright import sync_api as playwright


def ball(count: int) -> SurfaceDeviation:
    """Return points on a sphere of 10 mm at (100, 0, 0), 0.2 mm too low around its north pole."""
    random = np.random.default_rng(0)
    across = random.normal(size=(count, 3))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    signed = np.where(across[:, 2] > 0.97, -0.2, 0.0)
    return SurfaceDeviation(10.0 * across + [100.0, 0.0, 0.0], signed, np.abs(signed) / 0.01, 0.01, "mm")


def numbers(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_points_directions_and_colours_are_packed() -> None:
    packed = pack_scan(ball(4000))
    points = numbers(packed.points, "<i2").reshape(-1, 3) * packed.reach / 32_000
    assert np.linalg.norm(points, axis=1) == pytest.approx(10.0, abs=0.15)
    assert packed.middle == pytest.approx((100.0, 0.0, 0.0), abs=0.1)
    across = numbers(packed.directions, "i1").reshape(-1, 3) / 127
    assert np.median(np.abs((across * points).sum(axis=1)) / 10.0) > 0.98
    shades = numbers(packed.shades, "u1")
    low = points[:, 2] > 9.75
    assert (shades[low] == 0).all()
    assert (shades[~low & (points[:, 2] < 9.6)] == 127).all()
    assert numbers(packed.colours, "u1").reshape(-1, 3)[0, 2] > 150, "below is blue"


def test_what_deviates_is_kept_where_points_are_many() -> None:
    scan = ball(3 * MOST_POINTS)
    packed = pack_scan(scan)
    assert packed.count == MOST_POINTS
    assert (numbers(packed.shades, "u1") == 0).sum() == (scan.signed < 0).sum()


def test_the_page_runs_this_script_alone(case) -> None:
    source = render_html(case.inspection, case.views, replace(case.evidence, surface=ball(500)))
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in source
    assert "unsafe" not in source
    for forbidden in ("fetch", "XMLHttpRequest", "import", "eval", "innerHTML", "http"):
        assert forbidden not in script
    marks = re.search(r'data-marks="([^"]*)"', source)
    assert marks is not None
    assert [row[0] for row in json.loads(marks[1])] == [
        number for number, one in enumerate(case.inspection.defects, 1) if one.point_mm is not None
    ]


_TURNED = "Number(document.querySelector('#turntable').dataset.turned)"
_PIXELS = "document.querySelector('#turntable').toDataURL()"


def test_it_draws_and_turns_in_a_browser(case, tmp_path: Path, browser: "playwright.Browser") -> None:
    path = tmp_path / "page.html"
    path.write_text(render_html(case.inspection, case.views, replace(case.evidence, surface=ball(3000))), "utf-8")
    seen = open_file(browser, path)
    page = seen.page
    assert page.evaluate(_TURNED) == 1, "the scan is drawn when the page is loaded, before any frame"
    shown = page.evaluate(_PIXELS)
    page.locator("#turntable").focus()
    page.keyboard.press("ArrowRight")
    until(page, f"{_TURNED} > 1")
    turned = page.evaluate(_PIXELS)
    assert turned != shown
    page.keyboard.press("0")
    until(page, f"{_PIXELS} === {json.dumps(shown)}")
    assert seen.console == []
