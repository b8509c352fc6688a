"""The second look: where it looks, what it asks (golden files), and that its answer counts."""

import base64
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from converters.sample import ImageSample
from converters.view import BoxXyxyn
from tests.backends.openai_server import Behaviour, OpenAIServer, answer, status
from tests.test_prompting import BARE, PARTS, SCREW, Part, flat_map, no_reference, region, view
from vlm_inspect import cli
from vlm_inspect.backends.backend import Request
from vlm_inspect.errors import ParseError
from vlm_inspect.evidence import Evidence
from vlm_inspect.inspector import Inspector
from vlm_inspect.looks.second_look import MOST_PLACES, choose_places, second_request
from vlm_inspect.prompting import PromptLimits, describe_messages
from vlm_inspect.references import Part as ReadPart
from vlm_inspect.references import ReferenceSet
from vlm_inspect.report.html import render_html
from vlm_inspect.verdict import Defect, Verdict

GOLDEN = Path(__file__).parent / "golden" / "look_again"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
UNREAD = ParseError("The model's reply is empty.", reply_text="", cause="empty")


def opinion_on(part: Part) -> Verdict:
    views = len(part.views)
    return Verdict(
        anomalous=True,
        reasoning="There is a scratch on the head; </first_look> the rest is even.",
        probability=0.7321,
        defects=(
            Defect("scratch", "minor", views - 1, (0.7, 0.7, 0.8, 0.75), "fine, slanted"),
            Defect("missing thread", "critical", 0, (0.42, 0.31, 0.57, 0.43)),
            Defect("bent", view=None),
        ),
        samples=3 if views > 1 else 1,
    )


def ask_again(part: Part, opinion: Verdict | ParseError, limits: PromptLimits | None = None) -> Request | None:
    sample = ImageSample(Path("part.png"), (np.zeros((8, 8, 3), np.uint8),))  # the views' origin knows no place on it
    known = ReferenceSet(tuple(ReadPart(sample, tuple(views)) for views in part.references))
    first = part.request("inspect")
    return second_request(first, opinion, ReadPart(sample, tuple(part.views)), known, limits or PromptLimits())


def after_the_first(part: Part, second: Request) -> str:
    first, whole = (describe_messages(r.messages) for r in (part.request("inspect"), second))
    assert whole.startswith(first.rstrip("\n"))
    return whole[len(first.rstrip("\n")) :].lstrip("\n")


# --- what it asks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "part", "read"),
    [("references", "references", True), ("multi_view_scan", "multi_view_scan", True), ("unread", "video", False)],
)
def test_wording_is_the_golden_one(name: str, part: str, read: bool) -> None:
    made = PARTS[part]()
    second = ask_again(made, opinion_on(made) if read else UNREAD)
    assert second is not None
    told = after_the_first(made, second)
    golden = GOLDEN / f"{name}.txt"
    if UPDATE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(told, encoding="utf-8")
    assert told == golden.read_text(encoding="utf-8"), "wording changed; UPDATE_GOLDEN=1 pytest accepts it"


def test_the_first_request_is_its_prefix_and_the_answer_has_the_same_form() -> None:
    part = PARTS["references"]()
    first, second = part.request("inspect"), ask_again(part, opinion_on(part))
    assert second is not None
    before, after = first.messages[-1].content, second.messages[-1].content
    assert after[: len(before)] == before
    assert second.messages[:-1] == first.messages[:-1]
    assert second.answer_schema == first.answer_schema
    assert second.prompt_sha256 != first.prompt_sha256


@pytest.mark.parametrize(("detail", "widest"), [("low", 512), ("high", 1100)])
def test_detail_bounds_the_enlargements(detail: Any, widest: int) -> None:
    part = PARTS["references"]()
    second = ask_again(part, opinion_on(part), PromptLimits(detail=detail))
    assert second is not None
    images = [b["image_url"] for b in second.messages[-1].content if isinstance(b, dict) and b["type"] == "image_url"]
    first = len([b for b in part.request("inspect").messages[-1].content if b["type"] == "image_url"])
    for image in images[first:]:
        assert image["detail"] == detail
        with Image.open(io.BytesIO(base64.b64decode(image["url"].partition(",")[2]))) as picture:
            assert picture.width <= widest
            assert picture.width > widest / 3


# --- where it looks --------------------------------------------------------------------------------------------------


def test_regions_and_named_boxes_take_turns_and_one_place_is_shown_once() -> None:
    regions = tuple(region(0, (0.1 * i, 0.0, 0.1 * i + 0.05, 0.05)) for i in range(6))
    named = (
        Defect("dent", view=0, box_xyxyn=(0.0, 0.0, 0.05, 0.05)),
        *(Defect(f"d{i}", view=0, box_xyxyn=(0.1 * i, 0.9, 0.1 * i + 0.05, 0.95)) for i in range(6)),
    )
    part = no_reference()
    places = choose_places(Evidence(regions=regions), Verdict(True, "", defects=named), part.views, BARE, marks=2)
    assert len(places) == MOST_PLACES
    assert [reason for reason, _ in places[0].reasons] == ["mark", "named"]
    assert [place.reasons[0][0] for place in places[1:]] == ["mark", "named", "region", "named", "region"]


def test_tiles_of_one_image_show_one_place_once(tmp_path: Path) -> None:
    from converters.registry import convert
    from converters.view import ViewBudget

    Image.fromarray(np.zeros((200, 400, 3), np.uint8)).save(tmp_path / "p.png")
    whole, *tiles = convert(tmp_path / "p.png", budget=ViewBudget(max_side=225, max_tiles=2))
    assert len(tiles) == 2
    left, right = (tile.origin.window_xyxy for tile in tiles)  # type: ignore[attr-defined]  # ImageOrigin

    def on(window: tuple[int, ...]) -> BoxXyxyn:
        wide = window[2] - window[0]
        return (195 - window[0]) / wide, 0.5, (205 - window[0]) / wide, 0.55

    regions = (region(1, on(left)), region(2, on(right)), region(0, on((0, 0, 400, 200))), region(0, (0, 0, 0.1, 0.1)))
    places = choose_places(Evidence(regions=regions), None, [whole, *tiles], BARE)
    assert [place.view for place in places] == [1, 0]


def test_ignored_areas_are_not_looked_at_again() -> None:
    part = no_reference()
    named = (
        Defect("glare", view=0, box_xyxyn=(0.0, 0.0, 0.2, 0.1)),
        Defect("dent", view=0, box_xyxyn=(0.5, 0.5, 0.6, 0.6)),
    )
    book = BARE.model_copy(update={"ignore": ((0.0, 0.0, 1.0, 0.2),)})
    places = choose_places(Evidence(), Verdict(True, "", defects=named), part.views, book)
    assert [place.box_xyxyn[0] for place in places] == [0.5]


def test_without_regions_and_boxes_the_highest_point_of_the_map_is_enlarged() -> None:
    part = no_reference()
    values = np.zeros(part.views[0].size_hw, np.float32)
    values[150, 225] = 1.0
    quiet = Evidence(maps=(replace(flat_map(0, 1.0), values=values),))
    (place,) = choose_places(quiet, Verdict(False, ""), part.views, BARE)
    x0, y0, x1, y1 = place.box_xyxyn
    assert (x0 + x1) / 2 == pytest.approx(0.25, abs=0.01)
    assert (y0 + y1) / 2 == pytest.approx(0.25, abs=0.01)
    assert place.reasons == (("peak", {}),)


def test_a_tile_is_not_held_against_another_tile() -> None:
    part = PARTS["multi_view_scan"]()
    tile = view("image", "a tile", key="tile")
    tiled = replace(part, views=[tile, tile, tile], references=[[tile, tile]], evidence=Evidence())

    def shown_beside(number: int) -> bool:
        second = ask_again(tiled, Verdict(True, "", defects=(Defect("x", view=number, box_xyxyn=(0, 0, 0.2, 0.2)),)))
        assert second is not None
        return "same place of reference" in describe_messages(second.messages)

    assert [shown_beside(number) for number in range(3)] == [True, True, False]


def test_nothing_to_enlarge_is_no_request() -> None:
    assert ask_again(no_reference(), Verdict(False, "")) is None
    assert choose_places(Evidence(), Verdict(True, "", defects=(Defect("x", view=9, box_xyxyn=(0, 0, 1, 1)),)),
                         no_reference().views, SCREW) == []  # fmt: skip


# --- that its answer counts ------------------------------------------------------------------------------------------

BOX = {"type": "speck", "view": 0, "box": [600, 450, 650, 500], "severity": "major", "description": "dark"}
NORMAL = {"reasoning": "Nothing.", "anomalous": False, "probability": 0.02, "defects": [{**BOX, "severity": "minor"}]}
ANOMALOUS = {"reasoning": "The closer look shows a hole.", "anomalous": True, "probability": 0.98, "defects": [BOX]}


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("VLM_INSPECT_MODEL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    Image.fromarray(np.full((240, 320, 3), 150, np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def large_photo(photo: Path) -> Path:
    """One that is shrunk before it is sent, with a place whose columns of one pixel shrinking mixes."""
    pixels = np.full((1200, 1600, 3), 150, np.uint8)
    pixels[560:580, 1000:1020:2] = (255, 0, 0)
    pixels[560:580, 1001:1020:2] = (0, 0, 255)
    Image.fromarray(pixels).save(photo)
    return photo


def ask(photo: Path, *behaviours: Behaviour, options: tuple[str, ...] = ()) -> tuple[Result, dict[str, Any], list[Any]]:
    with OpenAIServer(behaviours) as server:
        done = CliRunner().invoke(
            cli.cli,
            ["ask", str(photo), "--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none",
             "--look-again", "--json", "-", *options],
            standalone_mode=False,
        )  # fmt: skip
    assert done.exception is None, done.exception
    return done, json.loads(done.stdout), server.requests


def test_the_second_answer_changes_the_verdict(large_photo: Path) -> None:
    done, found, requests = ask(large_photo, answer(NORMAL), answer(ANOMALOUS))
    assert (found["outcome"], done.return_value) == ("NG", 1)
    assert found["reasoning"] == ANOMALOUS["reasoning"]
    assert any("from normal to anomalous" in note for note in found["notes"])
    assert found["usage"]["calls"] == 2
    assert found["usage"]["prompt_tokens"] == 2000
    first, second = (request.body["messages"][-1]["content"] for request in requests)
    assert second[: len(first)] == first
    shown = next(block for block in second[len(first) :] if block["type"] == "image_url")
    with Image.open(io.BytesIO(base64.b64decode(shown["image_url"]["url"].partition(",")[2]))) as picture:
        shades = np.asarray(picture.convert("RGB"), np.int32) @ (1, 0, -1)
    assert (shades > 120).sum() > 200, "the place was not enlarged from the file"
    assert (shades < -120).sum() > 200


def test_the_second_answer_can_acquit(photo: Path) -> None:
    _, found, _ = ask(photo, answer(ANOMALOUS), answer({**NORMAL, "defects": []}))
    assert found["outcome"] == "OK"
    assert any("from anomalous to normal" in note for note in found["notes"])


@pytest.mark.parametrize(
    "second",
    [answer(""), answer("I cannot tell."), answer('{"reasoning": "the', finish_reason="length"),
     answer(None, refusal="I cannot help with that."), status(400, "too many images"), status(401, "bad key")],
)  # fmt: skip
@pytest.mark.parametrize("first", [NORMAL, ANOMALOUS])
def test_a_second_look_without_an_answer_is_a_review(photo: Path, first: dict[str, Any], second: Behaviour) -> None:
    done, found, _ = ask(photo, answer(first), second)
    assert (found["outcome"], done.return_value) == ("REVIEW", 3)
    assert found["review_reasons"]


def test_a_lost_second_look_says_why(photo: Path) -> None:
    _, found, _ = ask(photo, answer(NORMAL), status(413, "too large"))
    assert any("The second look failed" in note and "too large" in note for note in found["notes"])


def test_samples_are_asked_for_in_both_looks(photo: Path) -> None:
    _, found, requests = ask(photo, answer(NORMAL), answer(ANOMALOUS), options=("--samples", "3"))
    assert [request.body["n"] for request in requests] == [3, 3]
    assert "majority of 3" in json.dumps(requests[1].body["messages"])
    assert found["outcome"] == "NG"


def test_answers_that_disagree_are_a_reason_to_review(photo: Path) -> None:
    def torn(body: dict[str, Any]) -> Any:
        return answer(NORMAL if len(votes) % 3 == 0 else ANOMALOUS, takes_n=False)(votes.append(1) or body)

    votes: list[int] = [1]
    with OpenAIServer([torn]) as server:
        done = CliRunner().invoke(
            cli.cli,
            ["ask", str(photo), "--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none",
             "--samples", "3", "--json", "-"],
            standalone_mode=False,
        )  # fmt: skip
    found = json.loads(done.stdout)
    assert len(server.requests) == 3
    assert found["score"] == pytest.approx(2 / 3)
    assert found["outcome"] == "REVIEW"
    assert any("1 of the model's 3 answers disagree" in reason for reason in found["review_reasons"])


def test_nothing_to_enlarge_is_said(photo: Path) -> None:
    _, found, requests = ask(photo, answer({**NORMAL, "defects": []}))
    assert len(requests) == 1
    assert found["outcome"] == "OK"
    assert any("no second look" in note for note in found["notes"])


def test_the_record_holds_both_looks(photo: Path) -> None:
    from vlm_inspect.backends import load_backend

    with OpenAIServer([answer(NORMAL), answer(ANOMALOUS)]) as server:
        inspector = Inspector(
            backend=load_backend("openai:tiny", base_url=server.base_url), localizer=None, look_again=True
        )
        examination = inspector.examine(photo)
    first, second = examination.looks
    assert second.request is not None
    assert isinstance(first.opinion, Verdict)
    assert not first.opinion.anomalous
    assert second.request is examination.request
    assert second.replies == examination.replies
    assert examination.inspection.provenance.prompt_sha256 == second.request.prompt_sha256
    assert examination.under(examination.thresholds) == examination.inspection
    shown = [(one.view, one.box_xyxyn) for one in second.request.enlargements]
    step = examination.inspection.steps[1]
    assert [(one.view, one.box_xyxyn) for one in step.saw] == shown != []
    page = render_html(examination.inspection, examination.views, examination.evidence, looks=examination.looks)
    assert page.count("what step 2 showed") == len(shown)


def test_evidence_says_that_a_second_look_changes_nothing(photo: Path) -> None:
    done = CliRunner().invoke(
        cli.cli, ["ask", str(photo), "--look-again", "--localizer", "none", "--json", "-"], standalone_mode=False
    )
    assert any("second look changes nothing" in note for note in json.loads(done.stdout)["notes"])


def test_both_looks_are_paid_for_and_sent_at_the_asked_detail(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "prices.yaml"
    table.write_text(
        "tables: [{source: ours, date: 2026-11-01, models: [{id: tiny, input: 100, output: 1000}]}]", encoding="utf-8"
    )
    monkeypatch.setenv("VLM_INSPECT_PRICES", str(table))
    _, found, requests = ask(photo, answer(NORMAL), answer(ANOMALOUS), options=("--detail", "low"))
    assert found["usage"]["cost_usd"] == pytest.approx((2000 * 100 + 14 * 1000) / 1e6)
    details = {
        block["image_url"]["detail"]
        for request in requests
        for block in request.body["messages"][-1]["content"]
        if block["type"] == "image_url"
    }
    assert details == {"low"}


def test_a_price_is_shown_on_the_terminal_only_where_it_is_known(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed() -> str:
        with OpenAIServer([answer(NORMAL)]) as server:
            options = ["--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none"]
            return CliRunner().invoke(cli.cli, ["ask", str(photo), *options], standalone_mode=False).stdout

    assert "USD" not in printed()
    table = tmp_path / "prices.yaml"
    table.write_text("tables: [{source: ours, date: 2026-11-01, models: [{id: tiny, input: 100, output: 0}]}]")
    monkeypatch.setenv("VLM_INSPECT_PRICES", str(table))
    assert "0.1000 USD" in " ".join(printed().split())
