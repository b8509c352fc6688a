"""Actors that write down what they are given, and that die when they are told to.

They are made here, since each process of the cluster imports the module that they are made in: it should be light.
"""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.engine.cluster.members import LocalizerMember, ModelMember, Worker

LONGEST = 180
"""Tokens of an answer: a random model does not end before."""


def noting_worker(folder: Path) -> type[Worker]:
    class NotingWorker(Worker):
        def work(self, orders: Any) -> Any:
            note(folder, "worker", orders)
            return super().work(orders)

    return NotingWorker


def noting_localizer(folder: Path) -> type[LocalizerMember]:
    class NotingLocalizer(LocalizerMember):
        def work(self, orders: Any) -> Any:
            note(folder, f"localizer of {orders[0].part}", orders)
            return super().work(orders)

    return NotingLocalizer


def mortal_model(folder: Path) -> type[ModelMember]:
    class MortalModel(ModelMember):
        """Dies of its first batch, and takes its desk with it at the third."""

        def work(self, orders: Any) -> Any:
            times = note(folder, "model", orders)
            if times == 1:  # before it loads, for loading again takes seconds
                os.kill(os.getpid(), signal.SIGKILL)
            if times == 3:
                os.kill(oldest_sibling("ray::Desk"), signal.SIGKILL)
            if self._model is None:
                self._model = self._recipe.make_model()
                self._model._max_tokens = LONGEST
            return super().work(orders)

    return MortalModel


def note(folder: Path, who: str, orders: Sequence[Any]) -> int:
    """Write down, in a process of the cluster, what it gets and which GPUs it has; return how often it has by now."""
    import ray

    told = {"who": who, "orders": len(orders), "gpus": [str(one) for one in ray.get_gpu_ids()]}
    path = folder / f"{time.time_ns()}-{os.getpid()}"
    path.write_text(json.dumps(told))
    path.rename(path.with_suffix(".json"))  # whole, or not there
    return sum(one["who"] == who for one in notes(folder))


def notes(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def oldest_sibling(kind: str) -> int:
    """Return the id of the first process of this kind in the cluster that this process belongs to."""
    import psutil

    there = psutil.Process(os.getppid()).children(recursive=True)
    found = [one for one in there if " ".join(one.cmdline()).startswith(kind)]
    return int(min(found, key=lambda one: one.create_time()).pid)
