"""A real browser that looks at pages: one that is found on this machine, with a driver that waits for what must hold.

Nothing here counts on frames or time: a page is loaded when the browser says so, and what comes later is waited for.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import LONGEST_S

if TYPE_CHECKING:
    from playwright import sync_api as playwright

_SWIFTSHADER = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
_SIZES = """async () => {
  for (const one of document.querySelectorAll('details')) one.open = true;
  const undecoded = [];
  for (const one of document.images) await one.decode().catch(() => undecoded.push(one.alt));
  const root = document.documentElement, wide = [];
  for (const one of document.body.querySelectorAll('*'))
    if (!one.closest('.wide') && one.getBoundingClientRect().right > innerWidth + 0.5) wide.push(one.tagName);
  return {
    inner: innerWidth, scroll: Math.max(root.scrollWidth, document.body.scrollWidth), images: document.images.length,
    undecoded, wide, charts: document.querySelectorAll('svg.plot').length };
}"""


@contextlib.contextmanager
def started_browser() -> Iterator["playwright.Browser"]:
    """Give a Chromium that draws without a graphics card, and whose camera is a test picture."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=[*_SWIFTSHADER, *_CAMERA], timeout=1000 * LONGEST_S
        )
        yield browser
        browser.close()


def new_page(browser: "playwright.Browser", **settings: Any) -> "playwright.Page":
    """Open a page of its own (no cookies of others), by the settings of `new_context`, that waits long enough."""
    context = browser.new_context(**settings)
    context.set_default_timeout(1000 * LONGEST_S)
    return context.new_page()


def until(page: "playwright.Page", holds: str) -> None:
    """Wait for an expression; the driver's own way evaluates a text within the page, which its policy forbids."""
    end = time.monotonic() + LONGEST_S
    while not page.evaluate(holds):
        assert time.monotonic() < end, holds
        page.wait_for_timeout(50)


@dataclass(frozen=True)
class Seen:
    """A file as a browser shows it."""

    page: "playwright.Page"
    console: list[str]
    """What was written on the console, by the page or about it, so far."""

    def sizes(self) -> dict[str, Any]:
        """Return sizes, every fold open, and which pictures do not decode or what sticks out to the right."""
        return dict(self.page.evaluate(_SIZES))


def open_file(browser: "playwright.Browser", path: Path, width: int = 1200) -> Seen:
    """Load a file in a window of so many pixels."""
    page = new_page(browser, viewport={"width": width, "height": 800})
    console: list[str] = []
    page.on("console", lambda told: console.append(told.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    page.goto(path.resolve().as_uri())
    return Seen(page, console)
