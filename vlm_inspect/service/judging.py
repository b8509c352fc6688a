"""`Judges`: the threads that take parts from the spool, judge them and keep them as cases."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from vlm_inspect.backends.reply_journal import SUFFIX, ReplyJournal, remove_old
from vlm_inspect.errors import BackendError, InspectError, StoreError
from vlm_inspect.file_writing import write_atomically
from vlm_inspect.inspection import StepRecord
from vlm_inspect.part_queue import Judged, judge_one
from vlm_inspect.service.deliveries import Deliveries
from vlm_inspect.service.metrics import Metrics
from vlm_inspect.service.path_free import PathFree
from vlm_inspect.service.priority import give_way
from vlm_inspect.service.rule_books import RuleBooks
from vlm_inspect.service.settings import ServiceSettings
from vlm_inspect.service.spool import LONGEST_SERIAL, Job, Spool
from vlm_inspect.service.timelines import Timelines
from vlm_inspect.store import CaseStore

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination

Value = TypeVar("Value")
_LOG = logging.getLogger("vlm_inspect.service")
_STORE_TRIES, _STORE_WAIT_S = 6, 2.0
"""The store is tried again after 2, 4, 8 s and so on, a minute in all: a database that restarts fails no part."""
_LOGGED_EVERY_S = 10.0
"""How often the log tells how far the references of a class are learned, in seconds."""
_MODEL_FAILED = "the model failed"


@dataclass(frozen=True)
class Ended:
    """What became of a part."""

    state: Literal["done", "failed"]
    error: str = ""
    by_model: bool = False
    """Whether the model failed, not the part."""


class Judges:
    """Judges what the spool holds, until it is stopped."""

    def __init__(
        self,
        settings: ServiceSettings,
        spool: Spool,
        books: RuleBooks,
        store: CaseStore,
        metrics: Metrics,
        deliveries: Deliveries,
        path_free: PathFree,
    ) -> None:
        """Judge with `settings.workers` threads; nothing begins before `start`."""
        self._settings, self._spool, self._books, self._store, self._metrics = settings, spool, books, store, metrics
        self._deliveries = deliveries
        spool.before_failing = self._tell_failure
        self._path_free = path_free
        self.timelines = Timelines(settings.data / "timelines")
        self._lock = threading.Lock()
        self._steps: dict[str, str] = {}
        self._taken: dict[str, tuple[StepRecord, ...]] = {}
        self._waiters: dict[str, Future[Ended]] = {}
        self._stopped = threading.Event()
        self._mean_s = 1.0
        self._threads = [
            threading.Thread(target=self._run, name=f"judge-{number}", daemon=True)
            for number in range(settings.workers)
        ]
        self.cold: dict[str, str] = dict.fromkeys(books.names(), "not read yet")
        """Books whose references are not learned yet: how far they are, or why they cannot be."""

    def start(self) -> None:
        """Warm the inspectors up, and judge."""
        remove_old(self._settings.data / f"paid{SUFFIX}")
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()
        for thread in self._threads:
            thread.start()

    def stop(self, *, wait_s: float = 10.0) -> None:
        """Take no further part; one that is not judged within the wait is judged again after the next start."""
        self._stopped.set()
        self._spool.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(wait_s)

    @property
    def pause_s(self) -> float:
        """Return after how many seconds a place in a full queue is likely to be free."""
        return min(60.0, max(1.0, self._mean_s / self._settings.workers))

    @property
    def is_alive(self) -> bool:
        """Whether every thread is at work."""
        return all(thread.is_alive() for thread in self._threads)

    def step(self, job_id: str) -> str:
        """Return what is being done with a part, in words; empty: nothing is known."""
        return self._steps.get(job_id, "")

    def taken(self, job_id: str) -> tuple[StepRecord, ...]:
        """Return the steps that an agent, or a second look, has taken over a part that is being judged."""
        return self._taken.get(job_id, ())

    def watch(self, job_id: str) -> "Future[Ended]":
        """Return a future of what becomes of a part; call it before the part can be judged."""
        with self._lock:
            return self._waiters.setdefault(job_id, Future())

    def unwatch(self, job_id: str) -> None:
        """Forget a future that nobody waits for any more."""
        with self._lock:
            self._waiters.pop(job_id, None)

    def scan_path(self, job_id: str) -> Path:
        """Return where the coloured scan of a case is, if it has one."""
        return self._settings.data / "scans" / f"{job_id}.ply"

    def _steps_path(self, job_id: str) -> Path:
        """Return where the steps of a part are kept until its case is."""
        return self._settings.data / f"paid{SUFFIX}" / f"{job_id}{SUFFIX}"

    def _warm_up(self) -> None:
        give_way()
        names = list(self.cold)
        for number, name in enumerate(names, start=1):
            if self._stopped.is_set():
                return
            which, began = f"rule book {name} ({number} of {len(names)})", time.monotonic()
            _LOG.info("%s: reading its references", which)
            reason = self._books.warm_up(name, self._telling_of(name, which))
            if reason:
                _LOG.warning("%s cannot be used: %s", which, reason)
                self.cold[name] = self._path_free.message(reason)
            else:
                _LOG.info("%s: ready after %.0f s", which, time.monotonic() - began)
                self.cold.pop(name, None)

    def _telling_of(self, name: str, which: str) -> Callable[[str], None]:
        """Return what notes how far the references of a book are learned, and logs it now and then."""
        logged_s = time.monotonic()

        def tell(step: str) -> None:
            nonlocal logged_s
            self.cold[name] = self._path_free.message(step)
            if time.monotonic() - logged_s >= _LOGGED_EVERY_S:
                logged_s = time.monotonic()
                _LOG.info("%s: %s", which, step)

        return tell

    def _run(self) -> None:
        give_way()
        while (job := self._spool.take()) is not None:
            try:
                ended = self._judge(job)
                if ended is not None:
                    self._end(job, ended)
            except Exception:  # noqa: BLE001 - a bug that one part brings out must not end the thread
                _LOG.exception("part %s", job.id)
                self._end(job, Ended("failed", "internal error, please report it; the service's log tells more"))

    def _end(self, job: Job, ended: Ended) -> None:
        """Let the spool, the figures and whoever waits know what became of a part."""
        if ended.state == "failed":
            self._spool.fail(job.id, ended.error)
            self._metrics.failures.labels(rules=job.rules).inc()
        else:
            self._spool.finish(job.id)
            with suppress(InspectError):
                ReplyJournal(self._steps_path(job.id)).discard()  # a failed part keeps its steps for another try
        self._steps.pop(job.id, None)
        self._taken.pop(job.id, None)
        with self._lock:
            waiter = self._waiters.pop(job.id, None)
        if waiter is not None:
            with suppress(InvalidStateError):  # whoever waited left at this moment
                waiter.set_result(ended)

    def _judge(self, job: Job) -> Ended | None:
        """Judge a part and keep it; None: the service stops, and the part waits for its next start."""
        part = self._spool.part(job)
        try:
            if self._patiently(lambda: self._store.holds(job.id)):  # it was kept just before the process ended
                return self._delivered(job, part, None)
        except StoreError as error:
            return self._unkept(error)
        began = time.monotonic()
        with self._metrics.judging.labels(rules=job.rules).time():
            judged = judge_one(lambda source: self._examine(job, source), part)
        self._mean_s += (time.monotonic() - began - self._mean_s) / 8
        job = self._with_serial(job, judged)
        if judged.examination is None:
            by_model = self._steps.get(job.id) == _MODEL_FAILED
            return Ended("failed", self._path_free.message(judged.error.replace(str(part), part.name)), by_model)
        try:
            self._keep(job, judged.examination, part)
        except (InspectError, OSError) as error:
            return self._unkept(error)
        self._metrics.inspections.labels(rules=job.rules, outcome=judged.examination.inspection.outcome).inc()
        return self._delivered(job, part, judged.examination)

    def _delivered(self, job: Job, part: Path, examination: "Examination | None") -> Ended | None:
        """Deliver a part whose case is kept; see `_judge`. Without an examination it is read from the store."""
        if not self._deliveries.are_any:
            return Ended("done")

        def deliver() -> None:
            if examination is not None:
                self._deliveries.of_case(job, part, examination)
                return
            case = self._store.load(job.id)
            self._deliveries.of_case(job.model_copy(update={"serial": case.serial}), part, case.examination)

        try:
            self._patiently(deliver)
        except (InspectError, OSError) as error:
            return self._unkept(error, "it is kept as a case, but what goes out could not be delivered: ")
        return Ended("done")

    def _unkept(self, error: Exception, what: str = "") -> Ended | None:
        """Return the end of a part that could not be written down; None: the service stops, which may be why."""
        return None if self._stopped.is_set() else Ended("failed", what + self._path_free.message(str(error)))

    def _with_serial(self, job: Job, judged: "Judged[Path]") -> Job:
        """Return the job with the serial number of its part: the one that came with it, else the one that is found."""
        finder = self._settings.serial
        found = None if job.serial or finder is None else finder.find(judged)[:LONGEST_SERIAL]
        return job.model_copy(update={"serial": found}) if found else job

    def _tell_failure(self, job_id: str, error: str) -> None:
        if not self._deliveries.are_any:
            return
        job = self._spool.job(job_id) or Job(id=job_id, name="", rules="")
        try:
            if self._store.holds(job_id):
                return  # it was judged: what failed came after
            part = self._spool.part(job)
            self._deliveries.of_failure(self._with_serial(job, Judged(part, None, error)), part, error)
        except InspectError as unsaid:
            _LOG.warning("part %s failed, and nobody could be told: %s", job_id, unsaid)

    def _examine(self, job: Job, source: Path) -> "Examination":
        self._steps[job.id] = "getting ready"

        def say(step: str) -> None:
            self._steps[job.id] = self._path_free.message(step)

        def take(step: StepRecord) -> None:
            if step.n == 1 and step.phase == "judge":
                return  # the one look of a plain inspection
            self._taken[job.id] = (*self._taken.get(job.id, ()), step)

        try:
            inspector = self._books.inspector(job.rules)
            if not inspector.agent.enabled:
                return inspector.examine(source, job.question, progress=say, watch=take)
            with self._books.steps.using(ReplyJournal(self._steps_path(job.id))):  # a restart pays for no step twice
                return inspector.examine(source, job.question, progress=say, watch=take)
        except BackendError:
            self._steps[job.id] = _MODEL_FAILED
            raise

    def _keep(self, job: Job, examination: "Examination", part: Path) -> None:
        """Keep the case; a store that another process holds is waited for, since the part was promised."""
        if examination.evidence.surface is not None:
            from vlm_inspect.report.ply import render_ply

            self.scan_path(job.id).parent.mkdir(mode=0o700, exist_ok=True)
            write_atomically(self.scan_path(job.id), render_ply(examination.evidence.surface))
        self.timelines.keep(job.id, examination, part)
        settings = {
            "config": self._books.config(job.rules).as_record(),
            "as_kind": None,
            "folder": str(self._books.folder.absolute()),
            "rule_book": job.rules,
            "by": job.by,
        }
        self._patiently(
            lambda: self._store.save(
                examination,
                part,
                keep_input=self._settings.keep_input,
                settings=settings,
                case_id=job.id,
                serial=job.serial,
            )
        )

    def _patiently(self, ask: Callable[[], Value]) -> Value:
        """Ask the store, several times if need be: another process may hold it, or its server may start again."""
        for number in range(1, _STORE_TRIES):
            try:
                return ask()
            except StoreError:
                if self._stopped.wait(_STORE_WAIT_S * 2.0 ** (number - 1)):
                    raise
        return ask()
