"""Who gets what next, and what becomes of the dead and of what they had; members here are no processes."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from evaluation.engine.cluster import pool as pool_module
from evaluation.engine.cluster.pool import ATTEMPTS, Pool, Trouble
from evaluation.errors import RunError
from vlm_inspect.errors import BackendError


class _RayError(Exception):
    pass


class _RayTaskError(_RayError):
    pass


class _ActorDiedError(_RayError):
    pass


FAKE = SimpleNamespace(
    exceptions=SimpleNamespace(RayError=_RayError, RayTaskError=_RayTaskError, ActorDiedError=_ActorDiedError)
)


class Member:
    """Doubles numbers; dies of what it is told to die of, and lives again."""

    def __init__(
        self, kills: Callable[[int], bool] = lambda order: False, starts: bool = True, never: str | None = None
    ) -> None:
        self.batches: list[list[int]] = []
        self.now = self.most = 0
        self.ready = SimpleNamespace(remote=self._ready)
        self.work = SimpleNamespace(remote=self._work)
        self._kills, self._starts, self._never = kills, starts, never

    async def _ready(self) -> bool:
        if self._never is not None:
            raise _ActorDiedError(f"The actor died\n{self._never}")
        if not self._starts:
            await asyncio.Event().wait()
        return True

    async def _work(self, orders: Sequence[int]) -> list[int]:
        self.batches.append(list(orders))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if any(self._kills(order) for order in orders):
            raise _RayError("gone")
        return [2 * order for order in orders]


class Fragile(Member):
    """Dies once, whatever it has then."""

    def __init__(self) -> None:
        super().__init__(kills=lambda order: not self.lived and setattr(self, "lived", True) is None)
        self.lived = False


def ask(members: Sequence[Member], orders: Sequence[int], kinds: str = "", **options: Any) -> list[Any]:
    async def every() -> list[Any]:
        pool = Pool(FAKE, members, **options)
        asked = (pool.ask(order, kinds[i : i + 1]) for i, order in enumerate(orders))
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(every())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_LOOKED_FOR_EVERY_S", 0.01)


def test_members_share_what_there_is() -> None:
    members = [Member(), Member()]
    assert ask(members, range(12), slots=3) == [2 * order for order in range(12)]
    assert [member.most for member in members] == [3, 3]


def test_orders_go_out_together_up_to_the_most() -> None:
    member = Member()
    assert ask([member], range(7), most=3, linger_s=0.05) == [2 * order for order in range(7)]
    assert [len(batch) for batch in member.batches] == [3, 3, 1]


def test_orders_of_different_kinds_never_share_a_batch() -> None:
    member = Member()
    assert ask([member], range(6), kinds="ababab", most=4, linger_s=0.01) == [2 * order for order in range(6)]
    assert sorted(member.batches) == [[0, 2, 4], [1, 3, 5]]


def test_an_order_waits_for_company_only_so_long() -> None:
    member = Member()

    async def one_then_another() -> None:
        pool = Pool(FAKE, [member], most=2, linger_s=0.05)
        first = asyncio.create_task(pool.ask(1))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(pool.ask(2))
        await asyncio.sleep(0.1)
        third = asyncio.create_task(pool.ask(3))
        assert await asyncio.gather(first, second, third) == [2, 4, 6]

    asyncio.run(asyncio.wait_for(one_then_another(), 5))
    assert member.batches == [[1, 2], [3]]


def test_what_a_dead_member_had_is_given_out_again_and_nothing_else() -> None:
    deaths: list[int] = []
    members = [Fragile(), Member()]
    answers = ask(members, range(8), slots=2, on_death=lambda: deaths.append(1))
    assert answers == [2 * order for order in range(8)]
    given = sorted(order for member in members for batch in member.batches for order in batch)
    lost = len(given) - 8
    assert 1 <= lost <= 2, "what was in flight there"
    assert len(deaths) == 1


def test_an_order_that_kills_fails_alone() -> None:
    for options in ({"most": 4, "linger_s": 0.05}, {"slots": 4}):
        tried: list[list[int]] = []

        class Mortal(Member):
            async def _work(self, orders: Sequence[int], tried: list[list[int]] = tried) -> list[int]:
                self.at_work = [*self.at_work, *orders]
                if 5 in orders:
                    tried.append(self.at_work)
                try:
                    return await super()._work(orders)
                finally:
                    self.at_work = [one for one in self.at_work if one not in orders]

            at_work: ClassVar[list[int]] = []

        answers = ask([Mortal(kills=lambda order: order == 5) for _ in range(2)], range(16), **options)
        (trouble,) = [one for one in answers if isinstance(one, Trouble)]
        assert answers.index(trouble) == 5
        assert isinstance(trouble.error, BackendError)
        assert f"{ATTEMPTS} processes (worker) died" in trouble.message
        assert [one for one in answers if one is not trouble] == [2 * order for order in range(16) if order != 5]
        assert len(tried) == ATTEMPTS
        assert len(tried[0]) > 1
        assert tried[2:] == [[5], [5]], "by itself, once it looks like the cause"


def test_a_fault_of_the_program_is_raised_where_it_was_asked() -> None:
    class Faulty(Member):
        async def _work(self, orders: Sequence[int]) -> list[int]:
            raise _RayTaskError("a bug")

    answers = ask([Faulty()], range(3), most=2)
    assert all(isinstance(one, _RayTaskError) for one in answers)


def test_without_any_member_the_run_ends_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = ask([Member(never="ValueError: no such library")], [1])
    assert isinstance(told.error, RunError)
    assert "ended: ValueError: no such library" in told.message
    monkeypatch.setattr(pool_module, "PATIENCE_S", 0.05)
    (told,) = ask([Member(starts=False)], [1])
    assert "no Ray process (worker) has started within 0.05 s" in told.message
    assert ask([Member(starts=False), Member()], range(3)) == [0, 2, 4], "none waits for what never starts"


def test_who_asks_no_more_is_forgotten() -> None:
    async def give_up() -> None:
        pool = Pool(FAKE, [member])
        asked = [asyncio.create_task(pool.ask(order)) for order in range(3)]
        await asyncio.sleep(0.005)
        asked[1].cancel()
        assert await asyncio.gather(asked[0], asked[2]) == [0, 4]

    member = Member()
    asyncio.run(asyncio.wait_for(give_up(), 5))
    assert member.batches == [[0], [2]]
