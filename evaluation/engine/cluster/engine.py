"""READ FIRST: from a recipe to workers that examine the items of a run.

with open_workers(recipe, address=None, concurrency=None, items=64) as workers:
    records = Runner(..., elsewhere=workers).run()

    items -> Pool -> workers -> examiner.examine(item) -> results, back to the one runner, which writes the journal
                        |
                        +-> desk -> Pool -> models        an hf: model, in batches
                        +-> desk -> Pool -> localizers    winclip, alfa, dapo, promptad where there are GPUs

An item whose worker died is asked again at another one; so is a request whose model, and a sample whose localizer died.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from evaluation.engine.cluster.connection import connected
from evaluation.engine.cluster.desk import Desk
from evaluation.engine.cluster.members import LocalizerMember, ModelMember, Worker
from evaluation.engine.cluster.pool import ATTEMPTS, Pool, Trouble
from evaluation.engine.cluster.recipe import Recipe
from evaluation.engine.cluster.shares import Share, Shares, share_out
from evaluation.engine.examiner import Result
from evaluation.runs.plan import Task
from vlm_inspect.errors import InspectWarning

_SAID_WITHIN_S = 5.0


class Workers:
    """The workers of one run: an `Elsewhere` of the runner."""

    def __init__(self, pool: Pool, at_once: int) -> None:
        """Use a pool of `Worker` actors, with so many items in flight on all of them together."""
        self._pool = pool
        self.at_once = at_once

    async def examine(self, task: Task) -> Result:
        """Return the result of a task, from whichever worker has room.

        Raises:
            BackendError: every process died that had this task.
            RunError: no item can be judged, or there is no worker.
        """
        told = await self._pool.ask(task)
        if isinstance(told, Trouble):
            raise told.error
        found: Result = told
        return found


@contextmanager
def open_workers(recipe: Recipe, *, address: str | None, concurrency: int | None, items: int) -> Iterator[Workers]:
    """Connect to a cluster, or start one on this machine, and start all processes, which end with the context.

    Args:
        recipe: what they do.
        address: HOST:PORT of a cluster; None: one on this machine, or that which this process is connected to.
        concurrency: see `share_out`.
        items: how many there are.

    Raises:
        RunError: Ray is not installed, the cluster cannot be reached, or it has no room for a worker.
    """
    with connected(address) as ray:
        there = ray.cluster_resources()
        machines = sum(bool(node["Alive"] and node["Resources"].get("CPU")) for node in ray.nodes())
        shares = share_out(recipe.config, there, machines, concurrency=concurrency, items=items)
        if there.get("GPU", 0.0) < 1:  # none that Ray could keep several processes from sharing
            recipe = replace(recipe, config=recipe.config.with_changes(device="cpu"))
        crew = _Crew(ray)
        try:
            yield crew.hire(recipe, shares)
            crew.report()
        finally:
            crew.dismiss()


@dataclass
class _Crew:
    """The actors of one run."""

    ray: Any
    _name: str = field(default_factory=lambda: f"vlm-inspect-{uuid4().hex}")
    _hired: dict[str, Any] = field(default_factory=dict)
    """By name."""
    _desks: dict[str, str] = field(default_factory=dict)
    """Names of desks, by what is asked there."""

    def hire(self, recipe: Recipe, shares: Shares) -> Workers:
        """Start all of them."""
        models = localizers = None
        if shares.models is not None:
            models = self._desk("model", self._start(ModelMember, shares.models, recipe), shares.batch, shares)
        if shares.localizers is not None:
            seeing = self._start(LocalizerMember, shares.localizers, recipe, models)
            localizers = self._desk("localizer", seeing, 1, shares)
        workers = self._start(Worker, shares.workers, recipe, models, localizers, slots=shares.slots)
        pool = Pool(self.ray, [self._hired[name] for name in workers], slots=shares.slots, on_death=_warn_of_worker)
        return Workers(pool, shares.at_once)

    def report(self) -> None:
        """Say which of those died that this process did not see."""
        for name, desk in self._desks.items():
            try:
                deaths = self.ray.get(self._hired[desk].deaths.remote(), timeout=_SAID_WITHIN_S)
            except self.ray.exceptions.RayError:
                continue
            if deaths:
                told = f"a Ray process ({name}) died, {deaths} in all; what it was asked was asked again"
                warnings.warn(told, InspectWarning, stacklevel=2)

    def dismiss(self) -> None:
        """End them, workers first, so that none misses what it asks."""
        for actor in reversed(self._hired.values()):
            self.ray.kill(actor)

    def _start(self, kind: type, share: Share, *given: Any, slots: int = 1) -> list[str]:
        chosen = {"num_cpus": share.cores, "num_gpus": share.gpus, "scheduling_strategy": "SPREAD"}
        chosen |= {"max_task_retries": 0, "max_concurrency": slots + 1}  # the pool sees to both; one more to be found
        return [self._hire(kind, given, chosen) for _ in range(share.members)]

    def _desk(self, name: str, members: list[str], most: int, shares: Shares) -> str:
        asking = shares.at_once + shares.workers.members + 1
        chosen = {"num_cpus": 0, "max_task_retries": ATTEMPTS - 1, "max_concurrency": asking}
        self._desks[name] = self._hire(Desk, (members, name, most), chosen)
        return self._desks[name]

    def _hire(self, kind: type, given: tuple[Any, ...], chosen: dict[str, Any]) -> str:
        name = f"{self._name}-{len(self._hired)}"
        actor = self.ray.remote(kind).options(name=name, max_restarts=-1, **chosen)
        self._hired[name] = actor.remote(*given)
        return name


def _warn_of_worker() -> None:
    warnings.warn("a Ray worker died; its items are asked again", InspectWarning, stacklevel=2)
