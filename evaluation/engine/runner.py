"""READ FIRST: a run, from tasks to journalled records.

prepare   in a few threads: read, localize, measure         examiner.py
ask       within the limits, from the cache where known     asking.py
conclude  in the same few threads: parse, fuse              examiner.py; a second look is asked likewise
keep      map and preview to disk, then one transaction     item_files.py, journal.py

What is prepared and waits is bounded, so that a slow server does not fill the memory with maps. With a
`RemoteExaminer`, an item is prepared, asked and concluded there, as a whole, and kept here.
"""

import asyncio
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from converters.errors import ConversionError
from evaluation.engine.asking import Answered, Asker, NotAskedError
from evaluation.engine.examiner import Examiner, Ready, Result, failed
from evaluation.engine.item_files import ItemFiles
from evaluation.engine.journal import Journal
from evaluation.engine.previews import worst_of
from evaluation.engine.reply_cache import ReplyCache
from evaluation.engine.spending import Spending, estimate_tokens_of_task
from evaluation.errors import RunStoppedError
from evaluation.runs.plan import RunPlan, Task
from evaluation.runs.record import Failure, ItemRecord
from evaluation.runs.settings import Limits
from evaluation.scoring.resampling import PlaceScores
from vlm_inspect.backends import is_local
from vlm_inspect.datasets.listing import PICTURES
from vlm_inspect.errors import BackendError, InspectWarning
from vlm_inspect.localization.localizer import batch_of

MOST_THREADS = 4
"""Threads that prepare and conclude."""
Watch = Callable[[ItemRecord], None]
_T = TypeVar("_T")


class RemoteExaminer(Protocol):
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
        remote: where tasks are examined; None: here. The cache is of no use to it.
    """

    plan: RunPlan
    examiner: Examiner
    journal: Journal
    files: ItemFiles
    cache: ReplyCache
    limits: Limits = field(default_factory=Limits)
    watch: Watch = lambda record: None
    remote: RemoteExaminer | None = None

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
        self._closed: set[str] = set()
        self._failures = 0
        self._fatal: BaseException | None = None
        examiner, remote = runner.examiner, runner.remote
        self._asker = Asker(
            examiner.backend,
            runner.limits,
            runner.cache,
            samples=examiner.samples,
            price=examiner.price,
            run_id=runner.journal.run_id,
            spending=Spending(runner.limits, done.values()),
            remote_tasks=None if remote is None else remote.at_once,
            standing=lambda: f"{self._standing()}; --resume with a higher --budget-usd goes on",
        )
        together = batch_of(examiner.inspector.used_localizer)
        threads = _thread_count(self.pending, local=is_local(examiner.backend.name), together=together)
        self._threads = ThreadPoolExecutor(threads, "prepare")
        self._room = asyncio.Semaphore(self._asker.at_once + threads + 1)

    async def carry_out(self) -> None:
        """Do all pending tasks; on a stop, those in flight are finished first."""
        running: set[asyncio.Task[None]] = set()
        try:
            await self._feed(running)
        except asyncio.CancelledError:  # Ctrl-C: what was asked is paid for, so it is waited for and kept
            self._asker.stop("interrupted")
            warnings.warn("waiting for what is in flight; Ctrl-C again leaves at once", InspectWarning, stacklevel=2)
            await _all_ended(running)
            raise
        finally:
            await _all_ended(running)
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._asker.close()
        if self._fatal is not None:
            raise self._fatal
        if self._asker.stopped is not None and len(self.done) < len(self.runner.plan.tasks):
            raise RunStoppedError(self._asker.stopped)

    async def _feed(self, running: set[asyncio.Task[None]]) -> None:
        """Start group after group while there is room; the first of a class goes alone until it is prepared."""
        category = None
        for group in _groups(self.pending, self._asker.batch):
            await self._room.acquire()
            if not self._asker.may_go_on():
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
            if self.runner.remote is None:
                await self._do_here(group, prepared)
            else:
                prepared.set()
                await self._do_remotely(group[0], self.runner.remote)
            category = group[0].category
            if not self._left[category] and category not in self._closed:
                self._closed.add(category)
                self.journal_pixels(category, await self._in_thread(lambda: self.pixels_of(category)))
        except NotAskedError:  # the run stops: what is prepared is not asked, and stays undone
            return
        except BaseException as error:
            self._fatal = self._fatal or error
            self._asker.stop(str(error))
            if not isinstance(error, Exception):
                raise
        finally:
            prepared.set()
            self._room.release()

    async def _do_here(self, group: Sequence[Task], prepared: asyncio.Event) -> None:
        first = await self._prepare(group[0])
        prepared.set()
        ready = [first, *[await self._prepare(task) for task in group[1:]]]
        asked = [one for one in ready if one is not None]
        while asked:
            answers = await self._asker.ask([one.request for one in asked])
            further = [await self._advance(*pair) for pair in zip(asked, answers, strict=True)]
            asked = [one for one in further if one is not None]

    async def _do_remotely(self, task: Task, remote: RemoteExaminer) -> None:
        async def examine() -> Result:
            try:
                return await remote.examine(task)
            except BackendError as error:
                return failed(task, "backend", error)

        result = await self._asker.ask_remotely(estimate_tokens_of_task(task), examine, lambda one: one.record.usage)
        await self._in_thread(lambda: self._save(result))
        self._keep(result)

    async def _prepare(self, task: Task) -> Ready | None:
        """Return a task whose request can be sent; None where its file cannot be read, which is kept."""
        try:
            return await self._in_thread(lambda: self.runner.examiner.prepare(task))
        except ConversionError as error:
            self._keep(failed(task, "unreadable", error))
            return None

    async def _advance(self, one: Ready, answered: Answered | BackendError) -> Ready | None:
        """Return a task that asks more after an answer; None: it is done, and its result kept."""
        examiner = self.runner.examiner
        if isinstance(answered, BackendError):
            self._keep(examiner.failed_answer(one, answered))
            return None
        try:
            ready = await self._in_thread(lambda: examiner.advance(one, answered))
        except ConversionError as error:
            self._keep(failed(one.task, "unreadable", error))
            return None
        if not ready.is_answered:
            return ready

        def conclude() -> Result:
            result = examiner.conclude(ready, self._is_among_worst)
            self._save(result)
            return result

        self._keep(await self._in_thread(conclude))
        return None

    def _is_among_worst(self, record: ItemRecord) -> bool:
        """Return whether a mistake may be shown; one that is not among the worst so far never will be."""
        return any(one is record for one in worst_of([*self._worst[record.category], record]))

    def _save(self, result: Result) -> None:
        """Write map and preview; runs in a thread, for the loop, and with it all requests, would wait for the disk."""
        self.runner.files.save_map(result)
        self.runner.files.save_figure(result)
        if result.preview is not None and self._is_among_worst(result.record):
            self.runner.files.save_preview(result)

    def _keep(self, result: Result) -> None:
        """Journal a finished item, and what follows from it; runs in the one thread of the loop."""
        category = result.record.category
        before = self._worst[category]
        worst = worst_of([*before, result.record])
        self.runner.journal.add(result.record, result.replies)
        drawn = [] if result.preview is None else [result.record]  # others may have turned out worse meanwhile
        self.runner.files.drop_previews([*before, *drawn], worst)
        self.done[result.record.id] = result.record
        self._worst[category] = worst
        if result.record.failure is not None and result.record.failure.kind != "parse":
            self._failures += 1
            self._mind_failures(result.record.failure)
        self._left[category] -= 1
        self.runner.watch(result.record)

    def pixels_of(self, category: str) -> PlaceScores | None:
        """Return the pixel metrics of a class that is complete; None where the journal has them."""
        if category in self.runner.journal.pixels():
            return None
        plan = self.runner.plan
        return self.runner.files.score_pixels(plan.of_category(category), self.done, plan.folder_words)

    def journal_pixels(self, category: str, scores: PlaceScores | None) -> None:
        """Keep the pixel metrics of a class; its maps go, unless items failed that may be tried again."""
        if scores is not None:
            self.runner.journal.add_pixels(category, scores.metrics, scores.draws)
        failures = [one.failure for one in self.done.values() if one.category == category]
        if not self.runner.limits.keep_maps and all(one is None or one.kind == "parse" for one in failures):
            self.runner.files.drop_maps(self.runner.plan.of_category(category), self.done)

    def _mind_failures(self, last: Failure) -> None:
        """Stop the run where too many items failed."""
        most = self.runner.limits.max_failures
        if most is not None and self._failures >= most:
            self._asker.stop(
                f"stopped after {self._failures} failed items, {self._standing()}; the last: {last.message}; mend it, "
                "then --resume --retry-failed"
            )

    def _standing(self) -> str:
        return f"{len(self.done)} of {len(self.runner.plan.tasks)} items done"

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _thread_count(tasks: Sequence[Task], *, local: bool, together: int = 1) -> int:
    """Return how many threads prepare: several for pictures; drawing scans and curves is not made for threads.

    Beside a local model one is enough: it would only take cores away from it. A localizer that judges the pictures of
    several parts together needs a thread for each.
    """
    if not all(task.item.path.suffix.lower() in PICTURES for task in tasks):
        return 1
    return max(together, 1 if local else min(MOST_THREADS, max(2, os.cpu_count() or 1)))


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


async def _all_ended(running: set[asyncio.Task[Any]]) -> None:
    while running:
        await asyncio.wait(set(running))
        running.difference_update({job for job in running if job.done()})
