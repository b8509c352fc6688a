"""What servers refuse and how they fail, over HTTP: given way to, tried again, or told with what to do; and kept."""

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.image import ImageOrigin
from converters.view import View
from tests.backends.openai_server import Behaviour, Body, OpenAIServer, Response, answer, raw, status
from vlm_inspect.backends import learned
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.backends.openai_compatible import OpenAICompatible
from vlm_inspect.backends.picture_count import allowed_pictures, refuses_pictures
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError
from vlm_inspect.evidence import Evidence, Region
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import PromptLimits, build_request, load_template
from vlm_inspect.rules import RuleBook

NORMAL = {"reasoning": "even", "anomalous": False}
NUT = RuleBook(class_name="nut")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def photo(seed: int = 0, size_hw: tuple[int, int] = (60, 90)) -> View:
    image = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    return View(image, "image", f"photo {seed}", ImageOrigin((0, 0, size_hw[1], size_hw[0])), "image")


def request_of(*, references: int = 0, marks: int = 0, views: int = 1, **limits: Any) -> Request:
    parts = [photo(seed) for seed in range(views)]
    place = parts[0].origin.locate((0.2, 0.2, 0.4, 0.4))
    region = Region(0, (0.2, 0.2, 0.4, 0.4), (0.3, 0.3), 0.9, 0.04, "memory", True, place)
    evidence = Evidence(regions=(region,) * marks, reference_count=references)
    known = [[photo(100 + seed)] for seed in range(references)]
    return build_request(load_template("inspect"), parts, NUT, known, evidence, None, limits=PromptLimits(**limits))


def backend(server: OpenAIServer, url: str | None = None, **settings: Any) -> OpenAICompatible:
    connection = Connection(url or server.base_url, timeout_s=60, **{"max_retries": 0, **settings})
    return OpenAICompatible("tiny", connection, first_wait_s=0.001)


def pictures_of(body: Body) -> list[Any]:
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    return [block for content in contents for block in content if block["type"] == "image_url"]


def refusing(wrong: Any, *refusals: Behaviour) -> Behaviour:
    """Refuse a body that `wrong` says yes to, in these ways one after the other; else answer."""
    left = list(refusals)

    def respond(body: Body) -> Response:
        if wrong(body):
            return (left.pop(0) if len(left) > 1 else left[0])(body)
        return answer(NORMAL)(body)

    return respond


def asked(behaviour: Behaviour, request: Request | None = None, **settings: Any) -> tuple[Reply, list[Body]]:
    with OpenAIServer([behaviour]) as server:
        (reply,) = backend(server, **settings).generate(request or request_of())
        return reply, [one.body for one in server.requests]


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "refusal", "gone"),
    [
        (
            lambda body: "json_schema" in json.dumps(body.get("response_format", {})),
            raw([{"error": {"code": 400, "message": "Unknown name at 'generation_config.response_schema'"}}], code=400),
            lambda body: body["response_format"]["type"] == "json_object",
        ),
        (
            lambda body: body.get("response_format", {}).get("type") == "json_schema",
            status(400, "Failed to generate JSON. Please adjust your prompt.", error_code="json_validate_failed"),
            lambda body: body["response_format"]["type"] == "json_object",
        ),
        (
            lambda body: "logprobs" in body,
            status(404, "No endpoints found that support the requested parameters."),
            lambda body: "logprobs" not in body,
        ),
        (
            lambda body: {"max_tokens", "max_completion_tokens"} & set(body),
            status(400, "max_tokens is not a parameter of this model"),
            lambda body: not {"max_tokens", "max_completion_tokens"} & set(body),
        ),
        (
            lambda body: {"max_tokens", "max_completion_tokens"} & set(body),
            status(400, "max_completion_tokens: extra fields not permitted"),
            lambda body: not {"max_tokens", "max_completion_tokens"} & set(body),
        ),
        (
            lambda body: body["messages"][0]["role"] == "system",
            status(400, "System role not supported"),
            lambda body: "inspection engineer" in body["messages"][0]["content"][0]["text"],
        ),
        (
            lambda body: body["messages"][0]["role"] == "system",
            status(400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
            lambda body: body["messages"][0]["role"] == "user",
        ),
        (
            lambda body: any("detail" in one["image_url"] for one in pictures_of(body)),
            status(422, "extra fields not permitted", param="messages[1].content[3].image_url.detail"),
            lambda body: all(set(one["image_url"]) == {"url"} for one in pictures_of(body)),
        ),
        (
            lambda body: any("detail" in one["image_url"] for one in pictures_of(body)),
            raw({"detail": [{"loc": ["body", "messages", 1, "image_url.detail"], "msg": "not allowed"}]}, code=422),
            lambda body: all(set(one["image_url"]) == {"url"} for one in pictures_of(body)),
        ),
    ],
)
def test_what_is_refused_is_left_out(wrong: Any, refusal: Behaviour, gone: Any) -> None:
    reply, bodies = asked(refusing(wrong, refusal))
    assert json.loads(reply.text) == NORMAL
    assert gone(bodies[-1])


def test_a_reasoning_effort_that_is_refused_is_left_out_and_said() -> None:
    refusal = status(400, "Unrecognized request argument supplied: reasoning_effort")
    reply, bodies = asked(refusing(lambda body: "reasoning_effort" in body, refusal), reasoning_effort="high")
    assert bodies[0]["reasoning_effort"] == "high"
    assert any("reasoning effort" in note for note in reply.notes)


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("At most 4 image(s) may be provided in one request.", 4),
        ("Too many images: the maximum is 5 images per request", 5),
        ("This model supports up to 3 images", 3),
        ("You sent 8 images; only one image is allowed", 1),
        ("number of images exceeds the limit of 2", 2),
        ("images: maximum 6 allowed", 6),
        ("Too many images in request", 4),
        ("multiple images are not supported by this model", 1),
        ("image is larger than 20 MB", None),
        ("maximum context length is 4 tokens", None),
        ("At most 12 image(s) may be provided in one request.", None),
    ],
)
def test_the_number_that_a_server_allows_is_read(message: str, most: int | None) -> None:
    assert allowed_pictures(message, 8) == most


def test_zoomed_marks_then_marks_then_references_are_left_out_and_the_model_is_told() -> None:
    refusal = status(400, "At most 3 image(s) may be provided in one request.")
    wrong = lambda body: len(pictures_of(body)) > 3  # noqa: E731
    request = request_of(references=3, marks=2)
    reply, bodies = asked(refusing(wrong, refusal), request)
    assert len(pictures_of(bodies[0])) == 3 + 1 + 1 + 2
    assert len(pictures_of(bodies[-1])) == 3
    told = json.dumps(bodies[-1]["messages"])
    assert "takes at most 3 pictures" in told
    assert "zoomed" in told
    assert "Reference 3, normal" not in told
    assert any("takes at most 3 pictures" in note for note in reply.notes)


def test_a_limit_of_the_user_holds_from_the_first_request_on() -> None:
    reply, bodies = asked(answer("{}"), request_of(references=2, views=3), most_pictures=1)
    assert [len(pictures_of(body)) for body in bodies] == [1] * len(bodies)
    assert any("were put on one sheet" in note for note in reply.notes)


def test_one_picture_alone_is_a_sheet_of_what_must_be_shown() -> None:
    refusal = status(400, "At most 1 image(s) may be provided in one request.")
    reply, bodies = asked(refusing(lambda body: len(pictures_of(body)) > 1, refusal), request_of(references=2, views=2))
    assert len(pictures_of(bodies[-1])) == 1
    assert "(picture 3)" in json.dumps(bodies[-1]["messages"])
    assert any("on one sheet" in note for note in reply.notes)


def test_an_own_limit_is_kept_while_the_prompt_is_made() -> None:
    small = request_of(references=3, marks=2, pictures=3)
    _, bodies = asked(answer(NORMAL), small)
    assert len(pictures_of(bodies[0])) == 3
    assert "2 of 3 references shown" in json.dumps(bodies[0]["messages"])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (404, "No endpoints found that support image input"),
        (400, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
        (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
        (400, "llama-3 is not a multimodal model"),
        (400, "At most 0 image(s) may be provided in one request."),
        (400, "Invalid content type. image_url is only supported by certain models."),
        (400, "This model does not support images"),
    ],
)
def test_a_model_without_eyes_is_told_at_once(code: int, message: str) -> None:
    with OpenAIServer([status(code, message)]) as server:
        with pytest.raises(BackendError, match="takes no picture: name a vision model"):
            backend(server, max_retries=2).generate(request_of())
        assert len(server.requests) == 1


def test_a_format_that_is_refused_is_no_blindness() -> None:
    assert not refuses_pictures("unsupported image format: webp")
    assert not refuses_pictures("does not support image format tiff")
    assert not refuses_pictures("This image type is not supported")


# --- failures --------------------------------------------------------------------------------------------------------


def test_an_error_inside_status_200_is_tried_again_then_told_with_its_inner_reason() -> None:
    broken = raw({"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream"}}})
    with OpenAIServer([broken, answer(NORMAL)]) as server:
        backend(server, max_retries=1).generate(request_of())
    with (
        OpenAIServer([broken]) as server,
        pytest.raises(BackendError, match="after 2 attempts: Provider returned error: upstream; try again later"),
    ):
        backend(server, max_retries=1).generate(request_of())


def test_an_error_beside_an_answer_is_tried_again_then_a_cut_reply() -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": json.dumps(NORMAL)},
        "finish_reason": "error",
        "error": {"code": 502, "message": "Upstream error"},
    }
    with OpenAIServer([raw({"choices": [choice]})]) as server:
        (reply,) = backend(server, max_retries=1).generate(request_of())
        assert len(server.requests) == 2
    assert (reply.finish_reason, reply.notes) == ("error", ("Upstream error",))


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_on_the_same_machine_keeps_the_post(code: int) -> None:
    with OpenAIServer([answer(NORMAL)]) as target:
        path = target.base_url.partition("/v1")[0].rpartition("/")[2]
        moved = lambda _: Response(  # noqa: E731
            b"", code, headers={"location": f"{target.base_url}/chat/completions"}
        )
        with OpenAIServer([moved]) as server:
            backend(server).generate(request_of())
        assert path in target.requests[0].path
        assert target.requests[0].body["messages"]


def test_a_redirect_to_another_machine_sends_it_nothing() -> None:
    with OpenAIServer([answer(NORMAL)]) as target:
        elsewhere = target.base_url.replace("127.0.0.1", "localhost")
        moved = lambda _: Response(b"", 307, headers={"location": f"{elsewhere}/chat/completions"})  # noqa: E731
        with OpenAIServer([moved]) as server, pytest.raises(BackendError, match="name that address with --base-url"):
            backend(server, max_retries=1).generate(request_of())
        assert not target.requests


def test_a_query_of_the_base_url_stays_at_the_end_and_headers_go_along() -> None:
    with OpenAIServer([answer(NORMAL)]) as server:
        url = f"{server.base_url}/?api-version=2024-06-01"
        with pytest.raises(BackendError):  # the scripted server knows no query, and says which page it was asked for
            backend(server, url, headers={"X-Team": "line-4"}).generate(request_of())
        assert server.requests[0].path.endswith("/v1/chat/completions?api-version=2024-06-01")
        assert server.requests[0].headers["x-team"] == "line-4"


def test_a_header_that_cannot_be_sent_and_a_missing_certificate_are_one_line() -> None:
    with pytest.raises(BackendError, match="cannot be sent"):
        OpenAICompatible("tiny", Connection("http://127.0.0.1:1/v1", headers={"X-A": "a\nb"}))
    with pytest.raises(BackendError, match="no such file"):
        OpenAICompatible("tiny", Connection("http://127.0.0.1:1/v1", ca_file=Path("nowhere.pem")))


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with a certificate of its own making: its URL, and the certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    made = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *new, *name, *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            data = answer(NORMAL)(body).body
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that does not trust it hangs up

    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/v1", folder / "ca.pem"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_that_is_not_trusted_is_told_at_once_and_may_be_named(certified: tuple[str, Path]) -> None:
    url, ca_file = certified
    with pytest.raises(BackendError, match="--ca-file") as caught:
        OpenAICompatible("tiny", Connection(url, max_retries=5)).generate(request_of())
    assert "attempts" not in str(caught.value)
    (reply,) = OpenAICompatible("tiny", Connection(url, ca_file=ca_file)).generate(request_of())
    assert json.loads(reply.text) == NORMAL


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": json.dumps(NORMAL)}}], "usage": {"prompt_tokens": 10**400}},
        {"choices": [{"message": "text"}]},
        {"choices": [None]},
        {"choices": ["x"]},
        {"choices": [{"message": {"content": 7}, "logprobs": {"content": [{"token": "a", "logprob": 10**400}]}}]},
        {"choices": [{"message": {"content": None, "reasoning_content": ["x"]}, "finish_reason": ["stop"]}]},
        {"error": {"code": 10**30, "message": {"message": ["deep"]}}},
        {"error": [1, 2]},
    ],
)
def test_wrong_types_are_an_odd_answer_or_a_failure(body: Any) -> None:
    with OpenAIServer([raw(body)]) as server:
        try:
            told = backend(server).generate(request_of())[0].text
        except BackendError as failure:
            told = str(failure)
    assert isinstance(told, str)
    assert "\n" not in told


@pytest.mark.parametrize("code", [200, 400])
def test_a_body_nested_without_end_is_one_line(code: int) -> None:
    deep = b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with OpenAIServer([raw(deep, code=code)]) as server, pytest.raises(BackendError):
        backend(server).generate(request_of())


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_a_server_taught_is_kept_on_disk(tmp_path: Path) -> None:
    behaviour = refusing(lambda body: "logprobs" in body, status(400, "logprobs is not supported"))
    with OpenAIServer([behaviour]) as server:
        backend(server).generate(request_of())
        assert len(server.requests) == 2
        (kept,) = (tmp_path / "cache" / "servers").glob("*.json")
        assert kept.stat().st_mode & 0o077 == 0
        learned._KNOWN.clear()  # as another process
        backend(server).generate(request_of())
        assert len(server.requests) == 3
        told = json.loads(kept.read_text())
        kept.write_text(json.dumps({**told, "at": "2020-01-01T00:00:00Z"}))
        learned._KNOWN.clear()
        backend(server).generate(request_of())
        assert len(server.requests) == 5  # too old to be believed


@pytest.mark.parametrize("damage", [b"", b"{", b"[" * 100_000, b'{"model": "tiny", "capabilities": {"pictures": 0}}'])
def test_a_damaged_file_is_as_good_as_none(damage: bytes, tmp_path: Path) -> None:
    with OpenAIServer([refusing(lambda body: "n" in body, status(400, "'n' must be 1"))]) as server:
        backend(server).generate(request_of(), samples=2)
        (kept,) = (tmp_path / "cache" / "servers").glob("*.json")
        kept.write_bytes(damage)
        learned._KNOWN.clear()
        assert len(backend(server).generate(request_of(), samples=2)) == 2


def test_the_answer_beside_the_answer_is_used(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": json.dumps(NORMAL)}
    reply, _ = asked(raw({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
    assert not parse_verdict(reply, NUT, [photo()]).anomalous
