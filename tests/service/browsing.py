"""A browser that drives the page, and what must hold of every page that it shows."""

import time
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
SWIFTSHADER = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


class Watched:
    """A page on which nothing may go wrong unseen."""

    def __init__(self, page: "playwright.Page", address: str) -> None:
        self.page, self.address = page, address
        self.wrong: list[str] = []
        page.on("console", lambda told: told.type in ("error", "warning") and self.wrong.append(told.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._seen)

    def _seen(self, request: "playwright.Request") -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.wrong.append(f"a request to {request.url}")

    def check(self, what: str) -> None:
        """Nothing went wrong, nothing is wider than the screen, and axe finds nothing serious."""
        loud = [told for told in self.wrong if "GL Driver Message" not in told and "GPU stall" not in told]
        assert loud == [], what
        page = self.page
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{what} is wider than the screen"
        found = axe.Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], (what, [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious])


def until(page: "playwright.Page", holds: str) -> None:
    """Wait for an expression; the driver's own way evaluates a text within the page, which its policy forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(holds):
        assert time.monotonic() < end, holds
        page.wait_for_timeout(50)
