"""READ FIRST: a run, from tasks to journalled records.

prepare   in a few threads: read, localize, measure         examiner.py
ask       up to `concurrency` requests in flight            token_rate.py, reply_cache.py, then the backend
conclude  in the same few threads: parse, fuse
keep      map and preview to disk, then one transaction     item_files.py, journal.py

A model that takes several requests at once (`generate_batch`) is asked in batches. What is prepared and waits is
bounded, so that a slow server does not fill the memory with maps. With an `elsewhere`, an item is prepared, asked and
concluded there, as a whole, and kept here.
"""

import asyncio
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from evaluation.bench.examiner import Answered, Examiner, Ready, Result, failed
from evaluation.bench.item_files import ItemFiles
from evaluation.bench.journal import Journal
from evaluation.bench.plan import Plan, Task
from evaluation.bench.previews import worst_of
from evaluation.bench.record import ItemRecord
from evaluation.bench.reply_cache import ReplyCache, key_of_request
from evaluation.bench.settings import Limits
from evaluation.bench.spending import Spending, cost_of, estimate_tokens, estimate_tokens_of_task
from evaluation.bench.token_rate import Reservation, TokenRate
from evaluation.datasets.listing import PICTURES
from evaluation.errors import RunStoppedError
from vlm_inspect.backends.backend import Reply, Request
from vlm_inspect.errors import BackendError, InspectWarning

MOST_HANDS = 4
"""Threads that prepare and conclude."""
Watch = Callable[[ItemRecord], None]
_T = TypeVar("_T")


@runtime_checkable
class BatchBackend(Protocol):
    """A model that answers several requests at once."""

    def generate_batch(self, requests: Sequence[Request], *, samples: int = 1) -> Sequence[Sequence[Reply]]:
        """Return the replies of each request; raises what `generate` raises."""
        ...


class Elsewhere(Protocol):
    """Examines whole tasks in other processes, or on other machines."""

    @property
    def at_once(self) -> int:
        """Most tasks in flight."""
        ...

    async def examine(self, task: Task) -> Result:
        """Return the result of a task; raises BackendError for this one alone, another InspectError for all."""
        ...


@dataclass
class Runner:
    """Carries out the tasks of a plan that the journal does not have yet.

    Attributes:
        plan: the tasks.
        examiner: does what one task needs.
        journal: where finished items go; its session has begun.
        files: where their maps and previews go.
        cache: where replies are looked up first.
        limits: how fast and how dear.
        watch: told every record as it is journalled.
        elsewhere: where tasks are examined; None: here. The cache is of no use to it.
    """

    plan: Plan
    examiner: Examiner
    journal: Journal
    files: ItemFiles
    cache: ReplyCache
    limits: Limits = field(default_factory=Limits)
    watch: Watch = lambda record: None
    elsewhere: Elsewhere | None = None

    def run(self) -> dict[str, ItemRecord]:
        """Return the records of all tasks, those of earlier sessions included.

        Raises:
            RunStoppedError: too many failures, or the budget is used up; what is done is journalled.
            InspectError: references, localizer or prompt cannot be used, so that no item could be judged.
        """
        done = self.journal.records()
        session = _Session(self, done)
        if session.pending:
            asyncio.run(session.carry_out())
        for category in self.plan.categories:
            session.journal_pixels(category.name, session.pixels_of(category.name))
        return {task.id: session.done[task.id] for task in self.plan.tasks}


class _NotAskedError(Exception):
    """A limit was reached between preparing and asking."""


class _Session:
    """One call of `Runner.run`: its threads, its limits, what is in flight."""

    def __init__(self, runner: Runner, done: dict[str, ItemRecord]) -> None:
        self.runner = runner
        self.done = done
        self.pending = [task for task in runner.plan.tasks if task.id not in done]
        self._left = {c.name: sum(task.category == c.name for task in self.pending) for c in runner.plan.categories}
        self._worst = {
            c.name: worst_of(one for one in done.values() if one.category == c.name) for c in runner.plan.categories
        }
        self._spending = Spending(runner.limits, done.values())
        self._closed: set[str] = set()
        self._failures = 0
        self._fatal: BaseException | None = None
        self._stopped: str | None = None
        limits, backend = runner.limits, runner.examiner.backend
        in_batches = isinstance(backend, BatchBackend) and runner.elsewhere is None
        self._batch = limits.concurrency if in_batches else 1
        asked_at_once = 1 if in_batches else limits.concurrency
        if runner.elsewhere is not None:
            asked_at_once = runner.elsewhere.at_once
        self._model = backend.name
        hands = _hand_count(self.pending, local=is_local(self._model))
        self._hands = ThreadPoolExecutor(hands, "prepare")
        self._mouths = ThreadPoolExecutor(asked_at_once, "ask")
        self._may_ask = asyncio.Semaphore(asked_at_once)
        self._room = asyncio.Semaphore(asked_at_once + hands + 1)
        self._rate = TokenRate(limits.tokens_per_minute)

    async def carry_out(self) -> None:
        """Do all pending tasks; on a stop, those in flight are finished first."""
        running: set[asyncio.Task[None]] = set()
        try:
            await self._feed(running)
        except asyncio.CancelledError:  # Ctrl-C: what was asked is paid for, so it is waited for and kept
            self._stopped = "interrupted"
            warnings.warn("waiting for what is in flight; Ctrl-C again leaves at once", InspectWarning, stacklevel=2)
            await _all_ended(running)
            raise
        finally:
            await _all_ended(running)
            self._hands.shutdown(wait=False, cancel_futures=True)
            self._mouths.shutdown(wait=False, cancel_futures=True)
        if self._fatal is not None:
            raise self._fatal
        if self._stopped is not None and len(self.done) < len(self.runner.plan.tasks):
            raise RunStoppedError(self._stopped)

    async def _feed(self, running: set[asyncio.Task[None]]) -> None:
        """Start group after group while there is room; the first of a class goes alone until it is prepared."""
        category = None
        for group in _groups(self.pending, self._batch):
            await self._room.acquire()
            if self._fatal is not None or self._may_not_go_on():
                self._room.release()
                return
            prepared = asyncio.Event()
            job = asyncio.create_task(self._do(group, prepared))
            running.add(job)
            job.add_done_callback(running.discard)
            if group[0].category != category:
                category = group[0].category
                await prepared.wait()  # references are read, and memories made of them, once
        await _all_ended(running)

    async def _do(self, group: Sequence[Task], prepared: asyncio.Event) -> None:
        try:
            if self.runner.elsewhere is None:
                await self._do_here(group, prepared)
            else:
                prepared.set()
                await self._do_there(group[0], self.runner.elsewhere)
            category = group[0].category
            if not self._left[category] and category not in self._closed:
                self._closed.add(category)
                self.journal_pixels(category, await self._in_hands(lambda: self.pixels_of(category)))
        except _NotAskedError:  # the run stops: what is prepared is not asked, and stays undone
            return
        except BaseException as error:
            self._fatal = self._fatal or error
            if not isinstance(error, Exception):
                raise
        finally:
            prepared.set()
            self._room.release()

    async def _do_here(self, group: Sequence[Task], prepared: asyncio.Event) -> None:
        first = await self._prepare(group[0])
        prepared.set()
        ready = [first, *[await self._prepare(task) for task in group[1:]]]
        asked = [one for one in ready if isinstance(one, Ready)]
        for one in ready:
            if isinstance(one, Result):
                self._keep(one)
        for one, answered in zip(asked, await self._ask(asked) if asked else (), strict=True):
            await self._conclude(one, answered)

    async def _do_there(self, task: Task, elsewhere: Elsewhere) -> None:
        async with self._may_ask:
            taken = await self._reserve([estimate_tokens_of_task(task)])
            try:
                result = await elsewhere.examine(task)
            except BackendError as error:
                result = failed(task, "backend", error)
            finally:
                self._spending.end(1)
            usage = result.record.usage
            told = (usage.prompt_tokens, usage.completion_tokens, usage.cost_usd)
            self._rate.settle(taken, (self._count_tokens(*told) if usage.calls else 0) or taken.tokens)
        await self._in_hands(lambda: self.runner.files.save_map(result))
        self._keep(result)

    async def _reserve(self, estimates: Sequence[int]) -> Reservation:
        """Wait until requests of about so many tokens may be sent, and note them as sent."""
        estimate = sum(self._spending.tokens_of_next(one) for one in estimates)
        if self._fatal is not None or self._may_not_go_on(estimate):
            raise _NotAskedError
        taken = await self._rate.reserve(estimate)
        self._spending.begin(len(estimates))
        return taken

    async def _prepare(self, task: Task) -> Ready | Result:
        return await self._in_hands(lambda: self.runner.examiner.prepare(task))

    async def _conclude(self, ready: Ready, answered: "Answered | BackendError") -> None:
        if isinstance(answered, BackendError):
            self._keep(failed(ready.task, "backend", answered))
            return

        def conclude() -> Result:
            result = self.runner.examiner.conclude(ready, answered)
            self.runner.files.save_map(result)
            return result

        self._keep(await self._in_hands(conclude))

    def _keep(self, result: Result) -> None:
        """Journal a finished item, and what follows from it; runs in the one thread of the loop."""
        category = result.record.category
        before = self._worst[category]
        worst = worst_of([*before, result.record])
        self.runner.files.save_preview(result, worst)
        self.runner.journal.add(result.record, result.replies)
        self.runner.files.drop_previews(before, worst)
        self.done[result.record.id] = result.record
        self._worst[category] = worst
        if result.record.failure is not None and result.record.failure.kind != "parse":
            self._failures += 1
        self._left[category] -= 1
        self.runner.watch(result.record)

    def pixels_of(self, category: str) -> dict[str, Any] | None:
        """Return the pixel metrics of a class that is complete; None where the journal has them."""
        if category in self.runner.journal.pixels():
            return None
        return self.runner.files.score_pixels(self.runner.plan.of_category(category), self.done)

    def journal_pixels(self, category: str, metrics: dict[str, Any] | None) -> None:
        """Keep the pixel metrics of a class; its maps go, unless items failed that may be tried again."""
        if metrics is not None:
            self.runner.journal.add_pixels(category, metrics)
        failures = [one.failure for one in self.done.values() if one.category == category]
        if not self.runner.limits.keep_maps and all(one is None or one.kind == "parse" for one in failures):
            self.runner.files.drop_maps(self.runner.plan.of_category(category), self.done)

    async def _ask(self, group: Sequence[Ready]) -> "list[Answered | BackendError]":
        """Return what came back for each, from the cache where it is known."""
        keys = [self._key(one) for one in group]
        found = [self._cached(key) for key in keys]
        missing = [one for one, known in zip(group, found, strict=True) if known is None]
        for known in found:
            if known is not None and not known.cached:  # this run paid for them before it was killed
                self._count(known.replies)
        fresh = iter(await self._ask_model(missing) if missing else [])
        answers = [next(fresh) if known is None else known for known in found]
        for key, known, answered in zip(keys, found, answers, strict=True):
            if known is None and isinstance(answered, Answered) and key is not None:
                self.runner.cache.put(key, answered.replies, self.runner.journal.run_id)
        return answers

    async def _ask_model(self, group: Sequence[Ready]) -> "list[Answered | BackendError]":
        async with self._may_ask:
            taken = await self._reserve([estimate_tokens(one.request) for one in group])
            try:
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._mouths, self._generate, group)
            finally:
                self._spending.end(len(group))
            total = sum(self._count(one.replies) for one in answers if isinstance(one, Answered))
            self._rate.settle(taken, total or taken.tokens)
            return answers

    def _count(self, replies: Sequence[Reply]) -> int:
        """Count what replies cost, and return their tokens; a budget that cannot be watched stops the run."""
        return self._count_tokens(*_tokens(replies), cost_of(replies, self.runner.examiner.price))

    def _count_tokens(self, prompt_tokens: int, completion_tokens: int, usd: float | None) -> int:
        self._spending.count(prompt_tokens, completion_tokens, usd)
        total = prompt_tokens + completion_tokens
        if self.runner.limits.budget_usd is not None and (usd is None or not total) and not is_local(self._model):
            missing = "its tokens" if not total else "its price: add --price IN/OUT"
            self._stopped = f"the budget cannot be held, for {self._model} does not tell {missing}"
        return total

    def _generate(self, group: Sequence[Ready]) -> "list[Answered | BackendError]":
        """Ask the model; where a batch fails, one by one, so that one request fails alone."""
        backend, samples = self.runner.examiner.backend, self.runner.examiner.samples
        began = time.perf_counter()
        if len(group) > 1 and isinstance(backend, BatchBackend):
            try:
                batch = backend.generate_batch([one.request for one in group], samples=samples)
                share_s = (time.perf_counter() - began) / len(group)
                return [Answered(tuple(replies), share_s) for replies in batch]
            except BackendError:
                return [self._generate([one])[0] for one in group]
        try:
            replies = backend.generate(group[0].request, samples=samples)
        except BackendError as error:
            return [error]
        return [Answered(tuple(replies), time.perf_counter() - began)]

    def _key(self, ready: Ready) -> str | None:
        """Return where the replies are kept; None for what costs nothing to ask again."""
        backend = self.runner.examiner.backend
        if not self.runner.cache.usable or backend.name == "evidence":
            return None
        return key_of_request(backend, ready.request, self.runner.examiner.samples)

    def _cached(self, key: str | None) -> Answered | None:
        found = None if key is None else self.runner.cache.get(key)
        if found is None:
            return None
        own = found.run == self.runner.journal.run_id  # asked before a kill: paid for by this very run
        return Answered(found.replies, sum(reply.usage.latency_s for reply in found.replies), cached=not own)

    def _may_not_go_on(self, tokens: int = 0) -> bool:
        """Return whether a limit forbids the next request, which is expected to take so many tokens."""
        limits, done, of = self.runner.limits, len(self.done), len(self.runner.plan.tasks)
        if self._stopped is None and limits.max_failures is not None and self._failures >= limits.max_failures:
            last = next(one for one in reversed(self.done.values()) if one.failure and one.failure.kind != "parse")
            assert last.failure is not None
            self._stopped = (
                f"stopped after {self._failures} failed items, {done} of {of} done; the last: {last.failure.message}; "
                "mend it, then --resume --retry-failed"
            )
        if self._stopped is None and self._spending.exceeds(tokens):
            self._stopped = (
                f"the budget of {limits.budget_usd:g} USD is used up ({self._spending.usd:.4f}) with {done} of {of} "
                "items done; --resume with a higher --budget-usd goes on"
            )
        return self._stopped is not None

    async def _in_hands(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._hands, work)


def is_local(model: str) -> bool:
    """Return whether a model runs on this machine, so that it waits for nobody."""
    return model.startswith(("evidence", "hf:"))


def _hand_count(tasks: Sequence[Task], *, local: bool) -> int:
    """Return how many threads prepare: several for pictures; drawing scans and curves is not made for threads.

    Beside a local model one is enough: it would only take cores away from it.
    """
    pictures = not local and all(task.item.path.suffix.lower() in PICTURES for task in tasks)
    return min(MOST_HANDS, max(2, os.cpu_count() or 1)) if pictures else 1


def _groups(tasks: Sequence[Task], size: int) -> Iterator[list[Task]]:
    """Yield the tasks in groups of at most `size`, each of one class."""
    group: list[Task] = []
    for task in tasks:
        if group and (len(group) == size or group[0].category != task.category):
            yield group
            group = []
        group.append(task)
    if group:
        yield group


def _tokens(replies: Sequence[Reply]) -> tuple[int, int]:
    """Return prompt and completion tokens."""
    usages = [reply.usage for reply in replies]
    return sum(one.prompt_tokens for one in usages), sum(one.completion_tokens for one in usages)


async def _all_ended(running: set[asyncio.Task[Any]]) -> None:
    while running:
        await asyncio.wait(set(running))
        running.difference_update({job for job in running if job.done()})
