"""Two models behind one seam: one that judges, and one whose task is to refute what the first supposes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlm_inspect.backends.backend import Backend, Reply, Request


@dataclass(frozen=True, eq=False)
class TwoModels:
    """Sends each request to the model that it is for; what a request looks like follows the one that judges.

    Attributes:
        judge: answers all but the steps of the refuter.
        refuter: answers those.
    """

    judge: Backend
    refuter: Backend

    @property
    def name(self) -> str:
        """That of the model that judges."""
        return self.judge.name

    @property
    def has_refuter(self) -> bool:
        """Whether there is a second model."""
        return True

    @property
    def takes_functions(self) -> bool:
        """Whether both do: they read the same conversation."""
        return all(getattr(one, "takes_functions", False) for one in (self.judge, self.refuter))

    @property
    def boxes(self) -> Any:
        """How the model that judges writes boxes; None: as its name says."""
        return getattr(self.judge, "boxes", None)

    @property
    def most_pictures(self) -> int | None:
        """Most pictures of one request that both take; None: no limit was met."""
        limits = [getattr(one, "most_pictures", None) for one in (self.judge, self.refuter)]
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def longest_side(self) -> int | None:
        """Longest side of a picture in pixels that both take; None: no limit was met."""
        limits = [getattr(one, "longest_side", None) for one in (self.judge, self.refuter)]
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def endpoint(self) -> Any:
        """Where the model that judges is reached; None: it is not at a server."""
        return getattr(self.judge, "endpoint", None)

    def generate(self, request: Request, *, samples: int = 1) -> Sequence[Reply]:
        """Answer a request; raises what `generate` of its model raises."""
        return (self.refuter if request.of_refuter else self.judge).generate(request, samples=samples)
