"""The limit of tokens holds over every minute, whatever the requests."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.engine.token_rate import WINDOW_S, TokenRate


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 90), st.floats(0, 30)), min_size=1, max_size=25))
def test_no_minute_takes_more(requests: list[tuple[int, float]]) -> None:
    clock, limit = Clock(), 100
    taken: list[tuple[float, int]] = []

    async def go() -> None:
        rate = TokenRate(limit, clock=clock, sleep=clock.sleep)
        for tokens, pause_s in requests:
            clock.now += pause_s
            found = await rate.reserve(tokens)
            taken.append((found.at_s, tokens))

    asyncio.run(go())
    for start, _ in taken:
        assert sum(tokens for at, tokens in taken if start <= at < start + WINDOW_S) <= limit


def test_one_larger_than_the_limit_passes_alone() -> None:
    clock = Clock()

    async def go() -> list[float]:
        rate = TokenRate(100, clock=clock, sleep=clock.sleep)
        return [(await rate.reserve(tokens)).at_s for tokens in (10, 500, 10)]

    first, second, third = asyncio.run(go())
    assert first == 0.0
    assert second >= WINDOW_S
    assert third >= second + WINDOW_S


def test_an_estimate_is_replaced_by_the_truth() -> None:
    clock = Clock()

    async def go() -> float:
        rate = TokenRate(100, clock=clock, sleep=clock.sleep)
        rate.settle(await rate.reserve(100), 10)
        return (await rate.reserve(80)).at_s

    assert asyncio.run(go()) == 0.0


def test_without_a_limit_nobody_waits() -> None:
    clock = Clock()

    async def go() -> None:
        rate = TokenRate(None, clock=clock, sleep=clock.sleep)
        for _ in range(50):
            await rate.reserve(10**9)

    asyncio.run(go())
    assert clock.now == 0.0
