"""The OpenAI-compatible backend against a real server over loopback: options, retries, refusals, secrets."""

import gc
import json
import logging
import math
import socket
import threading
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.view import BoxXyxyn, Place, View
from tests.backends.openai_server import Behaviour, OpenAIServer, answer, cut, echo_headers, hang, raw, status
from vlm_inspect.backends import load_backend
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.capabilities import Capabilities
from vlm_inspect.backends.endpoint import find_endpoint
from vlm_inspect.backends.openai_compatible import OpenAICompatible
from vlm_inspect.backends.settings import Connection
from vlm_inspect.backends.strict_schema import strict_schema
from vlm_inspect.errors import BackendError
from vlm_inspect.evidence import Evidence
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.rules import RuleBook

KEY = "sk-sentinel-0123456789abcdef"
NORMAL = {"reasoning": "even", "anomalous": False}


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


@pytest.fixture(scope="module")
def request_() -> Request:
    view = View(np.full((40, 40, 3), 128, dtype=np.uint8), "image", "part", Nowhere())
    return build_request(load_template("inspect"), [view], RuleBook(class_name="nut"), [], Evidence(), "All right?")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # a dead one: nothing answers at port 9
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")


def backend(server: OpenAIServer, **more: Any) -> OpenAICompatible:
    settings = {"timeout_s": 60.0, "max_retries": 2, "first_wait_s": 0.001} | more
    wait_s = settings.pop("first_wait_s")
    return OpenAICompatible("tiny", Connection(server.base_url, **settings), first_wait_s=wait_s)


def test_answer_usage_and_messages_go_through(request_: Request) -> None:
    with OpenAIServer([answer(NORMAL)]) as server:
        (reply,) = backend(server).generate(request_)
    assert json.loads(reply.text) == NORMAL
    assert (reply.finish_reason, reply.model) == ("stop", "tiny")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.calls) == (1000, 7, 1)
    assert 0 < reply.usage.latency_s < 5
    (sent,) = server.requests
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert [m["role"] for m in sent.body["messages"]] == ["system", "user"]
    pictures = [b["image_url"]["url"] for b in sent.body["messages"][1]["content"] if b["type"] == "image_url"]
    assert pictures[0].startswith("data:image/jpeg;base64,")
    assert "picture_labels" not in json.dumps(sent.body)
    assert sent.body["temperature"] == 0


def test_strict_schema_is_sent_and_closed(request_: Request) -> None:
    with OpenAIServer([answer(NORMAL)]) as server:
        backend(server).generate(request_)
    asked = server.requests[0].body["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert list(asked["schema"]["properties"])[:2] == ["reasoning", "anomalous"]
    assert asked["schema"]["properties"]["probability"]["type"] == ["number", "null"]
    assert asked["schema"]["properties"]["reasoning"]["type"] == "string"

    def check(schema: Any) -> None:
        if isinstance(schema, dict):
            if "properties" in schema:
                assert schema["required"] == list(schema["properties"])
                assert schema["additionalProperties"] is False
            assert not {"minimum", "maximum", "minItems", "maxItems"} & set(schema)
            for part in schema.values():
                check(part)

    check(asked["schema"])


@pytest.mark.parametrize(
    ("refused", "structures"),
    [
        (["json_schema"], ["json_schema", "json_object"]),
        (["json_schema", "json_object"], ["json_schema", "json_object", "text"]),
    ],
)
def test_form_of_answer_is_found_out_once(request_: Request, refused: list[str], structures: list[str]) -> None:
    with OpenAIServer([answer(NORMAL)], refuses=refused) as server:
        first = backend(server)
        first.generate(request_)
        assert [r.structure for r in server.requests] == structures
        first.generate(request_)
        backend(server).generate(request_)  # remembered for the process, not for the object
        assert [r.structure for r in server.requests] == [*structures, structures[-1], structures[-1]]


def test_every_option_may_be_refused(request_: Request) -> None:
    refused = ["json_schema", "json_object", "logprobs", "temperature", "max_tokens", "max_completion_tokens", "n"]
    with OpenAIServer([answer(NORMAL)], refuses=refused) as server:
        replies = backend(server).generate(request_, samples=2)
        assert len(replies) == 2
        assert set(server.requests[-1].body) == {"messages", "model"}
        assert len(server.requests) <= len(refused) + 2


def test_newer_name_of_the_limit_is_taken(request_: Request) -> None:
    with OpenAIServer([answer(NORMAL)], refuses=["max_tokens"]) as server:
        backend(server, max_tokens=99).generate(request_)
        assert server.requests[-1].body["max_completion_tokens"] == 99


@pytest.mark.parametrize(
    ("message", "param", "changed"),
    [
        ("'response_format.type' must be 'json_schema' or 'text'", "", {"structure": "json"}),
        ("response_format value as json_schema is enabled only for later versions", "", {"structure": "json"}),
        ("structured outputs are not implemented", "", {"structure": "json"}),
        ("You are not allowed to request logprobs from this model", "", {"logprobs": False}),
        ("[{'loc': ['body', 'top_logprobs'], 'msg': 'Extra inputs are not permitted'}]", "", {"logprobs": False}),
        ("'temperature' does not support 0 with this model", "temperature", {"temperature": False}),
        ("Use 'max_completion_tokens' instead", "max_tokens", {"limit": "max_completion_tokens"}),
        ("n must be 1", "", {"choices": False}),
        ("option not supported", "", {"structure": "json"}),
        ("unsupported image format", "", None),
        ("maximum context length is 8192 tokens", "messages", None),
        ("Invalid image", "messages[1].content", None),
        ("bad request", "", None),
        ("", "", None),
    ],
)
def test_refusals_are_understood(message: str, param: str, changed: dict[str, Any] | None) -> None:
    left = Capabilities().without(message, param)
    assert left == (None if changed is None else Capabilities(**changed))


@given(st.lists(st.sampled_from(["response_format", "logprobs", "max_tokens", "max_completion_tokens", "n", "seed"])))
def test_refusals_come_to_an_end(names: list[str]) -> None:
    able, steps = Capabilities(), 0
    for name in names:
        left = able.without(f"{name} is not supported", name)
        if left is not None:
            assert left != able
            able, steps = left, steps + 1
    assert steps <= 7


def test_refusal_by_403_names_an_option_or_ends(request_: Request) -> None:
    no_logprobs = status(403, "You are not allowed to request logprobs from this model")
    with OpenAIServer([no_logprobs, answer(NORMAL)]) as server:
        backend(server).generate(request_)
        assert "logprobs" not in server.requests[-1].body
    with OpenAIServer([status(403, "not allowed")]) as server:
        with pytest.raises(BackendError, match="OPENAI_API_KEY may not use this model"):
            backend(server).generate(request_)
        assert len(server.requests) == 1


def test_token_probabilities_arrive(request_: Request) -> None:
    chances = {"true": 0.8, "false": 0.2}
    with OpenAIServer([answer({"reasoning": "dent", "anomalous": True}, probabilities=chances)]) as server:
        (reply,) = backend(server).generate(request_)
    assert "".join(token.token for token in reply.tokens) == reply.text
    (verdict,) = [token for token in reply.tokens if token.token == "true"]
    assert {t: math.exp(p) for t, p in verdict.alternatives.items()} == pytest.approx(chances)
    assert math.exp(verdict.logprob) == pytest.approx(0.8)


@pytest.mark.parametrize(("takes_n", "calls"), [(True, 1), (False, 3)])
def test_samples_by_n_or_by_calls(request_: Request, takes_n: bool, calls: int) -> None:
    with OpenAIServer([answer(NORMAL, takes_n=takes_n)]) as server:
        replies = backend(server).generate(request_, samples=3)
    assert len(replies) == 3
    assert len(server.requests) == calls
    assert sum(r.usage.calls for r in replies) == calls
    assert sum(r.usage.completion_tokens for r in replies) == 21
    assert sum(r.usage.prompt_tokens for r in replies) == 1000 * calls
    assert all(r.body["temperature"] > 0 for r in server.requests), "samples at temperature 0 would all be one answer"


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 529])
def test_passing_failures_are_tried_again(request_: Request, code: int) -> None:
    with OpenAIServer([status(code), status(code), answer(NORMAL)]) as server:
        (reply,) = backend(server).generate(request_)
        assert json.loads(reply.text) == NORMAL
        assert len(server.requests) == 3


@pytest.mark.parametrize("behaviour", [cut(), hang(30)])
def test_lost_connections_are_tried_again(request_: Request, behaviour: Behaviour) -> None:
    with OpenAIServer([behaviour, answer(NORMAL)]) as server:
        (reply,) = backend(server, timeout_s=3.0).generate(request_)
        assert json.loads(reply.text) == NORMAL
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("failing", "requests", "said"),
    [
        (status(400, "bad request"), 1, "status 400"),
        (status(401, "bad key"), 1, "set OPENAI_API_KEY"),
        (status(403, "no"), 1, "may not use this model"),
        (status(404, "no model tiny"), 1, "check the model's name"),
        (status(422, "no"), 1, "does not fit this model"),
        (status(429, "slow down"), 3, "after 3 attempts: slow down; wait"),
        (status(429, "used up", error_code="insufficient_quota"), 1, "used up"),
        (status(429, "slow down", retry_after="900"), 1, "asks to wait 900 s"),
        (status(500, "boom"), 3, "after 3 attempts: boom; try again later"),
        (status(503, "boom", x_should_retry="false"), 1, "boom"),
        (cut(), 3, "is the server up"),
        (hang(30), 3, "no answer within 0.9 s"),
        (raw(b"<!DOCTYPE html><html><body>hello</body></html>", content_type="text/html"), 1, "a web page"),
        (raw(b"<html>proxy error</html>", content_type="text/html", code=502), 3, "a web page"),
        (raw(b"{not json"), 1, "ends? in /v1"),
        (raw([]), 1, "ends? in /v1"),
        (raw("hello"), 1, "ends? in /v1"),
        (raw({"object": "list"}), 1, "no choices"),
        (raw({"error": {"message": "upstream is gone"}}), 3, "after 3 attempts: upstream is gone"),
        (raw({"error": "flat"}, code=400), 1, "flat"),
        (raw({"detail": [{"loc": ["body"], "msg": "odd"}]}, code=422), 1, "odd"),
    ],
)
def test_failures_are_one_line(request_: Request, failing: Behaviour, requests: int, said: str) -> None:
    with OpenAIServer([failing]) as server:
        with pytest.raises(BackendError, match=said) as caught:
            backend(server, timeout_s=0.9 if "0.9 s" in said else 60.0).generate(request_)
        assert len(server.requests) == requests
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert message.startswith("openai:tiny: ")


def test_unreachable_server_names_its_url(request_: Request) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"  # held, so that no other test listens there
        nowhere = OpenAICompatible("tiny", Connection(url, max_retries=1), first_wait_s=0.001)
        with pytest.raises(BackendError, match=r"after 2 attempts: .*is the server up at this URL") as caught:
            nowhere.generate(request_)
    assert url in str(caught.value)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(request_: Request, form: str) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)  # the form has whole seconds
    asked = "0.5" if form == "seconds" else when
    with OpenAIServer([status(429, retry_after=asked), answer(NORMAL)]) as server:
        started = time.monotonic()
        backend(server).generate(request_)
        assert 0.4 <= time.monotonic() - started < 60


def test_waits_grow_and_differ() -> None:
    patient = OpenAICompatible("tiny", Connection("http://127.0.0.1:1/v1", max_retries=10), first_wait_s=1.0)
    waits = list(patient._waits_s())
    assert len(waits) == 10
    assert all(0.5 * min(60, 2**i) <= wait <= min(60, 2**i) for i, wait in enumerate(waits))
    assert waits != list(patient._waits_s())


@pytest.mark.parametrize(
    ("behaviour", "text", "reason"),
    [
        (answer(None, refusal="I cannot help with that."), "I cannot help with that.", "refusal"),
        (answer('{"reasoning": "the thr', finish_reason="length"), '{"reasoning": "the thr', "length"),
        (answer(None, finish_reason="content_filter"), "", "content_filter"),
        (answer("Yes, it is fine.", finish_reason="eos"), "Yes, it is fine.", "eos"),
        (raw({"choices": [], "model": "m"}), "", "stop"),
        (raw({"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}), "a", "stop"),
        (raw({"choices": [{"text": "no message"}]}), "", "stop"),
        (raw({"choices": [{"message": {"content": "plain"}}]}, content_type="text/plain"), "plain", "stop"),
    ],
)
def test_odd_answers_arrive_as_they_are(request_: Request, behaviour: Behaviour, text: str, reason: str) -> None:
    with OpenAIServer([behaviour]) as server:
        (reply,) = backend(server).generate(request_)
    assert (reply.text, reply.finish_reason) == (text, reason)


def _all_texts(error: BaseException) -> str:
    told = ["".join(traceback.format_exception(error))]
    while error is not None:
        told += [str(error), repr(error), repr(vars(error)), repr(error.args)]
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # None ends the loop
    return "\n".join(told)


LEAKING: Sequence[Behaviour] = [
    *(echo_headers(code) for code in (400, 401, 403, 404, 429, 500)),
    *(status(401, f"Incorrect API key provided: {KEY}"), cut(), hang(30)),
    *(raw(f"<p>{KEY}</p>".encode(), content_type="text/html"), raw(KEY), raw({"error": {"message": KEY}})),
]


@pytest.mark.parametrize("behaviour", LEAKING)
def test_key_is_in_no_error_log_or_representation(
    request_: Request, behaviour: Behaviour, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), OpenAIServer([behaviour]) as server:
        made = backend(server, timeout_s=0.6, max_retries=1)
        with pytest.raises(BackendError) as caught:
            made.generate(request_)
    assert any(KEY in r.headers["authorization"] for r in server.requests), "the key was never in play"
    assert KEY not in _all_texts(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(made) + repr(made.endpoint) + str(made)


def test_password_in_url_is_not_shown() -> None:
    endpoint = find_endpoint("http://user:hunter2@127.0.0.1:8000/v1?api-key=hunter3")
    assert endpoint.shown_url == "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "localhost:8000", "http://", "http://host:port/v1", "http://[::1/v1", "http://a b/v1"]
)
def test_wrong_url_is_one_line(url: str) -> None:
    with pytest.raises(BackendError, match="is not an http") as caught:
        OpenAICompatible("tiny", Connection(url))
    assert "\n" not in str(caught.value)


def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(BackendError, match="set OPENAI_API_KEY"):
        OpenAICompatible("gpt-4o")


@pytest.mark.parametrize("key", ["two words", "läuft", "line\nbreak"])
def test_key_that_cannot_be_sent(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(BackendError, match="OPENAI_API_KEY holds a character") as caught:
        OpenAICompatible("gpt-4o")
    assert key not in _all_texts(caught.value)


def test_own_server_needs_no_key(monkeypatch: pytest.MonkeyPatch, request_: Request) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with OpenAIServer([answer(NORMAL)]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url + "/")
        (reply,) = OpenAICompatible("tiny").generate(request_)
    assert json.loads(reply.text) == NORMAL


def test_threads_share_one_backend(request_: Request) -> None:
    with OpenAIServer([answer(NORMAL)], refuses=["json_schema"]) as server:
        made = backend(server)
        threads = [threading.Thread(target=made.generate, args=(request_,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made.generate(request_)
        assert server.requests[-1].structure == "json_object"


def test_connections_are_closed_with_the_backend(request_: Request) -> None:
    with OpenAIServer([answer(NORMAL)]) as server:
        made = backend(server)
        made.generate(request_)
        client = made._client
        del made
        gc.collect()
        assert client is not None
        assert client.is_closed()


def test_registry() -> None:
    loaded = load_backend("openai:llama3.2-vision:11b", base_url="http://127.0.0.1:11434/v1", timeout_s=9)
    assert loaded.name == "openai:llama3.2-vision:11b"
    assert load_backend().name == "evidence"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gpt-4o", "unknown model provider 'gpt-4o'.*known: evidence, openai:NAME"),
        ("claude:x", "known: evidence, openai:NAME"),
        ("", "known: evidence"),
        ("openai:", "openai:NAME"),
        ("evidence:x", "offline"),
    ],
)
def test_unknown_model_is_one_line(model: str, said: str) -> None:
    with pytest.raises(BackendError, match=said) as caught:
        load_backend(model)
    assert "\n" not in str(caught.value)


def test_strict_schema_leaves_the_original_alone() -> None:
    schema = dict(load_template("inspect").answer_schema)
    before = json.dumps(schema)
    strict_schema(schema)
    assert json.dumps(schema) == before
