"""`bench --look-again`: every part asked about twice, on a real server and in batches, and what that costs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluation.engine.examiner import Examiner
from evaluation.runs.plan import make_plan
from evaluation.runs.settings import Limits
from tests.backends.openai_server import Body, OpenAIServer, Response, answer, status
from tests.datasets.data_folders import mmad
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.evaluation.coloured_parts import coloured_parts, number_of
from tests.evaluation.engine.test_runner_engines import Batches, run
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.inspection import Usage
from vlm_inspect.inspector import Inspector

PARTS = 8
SECOND = "You have looked at this part once."
SPECK = {"type": "speck", "view": 0, "box": [100, 100, 300, 300], "severity": "minor"}


def sees_it_when_enlarged(body: Body) -> Response:
    """Names a place and nothing more at first; finds the odd parts when it is shown that place."""
    odd = is_second(body) and bool(part_of(body) % 2)
    said = {"reasoning": "Seen.", "anomalous": odd, "probability": 0.9 if odd else 0.1, "defects": [SPECK]}
    return answer(said)(body)


def part_of(body: Body) -> int:
    """Return which part it is, by the first picture: enlargements come after it."""
    pictures = [block for block in body["messages"][-1]["content"] if block["type"] == "image_url"]
    return number_of({"messages": [{"content": pictures[:1]}]})


def is_second(body: Body) -> bool:
    return SECOND in json.dumps(body["messages"])


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return coloured_parts(tmp_path / "parts", PARTS)


def remote(server: OpenAIServer, *others: object) -> list[object]:
    named = ["--model", "openai:tiny", "--base-url", server.base_url, "--shots", 0, "--localizer", "none", "--quiet"]
    return [*named, "--concurrency", 4, *others]


def test_the_second_answer_counts_and_the_first_may_come_from_an_earlier_run(
    bench: Bench, parts: Path, tmp_path: Path
) -> None:
    with OpenAIServer([sees_it_when_enlarged]) as server:
        assert bench(parts, "--out", tmp_path / "once", *remote(server)).code == 0
        ran = bench(parts, "--out", tmp_path / "twice", *remote(server, "--look-again", "--price", "1/0"))
        assert ran.code == 0, ran.err
        assert [is_second(one.body) for one in server.requests] == [False] * PARTS + [True] * PARTS
        alone = bench(parts, "--out", tmp_path / "alone", *remote(server, "--look-again", "--cache", "off"))
        assert alone.code == 0, alone.err
        assert len(server.requests) == 4 * PARTS
        ran = bench(parts, "--out", tmp_path / "twice", *remote(server, "--resume"))
        assert "look_again True, not False" in ran.err
    once, twice, whole = (results_of(tmp_path / name) for name in ("once", "twice", "alone"))
    assert once["categories"]["parts"]["image_auroc"] == 0.5
    assert twice["categories"]["parts"]["image_auroc"] == 1.0
    assert twice["settings"]["look_again"] is True
    assert (twice["usage"]["calls"], twice["usage"]["from_cache"]) == (PARTS, 0)
    assert twice["usage"]["cost_usd"] == pytest.approx(PARTS * 1000 / 1e6), "what an earlier run paid is not paid again"
    assert (whole["usage"]["calls"], whole["usage"]["prompt_tokens"]) == (2 * PARTS, 2000 * PARTS)
    for name, item in items_of(tmp_path / "twice").items():
        assert (item["usage"]["calls"], item["spared"]["calls"]) == (1, 1)
        assert item["reply_sha256"] == items_of(tmp_path / "alone")[name]["reply_sha256"]


def test_a_lost_second_look_is_a_failed_item_and_what_the_first_cost_is_kept(
    bench: Bench, parts: Path, tmp_path: Path
) -> None:
    def loses_one(body: Body) -> Response:
        if is_second(body) and part_of(body) == 3:
            return status(400, "too large")(body)
        return sees_it_when_enlarged(body)

    with OpenAIServer([loses_one]) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, "--look-again"))
    assert ran.code == 0, ran.err
    document = results_of(tmp_path / "out")
    (failure,) = document["failures"]
    assert (failure["kind"], failure["id"][-7:]) == ("backend", "003.png")
    assert document["categories"]["parts"]["image_auroc"] == pytest.approx(1 - 1 / (PARTS / 2))
    assert document["usage"]["calls"] == 2 * PARTS - 1


def test_a_budget_holds_over_both_looks_and_nothing_is_paid_twice(bench: Bench, parts: Path, tmp_path: Path) -> None:
    dear = ["--look-again", "--price", "1000/0", "--concurrency", 1]  # a dollar a request
    with OpenAIServer([sees_it_when_enlarged]) as server:
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, *dear, "--budget-usd", 5))
        assert ran.code == 2
        assert "budget of 5 USD" in ran.err
        assert len(server.requests) == 5
        ran = bench(parts, "--out", tmp_path / "out", *remote(server, *dear, "--budget-usd", 50, "--resume"))
        assert ran.code == 0, ran.err
        assert len(server.requests) == 2 * PARTS
    assert results_of(tmp_path / "out")["usage"]["cost_usd"] == pytest.approx(2 * PARTS)


def test_where_nobody_looks_it_is_refused(bench: Bench, parts: Path, tmp_path: Path) -> None:
    ran = bench(parts, "--out", tmp_path / "out", "--look-again", "--shots", 0)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "reads no picture" in ran.err
    mmad(tmp_path / "mmad")
    model = ["--model", "openai:tiny", "--base-url", "http://127.0.0.1:9/v1"]
    assert "asks questions" in bench(tmp_path / "mmad", "--out", tmp_path / "out", "--look-again", *model).err


class LooksTwice(Batches):
    """A local model that notes which look each batch is of, and names a place."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[set[bool]] = []

    def generate_batch(self, requests: Sequence[Request], *, samples: int = 1) -> list[list[Reply]]:
        self.sizes.append(len(requests))
        told = [is_second({"messages": [_plain(message.content) for message in one.messages]}) for one in requests]
        self.looks.append(set(told))
        said = json.dumps({"reasoning": "Seen.", "anomalous": False, "probability": 0.2, "defects": [SPECK]})
        return [[Reply(said, usage=Usage(calls=1, prompt_tokens=5))] * samples for _ in requests]


def _plain(content: Any) -> list[str]:
    blocks = [content] if isinstance(content, str) else content
    return [block if isinstance(block, str) else str(block.get("text", "")) for block in blocks]


def test_a_local_model_looks_again_in_batches(parts: Path, tmp_path: Path) -> None:
    plan = make_plan(read_dataset(parts), shots=0)
    model = LooksTwice()
    records = run(plan, model, tmp_path / "out", Limits(concurrency=4), look_again=True)
    assert model.sizes == [4, 4, 4, 4]
    assert sorted(map(sorted, model.looks)) == [[False], [False], [True], [True]]
    assert all(one.usage == records[plan.tasks[0].id].usage for one in records.values())
    assert records[plan.tasks[0].id].usage.prompt_tokens == 10
    whole = Examiner(Inspector(backend=LooksTwice(), localizer=None, look_again=True), plan.rules).examine(
        plan.tasks[0]
    )
    timeless = [one.model_copy(update={"latency_s": 0.0}) for one in (whole.record, records[plan.tasks[0].id])]
    assert timeless[0] == timeless[1]
    assert len(whole.replies) == 2
