"""`bench --rule-test`: the model of a run is tested on what it has just scored, within the limits of the run."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.backends.openai_server import Body, OpenAIServer, Response, answer, status
from tests.datasets.data_folders import mmad
from tests.evaluation.bench_runs import Bench, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.evaluation.coloured_parts import coloured_parts
from tests.evaluation.prompt_tests.test_option_order import by_text
from tests.evaluation.prompt_tests.test_rule_test import RULES, TURNED, Ran, listens, says, text_of

PARTS, TESTED = 8, 4
CHANGED = 2 * 2 + 2
"""Requests a part beside that of the run: two rules left out and turned, the very same again, another class."""


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "parts.yaml").write_text(RULES)
    return coloured_parts(tmp_path / "parts", PARTS)


def options(server: OpenAIServer, tmp_path: Path, *others: object) -> list[object]:
    named = ["--model", "openai:tiny", "--base-url", server.base_url, "--shots", 0, "--localizer", "none", "--quiet"]
    tested = ["--rules-dir", tmp_path / "books", "--rule-test", "--rule-test-parts", TESTED]
    return [*named, *tested, "--out", tmp_path / "out", *others]


def test_the_report_of_a_run_says_whether_its_model_listens(bench: Bench, parts: Path, tmp_path: Path) -> None:
    with OpenAIServer([listens]) as server:
        ran = bench(parts, *options(server, tmp_path))
        assert ran.code == 0, ran.err
        assert len(server.requests) == PARTS + TESTED * CHANGED, "a part as it is was asked by the run"
        again = bench(parts, *options(server, tmp_path, "--resume"))
        assert again.code == 0, again.err
        assert len(server.requests) == PARTS + TESTED * CHANGED
    document = results_of(tmp_path / "out")
    told = Ran(document["rule_test"]["classes"]["parts"])
    assert told["requests"] == TESTED * (CHANGED + 1)
    assert len({part.rpartition("/")[0] for part in told["parts"]}) == 2, "both labels"
    assert not any(part.startswith("/") for part in told["parts"]), "ids, no paths of this machine"
    assert told.by["negated", "shade"]["answer_moved"] == TESTED
    assert told.by["negated", "edge"]["silent"]
    assert document["rule_test"]["untested"] == {}
    assert document["usage"]["calls"] == PARTS, "what the test costs is told by the test"
    assert "warning: The model may ignore rule edge" in ran.out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "rule turned into its opposite: edge" in page
    assert "share of answers that each change moved" in page
    assert "may ignore rule edge" in page


def test_its_budget_is_that_of_the_run_and_a_stop_costs_nothing(bench: Bench, parts: Path, tmp_path: Path) -> None:
    dear = ["--price", "1000/0", "--concurrency", 1, "--cache", "off"]  # a dollar a request
    with OpenAIServer([listens]) as server:
        ran = bench(parts, *options(server, tmp_path, *dear, "--budget-usd", PARTS + 5))
        assert (ran.code, ran.out) == (2, "")
        assert "rule test" in ran.err
        assert len(server.requests) == PARTS + 5
        results = results_of(tmp_path / "out")
        assert "rule_test" not in results
        assert results["coverage"] == 1.0, "what is done is told"
        ran = bench(parts, *options(server, tmp_path, *dear, "--budget-usd", 1000, "--resume"))
        assert ran.code == 0, ran.err
        assert len(server.requests) == PARTS + TESTED * (CHANGED + 1), "nothing is paid twice, cache or not"
    row = results_of(tmp_path / "out")["rule_test"]["classes"]["parts"]
    assert row["cost_usd"] == pytest.approx(TESTED * (CHANGED + 1))
    with OpenAIServer([listens]):
        kept = bench(parts, *[one for one in options(server, tmp_path, *dear, "--resume") if one != "--rule-test"])
        assert kept.code == 0, kept.err
    assert results_of(tmp_path / "out")["rule_test"]["classes"]["parts"] == row, "a later session keeps the test"


def test_a_server_that_is_gone_ends_the_test_and_not_the_results(bench: Bench, parts: Path, tmp_path: Path) -> None:
    def tires(body: Body) -> Response:
        return (
            status(400, "no more")(body) if TURNED in text_of(body) or "id edge" not in text_of(body) else listens(body)
        )

    with OpenAIServer([tires]) as server:
        ran = bench(parts, *options(server, tmp_path, "--max-failures", 2, "--concurrency", 1))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "2 requests without a reply" in ran.err
    assert results_of(tmp_path / "out")["coverage"] == 1.0


def test_questions_are_asked_in_other_orders(bench: Bench, tmp_path: Path) -> None:
    mmad(tmp_path / "mmad")
    with OpenAIServer([by_text]) as server:
        model = ["--model", "openai:tiny", "--base-url", server.base_url, "--shots", 0, "--quiet"]
        ran = bench(tmp_path / "mmad", "--out", tmp_path / "out", *model, "--rule-test")
    assert ran.code == 0, ran.err
    order = results_of(tmp_path / "out")["rule_test"]["option_order"]
    assert {one["order"]: one["moved"] for one in order["moves"]} == {"again": 0, "moved on": 0, "reversed": 0}
    assert order["requests"] == 4 * order["questions"]
    assert "Order of the options" in (tmp_path / "out" / "report.html").read_text()


def test_a_model_without_words_is_refused(bench: Bench, parts: Path, tmp_path: Path) -> None:
    ran = bench(parts, "--out", tmp_path / "out", "--shots", 0, "--rule-test")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "reads no rules" in ran.err
    assert not (tmp_path / "out").exists()


def test_parts_with_their_own_references_are_tested_with_them(bench: Bench, tmp_path: Path) -> None:
    """Every board has its own template: a rule test asks what the run asked, and so asks that only once."""
    for number in range(3):
        for kind, shade in (("test", 60 + 50 * number), ("temp", 80 + 50 * number)):
            path = tmp_path / "pcb" / f"{number:08}_{kind}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (64, 64), (shade, shade, shade)).save(path)
        (tmp_path / "pcb" / f"{number:08}.txt").write_text("8 8 24 24 1\n")
    told: list[str] = []

    def notes(body: Body) -> Response:
        told.append(json.dumps(body["messages"]))
        return answer(says(True))(body)

    with OpenAIServer([notes]) as server:
        model = ["--model", "openai:tiny", "--base-url", server.base_url, "--localizer", "none", "--quiet"]
        ran = bench(tmp_path / "pcb", "--out", tmp_path / "out", *model, "--shots", 1, "--rule-test")
    assert ran.code == 0, ran.err
    test = results_of(tmp_path / "out")["rule_test"]["classes"]["pcb"]
    assert {row["change"] for row in test["rows"]} == {"again", "class", "part first"}
    assert len(told) == 3 + 3 * 3, "as it is: asked by the run, and by nobody else"
    twice = {one for one in told if told.count(one) == 2}
    assert len(twice) == 3, "the very same again is the very same request of each board"
