"""`vlm-inspect bench` against a real server on this machine, with and without faults."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluation.metrics import fill_failures, image_auroc
from evaluation.scoring.outcomes import HIGH, LOW
from tests.backends.openai_server import OpenAIServer, answer, cut, hang, status
from tests.datasets.data_folders import mmad
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.evaluation.coloured_parts import Model, coloured_parts, verdict_on

PARTS = 16


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return coloured_parts(tmp_path / "parts", PARTS)


def remote(server: OpenAIServer, *others: object) -> list[object]:
    """Options of a model at this server, that sees the parts alone."""
    named = ["--model", "openai:tiny", "--base-url", server.base_url, "--shots", 0, "--localizer", "none"]
    return [*named, "--concurrency", 8, *others]


def lasting(document: dict[str, Any]) -> dict[str, Any]:
    """Results without what depends on time, place and the order of calls."""
    kept = {k: v for k, v in document.items() if k not in {"wall_s", "usage", "settings"}}
    passing = {"server", "limits", "inspector"}  # the address and the patience are among the inspector's settings
    return {**kept, "settings": {k: v for k, v in document["settings"].items() if k not in passing}}


def test_passing_faults_leave_no_trace_in_the_results(bench: Bench, parts: Path, tmp_path: Path) -> None:
    model = Model()
    with OpenAIServer([model]) as server:
        ran = bench(parts, "--out", tmp_path / "plain", *remote(server, "--cache", "off"))
    assert ran.code == 0, ran.err
    faults = {
        1: [status(429, retry_after="0.1")] * 3,
        2: [status(500), status(503)],
        3: [hang(30)],
        4: [cut()],
        **{number: [status(429, retry_after="0")] for number in (5, 6, 7, 8)},
    }
    faulty = Model(faults)
    with OpenAIServer([faulty]) as server:
        ran = bench(parts, "--out", tmp_path / "faulty", *remote(server, "--cache", "off", "--timeout", 1))
    assert ran.code == 0, ran.err
    assert faulty.asked[1] == 4
    assert faulty.asked[3] == 2
    assert items_of(tmp_path / "faulty") == items_of(tmp_path / "plain")
    assert lasting(results_of(tmp_path / "faulty")) == lasting(results_of(tmp_path / "plain"))
    plain = results_of(tmp_path / "plain")
    assert model.asked == dict.fromkeys(range(PARTS), 1)
    assert plain["usage"]["calls"] == PARTS
    assert plain["usage"]["prompt_tokens"] == 1000 * PARTS
    assert plain["coverage"] == 1.0


def test_lasting_faults_are_counted_and_wrong(bench: Bench, parts: Path, tmp_path: Path) -> None:
    with OpenAIServer([Model()]) as server:
        assert bench(parts, "--out", tmp_path / "plain", *remote(server, "--cache", "off")).code == 0
    faults = {
        1: [answer("I'm sorry, I can't help with that.", refusal="No.")],
        2: [answer('{"weather": "fine"}')],
        4: [answer('{"reasoning": "It is', finish_reason="length")],
        5: [status(400, "the picture is too strange")],
        6: [answer("")],
    }
    with OpenAIServer([Model(faults)]) as server:
        ran = bench(parts, "--out", tmp_path / "faulty", *remote(server))
    assert ran.code == 0, ran.err
    plain, faulty = items_of(tmp_path / "plain"), items_of(tmp_path / "faulty")
    failed = {name for name, item in faulty.items() if item["failure"]}
    assert {int(name[-7:-4]) for name in failed} == set(faults)
    assert {name: faulty[name] for name in faulty if name not in failed} == {
        name: plain[name] for name in plain if name not in failed
    }
    document = results_of(tmp_path / "faulty")
    assert document["coverage"] == pytest.approx(1 - 5 / PARTS)
    assert document["parse_failures"] == 4
    assert {one["id"] for one in document["failures"]} == failed
    labels = [item["label"] == "anomalous" for item in plain.values()]
    scores = [None if name in failed else item["score"] for name, item in plain.items()]
    expected = image_auroc(labels, fill_failures(labels, scores, low=LOW, high=HIGH))
    (category,) = document["categories"].values()
    assert category["image_auroc"] == pytest.approx(expected)
    assert category["failed"] == 5
    right = [name for name in plain if name not in failed and (plain[name]["score"] >= 0.5) == ("anom" in name)]
    assert category["accuracy"] == pytest.approx(len(right) / PARTS)


def test_words_and_outcomes_of_the_model_are_on_its_line(bench: Bench, parts: Path, tmp_path: Path) -> None:
    with OpenAIServer([Model()]) as server:
        assert bench(parts, "--out", tmp_path / "out", *remote(server)).code == 0
    for name, item in items_of(tmp_path / "out").items():
        number = int(name[-7:-4])
        said = verdict_on(number)
        assert item["score"] == pytest.approx(said["probability"])
        assert item["defects"] == ([f"spot {number}"] if said["anomalous"] else [])
        assert item["reasoning"] == f"Part {number}."
        assert item["label"] == ("anomalous" if number % 2 else "normal")
        assert len(item["reply_sha256"]) == 64


def test_what_was_paid_for_once_is_not_asked_again(bench: Bench, parts: Path, tmp_path: Path) -> None:
    model = Model()
    with OpenAIServer([model]) as server:
        assert bench(parts, "--out", tmp_path / "a", *remote(server, "--price", "1/2")).code == 0
        assert bench(parts, "--out", tmp_path / "b", *remote(server, "--price", "1/2")).code == 0
        assert sum(model.asked.values()) == PARTS
        assert bench(parts, "--out", tmp_path / "c", *remote(server, "--samples", 3)).code == 0
        assert sum(model.asked.values()) == 2 * PARTS, "other numbers of samples are other questions"
    first, second = results_of(tmp_path / "a"), results_of(tmp_path / "b")
    assert lasting(first) == lasting(second)
    assert first["usage"]["cost_usd"] == pytest.approx(PARTS * (1000 + 2 * 7) / 1e6)
    del second["usage"]["latency_s"]
    spent = {"prompt_tokens": 0, "completion_tokens": 0, "calls": 0, "from_cache": PARTS, "cost_usd": 0.0}
    assert second["usage"] == spent


def test_it_stops_after_so_many_failures_and_goes_on(bench: Bench, parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broken = Model({number: [status(401, "who are you?")] for number in range(PARTS)})
    with OpenAIServer([broken]) as server:
        options = remote(server, "--max-failures", 3, "--concurrency", 2)
        ran = bench(parts, "--out", out, *options)
        assert ran.code == 2
        assert "stopped after" in ran.err
        assert "--resume" in ran.err
        assert "Traceback" not in ran.err
        assert 3 <= sum(broken.asked.values()) <= 8
        assert not (out / "results.json").exists()
        again = bench(parts, "--out", out, *remote(server, "--resume", "--retry-failed", "--max-failures", 100))
        assert again.code == 0, again.err
        failed = len(results_of(out)["failures"])
        assert 0 < failed < PARTS, "those that the first session did not reach fail once now"
        last = bench(parts, "--out", out, *remote(server, "--resume", "--retry-failed"))
        assert last.code == 0
    assert results_of(out)["coverage"] == 1.0


def test_a_run_in_which_nothing_was_judged_is_no_success(bench: Bench, parts: Path, tmp_path: Path) -> None:
    with OpenAIServer([answer("I would rather not say.")]) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server))
    assert ran.code == 2
    assert "coverage 0.0%" in ran.out
    assert "no item was judged" in ran.err.splitlines()[-1]
    assert results_of(tmp_path / "out")["parse_failures"] == PARTS


def test_it_stops_before_the_budget_is_exceeded(bench: Bench, parts: Path, tmp_path: Path) -> None:
    model, out = Model(), tmp_path / "out"
    price = ["--price", "1000/0"]  # a dollar a request
    with OpenAIServer([model]) as server:
        ran = bench(parts, "--out", out, *remote(server, *price, "--budget-usd", 5, "--concurrency", 1))
        assert ran.code == 2
        assert "budget of 5 USD" in ran.err
        assert sum(model.asked.values()) == 5
        ran = bench(parts, "--out", out, *remote(server, *price, "--budget-usd", 50, "--resume"))
        assert ran.code == 0
        assert model.asked == dict.fromkeys(range(PARTS), 1)
        ran = bench(parts, "--out", tmp_path / "other", *remote(server, "--budget-usd", 5))
        assert ran.code == 2
        assert "--price" in ran.err
    assert results_of(out)["usage"]["cost_usd"] == pytest.approx(PARTS)


def test_a_budget_waits_for_what_is_in_flight_and_says_what_was_spent(
    bench: Bench, parts: Path, tmp_path: Path
) -> None:
    model = Model()  # a dollar a request, though an estimate by pictures and words says more
    with OpenAIServer([model]) as server:
        dear = remote(server, "--price", "1000/0", "--cache", "off")
        ran = bench(parts, "--out", tmp_path / "five", *dear, "--budget-usd", 5.2)
        assert ran.code == 2
        assert "the budget of 5.2 USD is used up (5.0000 USD spent, about 1.0000 for what comes next)" in ran.err
        assert sum(model.asked.values()) == 5
        ran = bench(parts, "--out", tmp_path / "all", *dear, "--budget-usd", PARTS)
        assert ran.code == 0, ran.err
        ran = bench(parts, "--out", tmp_path / "none", *dear, "--budget-usd", 0.01)
        assert "(0.0000 USD spent, about" in ran.err
    assert sum(model.asked.values()) == 5 + PARTS


def test_the_price_tables_tell_the_cost(
    bench: Bench, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "tables:\n- source: mine\n  date: 2026-01-02\n  models:\n  - {id: tiny, input: 2.0, output: 5.0}\n"
    (tmp_path / "prices.yaml").write_text(table)
    monkeypatch.setenv("VLM_INSPECT_PRICES", str(tmp_path / "prices.yaml"))
    with OpenAIServer([Model()]) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, "--budget-usd", 1, "--limit", 4))
        assert ran.code == 0, ran.err
        assert results_of(tmp_path / "out")["usage"]["cost_usd"] == pytest.approx(4 * (1000 * 2 + 7 * 5) / 1e6)
        ran = bench(parts, "--out", tmp_path / "own", *remote(server, "--price", "1/1", "--limit", 4, "--cache", "off"))
        assert results_of(tmp_path / "own")["usage"]["cost_usd"] == pytest.approx(4 * 1007 / 1e6)


def test_an_unreadable_picture_is_listed_and_the_run_goes_on(bench: Bench, parts: Path, tmp_path: Path) -> None:
    (parts / "anomalous" / "001.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with OpenAIServer([Model()]) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server))
    assert ran.code == 0, ran.err
    document = results_of(tmp_path / "out")
    (failure,) = document["failures"]
    assert failure["id"].endswith("anomalous/001.png")
    assert failure["kind"] == "unreadable"
    assert document["coverage"] == pytest.approx(1 - 1 / PARTS)


def test_other_settings_and_other_folders_are_refused(bench: Bench, parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OpenAIServer([Model()]) as server:
        assert bench(parts, "--out", out, *remote(server, "--limit", 4)).code == 0
        assert "holds a run already" in bench(parts, "--out", out, *remote(server, "--limit", 4)).err
        ran = bench(parts, "--out", out, *remote(server, "--limit", 4, "--seed", 1, "--resume"))
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert "seed 0, not 1" in ran.err
        ran = bench(parts, "--out", out, *remote(server, "--limit", 4, "--template", "benchmark", "--resume"))
        assert "template 'inspect', not 'benchmark'" in ran.err
        ran = bench(parts, "--out", parts, *remote(server))
        assert "is not empty and holds no run" in ran.err
        (parts / "normal" / "new.png").write_bytes((parts / "normal" / "000.png").read_bytes())
        whole = bench(parts, "--out", out, *remote(server, "--limit", 4, "--resume"))
        assert "holds a run over other items" in whole.err
        (parts / "normal" / "new.png").unlink()
        again = bench(parts, "--out", out, *remote(server, "--limit", 4, "--resume", "--concurrency", 2))
        assert again.code == 0, "how fast it goes is no setting of the results"
    assert results_of(out)["categories"]["parts"]["n"] == 4


def test_a_reference_that_is_scored_is_refused(bench: Bench, parts: Path, tmp_path: Path) -> None:
    shutil.copy(parts / "normal" / "002.png", parts / "references" / "copy.png")
    ran = bench(parts, "--out", tmp_path / "out", "--shots", 3, "--localizer", "none")
    assert ran.code == 2
    assert "also scored" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_it_found_and_asks_nothing(bench: Bench, parts: Path, tmp_path: Path) -> None:
    (parts / "normal" / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    model = Model()
    with OpenAIServer([model]) as server:
        ran = bench(parts, "--dry-run", *remote(server, "--shots", 2, "--look-again", "--rule-test"))
    assert ran.code == 0, ran.err
    assert not model.asked
    assert f"{PARTS // 2} normal and {PARTS // 2} anomalous to score" in ran.out
    assert "references/016.png" in ran.out
    assert "1 x unreadable file" in ran.out
    assert "no mask" in ran.out
    assert f"openai:tiny about {PARTS} items, twice each" in ran.out
    assert "rule test afterwards, on at most 20 items a class" in ran.out


def test_questions_are_asked_as_published_and_scored_by_subtask(bench: Bench, tmp_path: Path) -> None:
    mmad(tmp_path / "mmad")
    said = [answer({"reasoning": "It is cracked.", "choice": "A"}), answer("Hard to say.")]

    def model(body: Any) -> Any:
        text = json.dumps(body["messages"])
        assert "random" not in text
        assert text.count("image_url") >= 2 * 2, "one template, one picture to judge"
        return said["What is it?" in text](body)

    with OpenAIServer([model]) as server:
        ran = bench(tmp_path / "mmad", "--out", tmp_path / "out", *remote(server, "--shots", 1))
    assert ran.code == 0, ran.err
    document = results_of(tmp_path / "out")
    assert document["questions"]["subtasks"] == {"Anomaly Detection": 0.5, "Object Analysis": 0.0}
    assert document["mean"]["accuracy"] == 0.25
    assert document["categories"]["MVTec-AD/bottle"] == {"n": 6, "accuracy": pytest.approx(1 / 6), "failed": 3}
    assert document["parse_failures"] == 3
    assert document["coverage"] == 0.5
    item = items_of(tmp_path / "out")["MVTec-AD/bottle/test/crack/002.png#1"]
    assert item["question"]["chosen"] == item["question"]["answer"] == "A"
    assert "accuracy 0.2500" in ran.out or "accuracy 0.1667" in ran.out
