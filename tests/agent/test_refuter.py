"""A second model that refutes: it makes the looks, and its word settles hypotheses; the first judges."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.agent.scripted import BOX, FAR_BOX, ask, call, hypothesis, run_ask, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour, Body, OpenAIServer
from vlm_inspect import cli

SECOND = ("--refuter", "openai:doubter")


def two(first: list[Behaviour], second: list[Behaviour]) -> Behaviour:
    """One server with two models, each with its own script."""
    scripts = {"tiny": iter(first), "doubter": iter(second)}

    def respond(body: Body) -> Any:
        return next(scripts[body["model"]])(body)

    return respond


def settled(status: str) -> Behaviour:
    return turn("judge", hypotheses=[hypothesis(status=status, reason="the shadow moved")])


@pytest.mark.parametrize(("status", "outcome"), [("dropped", "OK"), ("kept", "REVIEW")])
def test_the_second_model_settles_what_the_first_supposes(tmp_path: Path, status: str, outcome: str) -> None:
    proposes = turn("propose", hypotheses=[hypothesis()])
    first = [turn("observe", "zoom", FAR_BOX), proposes, verdict()]
    second = [turn("refute", "zoom", BOX, tests=["h1"]), settled(status)]
    found, requests = ask(write_plate(tmp_path), two(first, second), options=SECOND)
    assert found["outcome"] == outcome
    assert [one.body["model"] for one in requests] == ["tiny", "tiny", "doubter", "doubter", "tiny"]
    asked = json.dumps(requests[2].body["messages"])
    assert "you are a second inspector" in asked
    assert "if so, one would see: a dark line" in asked
    assert "second inspector" not in json.dumps(requests[3].body["messages"][-1])
    assert [step.get("model") for step in found["steps"]] == [None, None, "doubter", "doubter", None]
    assert (found["hypotheses"][0]["status"], found["hypotheses"][0]["steps"]) == (status, [4])
    assert "openai:doubter tried to refute the hypotheses." in found["notes"]
    assert found["model"] == "openai:tiny"


def test_the_word_of_the_first_settles_nothing(tmp_path: Path) -> None:
    first = [turn("observe", "zoom", BOX, hypotheses=[hypothesis()], tests=["h1"]), settled("dropped"), verdict()]
    found, requests = ask(write_plate(tmp_path), two(first, [turn("judge")] * 2), options=SECOND)
    assert found["hypotheses"][0]["status"] == "open"
    assert found["outcome"] == "REVIEW"
    assert [one.body["model"] for one in requests] == ["tiny", "tiny", "doubter", "doubter", "tiny"], (
        "it is sent back once"
    )


def test_without_a_hypothesis_the_second_is_not_asked(tmp_path: Path) -> None:
    script = two([turn("observe", "zoom", BOX), turn("judge"), verdict()], [])
    found, _ = ask(write_plate(tmp_path), script, options=SECOND)
    assert found["outcome"] == "OK"


def test_both_call_functions_where_both_can(tmp_path: Path) -> None:
    words = {"said": "Look.", "rules": ["whole"], "view": 0, "box": [100, 100, 400, 400]}
    first = [call("zoom", {**words, "phase": "propose", "hypotheses": [hypothesis()]}), verdict()]
    second = [call("compare_with_references", {**words, "phase": "refute", "tests": ["h1"]}),
              call("zoom", {**words, "phase": "refute", "tests": ["h1"]}), settled("dropped")]  # fmt: skip
    found, requests = ask(write_plate(tmp_path), two(first, second), options=SECOND, refuses=())
    assert found["outcome"] == "OK"
    assert [one.body["model"] for one in requests] == ["tiny", "doubter", "doubter", "doubter", "tiny"]
    assert found["hypotheses"][0]["steps"] == [4], "no reference to compare with: the first look failed"


def test_its_case_replays(tmp_path: Path) -> None:
    from vlm_inspect.replay import replay
    from vlm_inspect.store import CaseStore, Filters

    store = str(tmp_path / "cases")
    first = [turn("propose", hypotheses=[hypothesis()]), verdict()]
    second = [turn("refute", "zoom", BOX, tests=["h1"]), settled("dropped")]
    options = (*SECOND, "--save", "--store", store)
    ask(write_plate(tmp_path), two(first, second), options=options)
    with CaseStore(store) as cases:
        case = cases.load(cases.list(Filters())[0].id)
        assert replay(case).differences == ()
        assert [look.facts.by_refuter for look in case.looks] == [False, True, True, False]


def test_where_it_does_not_fit_it_is_refused(tmp_path: Path) -> None:
    photo = write_plate(tmp_path)
    with OpenAIServer([verdict()]) as server:
        done = CliRunner().invoke(cli.cli, ["ask", str(photo), "--refuter", "openai:x"])
        assert (done.exit_code, "--refuter requires" in done.stderr) == (2, True)
        failed = run_ask(photo, server.base_url, ["--refuter", "evidence"]).exception
        assert "reads no picture" in str(failed)
        assert "known:" in str(run_ask(photo, server.base_url, ["--refuter", "nobody:x"]).exception)
        assert not server.requests


def test_pictures_of_references_outside_need_both_to_stay_here(tmp_path: Path) -> None:
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.errors import ConfigError

    (tmp_path / "in").mkdir()
    photo = write_plate(tmp_path)
    book = tmp_path / "in" / "plate.yaml"
    book.write_text("class_name: plate\nreferences: [../part.png]\n")
    here = {"name": "openai:a", "base_url": "http://127.0.0.1:9/v1"}
    told: dict[str, Any] = {"rules": book, "model": here, "agent": {"enabled": True}, "localizer": {"name": "none"}}
    InspectorConfig.model_validate({**told, "refuter": here}).build()
    away = {"name": "openai:b", "base_url": "https://example.com/v1", "headers": {"x": "secret"}}
    config = InspectorConfig.model_validate({**told, "refuter": away})
    with pytest.raises(ConfigError, match="outside its folder"):
        config.build()
    assert "secret" not in json.dumps(config.as_record())
    assert photo.exists()
