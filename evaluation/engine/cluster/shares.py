"""How the cores and GPUs of a cluster are shared out between the processes of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from evaluation.errors import RunError
from vlm_inspect.backends import is_loaded_here
from vlm_inspect.config import InspectorConfig

ON_A_GPU = frozenset({"winclip", "alfa", "dapo", "promptad"})
"""Localizers that `--device` is about."""


@dataclass(frozen=True)
class Share:
    """Processes of one kind."""

    members: int
    cores: int
    """Of each."""
    gpus: float
    """Of each; less than 1: two of them share one."""


@dataclass(frozen=True)
class Shares:
    """All processes of a run."""

    workers: Share
    models: Share | None
    """None: the model is asked from the workers."""
    localizers: Share | None
    """None: the workers localize."""
    batch: int
    """Most requests that a model answers together."""
    at_once: int
    """Items in flight."""


def localizers_for_gpu(config: InspectorConfig) -> tuple[str, ...]:
    """Return which parts of `--localizer` run on a GPU where there is one."""
    parts = [part.strip() for part in config.localizer.name.split("+")]
    return tuple(part for part in parts if part in ON_A_GPU and config.device != "cpu")


def share_out(
    config: InspectorConfig, there: Mapping[str, float], machines: int, *, concurrency: int | None, items: int
) -> Shares:
    """Return who gets what.

    Workers get what cores are left, one each, and no GPU. Models get a GPU each; without any, most cores of a machine,
    one process a machine. Localizers that run on a GPU get one each, a quarter of them where models want GPUs too.

    Args:
        config: model, localizer and device.
        there: what the cluster has, as Ray counts it: "CPU", "GPU".
        machines: how many machines have it.
        concurrency: size of a batch of an `hf:` model, for which two batches a model are in flight; for others items in
            flight. None: batches of one; one item a worker.
        items: how many there are.

    Raises:
        RunError: there is no core for a worker, or no GPU and it is asked for.
    """
    cores, gpus = int(there.get("CPU", 0.0)), int(there.get("GPU", 0.0))
    wanted, local = localizers_for_gpu(config), is_loaded_here(config.model.name)
    if config.device == "cuda" and gpus < 1 and (wanted or local):
        raise RunError("--device cuda: no machine of the Ray cluster has a GPU; use --device auto or cpu")
    localizers = _gpus(gpus, models=local and config.device != "cpu", items=items) if wanted and gpus else None
    models = _models(config, cores, gpus, machines, localizers, items) if local else None
    cores -= models.members * models.cores if models else 0
    batch = concurrency or 1
    in_flight = 2 * batch * models.members if models else concurrency or cores
    workers = min(cores, items, in_flight)
    if workers < 1:
        raise RunError("the Ray cluster has no core for a worker; start it with --num-cpus of at least 1")
    return Shares(Share(workers, 1, 0.0), models, localizers, batch, max(workers, in_flight))


def _gpus(gpus: int, *, models: bool, items: int) -> Share:
    """Return the localizers, whose own work for a CPU is small; a model beside them takes longer than they do."""
    if not models:
        return Share(min(gpus, items), 0, 1.0)
    return Share(1, 0, 0.5) if gpus == 1 else Share(min(max(1, gpus // 4), items), 0, 1.0)


def _models(
    config: InspectorConfig, cores: int, gpus: int, machines: int, localizers: Share | None, items: int
) -> Share:
    if config.device == "cpu" or not gpus:
        members = max(1, min(machines, items))
        own = cores // max(1, machines)
        return Share(members, max(0, own - max(1, own // 4)), 0.0)
    if localizers is not None and localizers.gpus < 1:
        return Share(1, 0, 1.0 - localizers.gpus)
    taken = 0 if localizers is None else localizers.members
    return Share(min(gpus - taken, items), 0, 1.0)
