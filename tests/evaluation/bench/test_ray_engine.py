"""`--engine ray`: on a real local cluster, one worker of which is killed; and what the runner sees of its workers."""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.bench import ray_engine
from evaluation.bench.examiner import Result
from evaluation.bench.ray_engine import ATTEMPTS, Recipe, Worker, Workers
from evaluation.bench.record import ItemRecord
from evaluation.bench.spending import estimate_tokens_of_task
from evaluation.errors import RunError
from tests.backends.openai_server import Body, OpenAIServer, Response
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.evaluation.coloured_parts import Model, coloured_parts
from vlm_inspect.errors import BackendError, InspectWarning

PARTS = 16
SAME = ("categories", "mean", "ci95", "coverage", "parse_failures", "review_rate", "failures", "worst")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ray on this machine, with room for two workers."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vlm-inspect[ray]'")
    pytest.importorskip("psutil", reason="psutil is not installed: pip install 'vlm-inspect[hf]'")
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    cache = {"VLM_INSPECT_CACHE": str(tmp_path_factory.mktemp("cache"))}
    short = tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True)  # for names of sockets
    with short as folder, pytest.MonkeyPatch.context() as environment:
        for name, value in (settings | cache).items():
            environment.setenv(name, value)
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=80_000_000,
            log_to_driver=False,
            _temp_dir=folder,
        )
        try:
            yield ray
        finally:
            ray.shutdown()


class Killing(Model):
    """The model of the parts, which kills a worker that asks it when it is asked for the fifth time."""

    killed: int | None = None
    port = 0

    def __call__(self, body: Body) -> Response:
        response = super().__call__(body)
        with self._lock:
            if self.killed is None and sum(self.asked.values()) >= 5:
                self.killed = next((pid for pid in worker_processes() if asks(pid, self.port)), None)
                if self.killed is not None:  # else one of the next requests finds it
                    os.kill(self.killed, signal.SIGKILL)
        return response


def worker_processes() -> list[int]:
    """Return the ids of the processes below this one that Ray's workers run in."""
    import psutil

    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            if " ".join(one.cmdline()).startswith("ray::Worker"):
                found.append(one.pid)
    return found


def asks(process: int, port: int) -> bool:
    """Return whether a process is connected to a server at this port."""
    import psutil

    try:
        return any(one.raddr and one.raddr.port == port for one in psutil.Process(process).net_connections("tcp"))
    except psutil.Error:
        return False


def test_a_killed_worker_changes_no_result(bench: Bench, cluster: Any, tmp_path: Path) -> None:
    parts = coloured_parts(tmp_path / "parts", PARTS)
    common = ["--model", "openai:tiny", "--localizer", "none", "--shots", 0, "--cache", "off", "--concurrency", 4]
    with OpenAIServer([Model()]) as server:
        ran = bench(parts, "--out", tmp_path / "local", *common, "--base-url", server.base_url)
        assert ran.code == 0, ran.err
    model = Killing(delay_s=0.2)
    with OpenAIServer([model]) as server:
        model.port = urlsplit(server.base_url).port or 0
        common += ["--base-url", server.base_url]
        ran = bench(parts, "--out", tmp_path / "ray", *common, "--engine", "ray")
        assert ran.code == 0, ran.err
        assert model.killed is not None
        assert "a Ray worker died" in ran.err
        assert "Traceback" not in ran.err
        asked = model.asked.copy()
        assert set(asked) == set(range(PARTS))
        assert sum(asked.values()) <= PARTS + 2, "what was in flight at the worker is asked again, and nothing else"
        assert bench(parts, "--out", tmp_path / "ray", *common, "--resume").code == 0, "the engine is no setting"
        assert model.asked == asked
    assert items_of(tmp_path / "ray") == items_of(tmp_path / "local")
    local, there = results_of(tmp_path / "local"), results_of(tmp_path / "ray")
    assert {key: there[key] for key in SAME} == {key: local[key] for key in SAME}
    assert there["usage"]["prompt_tokens"] == 1000 * PARTS
    until = time.monotonic() + 20
    while worker_processes() and time.monotonic() < until:
        time.sleep(0.1)
    assert not worker_processes(), "the workers end with the run"


def test_maps_come_back_from_the_workers(bench: Bench, cluster: Any, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    root = tmp_path / "plates"
    for number in range(8):
        folder = "train/good" if number < 2 else "test/good" if number % 2 else "test/spot"
        spot = _plate(root / "plate" / folder / f"{number}.png", number, spot=folder == "test/spot")
        if spot.any():
            (root / "plate/ground_truth/spot").mkdir(parents=True, exist_ok=True)
            Image.fromarray(spot.astype(np.uint8) * 255).save(root / f"plate/ground_truth/spot/{number}_mask.png")
    for engine in ("local", "ray"):
        ran = bench(root, "--out", tmp_path / engine, "--shots", 2, "--localizer", "memory", "--engine", engine)
        assert ran.code == 0, ran.err
    assert items_of(tmp_path / "ray") == items_of(tmp_path / "local")
    local, there = results_of(tmp_path / "local"), results_of(tmp_path / "ray")
    assert there["categories"]["plate"]["aupro"] is not None
    assert {key: there[key] for key in SAME} == {key: local[key] for key in SAME}
    previews = [sorted(path.name for path in (tmp_path / engine / "previews").glob("*")) for engine in ("local", "ray")]
    assert previews[0] == previews[1]
    assert there["settings"]["limits"]["engine"] == "ray"
    assert there["settings"]["limits"]["concurrency"] == 2, "one item a worker"


def _plate(path: Path, seed: int, *, spot: bool) -> np.ndarray[Any, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = 150 + 6 * np.random.default_rng(seed).standard_normal((64, 72))
    y, x = np.mgrid[:64, :72]
    inside = ((y - 30) ** 2 + (x - 20 - seed) ** 2 < 49) & spot
    grey[inside] -= 80
    Image.fromarray(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)).save(path)
    return inside


def test_an_option_that_nothing_reads_is_refused(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = coloured_parts(tmp_path / "parts", 4)
    ran = bench(parts, "--dry-run", "--shots", 0, "--ray-address", "127.0.0.1:1")
    assert ran.code == 2
    assert "belongs to --engine ray" in ran.err
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    ran = bench(parts, "--out", tmp_path / "out", "--shots", 0, "--engine", "ray")
    assert ran.code == 2
    assert ran.err.splitlines()[-1].endswith("pip install 'vlm-inspect[ray]'")
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_not_there_is_said_at_once(bench: Bench, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'vlm-inspect[ray]'")
    parts = coloured_parts(tmp_path / "parts", 4)
    ask_there = ["--shots", 0, "--localizer", "none", "--engine", "ray", "--quiet", "--ray-address"]
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1"):
        ran = bench(parts, "--out", tmp_path / f"out{len(address)}", *ask_there, address)
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert f"--ray-address {address}" in ran.err


def recipe(**changes: Any) -> Recipe:
    """A recipe of the offline model without a localizer."""
    options: dict[str, Any] = dict.fromkeys(("rules_path", "base_url", "dtype", "quantize", "clip", "checkpoint"))
    options |= {"model": "evidence", "localizer": "none", "backbone": "lite0", "device": "auto", "detail": "high"}
    options |= {"references": (), "timeout_s": 1.0, "samples": 1, "trust_remote_code": False, "calibration_path": None}
    facts = {"rules": {}, "thresholds": {}, "template": "inspect", "samples": 1, "price": None, "server": None}
    given = {name: changes.pop(name) for name in list(changes) if name in options}
    return Recipe(**{"options": options | given, "folder": Path.cwd(), **facts, **changes})


def test_a_worker_says_why_it_cannot_judge(tmp_path: Path) -> None:
    assert Worker(recipe()).answer()
    said = Worker(recipe(folder=tmp_path / "gone")).examine(_task())
    assert isinstance(said, str)
    assert "has no folder" in said
    assert "install the same" in str(Worker(recipe(version="0.0.1")).examine(_task()))
    other = recipe(model="openai:tiny", base_url="http://127.0.0.1:9/v1", server="http://127.0.0.1:8/v1")
    assert "would ask http://127.0.0.1:9/v1, not http://127.0.0.1:8/v1" in str(Worker(other).examine(_task()))


def test_a_gpu_is_asked_for_where_one_is_used() -> None:
    assert recipe(localizer="memory").gpus(4) == 0
    assert recipe(localizer="memory+dapo").gpus(4) == 1
    assert recipe(localizer="memory+dapo").gpus(0) == 0
    assert recipe(localizer="dapo", device="cpu").gpus(4) == 0
    assert recipe(model="hf:tiny").gpus(1) == 1
    with pytest.raises(RunError, match="no machine of the Ray cluster has a GPU"):
        recipe(model="hf:tiny", device="cuda").gpus(0)


class _RayError(Exception):
    pass


class _RayTaskError(_RayError):
    pass


FAKE = SimpleNamespace(exceptions=SimpleNamespace(RayError=_RayError, RayTaskError=_RayTaskError))


class Actor:
    """A worker without a process: dies so many times, then says what it is told to."""

    def __init__(self, deaths: int = 0, says: Any = None, starts: bool = True) -> None:
        self.deaths, self.says, self.now, self.most = deaths, says, 0, 0
        self.answer = SimpleNamespace(remote=self._answer)
        self.examine = SimpleNamespace(remote=self._examine)
        self._starts = starts

    async def _answer(self) -> bool:
        if not self._starts:
            await asyncio.Event().wait()
        return True

    async def _examine(self, task: Any) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        if self.deaths:
            self.deaths -= 1
            raise _RayError("gone")
        return self.says


def _task() -> Any:
    return SimpleNamespace(id="a", references=(Path("r.png"),))


def _done() -> Result:
    return Result(ItemRecord(id="a", category="c", label="normal"))


def ask(actors: list[Actor], times: int = 1, at_once: int = 2) -> list[Any]:
    async def every() -> list[Any]:
        workers = Workers(FAKE, actors, at_once)
        return await asyncio.gather(*(workers.examine(_task()) for _ in range(times)), return_exceptions=True)

    return asyncio.run(every())


def test_an_item_goes_to_another_worker_when_its_own_dies() -> None:
    done = _done()
    with pytest.warns(InspectWarning, match="a Ray worker died"):
        assert ask([Actor(deaths=1, says=done), Actor(says=done)]) == [done]


def test_an_item_that_kills_every_worker_fails_alone() -> None:
    actors = [Actor(deaths=99), Actor(deaths=99)]
    with pytest.warns(InspectWarning):
        (error,) = ask(actors)
    assert isinstance(error, BackendError)
    assert sum(99 - actor.deaths for actor in actors) == ATTEMPTS


def test_workers_share_what_is_in_flight() -> None:
    actors = [Actor(says=_done()), Actor(says=_done())]
    assert len(ask(actors, times=12, at_once=6)) == 12
    assert [actor.most for actor in actors] == [3, 3]


def test_what_no_item_could_survive_ends_the_run_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    (error,) = ask([Actor(says="the references cannot be read")])
    assert isinstance(error, RunError)
    assert str(error) == "the references cannot be read"
    monkeypatch.setattr(ray_engine, "PATIENCE_S", 0.05)
    (error,) = ask([Actor(starts=False)])
    assert isinstance(error, RunError)
    assert "no Ray worker has started" in str(error)
    done = _done()
    assert ask([Actor(starts=False), Actor(says=done)], times=3) == [done] * 3, "none waits for what never starts"


def test_tokens_of_a_task_are_estimated_before_its_request_is_made() -> None:
    assert estimate_tokens_of_task(_task()) == 2300
