"""`Pool`: several processes of one kind, what waits for them, and what happens when one of them dies.

    pool = Pool(ray, members, most=8, linger_s=0.1)
    answer = await pool.ask(order, kind="screw")

A member is a Ray actor with `ready.remote()` and `work.remote(orders)`, which returns one answer an order. Orders of a
kind go to it together, up to `most`. What a dead member had is given out again, as it has no result yet; so that an
order which kills takes no other with it, an order that was lost twice is tried by itself.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from evaluation.errors import RunError
from vlm_inspect.errors import BackendError, InspectError

ATTEMPTS = 4
"""How often an order is given out whose member died, before it counts as failed: it may be what kills them."""
PATIENCE_S = 120.0
"""How long an order waits while there is no member at all."""
_BY_ITSELF_FROM = 2
_LOOKED_FOR_EVERY_S = 0.5


class ItemError(BackendError):
    """One item cannot be judged; others may."""


@dataclass(frozen=True)
class Trouble:
    """What comes back in place of an answer: an exception that needs more than a message cannot be sent."""

    message: str
    alone: bool = False
    """Whether it is the trouble of this order alone; else no item can be judged."""

    @property
    def error(self) -> InspectError:
        """It as what is raised."""
        return ItemError(self.message) if self.alone else RunError(self.message)


@dataclass(eq=False)
class _Place:
    """A member as the pool sees it."""

    member: Any
    since: float
    """When it was last seen to live, on the clock of the loop."""
    up: bool = False
    gone: str | None = None
    """Why it will never be up."""
    busy: int = 0
    reserved: bool = False
    """Whether an order is tried there by itself."""


@dataclass(eq=False)
class _Job:
    order: Any
    kind: str
    since: float
    told: asyncio.Future[Any] = field(repr=False)
    lost: int = 0

    @property
    def suspect(self) -> bool:
        return self.lost >= _BY_ITSELF_FROM

    def tell(self, answer: Any) -> None:
        if not self.told.done():
            self.told.set_result(answer)


class Pool:
    """Gives orders to members. All of it happens in the loop of the first `ask`."""

    def __init__(
        self,
        ray: Any,
        members: Sequence[Any],
        *,
        name: str = "worker",
        slots: int = 1,
        most: int = 1,
        linger_s: float = 0.0,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        """Use actors that run or are to start.

        Args:
            ray: the library.
            members: their handles.
            name: what one of them is called.
            slots: batches that one member takes at once.
            most: orders in a batch.
            linger_s: how long an order waits in seconds for others to fill its batch.
            on_death: told of every member that died.
        """
        self._ray = ray
        self._members = members
        self._name, self._slots, self._most, self._linger_s = name, slots, most, linger_s
        self._on_death = on_death
        self._places: list[_Place] = []
        self._waiting: deque[_Job] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, order: Any, kind: str = "") -> Any:
        """Return the answer to an order, or the `Trouble` that it ended in; raises what the member raised.

        Args:
            order: what a member is sent.
            kind: orders of different kinds never share a batch.
        """
        loop = asyncio.get_running_loop()
        if not self._places:
            self._places = [_Place(member, loop.time()) for member in self._members]
            for place in self._places:
                self._start(self._welcome(place))
        job = _Job(order, kind, loop.time(), loop.create_future())
        self._waiting.append(job)
        self._dispatch()
        self._give_up()
        try:
            while not job.told.done():
                await asyncio.wait({job.told}, timeout=max(self._patience_s(), 0.01))
                self._give_up()
            return job.told.result()
        finally:
            if job in self._waiting:
                self._waiting.remove(job)

    def _dispatch(self) -> None:
        """Give out all that can be given out now."""
        while self._waiting and (place := self._room_for(self._waiting[0])) is not None:
            jobs = self._next_batch()
            if not jobs:
                return
            place.busy += 1
            place.reserved = jobs[0].suspect
            self._start(self._serve(place, jobs)).add_done_callback(partial(self._served, place, jobs))

    def _room_for(self, job: _Job) -> _Place | None:
        """Return the least busy member that may take a batch; an idle one for what may kill it."""
        slots = 1 if job.suspect else self._slots
        free = [place for place in self._places if place.up and not place.reserved and place.busy < slots]
        return min(free, key=lambda place: place.busy, default=None)

    def _next_batch(self) -> list[_Job]:
        """Take what goes out next from what waits; nothing while it is worth waiting for more of its kind."""
        first, loop = self._waiting[0], asyncio.get_running_loop()
        jobs = [first]
        if not first.suspect:
            jobs = [job for job in self._waiting if job.kind == first.kind and not job.suspect][: self._most]
            left_s = first.since + self._linger_s - loop.time()
            if len(jobs) < self._most and left_s > 0:
                loop.call_later(left_s, self._dispatch)
                return []
        for job in jobs:
            self._waiting.remove(job)
        return jobs

    async def _serve(self, place: _Place, jobs: Sequence[_Job]) -> None:
        try:
            answers = await place.member.work.remote([job.order for job in jobs])
        except self._ray.exceptions.RayTaskError:  # a fault of the program, as it would be in this process
            raise
        except self._ray.exceptions.RayError:
            self._bury(place, jobs)
            return
        for job, answer in zip(jobs, answers, strict=True):
            job.tell(answer)

    def _served(self, place: _Place, jobs: Sequence[_Job], done: asyncio.Task[None]) -> None:
        place.busy -= 1
        place.reserved = False
        error = None if done.cancelled() else done.exception()
        for job in jobs:
            if error is not None and not job.told.done():
                job.told.set_exception(error)
        if not done.cancelled():
            self._dispatch()

    def _bury(self, place: _Place, jobs: Sequence[_Job]) -> None:
        """Give out again what a dead member had, and do without it until Ray has restarted it."""
        if place.up:
            place.up, place.since = False, asyncio.get_running_loop().time()
            self._on_death()
            self._start(self._welcome(place))
        for job in reversed(jobs):
            job.lost += 1
            if job.lost < ATTEMPTS:
                self._waiting.appendleft(job)
            else:
                died = f"{ATTEMPTS} processes ({self._name}) died one after the other while they had this item"
                job.tell(Trouble(died, alone=True))

    async def _welcome(self, place: _Place) -> None:
        """Use a member from when it runs."""
        while True:
            try:
                await place.member.ready.remote()
            except self._ray.exceptions.ActorDiedError as error:  # Ray does not start it again
                place.gone = str(error).strip().splitlines()[-1]
                self._give_up()
                return
            except self._ray.exceptions.RayError:
                await asyncio.sleep(_LOOKED_FOR_EVERY_S)
                continue
            place.up = True
            self._dispatch()
            return

    def _patience_s(self) -> float:
        """Return how long to wait for a member."""
        if any(place.up for place in self._places):
            return PATIENCE_S
        return PATIENCE_S - asyncio.get_running_loop().time() + max(place.since for place in self._places)

    def _give_up(self) -> None:
        """Tell all that waits where there is no member, and none to be hoped for."""
        why = None
        if all(place.gone is not None for place in self._places):
            why = f"every Ray process ({self._name}) ended: {self._places[0].gone}; mend it, then --resume"
        elif self._patience_s() <= 0:
            why = (
                f"no Ray process ({self._name}) has started within {PATIENCE_S:g} s: the cluster is busy, or its "
                "machines are gone; --resume goes on"
            )
        while why is not None and self._waiting:
            self._waiting.popleft().tell(Trouble(why))

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._running.add(task)  # a task that nothing holds may vanish
        task.add_done_callback(self._running.discard)
        return task
