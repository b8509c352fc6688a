"""`Group`: Ray actors of one kind, and who of them does what. Ray itself starts the dead again and repeats their calls.

    group = Group(ray, actors, "worker")
    answer = group.ask("examine", task)        # from any thread; waits for it

A call that killed its process each time may have died with another that was there, too: at last it is tried by itself.
"""

import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evaluation.errors import RunError
from vlm_inspect.errors import BackendError, InspectError

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRIES = 2
"""How often Ray repeats a call whose process died, before it is tried by itself."""
PATIENCE_S = 120.0
"""How long a call waits where no process is there, or none starts."""


class ItemError(BackendError):
    """One item cannot be judged; others may."""


@dataclass(frozen=True)
class Trouble:
    """What comes back in place of an answer: an exception that needs more than a message cannot be sent."""

    message: str
    alone: bool = False
    """Whether it is the trouble of this call alone; else no item can be judged."""

    @property
    def error(self) -> InspectError:
        """It as what is raised."""
        return ItemError(self.message) if self.alone else RunError(self.message)


class Group:
    """Actors with a method `ready`, each called while the others are; `kind` is what one of them is called."""

    def __init__(self, ray: Any, actors: Sequence[Any], kind: str) -> None:
        """Use actors that run or are to start."""
        self._ray, self._kind = ray, kind
        self._starting = {actor.ready.remote(): actor for actor in actors}
        self._busy: dict[Any, int] = {}
        """Calls in flight, by actor that has started."""
        self._lock, self._alone = threading.Lock(), threading.Lock()

    def ask(self, method: str, *given: Any) -> Any:
        """Return what an actor answers.

        Raises:
            ItemError: every process died that had this call, or what the actor answered is a trouble of its own.
            RunError: no process is there, or what the actor answered is trouble for all.
        """
        try:
            told = self._call(method, *given)
        except self._ray.exceptions.RayTaskError:  # a fault of the program, as it would be in this process
            raise
        except self._ray.exceptions.RayError:
            told = self._call_alone(method, *given)
        if isinstance(told, Trouble):
            raise told.error
        return told

    def _call_alone(self, method: str, *given: Any) -> Any:
        with self._alone:
            try:
                return self._call(method, *given, last=True)
            except self._ray.exceptions.RayTaskError:
                raise
            except self._ray.exceptions.RayError as error:
                times = RETRIES + 2
                told = f"{times} processes ({self._kind}) died one after the other while they had this item"
                raise ItemError(told) from error

    def _call(self, method: str, *given: Any, last: bool = False) -> Any:
        with self._least_busy() as actor:
            called = getattr(actor, method)
            answer = (called.options(max_task_retries=0) if last else called).remote(*given)
            while not self._ray.wait([answer], timeout=PATIENCE_S)[0]:
                self._check(actor.ready.remote())
            return self._ray.get(answer)

    def _check(self, ready: Any) -> None:
        """Make sure that an actor is there that has not answered for long.

        Raises:
            RunError: it is not, and will not be.
        """
        try:
            self._ray.get(ready, timeout=PATIENCE_S)
        except self._ray.exceptions.GetTimeoutError as error:
            raise RunError(
                f"no Ray process ({self._kind}) has been there for {PATIENCE_S:g} s: the cluster is busy, or its "
                "machines are gone; --resume goes on"
            ) from error
        except self._ray.exceptions.ActorDiedError as error:  # Ray does not start it again
            reason = str(error).strip().splitlines()[-1]
            raise RunError(f"a Ray process ({self._kind}) ended: {reason}; fix it, then --resume") from error

    @contextmanager
    def _least_busy(self) -> "Iterator[Any]":
        """Give the actor that has least to do of those that have started; waits for the first of them."""
        with self._lock:
            if self._starting:
                self._welcome()
            actor = min(self._busy, key=lambda one: self._busy[one])
            self._busy[actor] += 1
        try:
            yield actor
        finally:
            with self._lock:
                self._busy[actor] -= 1

    def _welcome(self) -> None:
        there, _ = self._ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)
        if not there and not self._busy:
            there, _ = self._ray.wait(list(self._starting), num_returns=1, timeout=PATIENCE_S)
        for ready in there or ([] if self._busy else list(self._starting)[:1]):
            try:
                self._check(ready)
            except RunError:
                if not there or (not self._busy and len(self._starting) == 1):  # none has come, or it was the last
                    raise
                del self._starting[ready]
            else:
                self._busy[self._starting.pop(ready)] = 0
        if not self._busy:
            self._welcome()
