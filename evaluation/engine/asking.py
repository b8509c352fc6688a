"""`Asker`: the model, asked within the limits of a run.

asker = Asker(backend, limits, cache, samples=1, price=None, run_id="...")
answers = await asker.ask([request, ...])     # for each what came back: Answered, or the BackendError that it ended in

What was paid for before comes from the cache. The rest waits for its turn: so many requests in flight, so many tokens a
minute, so many dollars; a model that takes several requests at once (`generate_batch`) is asked in batches.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from evaluation.engine.reply_cache import ReplyCache
from evaluation.engine.spending import Spending, cost_of, estimate_tokens
from evaluation.engine.token_rate import Reservation, TokenRate
from evaluation.runs.record import Spent
from evaluation.runs.settings import Limits, Price
from vlm_inspect.asking import ask_for_form, ask_model
from vlm_inspect.backends import is_local, is_offline
from vlm_inspect.backends.backend import Backend, Reply, Request
from vlm_inspect.backends.kept_replies import key_of_request
from vlm_inspect.errors import BackendError

_T = TypeVar("_T")


@runtime_checkable
class BatchBackend(Protocol):
    """A model that answers several requests at once."""

    def generate_batch(self, requests: Sequence[Request], *, samples: int = 1) -> Sequence[Sequence[Reply]]:
        """Return the replies of each request; raises what `generate` raises."""
        ...


@dataclass(frozen=True, eq=False)
class Answered:
    """What came back for one request."""

    replies: tuple[Reply, ...]
    elapsed_s: float
    cached: bool = False
    """True where another run paid for them."""

    def spent(self, price: Price | None) -> Spent:
        """Return what the replies cost, whoever paid for them.

        Args:
            price: the user's own; None: what the model's usage says.
        """
        usages = [reply.usage for reply in self.replies]
        return Spent(
            prompt_tokens=sum(one.prompt_tokens for one in usages),
            completion_tokens=sum(one.completion_tokens for one in usages),
            calls=sum(one.calls for one in usages),
            cost_usd=cost_of(self.replies, price),
        )


class NotAskedError(Exception):
    """A limit was reached before a request was sent; `Asker.stopped` says which."""


@dataclass(eq=False)
class Asker:
    """Asks one model for a run; its methods belong to one event loop.

    Attributes:
        backend: the model.
        limits: how fast and how dear.
        cache: where replies are looked up first.
        samples: how often each request is asked.
        price: the user's own; None: what the model's usage says.
        run_id: name of the run, so that the cache tells what it paid for itself.
        spending: what earlier sessions spent, and will this one.
        remote_tasks: most tasks in flight in other processes, which ask there; None: requests are sent from here.
        standing: says how far the run is, and how it goes on, where the budget stops it.
        stopped: why nothing more may be asked.
    """

    backend: Backend
    limits: Limits
    cache: ReplyCache
    samples: int = 1
    price: Price | None = None
    run_id: str = ""
    spending: Spending = field(default_factory=lambda: Spending(Limits()))
    remote_tasks: int | None = None
    standing: Callable[[], str] = lambda: "more to ask; a higher --budget-usd goes on"
    stopped: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._rate = TokenRate(self.limits.tokens_per_minute)
        self._threads = ThreadPoolExecutor(self.at_once, "ask")
        self._may_ask = asyncio.Semaphore(self.at_once)
        self._returned = asyncio.Event()

    @property
    def batch(self) -> int:
        """Most requests that `ask` takes together."""
        return self.limits.concurrency if self._takes_batches else 1

    @property
    def at_once(self) -> int:
        """Calls, or batches, or tasks in other processes, in flight."""
        return self.remote_tasks or (1 if self._takes_batches else self.limits.concurrency)

    @property
    def _takes_batches(self) -> bool:
        return isinstance(self.backend, BatchBackend) and self.remote_tasks is None

    async def ask(
        self, requests: Sequence[Request], *, salts: Sequence[str] | None = None
    ) -> "list[Answered | BackendError]":
        """Return what came back for each request, from the cache where it is known.

        Args:
            requests: at most `batch` of them.
            salts: one a request; of another salt it is another question to the cache, however equal it is.

        Raises:
            NotAskedError: a limit forbids it.
        """
        keys = [self._key(*pair) for pair in zip(requests, salts or [""] * len(requests), strict=True)]
        found = [self._cached(key) for key in keys]
        missing = [request for request, known in zip(requests, found, strict=True) if known is None]
        for known in found:
            if known is not None and not known.cached:  # this run paid for them before it was killed
                self._count(known.replies)
        fresh = iter(await self._ask_model(missing) if missing else [])
        answers = [next(fresh) if known is None else known for known in found]
        for key, known, answered in zip(keys, found, answers, strict=True):
            if known is None and isinstance(answered, Answered) and key is not None:
                self.cache.put(key, answered.replies, self.run_id)
        return answers

    async def ask_remotely(
        self, estimate: int, examine: Callable[[], Awaitable[_T]], spent_on: Callable[[_T], Spent]
    ) -> _T:
        """Return what is examined in another process, within the same limits.

        Args:
            estimate: about how many tokens it takes.
            examine: does it; asks by itself.
            spent_on: what that cost.

        Raises:
            NotAskedError: a limit forbids it.
        """
        async with self._may_ask:
            taken = await self._reserve([estimate])
            try:
                found = await examine()
                spent = spent_on(found)
                told = (spent.prompt_tokens, spent.completion_tokens, spent.cost_usd)
                self._rate.settle(taken, (self._count_tokens(*told) if spent.calls else 0) or taken.tokens)
            finally:
                self.spending.end(1)
                self._note_return()
            return found

    def may_go_on(self) -> bool:
        """Return whether more may be asked; while requests are in flight, what they cost is waited for."""
        if self.stopped is None and not self.spending.in_flight and self.spending.exceeds():
            self._stop_for_budget(self.spending.usd_of_next())
        return self.stopped is None

    async def _may_send(self, tokens: int, requests: int) -> bool:
        """Return whether requests may be sent, each of so many tokens; decided when nothing that counts is in flight.

        What is in flight may cost less than the mean, or than the estimate as long as none has told. So where the
        budget might not hold for them and these, they are waited for first.
        """
        while self.stopped is None and self.spending.exceeds(tokens, requests):
            if not self.spending.in_flight:
                self._stop_for_budget(requests * self.spending.usd_of_next(tokens))
                break
            await self._returned.wait()
        return self.stopped is None

    def _stop_for_budget(self, next_usd: float) -> None:
        self.stop(
            f"the budget of {self.limits.budget_usd:g} USD is used up ({self.spending.usd:.4f} USD spent, about "
            f"{next_usd:.4f} for what comes next) with {self.standing()}"
        )

    def _note_return(self) -> None:
        """Wake those that wait for what is in flight, after it was counted."""
        self._returned.set()
        self._returned = asyncio.Event()

    def stop(self, reason: str) -> None:
        """Ask nothing more; what is in flight comes to its end. The first reason stays."""
        self.stopped = self.stopped or reason
        self._note_return()

    def close(self) -> None:
        """Send nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_model(self, requests: Sequence[Request]) -> "list[Answered | BackendError]":
        async with self._may_ask:
            taken = await self._reserve([estimate_tokens(one) for one in requests])
            try:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._threads, self._generate, requests)
                total = sum(self._count(one.replies) for one in answers if isinstance(one, Answered))
                self._rate.settle(taken, total or taken.tokens)
            finally:
                self.spending.end(len(requests))
                self._note_return()
            return answers

    async def _reserve(self, estimates: Sequence[int]) -> Reservation:
        """Wait until requests of about so many tokens may be sent, and note them as sent."""
        estimate = sum(self.spending.tokens_of_next(one) for one in estimates)
        if not await self._may_send(estimate // len(estimates), len(estimates)):
            raise NotAskedError
        self.spending.begin(len(estimates))  # before any wait, so that the next decision counts these
        taken = await self._rate.reserve(estimate)
        if self.stopped is not None:  # while this one waited
            self.spending.end(len(estimates))
            self._note_return()
            raise NotAskedError
        return taken

    def _generate(self, requests: Sequence[Request]) -> "list[Answered | BackendError]":
        """Ask the model; where a batch fails, one by one, so that one request fails alone."""
        backend = self.backend
        began = time.perf_counter()
        times = {self._times(request) for request in requests}
        if len(requests) > 1 and isinstance(backend, BatchBackend) and len(times) == 1:
            try:
                batch = backend.generate_batch(requests, samples=times.pop())
                share_s = (time.perf_counter() - began) / len(requests)
                pairs = zip(requests, batch, strict=True)
                return [Answered(ask_for_form(backend, one, replies), share_s) for one, replies in pairs]
            except BackendError:
                return [self._generate([one])[0] for one in requests]
        if len(requests) > 1:
            return [self._generate([one])[0] for one in requests]
        try:
            replies = ask_model(backend, requests[0], samples=self.samples)
        except BackendError as error:
            return [error]
        return [Answered(replies, time.perf_counter() - began)]

    def _count(self, replies: Sequence[Reply]) -> int:
        """Count what replies cost, and return their tokens."""
        usages = [reply.usage for reply in replies]
        prompt, completion = sum(one.prompt_tokens for one in usages), sum(one.completion_tokens for one in usages)
        return self._count_tokens(prompt, completion, cost_of(replies, self.price))

    def _count_tokens(self, prompt_tokens: int, completion_tokens: int, usd: float | None) -> int:
        """Count what was spent, and return the tokens; a budget that cannot be watched stops the run."""
        self.spending.count(prompt_tokens, completion_tokens, usd)
        total, name = prompt_tokens + completion_tokens, self.backend.name
        if self.limits.budget_usd is not None and (usd is None or not total) and not is_local(name):
            missing = "its tokens" if not total else "its price: add --price IN/OUT"
            self.stop(f"the budget cannot be held, for {name} does not tell {missing}")
        return total

    def _key(self, request: Request, salt: str) -> str | None:
        """Return where the replies are kept; None for what costs nothing to ask again."""
        if not self.cache.usable or is_offline(self.backend.name):
            return None
        return key_of_request(self.backend, request, self._times(request), salt)

    def _times(self, request: Request) -> int:
        """Return how often a request is asked: a step on the way to a verdict once."""
        return self.samples if request.asks_opinion else 1

    def _cached(self, key: str | None) -> Answered | None:
        found = None if key is None else self.cache.get(key)
        if found is None:
            return None
        own = found.run == self.run_id  # asked before a kill: paid for by this very run
        return Answered(found.replies, sum(reply.usage.latency_s for reply in found.replies), cached=not own)
