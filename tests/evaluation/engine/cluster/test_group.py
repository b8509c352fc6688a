"""Who is asked next, and what becomes of a call whose process died; actors here are no processes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from evaluation.engine.cluster import group as group_module
from evaluation.engine.cluster.group import RETRIES, Group, ItemError, Trouble
from evaluation.errors import RunError
from vlm_inspect.errors import InspectError


class _RayError(Exception):
    pass


class _RayTaskError(_RayError):
    pass


class _ActorDiedError(_RayError):
    pass


class _GetTimeoutError(_RayError):
    pass


class FakeRay:
    """Calls that are made when they are waited for; a process that dies is there again, and the call is repeated."""

    exceptions = SimpleNamespace(
        RayError=_RayError, RayTaskError=_RayTaskError, ActorDiedError=_ActorDiedError, GetTimeoutError=_GetTimeoutError
    )

    def wait(self, calls: list[Any], num_returns: int = 1, timeout: float = 0.0) -> tuple[list[Any], list[Any]]:
        there = [one for one in calls if one.starts]
        return there, [one for one in calls if not one.starts]

    def get(self, call: Any, timeout: float | None = None) -> Any:
        if not call.starts:
            raise _GetTimeoutError
        return call.made()


class Call:
    def __init__(self, made: Callable[[], Any], *, starts: bool = True) -> None:
        self.made, self.starts = made, starts


class Actor:
    """Doubles numbers; dies of what it is told to die of."""

    def __init__(
        self, kills: Callable[[int], bool] = lambda order: False, *, starts: bool = True, never: str | None = None
    ) -> None:
        self.tried: list[int] = []
        self.now = self.most = 0
        self._kills, self._starts, self._never = kills, starts, never
        self._lock = threading.Lock()
        self.ready = SimpleNamespace(remote=lambda: Call(self._ready, starts=starts))
        self.double = self._method(RETRIES)

    def _method(self, max_task_retries: int) -> Any:
        return SimpleNamespace(
            remote=lambda order: Call(lambda: self._double(order, max_task_retries)),
            options=self._method,
        )

    def _ready(self) -> bool:
        if self._never is not None:
            raise _ActorDiedError(f"The actor died\n{self._never}")
        return True

    def _double(self, order: int, retries: int) -> Any:
        for _ in range(retries + 1):
            with self._lock:
                self.tried.append(order)
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.01)
            with self._lock:
                self.now -= 1
            if not self._kills(order):
                return Trouble("odd", alone=True) if order < 0 else 2 * order
        raise _RayError("gone")


def ask(actors: list[Actor], orders: list[int], threads: int = 6) -> list[Any]:
    group = Group(FakeRay(), actors, "worker")

    def one(order: int) -> Any:
        try:
            return group.ask("double", order)
        except (InspectError, _RayError) as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, orders))


def test_actors_share_what_there_is() -> None:
    actors = [Actor(), Actor()]
    assert ask(actors, list(range(12))) == [2 * order for order in range(12)]
    assert [actor.most for actor in actors] == [3, 3]


def test_an_order_that_kills_fails_alone_after_it_was_tried_by_itself() -> None:
    actors = [Actor(kills=lambda order: order == 5) for _ in range(2)]
    answers = ask(actors, list(range(12)))
    (failed,) = [one for one in answers if isinstance(one, Exception)]
    assert answers.index(failed) == 5
    assert isinstance(failed, ItemError)
    assert f"{RETRIES + 2} processes (worker) died" in str(failed)
    assert [one for one in answers if one is not failed] == [2 * order for order in range(12) if order != 5]
    assert sum(actor.tried.count(5) for actor in actors) == RETRIES + 2


def test_what_died_with_another_is_answered_in_the_end() -> None:
    deaths = iter([True] * (RETRIES + 1))
    assert ask([Actor(kills=lambda order: next(deaths, False))], [4]) == [8]


def test_trouble_is_raised_where_it_was_asked() -> None:
    (told,) = ask([Actor()], [-1])
    assert isinstance(told, ItemError)
    assert str(told) == "odd"
    assert isinstance(Trouble("all").error, RunError)


def test_a_fault_of_the_program_is_raised_and_not_tried_again() -> None:
    actor = Actor()

    def fault(order: int) -> bool:
        raise _RayTaskError("a bug")

    actor._kills = fault
    (told,) = ask([actor], [1])
    assert isinstance(told, _RayTaskError)
    assert actor.tried == [1]


def test_without_any_actor_the_run_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = ask([Actor(never="ValueError: no such library")], [1])
    assert isinstance(told, RunError)
    assert "ended: ValueError: no such library" in str(told)
    monkeypatch.setattr(group_module, "PATIENCE_S", 0.05)
    (told,) = ask([Actor(starts=False)], [1])
    assert isinstance(told, RunError)
    assert "no Ray process (worker) has been there for 0.05 s" in str(told)
    assert ask([Actor(starts=False), Actor()], [0, 1, 2]) == [0, 2, 4], "none waits for what never starts"
