"""READ FIRST: from a recipe to workers that examine the items of a run.

with open_workers(recipe, address=None, concurrency=None, items=64) as workers:
    records = Runner(..., remote=workers).run()

    items -> workers -> examiner.examine(item) -> results, back to the one runner, which writes the journal
                |
                +-> models        an hf: model, in batches
                +-> localizers    winclip, alfa, dapo, promptad where there are GPUs

Each kind is a `Group` of Ray actors. Ray starts a process again that died, and repeats what it was asked.
"""

import asyncio
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from evaluation.engine.cluster.connection import connected
from evaluation.engine.cluster.group import RETRIES, Group
from evaluation.engine.cluster.members import LocalizerMember, ModelMember, Worker
from evaluation.engine.cluster.recipe import Recipe
from evaluation.engine.cluster.shares import Share, Shares, share_out
from evaluation.engine.examiner import Result
from evaluation.runs.plan import Task
from vlm_inspect.errors import InspectWarning

_SAID_WITHIN_S = 5.0


class Workers:
    """The workers of one run: a `RemoteExaminer` of the runner."""

    def __init__(self, group: Group, at_once: int) -> None:
        """Use a group of `Worker` actors, with so many items in flight on all of them together."""
        self._group = group
        self.at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "examine")

    async def examine(self, task: Task) -> Result:
        """Return the result of a task, from whichever worker has room.

        Raises:
            BackendError: every process died that had this task.
            RunError: no item can be judged, or there is no worker.
        """
        loop = asyncio.get_running_loop()
        found: Result = await loop.run_in_executor(self._threads, self._group.ask, "examine", task)
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
        actors = _Actors(ray)
        try:
            yield actors.start(recipe, shares)
            actors.report()
        finally:
            actors.end()


@dataclass
class _Actors:
    """The actors of one run."""

    ray: Any
    _name: str = field(default_factory=lambda: f"vlm-inspect-{uuid4().hex}")
    _started: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """What one is called, and its handle, by name."""

    def start(self, recipe: Recipe, shares: Shares) -> Workers:
        """Start all of them."""
        models = self._start("model", ModelMember, shares.models, shares, recipe, shares.batch)
        localizers = self._start("localizer", LocalizerMember, shares.localizers, shares, recipe, models)
        workers = self._start("worker", Worker, shares.workers, shares, recipe, models, localizers)
        return Workers(Group(self.ray, [self._started[name][1] for name in workers], "worker"), shares.at_once)

    def report(self) -> None:
        """Say of which kinds processes died."""
        asked = {actor.restarted.remote(): kind for kind, actor in self._started.values()}
        there, gone = self.ray.wait(list(asked), num_returns=len(asked), timeout=_SAID_WITHIN_S)
        for kind in dict.fromkeys([*(asked[one] for one in there if self.ray.get(one)), *(asked[one] for one in gone)]):
            told = f"a Ray {kind} died; what it had was asked again"
            warnings.warn(told, InspectWarning, stacklevel=2)

    def end(self) -> None:
        """End them, workers first, so that none misses what it asks."""
        for _, actor in reversed(self._started.values()):
            self.ray.kill(actor)

    def _start(self, kind: str, actor: type, share: Share | None, shares: Shares, *given: Any) -> tuple[str, ...]:
        """Start the actors of one kind, and return their names; none where there is no share."""
        names = [f"{self._name}-{kind}-{number}" for number in range(0 if share is None else share.members)]
        for name in names:
            assert share is not None
            chosen = {"num_cpus": share.cores, "num_gpus": share.gpus, "scheduling_strategy": "SPREAD"}
            chosen |= {"max_restarts": -1, "max_task_retries": RETRIES, "max_concurrency": shares.at_once + 2}
            self._started[name] = kind, self.ray.remote(actor).options(name=name, **chosen).remote(*given)
        return tuple(names)
