"""A server that refuses pictures for their size: they are sent smaller, what it takes is kept, boxes stay in place."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.image import ImageOrigin
from converters.view import View
from tests.backends.openai_server import Body, OpenAIServer, Response, answer, completion, status
from vlm_inspect.asking import limits_for
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.kept_replies import reply_from_json, reply_to_json
from vlm_inspect.backends.openai_compatible import OpenAICompatible
from vlm_inspect.backends.picture_sizes import allowed_side, is_about_size
from vlm_inspect.backends.server_conversation import ServerConversation
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError
from vlm_inspect.evidence import Evidence
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import PromptLimits, build_request, load_template
from vlm_inspect.rules import RuleBook

NORMAL = {"reasoning": "even", "anomalous": False}
NUT = RuleBook(class_name="nut")
QWEN = "Qwen2.5-VL-7B"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))


def sides(body: Body) -> list[int]:
    """Longest side of every picture of a request, in pixels."""
    urls = [
        block["image_url"]["url"]
        for message in body["messages"]
        for block in message["content"]
        if isinstance(block, dict) and block["type"] == "image_url"
    ]
    return [max(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size) for url in urls]


def refuses_above(side: int, code: int, message: str, reply: Any = NORMAL) -> Callable[[Body], Response]:
    usual = answer(reply)
    return lambda body: status(code, message)(body) if max(sides(body)) > side else usual(body)


def photo(kind: Any = "image") -> View:
    image = np.random.default_rng(0).integers(0, 255, (700, 1000, 3), dtype=np.uint8)
    return View(image, kind, "photo", ImageOrigin((0, 0, 1000, 700)), kind)


def request_for(model: OpenAICompatible, view: View | None = None) -> Request:
    template = load_template("inspect")
    limits = limits_for(model, PromptLimits(), template)
    return build_request(template, [view or photo()], NUT, [], Evidence(), None, limits=limits)


def backend(server: OpenAIServer, name: str = "tiny") -> OpenAICompatible:
    return OpenAICompatible(name, Connection(server.base_url, timeout_s=60, max_retries=0), first_wait_s=0.001)


@pytest.mark.parametrize(
    ("code", "message", "tried"),
    [
        (413, "Request Entity Too Large", [1000, 768, 512]),
        (413, "", [1000, 768, 512]),
        (400, "image dimensions exceed the maximum of 500 pixels", [1000, 500]),
        (400, "The image is too large: 1000x700, at most 512x512", [1000, 512]),
        (422, "request body too large", [1000, 768, 512]),
    ],
)
def test_pictures_are_sent_smaller_until_the_server_takes_them(code: int, message: str, tried: list[int]) -> None:
    with OpenAIServer([refuses_above(512, code, message)]) as server:
        model = backend(server)
        (reply,) = model.generate(request_for(model))
        assert [max(sides(one.body)) for one in server.requests] == tried
        assert reply.notes == (f"the server takes no larger pictures: they were sent with at most {tried[-1]} px",)
        other = backend(server)
        (again,) = other.generate(request_for(other))
        assert max(sides(server.requests[-1].body)) == tried[-1], "another command knows it, and draws no larger ones"
        assert len(server.requests) == len(tried) + 1
        assert again.notes == ()


def test_drawings_stay_png_and_photographs_jpeg() -> None:
    for kind, head in (("depth", "data:image/png"), ("image", "data:image/jpeg")):
        with OpenAIServer([refuses_above(512, 413, "too large")]) as server:
            model = backend(server)
            model.generate(request_for(model, photo(kind)))
            assert f'"url": "{head};base64' in json.dumps(server.requests[-1].body)


def test_a_server_that_takes_no_picture_of_any_size_is_told_with_what_to_do() -> None:
    with OpenAIServer([status(413, "too large")]) as server:
        model = backend(server)
        with pytest.raises(BackendError, match="send fewer or smaller pictures: --max-pictures, --detail low"):
            model.generate(request_for(model))
        assert [max(sides(one.body)) for one in server.requests] == [1000, 768, 512, 384, 256]
        assert backend(server).longest_side is None, "what did not help is not kept"


def test_boxes_in_pixels_are_read_in_the_picture_that_was_sent() -> None:
    """The model sees 512 x 358 pixels, which its family rounds to 504 x 364."""
    defects = [{"type": "dent", "view": 0, "bbox_2d": [252, 91, 378, 182]}]
    told = {"reasoning": "a dent", "anomalous": True, "defects": defects}
    with OpenAIServer([refuses_above(512, 413, "too large", told)]) as server:
        model = backend(server, QWEN)
        request = request_for(model)
        (reply,) = model.generate(request)
    assert reply.sent_side == 512
    assert reply_from_json(reply_to_json(reply)) == reply
    (defect,) = parse_verdict(reply, NUT, request.views, boxes=request.boxes).defects
    assert defect.box_xyxyn == pytest.approx((0.5, 0.25, 0.75, 0.5), abs=0.01)


def test_the_dialogue_gives_way_too() -> None:
    def whole(body: Body) -> Response:
        message = {"role": "assistant", "content": "It is even."}
        return completion({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}, body)

    def respond(body: Body) -> Response:
        if max(sides(body)) > 768:
            return status(413, "Payload Too Large")(body)
        return status(400, "stream is not supported")(body) if body.get("stream") else whole(body)

    buffer = io.BytesIO()
    Image.new("RGB", (1000, 700)).save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    block = {"type": "image_url", "image_url": {"url": url, "detail": "high"}}
    with OpenAIServer([respond]) as server:
        talk = ServerConversation("tiny", Connection(server.base_url, timeout_s=60, max_retries=0))
        turn = talk.converse([{"role": "user", "content": [block]}], (), lambda text: None)
        assert turn.text == "It is even."
        assert [max(sides(one.body)) for one in server.requests] == [1000, 768, 768]
        assert backend(server).longest_side == 768


@pytest.mark.parametrize(
    ("status_code", "message", "about_size"),
    [
        (413, "whatever", True),
        (400, "Request too large for model", True),
        (400, "messages.0.content.1.image: image exceeds 5 MB maximum: 6012345 bytes > 5242880 bytes", True),
        (400, "This model's maximum context length is 8192 tokens", False),
        (400, "max_tokens is too large: 4096", False),
        (400, "the image format is not supported", False),
        (500, "request body too large", False),
    ],
)
def test_what_a_refusal_is_about(status_code: int, message: str, about_size: bool) -> None:
    assert is_about_size(status_code, message) is about_size


def test_a_side_that_is_named_counts_where_it_is_smaller() -> None:
    assert allowed_side("exceeds 2000 pixels", 3000) == 2000
    assert allowed_side("exceeds 8000 pixels", 1000) == 768
    assert allowed_side("", 257) == 256
    assert allowed_side("", 256) is None
