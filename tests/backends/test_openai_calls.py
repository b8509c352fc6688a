"""What a call to an OpenAI-compatible server is worth and how long it may take: deadline, samples, cost, logprobs."""

import json
import math
import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from converters.view import BoxXyxyn, Place, View
from tests.backends.openai_server import Behaviour, Body, OpenAIServer, Response, answer, completion, drip, raw, status
from vlm_inspect.backends import prices
from vlm_inspect.backends.backend import Request
from vlm_inspect.backends.openai_compatible import OpenAICompatible
from vlm_inspect.backends.prices import load_prices
from vlm_inspect.backends.settings import Connection
from vlm_inspect.errors import BackendError
from vlm_inspect.evidence import Evidence
from vlm_inspect.parsing import parse_verdict
from vlm_inspect.prompting import build_request, load_template
from vlm_inspect.rules import RuleBook

ANOMALOUS = {"reasoning": "dent", "anomalous": True}
NORMAL = {"reasoning": "even", "anomalous": False}


class Nowhere:
    def locate(self, box_xyxyn: BoxXyxyn) -> Place:
        return Place()


@pytest.fixture(scope="module")
def request_() -> Request:
    view = View(np.full((40, 40, 3), 128, dtype=np.uint8), "image", "part", Nowhere())
    return build_request(load_template("inspect"), [view], RuleBook(class_name="nut"), [], Evidence(), None)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv(prices.ENVIRONMENT, raising=False)
    monkeypatch.setattr(prices, "usual_file", lambda: tmp_path / "config" / "prices.yaml")


def backend(server: OpenAIServer, model: str = "tiny", **more: Any) -> OpenAICompatible:
    settings = {"timeout_s": 60.0, "max_retries": 0, "first_wait_s": 0.001} | more
    wait_s = settings.pop("first_wait_s")
    return OpenAICompatible(model, Connection(server.base_url, **settings), first_wait_s=wait_s)


# --- the deadline ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_bytes_runs_into_the_deadline(request_: Request, part: Literal["headers", "body"]) -> None:
    with OpenAIServer([drip(part)]) as server:
        started = time.monotonic()
        with pytest.raises(BackendError, match=r"no answer within 0.6 s"):
            backend(server, timeout_s=0.6).generate(request_)
        assert 0.5 <= time.monotonic() - started < 60


def test_the_deadline_of_one_call_leaves_those_beside_it_alone(request_: Request) -> None:
    def slowly(body: Body) -> Response:
        time.sleep(0.6)
        return answer(NORMAL)(body)

    with OpenAIServer([drip("body"), slowly]) as server:
        shared = backend(server, timeout_s=4.0)
        failures: list[BaseException] = []

        def ask() -> None:
            try:
                shared.generate(request_)
            except BackendError as error:
                failures.append(error)

        dripped = threading.Thread(target=ask)
        dripped.start()
        while not server.requests:
            time.sleep(0.01)
        (reply,) = shared.generate(request_)
        assert json.loads(reply.text) == NORMAL
        dripped.join()
    assert len(failures) == 1


# --- samples ---------------------------------------------------------------------------------------------------------


def test_a_server_that_breaks_on_several_answers_is_asked_for_single_ones(request_: Request) -> None:
    def breaks(body: Body) -> Response:
        return (status(500, "boom") if body.get("n") else answer(NORMAL))(body)

    with OpenAIServer([breaks]) as server:
        assert len(backend(server).generate(request_, samples=3)) == 3
        assert [request.body.get("n") for request in server.requests] == [3, None, None, None]
        backend(server).generate(request_, samples=2)
        assert [request.body.get("n") for request in server.requests[4:]] == [None, None], "it was not remembered"


@pytest.mark.parametrize("code", [400, 422])
def test_a_bare_refusal_of_several_answers_is_understood(request_: Request, code: int) -> None:
    def refuses(body: Body) -> Response:
        return (status(code, "bad request") if body.get("n") else answer(NORMAL))(body)

    with OpenAIServer([refuses]) as server:
        assert len(backend(server).generate(request_, samples=2)) == 2
        assert len(server.requests) == 3


def test_a_server_that_gives_too_many_answers_is_cut_down(request_: Request) -> None:
    def generous(body: Body) -> Response:
        return answer(NORMAL)({**body, "n": 5})

    with OpenAIServer([generous]) as server:
        assert len(backend(server).generate(request_, samples=2)) == 2


# --- token probabilities ---------------------------------------------------------------------------------------------


def with_logprobs(logprobs: object, text: str = '{"reasoning": "dent", "anomalous": true}') -> Behaviour:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return lambda body: completion({"choices": [{**choice, "logprobs": logprobs}]}, body)


def test_the_older_form_of_log_probabilities_is_read(request_: Request) -> None:
    older = {
        "tokens": ['{"reasoning": "dent", "anomalous":', " true", "}"],
        "token_logprobs": [0.0, math.log(0.7), 0.0],
        "top_logprobs": [None, {" true": math.log(0.7), " false": math.log(0.3)}, {}],
    }
    with OpenAIServer([with_logprobs(older)]) as server:
        replies = backend(server).generate(request_)
    assert parse_verdict(replies, request_.rules, request_.views).probability == pytest.approx(0.7)


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": []},
        {"content": "odd"},
        {"content": [{"token": "a", "logprob": None}]},
        {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": [{"oops": 1}]}]},
        {"content": [3]},
        {"tokens": ["a"], "token_logprobs": [None]},
        {"tokens": ["a"], "token_logprobs": []},
        [1, 2],
        "none",
    ],
)
def test_log_probabilities_of_no_known_form_are_none_at_all(request_: Request, logprobs: object) -> None:
    with OpenAIServer([with_logprobs(logprobs)]) as server:
        (reply,) = backend(server).generate(request_)
    assert reply.tokens == ()
    assert parse_verdict(reply, request_.rules, request_.views).anomalous


# --- cost ------------------------------------------------------------------------------------------------------------

TABLE = """
tables:
  - source: our contract
    date: 2026-11-01
    models:
      - {id: tiny, input: 2.0, cached_input: 0.5, output: 10.0}
      - {id: "big-*", input: 100, output: 200}
"""


@pytest.fixture
def own_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TABLE)
    monkeypatch.setenv(prices.ENVIRONMENT, str(path))
    return path


def counted(**usage: object) -> Behaviour:
    message = {"role": "assistant", "content": json.dumps(NORMAL)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return lambda body: completion({"choices": choices, "usage": usage}, body)


@pytest.mark.usefixtures("own_prices")
@pytest.mark.parametrize(
    ("model", "usage", "cost_usd"),
    [
        ("tiny", {"prompt_tokens": 1_000_000, "completion_tokens": 100_000}, 3.0),
        ("tiny-2026-01-31", {"prompt_tokens": 500_000, "completion_tokens": 0}, 1.0),
        ("tiny", {"prompt_tokens": 1000, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 800}},
         (200 * 2.0 + 800 * 0.5 + 10.0) / 1e6),
        ("big-one", {"prompt_tokens": 10, "completion_tokens": 10, "prompt_tokens_details": None}, 0.003),
        ("tiny", {"prompt_tokens": 0, "completion_tokens": 0}, None),
        ("other", {"prompt_tokens": 10, "completion_tokens": 10}, None),
        ("gpt-4o", {"prompt_tokens": 10, "completion_tokens": 10}, None),
    ],
)  # fmt: skip
def test_a_call_costs_what_the_users_table_says(
    request_: Request, model: str, usage: dict[str, Any], cost_usd: float | None
) -> None:
    with OpenAIServer([counted(**usage)]) as server:
        (reply,) = backend(server, model).generate(request_)
    assert reply.usage.cost_usd == (None if cost_usd is None else pytest.approx(cost_usd))


def test_the_reported_id_of_the_model_counts_before_the_asked_one(request_: Request, own_prices: Path) -> None:
    def deployed(body: Body) -> Response:
        return counted(prompt_tokens=1_000_000, completion_tokens=0)({**body, "model": "tiny"})

    with OpenAIServer([deployed]) as server:
        (reply,) = backend(server, "our-deployment").generate(request_)
    assert reply.usage.cost_usd == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("models", "host", "id_"),
    [
        (["gpt-4o"], "api.openai.com", "gpt-4o"),
        (["gpt-4o-2024-11-20", "gpt-4o"], "api.openai.com", "gpt-4o"),
        (["gpt-4o-2024-05-13"], "api.openai.com", "gpt-4o-2024-05-13"),
        (["gpt-4o-mini"], "ours.openai.azure.com", "gpt-4o-mini"),
        (["gpt-4o-audio-preview"], "api.openai.com", None),
        (["gpt-4o"], "127.0.0.1", None),
        (["gpt-4o"], "api.openai.com.evil.example", None),
        (["", "gpt-4.1"], "API.OPENAI.COM", "gpt-4.1"),
    ],
)
def test_the_built_in_prices_hold_for_their_models_at_their_servers(
    models: list[str], host: str, id_: str | None
) -> None:
    found = load_prices().find(models, host)
    assert (found and found.id) == id_


def test_every_built_in_table_says_where_and_when() -> None:
    for table in load_prices().tables:
        assert table.source.startswith("https://")
        assert table.date.year >= 2026
        assert all(price.output >= price.input > 0 for price in table.models)
        assert len({price.id for price in table.models}) == len(table.models)


def test_the_file_of_the_configuration_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prices.yaml").write_text(TABLE)
    found = load_prices().find(["tiny"], "anywhere")
    assert found is not None
    assert found.input == 2.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("tables: 3", "line 1: tables"),
        (TABLE.replace("input: 2.0", "input: -2.0"), "line 6: tables.0.models.0.input"),
        (TABLE.replace("output: 10.0", "output: 10.0, colour: red"), "colour: Extra inputs"),
        (TABLE.replace("2026-11-01", "yesterday"), "date"),
        ("tables: [", "line"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_wrong_file_of_prices_is_one_line(own_prices: Path, text: str | bytes | None, said: str) -> None:
    if text is None:
        own_prices.unlink()
    else:
        own_prices.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BackendError, match=said) as caught:
        OpenAICompatible("tiny", Connection("http://127.0.0.1:1/v1"))
    assert "\n" not in str(caught.value)
    assert str(own_prices) in str(caught.value)


# --- tools -----------------------------------------------------------------------------------------------------------

TOOL = {"name": "note", "description": "Note a number.", "parameters": {"type": "object", "properties": {}}}


def calls_tool(arguments: str) -> Behaviour:
    call = {"id": "c1", "type": "function", "function": {"name": "note", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return lambda body: completion({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}, body)


@pytest.mark.parametrize(
    ("behaviour", "arguments"),
    [
        (calls_tool('{"number": 3}'), {"number": 3}),
        (calls_tool("{number: 3"), None),
        (calls_tool("[3]"), None),
        (answer("three"), None),
        (status(400, "tools are not supported"), None),
        (raw({"choices": []}), None),
    ],
)
def test_a_tool_on_offer_is_called_or_not(behaviour: Behaviour, arguments: dict[str, Any] | None) -> None:
    with OpenAIServer([behaviour]) as server:
        assert backend(server).offer_tool("Note 3.", TOOL) == arguments
        assert server.requests[0].body["tools"] == [{"type": "function", "function": TOOL}]


def test_a_server_that_is_gone_is_no_answer_about_tools() -> None:
    with OpenAIServer([status(503)]) as server, pytest.raises(BackendError, match="503"):
        backend(server).offer_tool("Note 3.", TOOL)
