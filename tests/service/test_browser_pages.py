"""Every page in a real browser: wide and narrow, light and dark, by mouse, touch, keyboard and camera."""

import base64
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.agent.scripted import BOX, turn, verdict
from tests.backends.openai_server import Body, OpenAIServer
from tests.browsing import new_page, until
from tests.service.browsing import Watched
from tests.service.conftest import listening, part, photo, settings_in
from tests.service.test_timeline import BOOK as MOTOR
from tests.service.test_timeline import series_text, write_clip
from tests.waiting import LONGEST_S
from vlm_inspect.page import error_page, router
from vlm_inspect.service.app import make_app
from vlm_inspect.service.tokens import Tokens

if TYPE_CHECKING:
    from playwright import sync_api as playwright

_COPY = """async (content) => {
    const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""


@pytest.mark.slow(15)
def test_every_page_is_usable_wide_and_narrow_light_and_dark(tmp_path: Path, browser: "playwright.Browser") -> None:
    settings = settings_in(tmp_path)
    (settings.rules / "slab.yaml").write_text("class_name: slab\n")  # nothing decides: REVIEW
    (settings.rules / "motor.yaml").write_text(MOTOR)
    write_clip(tmp_path / "belt.avi")
    with (
        listening(make_app(settings, Tokens(), further=[router], error_page=error_page)) as address,
        httpx.Client(base_url=address, timeout=LONGEST_S) as client,
    ):
        told = [
            client.post("/v1/inspections", files=part(level), data={"rules": rules, "serial": "lot-" + 96 * "9"}).json()
            for level, rules in ((250, "plate"), (100, "plate"), (100, "slab"))
        ]
        curve, clip = (
            client.post("/v1/inspections", files={"file": (name, content)}, data={"rules": rules}).json()["id"]
            for name, content, rules in (
                ("motor.csv", series_text(4000, 1234), "motor"),
                ("belt.avi", (tmp_path / "belt.avi").read_bytes(), "slab"),
            )
        )
        pages = ["/", "/login", "/cases", f"/cases/{told[0]['id']}", "/review", "/review?blind=true", "/trust"]
        pages += [f"/compare?a={told[0]['id']}&b={told[1]['id']}", f"/cases/{curve}", f"/cases/{clip}"]
        for width, scheme, language in ((1280, "light", "en"), (390, "dark", "de")):
            page = new_page(browser, viewport={"width": width, "height": 844}, locale=language)
            page.emulate_media(color_scheme=scheme)
            watched = Watched(page, address)
            for path in pages:
                page.goto(f"{address}{path}")
                watched.check(f"{path}, {width} px, {scheme}, {language}")
            _zoom_into_a_curve(page, f"{address}/cases/{curve}")
            _play(page, f"{address}/cases/{clip}")
            watched.check(f"a clip that was played, {width} px")
        _see_a_clip_blind(page, f"{address}/review?blind=true")
        client.post(f"/v1/inspections/{clip}/judgement", json={"outcome": "OK"})
        client.post(f"/v1/inspections/{told[1]['id']}/judgement", json={"outcome": "OK"})
        _propose_a_reference(page, f"{address}/cases/{told[1]['id']}")
        watched.check("a proposed reference")
        _review_by_keyboard(page, client, told[2]["id"])


def test_parts_come_by_camera_and_paste_and_are_handled_by_touch(tmp_path: Path, browser: "playwright.Browser") -> None:
    with listening(make_app(settings_in(tmp_path), Tokens(), further=[router], error_page=error_page)) as address:
        page = new_page(browser, viewport={"width": 390, "height": 844}, has_touch=True, locale="en-GB")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        watched = Watched(page, address)
        page.goto(address)
        page.get_by_role("button", name="Camera").tap()
        until(page, "document.getElementById('camera-picture').videoWidth > 0")
        page.get_by_role("button", name="Take picture").tap()
        page.wait_for_url("**/cases/2*")
        assert page.get_by_text("camera.png").first.is_visible()

        page.goto(address)
        page.evaluate(_COPY, base64.b64encode(photo(100)).decode())
        page.keyboard.press("Control+V")
        page.wait_for_url("**/cases/2*")
        assert page.get_by_role("heading", level=1).inner_text().endswith("OK")
        _pinch(page)
        watched.check("a part that was pinched")
        page.goto(f"{address}/cases/nothing")
        watched.wrong.clear()  # the browser tells of the status itself
        watched.check("an error")
        assert page.get_by_role("heading", name="That is not here").is_visible()


def _pinch(page: "playwright.Page") -> None:
    """Two fingers go apart: closer; one finger then moves the picture."""
    box = page.locator(".stage").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": x + dx, "y": y + dy, "id": number} for number, (dx, dy) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (-20, 0), (20, 0))
    for apart in (30, 40, 60):
        touch("touchMove", (-apart, 0), (apart, 0))
    touch("touchEnd")
    zoom = "Number(/scale\\(([\\d.]+)/.exec(document.querySelector('.canvas').style.transform)[1])"
    until(page, f"{zoom} > 1.8")
    before = page.locator(".canvas").first.get_attribute("style")
    touch("touchStart", (0, 0))
    for moved in (10, 20, 30):
        touch("touchMove", (moved, 0))
    touch("touchEnd")
    until(page, f"document.querySelector('.canvas').getAttribute('style') !== {json.dumps(before)}")


def _review_by_keyboard(page: "playwright.Page", client: httpx.Client, case: str) -> None:
    page.goto(f"{client.base_url}/review")
    page.wait_for_selector(f"#review[data-case='{case}']")
    page.keyboard.press("b")
    page.wait_for_url("**/review?blind=true*")
    page.wait_for_selector("#review[data-blind='true']")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("o")
    page.locator(f"#review[data-case='{case}']").wait_for(state="detached")
    assert [one["outcome"] for one in client.get(f"/v1/inspections/{case}/judgements").json()] == ["OK"]


def _see_a_clip_blind(page: "playwright.Page", address: str) -> None:
    """The clip is played, and nothing of what the tool says of it is there."""
    page.goto(address)
    until(page, "document.querySelector('#timeline').dataset.ready === 'true'")
    assert page.locator("#film").is_visible()
    assert not page.locator("#chart-field").is_visible()
    assert page.locator("#stretches li").count() == 0


def _propose_a_reference(page: "playwright.Page", address: str) -> None:
    page.goto(address)
    page.locator("#make-reference").click()
    proposal = page.locator("#reference-proposal .proposal")
    proposal.wait_for()
    assert "references:" in proposal.locator(".diff .added").last.inner_text()
    assert "plate-references" in proposal.inner_text()
    proposal.locator("button").last.click()
    proposal.locator("[role=status]").wait_for()


def test_steps_are_seen_while_they_are_taken(tmp_path: Path, browser: "playwright.Browser") -> None:
    settings = settings_in(tmp_path)
    (settings.rules / "plate.yaml").write_text("class_name: plate\nrules: [{id: whole, text: The plate is whole.}]\n")
    seen = threading.Event()

    def judged(body: Body) -> object:
        assert seen.wait(LONGEST_S), "the steps were not shown before the last one was answered"
        return verdict()(body)

    script = (turn("observe", "zoom", BOX), turn("judge"), judged)

    def respond(body: Body) -> object:
        return script[sum(message["role"] == "assistant" for message in body["messages"])](body)

    with OpenAIServer([respond], refuses=("tools",)) as server:  # type: ignore[list-item]
        model = {"name": "openai:tiny", "base_url": server.base_url}
        config = settings.config.with_changes(model=model, agent={"enabled": True})
        app = make_app(replace(settings, config=config), Tokens(), further=[router], error_page=error_page)
        with listening(app) as address:
            page = new_page(browser, locale="en-GB")
            watched = Watched(page, address)
            page.goto(address)
            page.locator("#file").set_input_files({"name": "plate.png", "mimeType": "image/png", "buffer": photo()})
            page.locator("#sent .steps li").nth(1).wait_for()
            assert "zoom" in page.locator("#sent .steps li").nth(1).inner_text()
            assert page.locator("#sent .sent-picture rect.box").count() == 1, "where it looked is marked on the photo"
            watched.check("a part that is being inspected")
            seen.set()
            page.wait_for_url("**/cases/2*")
            page.locator(".steps .look").first.click()
            assert "scale(1)" not in page.locator(".canvas").first.get_attribute("style")
            watched.check("a case with steps")


def _zoom_into_a_curve(page: "playwright.Page", address: str) -> None:
    """Drag across the line, point the marked stretch out, and see all again by keyboard."""
    page.goto(address)
    until(page, "document.querySelector('#timeline').dataset.ready === 'true'")
    shown = "document.querySelector('#charts').dataset.shown.split(' ').map(Number)"
    assert page.evaluate(shown) == [0, 3.999]
    box = page.locator("#charts .u-over").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
    page.mouse.up()
    until(page, f"Math.abs({shown}[0] - 2) < 0.1 && Math.abs({shown}[1] - 3) < 0.1")
    page.locator("#stretches button").first.click()
    until(page, f"{shown}[0] < 1.234 && 1.234 < {shown}[1] && {shown}[1] - {shown}[0] < 1")
    page.locator("#charts").focus()
    page.keyboard.press("0")
    assert page.evaluate(shown) == [0, 3.999]


def _play(page: "playwright.Page", address: str) -> None:
    """Play a clip, stop it, and go on frame by frame: what is drawn is the frame that the clock tells."""
    page.goto(address)
    until(page, "document.querySelector('#timeline').dataset.ready === 'true'")
    picture = page.locator("#film-picture")
    shown = "Number(document.querySelector('#film-picture').dataset.frame)"
    page.locator(".film-speed").select_option("2")
    page.locator(".film-play").click()
    until(page, f"{shown} >= 20")
    page.locator(".film-play").click()
    picture.focus()
    page.keyboard.press("Home")
    until(page, f"{shown} === 0")
    page.keyboard.press("ArrowRight")
    until(page, f"{shown} === 1")
    grey = "document.querySelector('#film-picture').getContext('2d').getImageData(5, 5, 1, 1).data[0]"
    assert abs(page.evaluate(grey) - 24) < 5
    sign = "," if page.locator("html").get_attribute("lang") == "de" else "."
    assert f"0{sign}05 s" in page.locator("#film output").inner_text()
