"""What must hold of every page that the service shows, in whatever browser."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright import sync_api as playwright

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


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
