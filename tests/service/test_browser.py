"""The whole story in a real browser: drop a screw, see NG, turn it, ask, correct, judge, review, agreement."""

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.browsing import new_page, until
from tests.service.browsing import Watched
from tests.service.conftest import listening
from vlm_inspect.config import InspectorConfig
from vlm_inspect.demo import screw
from vlm_inspect.page import error_page, router
from vlm_inspect.qualification.trial import PLANTED
from vlm_inspect.service.app import make_app
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.tokens import Tokens, entry_line

if TYPE_CHECKING:
    from playwright import sync_api as playwright

TOKEN = "the token of anna, an engineer"
_DROP = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], name));
    const told = { dataTransfer: carried, bubbles: true, cancelable: true };
    document.querySelector("#drop").dispatchEvent(new DragEvent("drop", told));
}"""
_DRAWN = "Number(document.querySelector('#turn-canvas').dataset.drawn || 0)"
_STORY_MS = 900_000
"""Longest wait for the first part, with which the references are learned; some twenty seconds on a free machine."""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(PLANTED, "point_cloud", 2)  # how sure the references are is not what this story tells
    rules = tmp_path / "rules"
    rules.mkdir()
    monkeypatch.setattr(screw, "POINTS", 12_000)
    screw.write_screws(rules, lambda name: np.random.default_rng(zlib.crc32(name.encode())))
    book = (ROOT / "prompts" / "rules" / "screw.yaml").read_text()
    lines = [line for line in book.splitlines() if not line.startswith("references:")]
    (rules / "screw.yaml").write_text("\n".join([*lines, "references: ['screw/references/normal_0[12].ply']", ""]))
    (tmp_path / "tokens.txt").write_text(entry_line("anna", "engineer", TOKEN) + "\n")
    config = InspectorConfig().with_changes(localizer={"name": "none"})  # the heat of a scan is its deviation
    settings = ServiceSettings(
        rules, tmp_path / "data", config, store=str(tmp_path / "cases.db"), tokens=tmp_path / "tokens.txt"
    )
    with listening(
        make_app(settings, Tokens(tmp_path / "tokens.txt"), further=[router], error_page=error_page)
    ) as found:
        yield found


@pytest.mark.slow(20)
def test_the_story(address: str, browser: "playwright.Browser", tmp_path: Path) -> None:
    page = new_page(browser, viewport={"width": 1280, "height": 900}, locale="en-GB")
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
    page.goto(f"{address}/trust")
    assert page.get_by_role("heading", name="Agreement").is_visible()
    watched.check("trust")


def _see_ng(page: "playwright.Page", tmp_path: Path) -> None:
    scan = tmp_path / "rules" / "screw" / "short.pcd"
    page.evaluate(_DROP, ["short.pcd", base64.b64encode(scan.read_bytes()).decode()])
    page.wait_for_url("**/cases/2*", timeout=_STORY_MS)
    assert page.get_by_role("heading", level=1).inner_text().endswith("NG")
    until(page, "document.querySelector('.canvas .picture').naturalWidth > 0")
    level = page.locator(".heat-level")
    level.focus()
    page.keyboard.press("Home")
    assert page.locator(".canvas .heat").first.evaluate("image => image.style.opacity") == "0"
    page.locator(".stage").first.focus()
    page.keyboard.press("+")
    assert "scale(1.5)" in page.locator(".canvas").first.get_attribute("style")
    _handle_by_mouse(page)


def _handle_by_mouse(page: "playwright.Page") -> None:
    """The heat follows its slider, marks go and come, the wheel zooms, dragging moves, a defect is gone to."""
    slider = page.locator(".heat-level").bounding_box()
    page.mouse.click(slider["x"] + slider["width"] / 2, slider["y"] + slider["height"] / 2)
    assert 0.4 < float(page.locator(".canvas .heat").first.evaluate("image => image.style.opacity")) < 0.6
    page.get_by_label("Marks").uncheck()
    assert not page.locator(".boxes").first.is_visible()
    page.get_by_label("Marks").check()
    assert page.locator(".boxes").first.is_visible()
    canvas, stage = page.locator(".canvas").first, page.locator(".stage").first.bounding_box()
    page.mouse.move(stage["x"] + 200, stage["y"] + 200)
    page.mouse.wheel(0, -300)
    until(page, "/scale\\(1\\.8\\)/.test(document.querySelector('.canvas').style.transform)")
    before = canvas.get_attribute("style")
    page.mouse.down()
    page.mouse.move(stage["x"] + 260, stage["y"] + 230, steps=3)
    page.mouse.up()
    assert canvas.get_attribute("style") != before
    page.locator(".defect-row:not([data-view=''])").first.click()  # a rule's defect may have no place
    assert page.locator(".boxes .chosen").count() >= 1
    page.get_by_role("button", name="Whole picture").click()
    assert "scale(1)" in canvas.get_attribute("style")


def _turn(page: "playwright.Page") -> None:
    page.get_by_role("button", name="Turn it in 3-D").click()
    canvas = page.locator("#turn-canvas")
    canvas.wait_for(state="visible")
    until(page, f"{_DRAWN} > 0")
    before, drawn = canvas.screenshot(), page.evaluate(_DRAWN)
    canvas.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    until(page, f"{_DRAWN} > {drawn}")
    after, drawn = canvas.screenshot(), page.evaluate(_DRAWN)
    assert after != before
    frame = canvas.bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2 + 90, frame["y"] + frame["height"] / 2 + 40, steps=4)
    page.mouse.up()
    until(page, f"{_DRAWN} > {drawn}")
    assert canvas.screenshot() != after, "dragging turns it"
    drawn = page.evaluate(_DRAWN)
    page.mouse.wheel(0, 200)
    until(page, f"{_DRAWN} > {drawn}")
    assert "mm" in page.locator("#turn-legend").inner_text()


def _talk(page: "playwright.Page") -> None:
    page.get_by_label("Ask about this part").fill("Why is it NG?")
    page.get_by_role("button", name="Ask", exact=True).click()
    until(page, "!document.querySelector('#turns').hasAttribute('aria-busy')")
    assert "18.2" in page.locator("#turns .assistant").last.inner_text()


def _correct(page: "playwright.Page", tmp_path: Path) -> None:
    page.get_by_text("Correct the rules").click()
    page.locator("#correct-form [name=kind]").select_option("rule")
    page.locator("#correct-form [name=rule_id]").fill("length")
    page.locator("#correct-form [name=minimum]").fill("18")
    page.get_by_role("button", name="Show what it would change").click()
    page.locator(".proposal .diff").wait_for()
    assert "kept cases would turn" in page.locator(".proposal").inner_text()
    page.get_by_role("button", name="Yes, change the rules").click()
    page.get_by_text("The rule book is changed").wait_for()
    assert "min: 18" in (tmp_path / "rules" / "screw.yaml").read_text()


def _judge_by_keyboard(page: "playwright.Page", address: str) -> None:
    case = page.url.rpartition("/")[2]
    page.get_by_role("button", name="It is NG").first.focus()
    page.keyboard.press("Enter")
    page.get_by_text("NG by anna").wait_for()
    told = json.loads(page.request.get(f"{address}/v1/inspections/{case}/judgements").text())
    assert [(one["outcome"], one["by"]) for one in told] == [("NG", "anna")]
