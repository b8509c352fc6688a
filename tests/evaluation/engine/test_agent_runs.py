"""`bench --agent`: every part in steps, on a real server, with what that costs, the cache and the budget."""

from pathlib import Path

import pytest

from evaluation.engine.reply_cache import ReplyCache
from tests.backends.openai_server import Body, OpenAIServer, Response, status
from tests.datasets.data_folders import mmad
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.evaluation.coloured_parts import coloured_parts
from tests.evaluation.engine.agent_model import finds_it_by_refuting, is_step, part_of
from vlm_inspect.backends.backend import Reply
from vlm_inspect.backends.model_turn import ToolCall

PARTS = 6
STEPS = 3
"""Requests a part: propose with a look, what came of it, the verdict."""


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "parts.yaml").write_text(
        "class_name: plate\nrules: [{id: colour, text: Even red.}, {id: bright, text: Not black.}]\n"
    )
    return coloured_parts(tmp_path / "parts", PARTS)


def remote(server: OpenAIServer, folder: Path, *others: object) -> list[object]:
    named = ["--model", "openai:tiny", "--base-url", server.base_url, "--shots", 0, "--localizer", "none", "--quiet"]
    return [*named, "--agent", "--rules-dir", folder / "books", "--concurrency", 4, *others]


def test_steps_are_asked_once_and_the_verdict_as_often_as_wanted(bench: Bench, parts: Path, tmp_path: Path) -> None:
    with OpenAIServer([finds_it_by_refuting], refuses=("tools",)) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, tmp_path, "--samples", 3))
        assert ran.code == 0, ran.err
        asked = [one.body for one in server.requests if "tools" not in one.body]
        assert [body.get("n", 1) for body in asked if is_step(body)] == [1] * (STEPS - 1) * PARTS
        assert [body.get("n", 1) for body in asked if not is_step(body)] == [3] * PARTS
        again = bench(parts, "--out", tmp_path / "again", *remote(server, tmp_path, "--samples", 3))
        assert again.code == 0, again.err
        assert len([one for one in server.requests if "tools" not in one.body]) == STEPS * PARTS, "all from the cache"
    results = results_of(tmp_path / "out")
    assert results["categories"]["parts"]["image_auroc"] == 1.0
    assert results["settings"]["inspector"]["agent"]["enabled"] is True
    assert {item["usage"]["calls"] for item in items_of(tmp_path / "out").values()} == {STEPS}
    assert {item["spared"]["calls"] for item in items_of(tmp_path / "again").values()} == {STEPS}


def test_a_lost_step_is_a_failed_item(bench: Bench, parts: Path, tmp_path: Path) -> None:
    def loses_one(body: Body) -> Response:
        lost = not is_step(body) and part_of(body) == 3
        return (status(400, "too large") if lost else finds_it_by_refuting)(body)

    with OpenAIServer([loses_one], refuses=("tools",)) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, tmp_path))
    assert ran.code == 0, ran.err
    (failure,) = results_of(tmp_path / "out")["failures"]
    assert (failure["kind"], failure["id"][-7:]) == ("backend", "003.png")


def test_a_budget_holds_over_steps_and_nothing_is_paid_twice(bench: Bench, parts: Path, tmp_path: Path) -> None:
    dear = ["--price", "1000/0", "--concurrency", 1]  # a dollar a request
    with OpenAIServer([finds_it_by_refuting], refuses=("tools",)) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, tmp_path, *dear, "--budget-usd", 5))
        assert (ran.code, "budget of 5 USD" in ran.err) == (2, True)
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, tmp_path, *dear, "--budget-usd", 99, "--resume"))
        assert ran.code == 0, ran.err
        assert len([one for one in server.requests if "tools" not in one.body]) == STEPS * PARTS
        other = remote(server, tmp_path, *dear, "--resume", "--max-steps", 5)
        assert "agent.max_steps 12, not 5" in bench(parts, "--out", tmp_path / "out", *other).err


def test_it_is_said_before_and_refused_where_nobody_looks(bench: Bench, parts: Path, tmp_path: Path) -> None:
    with OpenAIServer([status(500)]) as server:
        ran = bench(parts, "--dry-run", *remote(server, tmp_path, "--max-steps", 7))
        assert "in at most 7 steps each" in ran.out
        assert not server.requests
        questions = ["--model", "openai:tiny", "--base-url", server.base_url, "--agent", "--out", tmp_path / "q"]
        assert "--agent is for judging parts" in bench(mmad(tmp_path / "mmad"), *questions).err
    assert "--agent changes nothing" in bench(parts, "--agent", "--shots", 0, "--out", tmp_path / "e").err
    assert "leave --look-again out" in bench(parts, "--agent", "--look-again", "--out", tmp_path / "e").err


def test_calls_of_functions_are_kept(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "cache")
    calls = (ToolCall("c0", "zoom", '{"view": 0}'),)
    cache.put("key", [Reply("", calls=calls)], "run")
    found = cache.get("key")
    assert found is not None
    assert found.replies[0].calls == calls
    cache.close()
