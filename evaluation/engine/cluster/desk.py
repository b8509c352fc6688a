"""`Desk`: where what workers ask waits for a model or a localizer that they share.

It is an actor of its own, so that requests of all workers make up one batch, and holds no picture: an order names what
lies in Ray's object store, and goes from there to the member that works on it.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from evaluation.engine.cluster.pool import ItemError, Pool

LINGER_S = 0.1
"""How long a request waits to be answered together with others: a model takes seconds."""


class Desk:
    """What runs in a process of the cluster; its methods run in one event loop."""

    def __init__(self, members: Sequence[str], name: str, most: int) -> None:
        """Share the actors of these names out; for the rest see `Pool`."""
        self._given = (members, name, most)
        self._pool: Pool | None = None
        self._deaths = 0

    async def ask(self, order: Any, kind: str) -> Any:
        """Return what a member answers, or a `Trouble`; see `Pool.ask`."""
        if self._pool is None:
            members, name, most = self._given
            linger_s = LINGER_S if most > 1 else 0.0
            ray: Any = import_module("ray")
            actors = [find(member) for member in members]
            self._pool = Pool(ray, actors, name=name, most=most, linger_s=linger_s, on_death=self._count)
        return await self._pool.ask(order, kind)

    async def deaths(self) -> int:
        """Return how many members have died."""
        return self._deaths

    def _count(self) -> None:
        self._deaths += 1


def find(name: str) -> Any:
    """Return the actor of this name: names, not handles, are given to actors, so that Ray can start them again."""
    return import_module("ray").get_actor(name)


def ask(desk: Any, order: Any, kind: str) -> Any:
    """Return what a desk answers, or a `Trouble`; waits for it.

    Raises:
        ItemError: the desk died, each time that it was asked.
    """
    ray: Any = import_module("ray")
    try:
        return ray.get(desk.ask.remote(order, kind))
    except ray.exceptions.RayTaskError:  # a fault of the program, as it would be in this process
        raise
    except ray.exceptions.RayError as error:
        raise ItemError(f"the process that hands out requests died: {str(error).splitlines()[0]}") from error
