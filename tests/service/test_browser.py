"""The whole story in a real browser: drop a screw, see NG, turn it, ask, correct, judge, review, agreement."""

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.service.conftest import listening
from vlm_inspect.config import InspectorConfig
from vlm_inspect.demo.screw import write_screws
from vlm_inspect.page import router
from vlm_inspect.qualification.trial import PLANTED
from vlm_inspect.service.app import make_app
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.tokens import Tokens, entry_line

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "the token of anna, an engineer"
_SWIFTSHADER = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_DROP = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], name));
    const told = { dataTransfer: carried, bubbles: true, cancelable: true };
    document.querySelector("#drop").dispatchEvent(new DragEvent("drop", told));
}"""
_STORY_MS = 300_000
"""Longest wait for the first part, with which the references are learned; some twenty seconds on a free machine."""
ROOT = Path(__file__).parents[2]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}")


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


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(PLANTED, "point_cloud", 2)  # how sure the references are is not what this story tells
    rules = tmp_path / "rules"
    rules.mkdir()
    write_screws(rules, lambda name: np.random.default_rng(zlib.crc32(name.encode())))
    book = (ROOT / "prompts" / "rules" / "screw.yaml").read_text()
    lines = [line for line in book.splitlines() if not line.startswith("references:")]
    (rules / "screw.yaml").write_text("\n".join([*lines, "references: ['screw/references/normal_0[12].ply']", ""]))
    (tmp_path / "tokens.txt").write_text(entry_line("anna", "engineer", TOKEN) + "\n")
    settings = ServiceSettings(
        rules, tmp_path / "data", InspectorConfig(), store=str(tmp_path / "cases.db"), tokens=tmp_path / "tokens.txt"
    )
    with listening(make_app(settings, Tokens(tmp_path / "tokens.txt"), further=[router])) as found:
        yield found


@pytest.fixture
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(CHROMIUM), args=_SWIFTSHADER)
        yield started
        started.close()


@pytest.mark.slow
def test_the_story(address: str, browser: "playwright.Browser", tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page = context.new_page()
    watched = Watched(page, address)
    page.goto(address)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("#drop")
    watched.check("inspect")

    _see_ng(page, tmp_path)
    watched.check("a case")
    _turn(page)
    _talk(page)
    _correct(page, tmp_path)
    watched.check("a corrected case")
    _judge_by_keyboard(page, address)
    for path in ("/cases", "/review", "/trust"):
        page.goto(f"{address}{path}")
        watched.check(path)
    page.goto(f"{address}/trust")
    assert page.get_by_role("heading", name="Agreement").is_visible()
    assert "anna" in page.locator("main").inner_text()
    _narrow_dark_and_german(context, address)


def _see_ng(page: "playwright.Page", tmp_path: Path) -> None:
    scan = tmp_path / "rules" / "screw" / "short.pcd"
    page.evaluate(_DROP, ["short.pcd", base64.b64encode(scan.read_bytes()).decode()])
    page.wait_for_url("**/cases/2*", timeout=_STORY_MS)
    assert page.get_by_role("heading", level=1).inner_text() == "NG"
    page.wait_for_function("document.querySelector('.canvas .picture').naturalWidth > 0")
    level = page.locator(".heat-level")
    level.focus()
    page.keyboard.press("Home")
    assert page.locator(".canvas .heat").first.evaluate("image => image.style.opacity") == "0"
    page.locator(".stage").first.focus()
    page.keyboard.press("+")
    assert "scale(1.5)" in page.locator(".canvas").first.get_attribute("style")


def _turn(page: "playwright.Page") -> None:
    page.get_by_role("button", name="Turn it in 3-D").click()
    canvas = page.locator("#turn-canvas")
    canvas.wait_for(state="visible", timeout=20_000)
    before = canvas.screenshot()
    canvas.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert canvas.screenshot() != before


def _talk(page: "playwright.Page") -> None:
    page.get_by_label("Ask about this part").fill("Why is it NG?")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_function("!document.querySelector('#turns').hasAttribute('aria-busy')", timeout=30_000)
    assert "18.2" in page.locator("#turns .assistant").last.inner_text()


def _correct(page: "playwright.Page", tmp_path: Path) -> None:
    page.get_by_text("Correct the rules").click()
    page.get_by_label("Correction", exact=True).select_option("rule")
    page.get_by_label("Rule's name").fill("length")
    page.get_by_label("At least").fill("18")
    page.get_by_role("button", name="Show what it would change").click()
    page.locator(".proposal .diff").wait_for(timeout=30_000)
    assert "kept cases would turn" in page.locator(".proposal").inner_text()
    page.get_by_role("button", name="Yes, change the rules").click()
    page.get_by_text("The rule book is changed").wait_for(timeout=20_000)
    assert "min: 18" in (tmp_path / "rules" / "screw.yaml").read_text()


def _judge_by_keyboard(page: "playwright.Page", address: str) -> None:
    case = page.url.rpartition("/")[2]
    page.get_by_role("button", name="It is NG").focus()
    page.keyboard.press("Enter")
    page.get_by_text("NG by anna").wait_for(timeout=20_000)
    told = json.loads(page.request.get(f"{address}/v1/inspections/{case}/judgements").text())
    assert [(one["outcome"], one["by"]) for one in told] == [("NG", "anna")]


def _narrow_dark_and_german(context: "playwright.BrowserContext", address: str) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    watched = Watched(page, address)
    page.goto(f"{address}/language/de?to=/cases")
    assert page.get_by_role("heading", level=1).inner_text() == "Fälle"
    page.locator(".tile a").first.click()
    page.wait_for_url("**/cases/2*")
    watched.check("a case, narrow, dark, German")
    for path in ("/", "/cases", "/review", "/trust"):
        page.goto(f"{address}{path}")
        watched.check(f"{path}, narrow, dark, German")
