"""`--engine ray`: the items of a run, each as a whole, in worker processes of a Ray cluster.

with open_workers(recipe, address=None, concurrency=None, items=64) as workers:
    records = Runner(..., elsewhere=workers).run()

A worker is an actor that makes its own examiner of a recipe: objects that hold locks, connections or weights do not
travel. Results come back to the one runner, which alone writes the journal. The item of a worker that died is asked
again at another one; the worker is used again when Ray has restarted it.
"""

import asyncio
import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import vlm_inspect
from evaluation.bench.examiner import Examiner, Result
from evaluation.bench.plan import Task
from evaluation.bench.settings import Price
from evaluation.errors import RunError
from vlm_inspect.calibration import Thresholds
from vlm_inspect.errors import BackendError, InspectError, InspectWarning
from vlm_inspect.rules import RuleBook

ATTEMPTS = 4
"""How often an item is asked whose worker died, before it counts as failed: it may be what kills them."""
PATIENCE_S = 120.0
"""How long a run waits while it has no worker at all."""
_RESTARTS_LOOKED_FOR = 5
_REACHED_WITHIN_S = 10.0
_ON_A_GPU = ("winclip", "alfa", "dapo", "promptad")
"""Localizers that `--device` is about."""


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to make an examiner; plain data, which can be sent."""

    options: Mapping[str, Any]
    """Of `make_inspector`."""
    rules: Mapping[str, RuleBook]
    """By class, for every class."""
    thresholds: Mapping[str, Thresholds]
    """By class."""
    template: str
    samples: int
    price: Price | None
    server: str | None
    """URL of an `openai:` model, without secrets."""
    folder: Path
    """What relative paths start from."""
    version: str = vlm_inspect.__version__

    def make_examiner(self) -> Examiner:
        """Return the examiner; loads what the model and the localizer need.

        Raises:
            RunError: this machine lacks the folder, or would give other results.
            InspectError: the model or the localizer cannot be used here.
        """
        from vlm_inspect.commands.inspecting import make_inspector

        if self.version != vlm_inspect.__version__:
            raise RunError(f"a worker has vlm-inspect {vlm_inspect.__version__}, not {self.version}; install the same")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise RunError(f"a worker has no folder {self.folder}; mount it at the same place everywhere") from error
        inspector = make_inspector(dict(self.options))
        endpoint = getattr(inspector.backend, "endpoint", None)
        if endpoint is not None and endpoint.shown_url != self.server:
            raise RunError(f"a worker would ask {endpoint.shown_url}, not {self.server}; give --base-url")
        return Examiner(
            backend=inspector.backend,
            localizer=inspector.eyes,
            rules=self.rules,
            thresholds=self.thresholds,
            template=self.template,
            samples=self.samples,
            look_again=inspector.look_again,
            limits=inspector.limits,
            price=self.price,
        )

    def gpus(self, there: float) -> int:
        """Return how many GPUs a worker asks for, of those in the cluster.

        Raises:
            RunError: CUDA is asked for, and the cluster has no GPU.
        """
        device, parts = self.options["device"], str(self.options["localizer"]).split("+")
        for_gpu = self.options["model"].startswith("hf:") or any(part.strip() in _ON_A_GPU for part in parts)
        if not for_gpu or device == "cpu":
            return 0
        if device == "cuda" and there < 1:
            raise RunError("--device cuda: no machine of the Ray cluster has a GPU; use --device auto or cpu")
        return int(there >= 1)


class Worker:
    """What runs in a process of the cluster."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._examiner: Examiner | None = None
        self._lock = threading.Lock()

    def answer(self) -> bool:
        """Return that the process runs."""
        return True

    def examine(self, task: Task) -> Result | str:
        """Return the result of a task; the line that says why, where no item could have one."""
        try:
            with self._lock:
                if self._examiner is None:
                    self._examiner = self._recipe.make_examiner()
            return self._examiner.examine(task)
        except InspectError as error:  # as text: an exception that needs more than a message cannot be sent
            return str(error)


@dataclass(eq=False)
class _Place:
    """A worker as the runner sees it."""

    actor: Any
    up: bool = False
    busy: int = 0


class Workers:
    """The workers of one run: an `Elsewhere` of the runner."""

    def __init__(self, ray: Any, actors: list[Any], at_once: int) -> None:
        """Use actors of class `Worker`, that start or are to start.

        Args:
            ray: the library.
            actors: their handles.
            at_once: items in flight, on all workers together.
        """
        self._ray = ray
        self._places = [_Place(actor) for actor in actors]
        self._share = -(-at_once // len(actors))
        self._changed = asyncio.Event()
        self._waits: set[asyncio.Task[None]] = set()
        self._begun = False
        self.at_once = at_once
        self.moved = 0
        """How often an item was asked again because its worker died."""

    async def examine(self, task: Task) -> Result:
        """Return the result of a task, from whichever worker has room.

        Raises:
            BackendError: every worker that was given this task died.
            RunError: no item can be judged, or there is no worker.
        """
        self._begin()
        for attempt in range(ATTEMPTS):
            place = await self._room()
            try:
                told = await place.actor.examine.remote(task)
            except self._ray.exceptions.RayTaskError:  # a fault of the program, as it would be in this process
                raise
            except self._ray.exceptions.RayError:
                self._mend(place)
                self.moved += attempt < ATTEMPTS - 1
                continue
            finally:
                place.busy -= 1
                self._changed.set()
            if isinstance(told, str):
                raise RunError(told)
            found: Result = told
            return found
        raise BackendError(f"{ATTEMPTS} workers died one after the other while they had this item")

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            for place in self._places:
                self._await(place)

    def _await(self, place: _Place) -> None:
        waits = asyncio.create_task(self._welcome(place))
        self._waits.add(waits)
        waits.add_done_callback(self._waits.discard)

    async def _welcome(self, place: _Place) -> None:
        """Use a worker from when it runs."""
        for _ in range(_RESTARTS_LOOKED_FOR):
            try:
                await place.actor.answer.remote()
            except self._ray.exceptions.RayError:
                await asyncio.sleep(0.5)
                continue
            place.up = True
            self._changed.set()
            return

    def _mend(self, place: _Place) -> None:
        """Do without a worker that died until Ray has restarted it."""
        if place.up:
            place.up = False
            warnings.warn("a Ray worker died; its items are asked again", InspectWarning, stacklevel=2)
            self._await(place)

    async def _room(self) -> _Place:
        """Return the least busy worker, with one item more."""
        while True:
            free = [place for place in self._places if place.up and place.busy < self._share]
            if free:
                place = min(free, key=lambda one: one.busy)
                place.busy += 1
                return place
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), PATIENCE_S)
            except TimeoutError:
                if not any(place.up for place in self._places):
                    raise RunError(
                        f"no Ray worker has started within {PATIENCE_S:g} s: the cluster is busy, or its machines are "
                        "gone; --resume goes on"
                    ) from None


def check_installed() -> None:
    """Make sure that Ray is there.

    Raises:
        RunError: it is not.
    """
    if find_spec("ray") is None:
        raise RunError("--engine ray needs Ray: pip install 'vlm-inspect[ray]'")


@contextmanager
def open_workers(recipe: Recipe, *, address: str | None, concurrency: int | None, items: int) -> Iterator[Workers]:
    """Connect to a cluster, or start one on this machine, and start workers, which end with the context.

    A worker takes one core, and one GPU where the model or the localizer runs on it.

    Args:
        recipe: what they do.
        address: HOST:PORT of a cluster; None: one on this machine, or that which this process is connected to.
        concurrency: most items in flight; None: one a worker.
        items: how many there are.

    Raises:
        RunError: Ray is not installed, the cluster cannot be reached, or it has no room for a worker.
    """
    check_installed()
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        os.environ.setdefault(name, "0")  # tell nobody of this run; and no remark on GPUs that no worker asked for
    ray: Any = import_module("ray")
    if address is not None:
        _check_reachable(address)
        if ray.is_initialized():
            raise RunError("--ray-address: this process is connected to a Ray cluster already; leave the option out")
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    actors: list[Any] = []
    try:
        there = ray.cluster_resources()
        gpus = recipe.gpus(there.get("GPU", 0.0))
        count = min(int(there.get("GPU" if gpus else "CPU", 0.0)), items, concurrency or items)
        if count < 1:
            raise RunError("the Ray cluster has no core for a worker; start it with --num-cpus of at least 1")
        at_once = concurrency or count
        chosen = ray.remote(Worker).options(
            num_cpus=1, num_gpus=gpus, max_restarts=-1, max_task_retries=0, max_concurrency=-(-at_once // count) + 1
        )
        actors += [chosen.remote(recipe) for _ in range(count)]
        yield Workers(ray, actors, at_once)
    finally:
        for actor in actors:
            ray.kill(actor)
        if own:
            ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    """Raises RunError where there is no cluster at this address, or none can be started."""
    import logging

    told: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **told)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"--ray-address {address}: the cluster cannot be used" if address else "Ray cannot be started here"
        raise RunError(
            f"{where} ({str(error).strip().splitlines()[0]}); see `ray status`, and RAY_AUTH_TOKEN"
        ) from error


def _check_reachable(address: str) -> None:
    """Raises RunError where nothing listens at an address: Ray itself would try for minutes, then end the process."""
    import socket

    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise RunError(f"--ray-address {address} is not HOST:PORT, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), timeout=_REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise RunError(
            f"--ray-address {address} cannot be reached ({error}); start it with: ray start --head"
        ) from error
