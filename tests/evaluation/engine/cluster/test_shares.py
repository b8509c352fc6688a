"""How a cluster is shared out."""

from typing import Any

import pytest

from evaluation.engine.cluster.shares import Share, Shares, localizers_for_gpu, share_out
from evaluation.errors import RunError
from vlm_inspect.config import InspectorConfig, LocalizerConfig

_NAMES = {"model": "evidence", "localizer": "memory"}


def shares(
    cores: float, gpus: float = 0, machines: int = 1, concurrency: int | None = None, items: int = 99, **options: Any
) -> Shares:
    sections = {name: {"name": options.pop(name, told)} for name, told in _NAMES.items()}
    given = InspectorConfig.model_validate({**sections, **options})
    return share_out(given, {"CPU": cores, "GPU": gpus}, machines, concurrency=concurrency, items=items)


def test_without_gpus_every_core_is_a_worker() -> None:
    found = shares(8, localizer="memory+dapo")
    assert (found.workers, found.models, found.localizers) == (Share(8, 1, 0.0), None, None)
    assert found.at_once == 8
    assert shares(8, items=3).workers.members == 3
    assert shares(8, concurrency=2).workers.members == 2
    wide = shares(4, concurrency=10)
    assert (wide.workers.members, wide.at_once) == (4, 10)


def test_localizers_get_the_gpus_that_they_use() -> None:
    found = shares(8, gpus=2, localizer="memory+dapo")
    assert (found.workers, found.localizers) == (Share(8, 1, 0.0), Share(2, 0, 1.0))
    assert shares(8, gpus=2, localizer="memory").localizers is None
    assert shares(8, gpus=2, localizer="dapo", device="cpu").localizers is None
    assert shares(8, gpus=0, localizer="dapo").localizers is None
    assert shares(8, gpus=4, localizer="dapo", items=2).localizers == Share(2, 0, 1.0)


def test_a_model_gets_gpus_and_two_batches_in_flight_each() -> None:
    found = shares(8, gpus=4, model="hf:tiny", localizer="none", concurrency=6)
    assert found.models == Share(4, 0, 1.0)
    assert (found.batch, found.at_once, found.workers.members) == (6, 48, 8)
    alone = shares(8, gpus=1, model="hf:tiny", localizer="none")
    assert (alone.batch, alone.at_once, alone.workers.members) == (1, 2, 2)


@pytest.mark.parametrize(
    ("gpus", "models", "localizers"),
    [
        (1, Share(1, 0, 0.5), Share(1, 0, 0.5)),
        (2, Share(1, 0, 1.0), Share(1, 0, 1.0)),
        (8, Share(6, 0, 1.0), Share(2, 0, 1.0)),
    ],
)
def test_a_model_and_a_localizer_share_the_gpus(gpus: int, models: Share, localizers: Share) -> None:
    found = shares(8, gpus=gpus, model="hf:tiny", localizer="memory+dapo")
    assert (found.models, found.localizers) == (models, localizers)


@pytest.mark.parametrize(
    ("cores", "machines", "models", "workers"),
    [(1, 1, Share(1, 0, 0.0), 1), (2, 1, Share(1, 1, 0.0), 1), (32, 2, Share(2, 12, 0.0), 8)],
)
def test_without_gpus_a_model_gets_most_cores_of_a_machine(
    cores: int, machines: int, models: Share, workers: int
) -> None:
    found = shares(cores, machines=machines, model="hf:tiny", localizer="none", concurrency=4)
    assert found.models == models
    assert found.workers.members == workers
    on_cpu = shares(cores, gpus=4, machines=machines, model="hf:tiny", localizer="none", device="cpu", concurrency=4)
    assert on_cpu.models == models


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(RunError, match="no machine of the Ray cluster has a GPU"):
        shares(8, model="hf:tiny", device="cuda")
    with pytest.raises(RunError, match="no machine of the Ray cluster has a GPU"):
        shares(8, localizer="memory+alfa", device="cuda")
    assert shares(8, localizer="memory", device="cuda").localizers is None, "the memory runs on no GPU"
    with pytest.raises(RunError, match="no core for a worker"):
        shares(0, gpus=1, localizer="dapo")


def test_parts_that_run_on_a_gpu() -> None:
    config = InspectorConfig(localizer=LocalizerConfig(name="memory + winclip+dapo"))
    assert localizers_for_gpu(config) == ("winclip", "dapo")
    assert localizers_for_gpu(config.with_changes(device="cpu")) == ()
