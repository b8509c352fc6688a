"""The runner with models that are no server: one that takes batches, one that breaks; and limits on what is held."""

import json
import pickle
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.engine import token_rate
from evaluation.engine.examiner import Examiner
from evaluation.engine.item_files import ItemFiles
from evaluation.engine.journal import Journal
from evaluation.engine.reply_cache import ReplyCache
from evaluation.engine.runner import Runner
from evaluation.errors import RunStoppedError
from evaluation.runs.plan import RunPlan, make_plan
from evaluation.runs.record import ItemRecord
from evaluation.runs.settings import Limits, Price, Settings
from tests.evaluation.coloured_parts import coloured_parts
from vlm_inspect.backends.backend import Reply, Request, TokenProbability
from vlm_inspect.backends.kept_replies import key_of_request
from vlm_inspect.datasets.registry import read_dataset
from vlm_inspect.errors import BackendError, PromptError
from vlm_inspect.inspection import Usage
from vlm_inspect.inspector import Inspector

SAID = json.dumps({"reasoning": "Fine.", "anomalous": False, "probability": 0.1})


class Batches:
    """A model that notes how many requests come together, and refuses what is too much."""

    name = "hf:tiny"

    def __init__(self, most: int = 99) -> None:
        self.sizes: list[int] = []
        self._most = most

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        return self.generate_batch([request], samples=samples)[0]

    def generate_batch(self, requests: Sequence[Request], *, samples: int = 1) -> list[list[Reply]]:
        self.sizes.append(len(requests))
        if len(requests) > self._most:
            raise BackendError("out of memory")
        return [[Reply(SAID, usage=Usage(calls=1, prompt_tokens=5))] * samples for _ in requests]


class Slow:
    """A model that notes how many wait for it at once."""

    name = "openai:slow"

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.05)
        with self._lock:
            self._now -= 1
        return [Reply(SAID)] * samples


class Broken:
    """A model whose prompt cannot be used: no item could be judged."""

    name = "openai:broken"

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        raise PromptError("the template is wrong")


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    return make_plan(read_dataset(coloured_parts(tmp_path / "parts", 10)), shots=0)


def run(
    plan: RunPlan, model: Batches | Slow | Broken, folder: Path, limits: Limits, *, look_again: bool = False
) -> dict[str, ItemRecord]:
    settings = Settings(
        dataset="d", format="folder", items_sha256="", categories=("parts",), shots=0, seed=0, limit=None,
        model=model.name, localizer="none",
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    with Journal(folder / "journal.sqlite") as journal:
        journal.begin(settings)
        examiner = Examiner(Inspector(backend=model, localizer=None, look_again=look_again), plan.rules)
        files = ItemFiles(folder, plan.categories)
        return Runner(plan, examiner, journal, files, ReplyCache(None), limits).run()


def test_a_local_model_is_asked_in_batches(plan: RunPlan, tmp_path: Path) -> None:
    model = Batches()
    records = run(plan, model, tmp_path / "out", Limits(concurrency=4))
    assert sorted(model.sizes) == [2, 4, 4]
    assert len(records) == 10
    assert all(one.failure is None and one.usage.prompt_tokens == 5 for one in records.values())


def test_a_batch_that_fails_is_asked_one_by_one(plan: RunPlan, tmp_path: Path) -> None:
    model = Batches(most=1)
    records = run(plan, model, tmp_path / "out", Limits(concurrency=5))
    assert sorted(model.sizes) == [1] * 10 + [5, 5]
    assert all(one.failure is None for one in records.values())
    none = run(plan, Batches(most=0), tmp_path / "none", Limits(concurrency=5))
    assert {one.failure.kind for one in none.values() if one.failure} == {"backend"}


def test_no_more_requests_are_in_flight_than_allowed(plan: RunPlan, tmp_path: Path) -> None:
    model = Slow()
    run(plan, model, tmp_path / "out", Limits(concurrency=3))
    assert model.most == 3


def test_a_task_may_be_done_as_a_whole_and_elsewhere(plan: RunPlan, tmp_path: Path) -> None:
    records = run(plan, Slow(), tmp_path / "out", Limits(concurrency=3))
    examiner = Examiner(Inspector(backend=Slow(), localizer=None), plan.rules)
    for task in plan.tasks[:3]:
        result = pickle.loads(pickle.dumps(examiner.examine(task)))
        timeless = [one.model_copy(update={"latency_s": 0.0}) for one in (result.record, records[task.id])]
        assert timeless[0] == timeless[1]
        assert result.replies == (SAID,)
        assert result.preview.startswith(b"\xff\xd8"), "a JPEG"
    missing = replace(plan.tasks[0], item=replace(plan.tasks[0].item, paths=(tmp_path / "gone.png",)))
    assert examiner.examine(missing).record.failure.kind == "unreadable"
    refused = Examiner(Inspector(backend=Batches(most=0), localizer=None), plan.rules).examine(plan.tasks[0])
    assert refused.record.failure.kind == "backend"


def test_tokens_a_minute_hold_requests_back(plan: RunPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_rate, "WINDOW_S", 0.2)  # a short minute
    began = time.monotonic()
    run(plan, Slow(), tmp_path / "out", Limits(concurrency=8, tokens_per_minute=1))
    assert time.monotonic() - began >= 9 * 0.2, "ten requests, one a minute"


def test_a_budget_needs_a_model_that_counts(plan: RunPlan, tmp_path: Path) -> None:
    limits = Limits(concurrency=2, budget_usd=1.0, price=Price(1.0, 1.0))
    with pytest.raises(RunStoppedError, match="does not tell its tokens"):
        run(plan, Slow(), tmp_path / "out", limits)
    assert len(run(plan, Batches(), tmp_path / "batches", limits)) == 10


def test_what_no_item_could_survive_ends_the_run(plan: RunPlan, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="the template is wrong"):
        run(plan, Broken(), tmp_path / "out", Limits(concurrency=2))
    with Journal(tmp_path / "out" / "journal.sqlite") as journal:
        assert journal.records() == {}


def test_replies_come_back_from_the_cache_as_they_were(plan: RunPlan, tmp_path: Path) -> None:
    model = Batches()
    ready = Examiner(Inspector(backend=model, localizer=None), plan.rules).prepare(plan.tasks[0])
    other = Examiner(Inspector(backend=model, localizer=None), plan.rules).prepare(plan.tasks[1])
    key = key_of_request(model, ready.request, 1)
    assert key == key_of_request(model, ready.request, 1)
    assert len({key, key_of_request(model, ready.request, 2), key_of_request(model, other.request, 1)}) == 3
    replies = (Reply("{}", "length", (TokenProbability("a", -0.5, {"a": -0.5, "b": -1.0}),), Usage(calls=1), "m"),)
    first = ReplyCache(tmp_path / "cache")
    first.put(key, replies, "run")
    first.put("empty", [Reply("")], "run")
    second = ReplyCache(tmp_path / "cache")  # another process
    found = second.get(key)
    assert found is not None
    assert found.replies == replies
    assert found.run == "run"
    assert second.get("empty") is None
    assert ReplyCache(None).get(key) is None
    (tmp_path / "file").write_text("no folder")
    assert not ReplyCache(tmp_path / "file").usable
    first.close()
    second.close()
