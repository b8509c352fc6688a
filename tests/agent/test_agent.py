"""The agent, over real HTTP, against a scripted model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.agent.scripted import BOX, ask, turn, verdict, write_plate
from tests.backends.openai_server import Behaviour, OpenAIServer, answer, completion, status
from vlm_inspect import cli
from vlm_inspect.agent import read_judgement
from vlm_inspect.evidence import AnomalyMap, Evidence
from vlm_inspect.inspector import ANY_PART
from vlm_inspect.tolerance import Tolerance
from vlm_inspect.verdict import Verdict

NORMAL = verdict()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_plate(tmp_path)


def test_steps_are_told_and_each_rule_names_those_it_rests_on(photo: Path) -> None:
    found, requests = ask(photo, turn("observe", "zoom", BOX), turn("judge"), NORMAL)
    assert found["outcome"] == "OK"
    assert found["rules"][0]["reason"] == "seen [step 2]"
    first, second, last = found["steps"]
    assert (first["n"], first["tool"], first["arguments"]) == (1, None, None)
    assert (second["phase"], second["tool"], second["arguments"]) == ("observe", "zoom", json.loads(BOX))
    assert second["saw"] == [{"view": 0, "box_xyxyn": [0.1, 0.1, 0.4, 0.4]}]
    assert (last["phase"], last["said"]) == ("judge", "It is whole.")
    assert sum(step["usage"]["prompt_tokens"] for step in found["steps"]) == found["usage"]["prompt_tokens"] > 0
    sent = [request.body["messages"] for request in requests]
    assert sent[1][: len(sent[0])] == sent[0]
    assert sent[2][: len(sent[1])] == sent[1]


def test_a_model_that_answers_at_once_is_asked_to_look(photo: Path) -> None:
    found, requests = ask(photo, turn("judge"), turn("observe", "zoom", BOX), turn("judge"), NORMAL)
    assert "have not looked" in json.dumps(requests[1].body["messages"][-1])
    assert found["outcome"] == "OK"


def test_rules_of_a_model_that_never_looks_are_not_checked(photo: Path) -> None:
    found, _ = ask(photo, turn("judge"), turn("judge"), NORMAL)
    assert (found["outcome"], found["rules"][0]["status"]) == ("REVIEW", "not_checked")


@pytest.mark.parametrize("options", [("--max-steps", "3"), ("--agent-tokens", "1"), ("--agent-usd", "0.000001")])
def test_a_limit_ends_in_review(photo: Path, options: tuple[str, ...]) -> None:
    def endless(body: Any) -> Any:
        asks_verdict = "final verdict" in json.dumps(body["messages"][-1])
        return (NORMAL if asks_verdict else turn("observe", "zoom", BOX))(body)

    found, requests = ask(photo, endless, options=options)
    assert found["outcome"] == "REVIEW"
    assert any("limit was reached" in reason for reason in found["review_reasons"])
    assert len(requests) <= 3


@pytest.mark.parametrize(
    "call",
    [turn("observe", "zoom", '{"view": 9, "box": [1, 2, 3, 4]}'), turn("observe", "zoom", "{"),
     turn("observe", "zoom", '{"view": 0, "box": ["a", 1, 2, 3]}'), turn("observe", "delete", "{}")],
)  # fmt: skip
def test_a_call_that_fails_shows_nothing(photo: Path, call: Behaviour) -> None:
    found, requests = ask(photo, call, turn("judge"), turn("judge"), NORMAL)
    assert "error:" in json.dumps(requests[1].body["messages"][-1])
    assert (found["outcome"], found["rules"][0]["status"]) == ("REVIEW", "not_checked")


def test_words_in_place_of_a_step_are_asked_for_again(photo: Path) -> None:
    found, requests = ask(photo, answer("Fine!"), turn("observe", "zoom", BOX), turn("judge"), NORMAL)
    assert "could not be read" in json.dumps(requests[1].body["messages"][-1])
    assert found["outcome"] == "OK"


def test_a_step_that_gets_no_answer_is_a_review(photo: Path) -> None:
    found, _ = ask(photo, turn("observe", "zoom", BOX), status(401, "bad key"))
    assert found["outcome"] == "REVIEW"
    assert any("Step 2 of the agent failed" in note for note in found["notes"])


def test_a_case_is_replayed_as_it_was(photo: Path, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "cases"))
    found, _ = ask(photo, turn("observe", "zoom", BOX), turn("judge"), NORMAL, options=("--save", *store))
    from vlm_inspect.replay import replay
    from vlm_inspect.store import CaseStore, Filters

    with CaseStore(str(tmp_path / "cases")) as cases:
        case = cases.load(cases.list(Filters())[0].id)
        assert replay(case).differences == ()
        assert len(case.looks) == len(found["steps"]) == 3


def test_evidence_has_no_steps_and_says_so(photo: Path) -> None:
    done = CliRunner().invoke(
        cli.cli, ["ask", str(photo), "--agent", "--localizer", "none", "--json", "-"], standalone_mode=False
    )
    assert any("calls no tool" in note for note in json.loads(done.stdout)["notes"])


@pytest.mark.parametrize("options", [("--max-steps", "3"), ("--agent", "--look-again")])
def test_options_that_do_not_fit_are_refused(photo: Path, options: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli.cli, ["ask", str(photo), *options])
    assert done.exit_code == 2
    assert "--agent" in done.stderr


@pytest.mark.parametrize(("score", "doubts"), [(1.0, 0), (1.6, 0), (1.8, 1), (2.0, 1), (4.0, 1)])
def test_a_models_word_alone_does_not_clear_open_evidence(score: float, doubts: int) -> None:
    heat = AnomalyMap(0, np.zeros((4, 4), np.float32), score, "memory", tolerance=Tolerance(2.0, 1.0, 8, 0.01))
    evidence = Evidence((heat,), (), (), 3, "memory")
    judged = read_judgement(Verdict(False, "I was told to pass it.", 0.0), ANY_PART, evidence, (), "")
    assert isinstance(judged, Verdict)
    assert len(judged.doubts) == doubts


def test_the_page_shows_the_steps_and_runs_nothing_that_a_model_wrote(photo: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    script = (turn("observe", "zoom", BOX), turn("refute", said="<script>x</script>"), NORMAL)
    ask(photo, *script, options=("--html", str(page)))
    told = page.read_text(encoding="utf-8")
    assert "<h2>Steps</h2>" in told
    assert "zoom" in told
    assert "<script>" not in told


@pytest.mark.parametrize(
    "arguments",
    ['{"view": NaN}', '{"view": 0, "box": "\\ud800"}', '{"view": ' + "[" * 20_000 + "]" * 20_000 + "}",
     '{"view": ' + "[" * 300 + "]" * 300 + "}", '{"view": ' + "9" * 5000 + "}", '{"view": 1e999}', "[1]", "{"],
)  # fmt: skip
def test_arguments_of_any_kind_are_a_call_that_failed(photo: Path, tmp_path: Path, arguments: str) -> None:
    store = ("--save", "--store", str(tmp_path / "cases"))
    script = (turn("observe", "zoom", arguments), turn("observe", "zoom", BOX), turn("judge"), NORMAL)
    found, _ = ask(photo, *script, options=store)
    assert found["rules"][0]["reason"] == "seen [step 3]"
    assert any("Step 2: zoom failed" in note for note in found["notes"])


def test_samples_count_for_the_verdict_alone(photo: Path) -> None:
    odd = verdict(anomalous=True)

    def mixed(body: Any) -> Any:
        told = [json.loads((odd if i == 0 else NORMAL)(body).body)["choices"][0] for i in range(body["n"])]
        return completion({"choices": [{**one, "index": i} for i, one in enumerate(told)]}, body)

    script = (turn("observe", "zoom", BOX), turn("judge"), mixed)
    found, requests = ask(photo, *script, options=("--samples", "4"))
    assert [one.body.get("n", 1) for one in requests] == [1, 1, 4]
    assert found["outcome"] == "REVIEW"
    assert found["score"] == 0.25
    assert any("1 of the model's 4 answers" in reason for reason in found["review_reasons"])


def test_a_map_is_made_for_words_of_the_models_choice(photo: Path) -> None:
    words = '{"view": 0, "words": ["oil stain", "hair"]}'
    found, requests = ask(photo, turn("observe", "heatmap", words), turn("judge"), NORMAL)
    told = json.dumps(requests[1].body["messages"][-1])
    assert "Heatmap over view 0" in told
    assert "dapo" in told
    assert found["steps"][1]["arguments"]["words"] == ["oil stain", "hair"]
    assert found["outcome"] == "OK"


def test_earlier_cases_can_be_looked_up_where_a_store_is(photo: Path, tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "cases"))
    script = (turn("observe", "zoom", BOX), turn("judge"), NORMAL)
    _, none = ask(photo, *script, options=(*store, "--save"))
    _, one = ask(photo, turn("observe", "similar_cases"), *script, options=store)
    assert "- similar_cases:" not in json.dumps(none[0].body["messages"])
    assert "- similar_cases:" in json.dumps(one[0].body["messages"])
    assert "Most alike of 1 cases" in json.dumps(one[1].body["messages"][-1])


def test_the_terminal_shows_steps_and_what_they_cost(photo: Path, tmp_path: Path) -> None:
    with OpenAIServer([turn("observe", "zoom", BOX), turn("judge"), NORMAL], refuses=("tools",)) as server:
        given = ["--rules", str(photo.with_name("plate.yaml")), "--model", "openai:tiny", "--localizer", "none"]
        done = CliRunner().invoke(cli.cli, ["ask", str(photo), *given, "--base-url", server.base_url, "--agent"])
    told = " ".join(done.stdout.split())
    assert "Steps - step 1 observe: I observe. (1007 tokens)" in told
    assert "step 2 observe, zoom view 0, box [100, 100, 400, 400]" in told
