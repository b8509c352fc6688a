"""`--engine ray` on a real local cluster: workers, groups of models and localizers, and what happens when they die.

The cluster counts two cores and two GPUs; the GPUs are a number to Ray, and torch sees none.
"""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.engine.cluster import connection, engine
from tests.backends.openai_server import Body, OpenAIServer, Response
from tests.evaluation.bench_runs import Bench, items_of, results_of
from tests.evaluation.bench_runs import bench as bench  # noqa: PLC0414 (a fixture)
from tests.evaluation.coloured_parts import Model, coloured_parts
from tests.evaluation.engine.cluster.noting import LONGEST, mortal_model, notes, noting_localizer, noting_worker
from tests.waiting import until

PARTS = 16
AT_ONCE = 4
"""Parts in flight at both workers together: at one of them alone while the other starts."""
SAME = ("categories", "mean", "ci95", "coverage", "parse_failures", "review_rate", "failures", "worst")
KINDS = ("ray::Worker", "ray::ModelMember", "ray::LocalizerMember")


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
            num_gpus=2,
            include_dashboard=False,
            object_store_memory=80_000_000,
            log_to_driver=False,
            _temp_dir=folder,
        )
        try:
            yield ray
        finally:
            ray.shutdown()


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As in Ray's processes: sums of floats depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Killing(Model):
    """The model of the parts, which kills a worker that asks it when it is asked for the fifth time."""

    killed: int | None = None
    port = 0

    def __call__(self, body: Body) -> Response:
        response = super().__call__(body)
        with self._lock:
            if self.killed is None and sum(self.asked.values()) >= 5:
                self.killed = next((pid for pid in processes_of("ray::Worker") if asks(pid, self.port)), None)
                if self.killed is not None:  # else one of the next requests finds it
                    os.kill(self.killed, signal.SIGKILL)
        return response


def processes_of(*kinds: str) -> list[int]:
    """Return the ids of the processes below this one that Ray's actors of these kinds run in."""
    import psutil

    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            if " ".join(one.cmdline()).startswith(kinds):
                found.append(one.pid)
    return found


def asks(process: int, port: int) -> bool:
    """Return whether a process is connected to a server at this port."""
    import psutil

    try:
        return any(one.raddr and one.raddr.port == port for one in psutil.Process(process).net_connections("tcp"))
    except psutil.Error:
        return False


def assert_same_results(one: Path, other: Path) -> None:
    assert items_of(one) == items_of(other)
    first, second = results_of(one), results_of(other)
    assert {key: first[key] for key in SAME} == {key: second[key] for key in SAME}


@pytest.mark.slow(12)
def test_a_killed_worker_changes_no_result(bench: Bench, cluster: Any, tmp_path: Path) -> None:
    parts = coloured_parts(tmp_path / "parts", PARTS)
    common = ["--model", "openai:tiny", "--localizer", "none", "--shots", 0, "--cache", "off", "--concurrency", AT_ONCE]
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
        again = [number for number, times in asked.items() if times > 1]
        assert len(again) <= AT_ONCE, "what was in flight at the worker is asked again, and nothing else"
        assert max(asked.values()) <= 2
        assert bench(parts, "--out", tmp_path / "ray", *common, "--resume").code == 0, "the engine is no setting"
        assert model.asked == asked
    assert_same_results(tmp_path / "ray", tmp_path / "local")
    assert results_of(tmp_path / "ray")["usage"]["prompt_tokens"] == 1000 * PARTS
    until(lambda: not processes_of(*KINDS), "the workers end with the run")


@pytest.mark.slow(20)
@pytest.mark.usefixtures("_one_thread")
def test_groups_have_the_gpus_answer_in_batches_and_outlive_their_dead(
    bench: Bench, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llguidance", reason="llguidance is not installed: pip install 'vlm-inspect[hf]'")
    from tests.backends.tiny_vlms import build
    from vlm_inspect.backends.hf.model import HuggingFaceModel

    noted = tmp_path / "noted"
    noted.mkdir()

    folder, root = build("qwen2_5_vl", tmp_path), _plates(tmp_path / "plates", 6)
    common = ["--model", f"hf:{folder}", "--localizer", "dapo", "--shots", 1, "--cache", "off"]
    common += ["--concurrency", 2]
    monkeypatch.setitem(HuggingFaceModel.__init__.__kwdefaults__, "max_tokens", LONGEST)
    ran = bench(root, "--out", tmp_path / "local", *common)
    assert ran.code == 0, ran.err
    monkeypatch.setattr(engine, "Worker", noting_worker(noted))
    monkeypatch.setattr(engine, "LocalizerMember", noting_localizer(noted))
    monkeypatch.setattr(engine, "ModelMember", mortal_model(noted))
    ran = bench(root, "--out", tmp_path / "ray", *common, "--engine", "ray")
    assert ran.code == 0, ran.err
    assert "core_worker" not in ran.err, "Ray has nothing to say"
    there, here = items_of(tmp_path / "ray"), items_of(tmp_path / "local")
    for key, one in there.items():  # rows are rounded otherwise in a batch with others
        assert one.pop("score") == pytest.approx(here[key].pop("score"), abs=1e-6)
    assert there == here
    results, others = results_of(tmp_path / "ray"), results_of(tmp_path / "local")
    plates, same = (one["categories"]["plate"] for one in (results, others))
    assert plates["aupro"] is not None
    assert {key: value for key, value in plates.items() if "pixel" in key or key in ("aupro", "heatmap_auroc")} == {
        key: value for key, value in same.items() if "pixel" in key or key in ("aupro", "heatmap_auroc")
    }
    assert results["settings"]["limits"]["engine"] == "ray"
    assert results["settings"]["limits"]["concurrency"] == 4, "two batches in flight"
    previews = [sorted(path.name for path in (tmp_path / name / "previews").glob("*")) for name in ("local", "ray")]
    assert previews[0] == previews[1]
    seen = notes(noted)
    assert {(one["who"], len(one["gpus"])) for one in seen} == {("worker", 0), ("localizer of dapo", 1), ("model", 1)}
    assert sum(one["orders"] for one in seen if one["who"] == "localizer of dapo") == 4, "every item once"
    sizes = [one["orders"] for one in seen if one["who"] == "model"]
    assert max(sizes) == 2, "batches, no larger than asked for"
    assert sum(sizes) == 4 + sizes[0] + sizes[2], "what died is asked again, and nothing else"


def _plates(root: Path, count: int) -> Path:
    """Write plates, two to learn from, every other one of the rest with a spot."""
    for number in range(count):
        folder = "train/good" if number < 2 else "test/good" if number % 2 else "test/spot"
        spot = _plate(root / "plate" / folder / f"{number}.png", number, spot=folder == "test/spot")
        if spot.any():
            (root / "plate/ground_truth/spot").mkdir(parents=True, exist_ok=True)
            Image.fromarray(spot.astype(np.uint8) * 255).save(root / f"plate/ground_truth/spot/{number}_mask.png")
    return root


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
    assert "requires --engine ray" in ran.err
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
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
