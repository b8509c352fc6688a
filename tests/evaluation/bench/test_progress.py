"""What is shown while a run goes on."""

from pathlib import Path

import pytest

from evaluation.bench.progress import RunProgress
from evaluation.engine.spending import Spending
from evaluation.runs.plan import RunPlan, make_plan
from evaluation.runs.record import Failure, ItemRecord, Spent
from evaluation.runs.settings import Limits, Price
from vlm_inspect.datasets.item import Dataset, Item


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def plan_of(count: int) -> RunPlan:
    items = [Item(f"a/{i}", "a", (Path(f"{i}.png"),), "test", bool(i % 2)) for i in range(count)]
    return make_plan(Dataset("d", "folder", Path("d"), tuple(items)), shots=0)


def record(number: int, score: float, *, failed: bool = False, cost_usd: float | None = None) -> ItemRecord:
    return ItemRecord(
        id=f"a/{number}",
        category="a",
        label="anomalous" if number % 2 else "normal",
        score=score,
        outcome="REVIEW" if score == 0.5 else "OK",
        usage=Spent(prompt_tokens=1000, completion_tokens=100, calls=1, cost_usd=cost_usd),
        failure=Failure(kind="backend", message="no") if failed else None,
    )


def test_a_line_tells_everything() -> None:
    clock, lines = Clock(), list[str]()
    shown = RunProgress(plan_of(4), Spending(Limits()), write=lines.append, clock=clock)
    with shown:
        assert "AUROC so far n/a" in shown.line()
        assert "eta n/a" in shown.line()
        clock.now = 60.0
        shown.add(record(0, 0.5, cost_usd=0.002))
        clock.now = 61.0
        shown.add(record(1, 0.9, cost_usd=0.002))
        clock.now = 120.0
        shown.add(record(2, 0.1, failed=True, cost_usd=0.002))
    assert len(lines) == 2, "one a while, not one an item"
    assert shown.line() == (
        "done 3 of 4, failed 1, AUROC so far 0.5000, REVIEW 33.3%, tokens 3300, cost 0.0060 USD, time 2 min 0 s, "
        "eta 0:00:40"
    )


def test_what_was_done_before_does_not_count_for_the_speed() -> None:
    clock, lines = Clock(), list[str]()
    shown = RunProgress(plan_of(4), Spending(Limits()), write=lines.append, clock=clock)
    shown.recall([record(0, 0.1), record(1, 0.9)])
    with shown:
        clock.now = 100.0
        shown.add(record(2, 0.2))
    assert "done 3 of 4" in lines[0]
    assert lines[0].endswith("cost n/a, time 1 min 40 s, eta 0:01:40")


def test_a_run_whose_first_item_takes_long_is_told_by_time() -> None:
    clock, lines = Clock(), list[str]()
    with RunProgress(plan_of(4), Spending(Limits()), write=lines.append, clock=clock) as shown:
        clock.now = 14.0
        shown.tell()
        clock.now = 16.0
        shown.tell()
        shown.tell()
    assert len(lines) == 1
    assert lines[0].startswith("done 0 of 4, ")
    assert lines[0].endswith("time 16 s, eta n/a")


def test_quiet_is_quiet() -> None:
    lines: list[str] = []
    with RunProgress(plan_of(1), Spending(Limits()), quiet=True, write=lines.append) as shown:
        shown.add(record(0, 0.1))
    assert lines == []


@pytest.mark.parametrize(("tokens", "exceeds"), [(0, False), (900_000, False), (1_100_000, True)])
def test_the_first_request_may_already_be_too_dear(tokens: int, exceeds: bool) -> None:
    spending = Spending(Limits(price=Price(1.0, 1.0), budget_usd=1.0))
    assert spending.exceeds(tokens) is exceeds


def test_requests_in_flight_count_as_the_mean_one() -> None:
    spending = Spending(Limits(price=Price(1.0, 1.0), budget_usd=1.0))
    spending.count(200_000, 50_000, 0.25)
    assert not spending.exceeds()
    spending.begin(2)
    assert not spending.exceeds()
    spending.begin(1)
    assert spending.exceeds()
    spending.end(2)
    assert not spending.exceeds()
    assert spending.tokens_of_next(7) == 250_000
