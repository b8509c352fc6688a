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
        def examine(self, task: Any) -> Any:
            note(folder, "worker", [task])
            return super().examine(task)

    return NotingWorker


def noting_localizer(folder: Path) -> type[LocalizerMember]:
    class NotingLocalizer(LocalizerMember):
        def localize(self, order: Any) -> Any:
            note(folder, f"localizer of {order.part}", [order])
            return super().localize(order)

    return NotingLocalizer


def mortal_model(folder: Path) -> type[ModelMember]:
    class MortalModel(ModelMember):
        """Dies of its first batch, and of its third."""

        def answer(self, requests: Any, samples: int) -> Any:
            times = note(folder, "model", requests)
            if times in (1, 3):
                time.sleep(1.0)  # the answers of the batch before are on their way
                os.kill(os.getpid(), signal.SIGKILL)
            if self._model is None:
                self._model = self._recipe.make_model()
                self._model._max_tokens = LONGEST
            return super().answer(requests, samples)

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
