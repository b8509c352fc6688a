"""The loop: it learns, it can be stopped anywhere, and what diverges leaves the last good state behind."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.small_method import SmallMethod, small_plan
from tests.training.training_folders import small_data
from vlm_inspect.errors import LocalizerError, OutputError, TrainingError
from vlm_inspect.localization.checkpoint import load_weights
from vlm_inspect.training.data import TrainingData
from vlm_inspect.training.loop import Running, learning_rate, train
from vlm_inspect.training.method import Batch, Schedule
from vlm_inspect.training.record import Record, record_path
from vlm_inspect.training.reports import Silence, Step
from vlm_inspect.training.resume import check_out, load_state, resume_path

ALWAYS = Running(checkpoint_every_s=0.0)
STEPS = 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    return small_data(tmp_path)


class Steps(Silence):
    """Keeps the steps, and stops the run after one of them as a kill would: before its state is saved."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.steps: list[Step] = []
        self._stop_at = stop_at

    def show(self, step: Step) -> None:
        self.steps.append(step)
        if step.number == self._stop_at:
            raise KeyboardInterrupt


def test_training_lowers_the_loss_and_writes_weights_and_record(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    schedule = dataclasses.replace(SmallMethod.schedule, epochs=25, decay="cosine", clip_norm=1.0)
    method, seen = SmallMethod(), Steps()
    assert train(method, small_plan(out, data, schedule=schedule), report=seen)
    record = Record.model_validate_json(record_path(out).read_text())
    totals = [epoch.losses["total"] for epoch in record.epochs]
    assert len(totals) == 25
    assert totals[-1] < 0.5 * totals[0]
    assert not resume_path(out).exists()
    header, weights = load_weights(out, method="small")
    assert header.steps == 75
    assert weights.keys() == method.learnable.state_dict().keys()
    assert record.header["seed"] == 0
    assert record.header["data"][0]["anomalous"] == 6
    assert [picture.sha256 for picture in record.pictures] == list(data.picture_digests)
    assert record.segments[0].versions["torch"] == torch.__version__
    assert not method.learnable.training
    assert [step.last_of_epoch for step in seen.steps[:4]] == [False, False, True, False]


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path, data: TrainingData) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(hash(name) % 1000)  # what the caller did with torch's numbers does not matter
        train(SmallMethod(), small_plan(tmp_path / f"{name}.safetensors", data, seed=seed))
    files = [load_weights(tmp_path / f"{name}.safetensors", method="small")[1] for name in "abc"]
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert not torch.equal(files[0]["0.weight"], files[2]["0.weight"])


def test_the_callers_random_numbers_and_settings_stay(tmp_path: Path, data: TrainingData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(method := SmallMethod(), small_plan(tmp_path / "a.safetensors", data))
    assert method.calls == STEPS
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    train(SmallMethodWithoutSeed(), small_plan(tmp_path / "b.safetensors", data))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


class SmallMethodWithoutSeed(SmallMethod):
    """Draws its first values without touching torch's global numbers."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            super().__init__()


@pytest.mark.parametrize("stop_at", range(1, STEPS + 1))
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(tmp_path: Path, data: TrainingData, stop_at: int) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "a.safetensors"
    train(SmallMethod(), small_plan(whole, data), running=ALWAYS)
    with pytest.raises(KeyboardInterrupt):
        train(SmallMethod(), small_plan(out, data), running=ALWAYS, report=Steps(stop_at))
    assert not out.exists()
    if stop_at > 1:
        assert load_state(resume_path(out)).progress.step == stop_at - 1
    again = SmallMethod()
    assert train(again, small_plan(out, data), "resume", ALWAYS)
    assert again.calls == STEPS - (stop_at - 1)
    assert out.read_bytes() == whole.read_bytes()
    record = Record.model_validate_json(record_path(out).read_text())
    losses = [epoch.losses for epoch in record.epochs]
    assert losses == [epoch.losses for epoch in Record.model_validate_json(record_path(whole).read_text()).epochs]
    assert [segment.from_step for segment in record.segments] == ([0, stop_at - 1] if stop_at > 1 else [0])


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.training.small_method import SmallMethod, small_plan
from vlm_inspect.training.data import read_data
from vlm_inspect.training.loop import Running, train

data, out = read_data([Path(sys.argv[1])], "masks"), Path(sys.argv[2])
torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])  # what it imports is shared by the processes below
real = os.fsync
for writes in sys.argv[3:]:
    if not (pid := os.fork()):
        left = int(writes)

        def fsync(file):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            real(file)

        os.fsync = fsync
        train(SmallMethod(), small_plan(out, data), "resume", Running(checkpoint_every_s=0.0))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert not out.exists()
    print(out.with_name("a.resume.safetensors").stat().st_size, flush=True)
"""


def test_kills_in_the_middle_of_writing_change_nothing(tmp_path: Path, data: TrainingData) -> None:
    """Killed with -9 while it writes: the state after step 3, the state after step 5, then the weights themselves.

    Each write syncs its file and then the folder: the fifth sync is the third write.
    """
    whole, out = tmp_path / "whole.safetensors", tmp_path / "a.safetensors"
    train(SmallMethod(), small_plan(whole, data), running=ALWAYS)
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(tmp_path / "plate"),
        str(out),
        "5",
        "5",
        "5",
    ]
    ended = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) == 3
    assert load_state(resume_path(out)).progress.step == STEPS
    again = SmallMethod()
    assert train(again, small_plan(out, data), "resume")
    assert again.calls == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not resume_path(out).exists()
    assert not list(tmp_path.glob(".*"))
    segments = Record.model_validate_json(record_path(out).read_text()).segments
    assert [segment.from_step for segment in segments] == [0, 2, 4, 6]


def test_micro_batches_add_up_to_the_batch(tmp_path: Path, data: TrainingData) -> None:
    class Quiet(SmallMethod):
        def losses(self, batch: Batch, generator: Any) -> dict[str, torch.Tensor]:
            logits = self._net(batch.pixels)
            loss = torch.nn.functional.cross_entropy(logits, batch.types)
            return {"total": loss}

    found = []
    for size in (None, 3, 1):
        out = tmp_path / f"{size}.safetensors"
        train(Quiet(norm=False), small_plan(out, data), running=Running(micro_batch=size))
        found.append(load_weights(out, method="small")[1])
    for name, tensor in found[0].items():
        assert torch.allclose(tensor, found[1][name], atol=1e-5)
        assert torch.allclose(tensor, found[2][name], atol=1e-5)


def test_a_method_that_splits_batches_itself_gets_whole_ones(tmp_path: Path, data: TrainingData) -> None:
    method = SmallMethod()
    train(method, small_plan(tmp_path / "a.safetensors", data), running=Running(micro_batch=1, method_splits=True))
    assert [len(labels) for labels in method.seen] == [4, 4, 2] * 2


def test_half_precision_keeps_learnable_tensors_whole(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    schedule = dataclasses.replace(SmallMethod.schedule, epochs=15)
    running = Running(precision="float16", checkpoint_every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(SmallMethod(), small_plan(out, data, schedule=schedule), running=running, report=Steps(20))
    scaler = load_state(resume_path(out)).progress.scaler
    assert scaler["scale"] > 1
    assert isinstance(scaler["growth_interval"], int)
    train(SmallMethod(), small_plan(out, data, schedule=schedule), "resume", running)
    record = Record.model_validate_json(record_path(out).read_text())
    assert record.epochs[-1].losses["total"] < 0.7 * record.epochs[0].losses["total"]
    weights = load_weights(out, method="small")[1]
    assert weights["0.weight"].dtype == torch.float32


@pytest.mark.parametrize("decay", ["constant", "cosine"])
def test_learning_rates(decay: Any) -> None:
    schedule = Schedule(epochs=1, batch_size=1, learning_rate=0.1, optimiser="adam", decay=decay)
    rates = [learning_rate(schedule, step, 10) for step in range(11)]
    if decay == "constant":
        assert rates == [0.1] * 11
    else:
        assert rates[0] == 0.1
        assert rates[5] == pytest.approx(0.05)
        assert rates[10] == pytest.approx(0.0, abs=1e-12)
        assert rates == sorted(rates, reverse=True)


def test_a_loss_that_is_no_number_keeps_the_last_good_state(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    plan = small_plan(out, data)
    with pytest.raises(
        TrainingError, match=r"step 5 \(epoch 2\): the loss focus is nan; the state after step 4"
    ) as bad:
        train(SmallMethod(break_at=5), plan, running=ALWAYS)
    assert "\n" not in str(bad.value)
    assert not out.exists()
    assert load_state(resume_path(out)).progress.step == 4
    lower = dataclasses.replace(SmallMethod.schedule, learning_rate=0.001)
    assert train(SmallMethod(), small_plan(out, data, schedule=lower), "resume", ALWAYS)
    record = Record.model_validate_json(record_path(out).read_text())
    assert [(segment.from_step, segment.learning_rate) for segment in record.segments] == [(0, 0.02), (4, 0.001)]


def test_a_gradient_that_is_no_number_stops_before_the_step(tmp_path: Path, data: TrainingData) -> None:
    class Broken(SmallMethod):
        def losses(self, batch: Batch, generator: Any) -> dict[str, torch.Tensor]:
            loss = super().losses(batch, generator)["total"]
            weight = self._net[0].weight
            return {"total": loss + (weight * 0).abs().sqrt().sum()}  # zero, with an infinite slope

    out = tmp_path / "a.safetensors"
    with pytest.raises(TrainingError, match="step 1: the gradients are not numbers; nothing was saved yet"):
        train(Broken(), small_plan(out, data))
    assert not out.exists()


def test_too_little_memory_says_what_to_do(tmp_path: Path, data: TrainingData) -> None:
    class Large(SmallMethod):
        def losses(self, batch: Batch, generator: Any) -> dict[str, torch.Tensor]:
            raise torch.cuda.OutOfMemoryError("out of memory")

    plan = small_plan(tmp_path / "a.safetensors", data)
    with pytest.raises(TrainingError, match="for 4 pictures at once; go on with --restart --micro-batch 2"):
        train(Large(), plan)
    with pytest.raises(TrainingError, match="for 1 pictures at once; choose a smaller --side"):
        train(Large(), plan, running=Running(micro_batch=1))


def test_runs_do_not_replace_each_other(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    plan = small_plan(out, data)
    assert train(SmallMethod(), plan)
    with pytest.raises(TrainingError, match="is there already: --resume goes on with its run, --restart begins anew"):
        check_out(out, "new")
    before = out.read_bytes()
    untouched = SmallMethod()
    assert not train(untouched, plan, "resume")
    assert untouched.calls == 0
    other = small_plan(out, data, seed=1)
    with pytest.raises(TrainingError, match="is of another run: seed was 0, now 1"):
        train(SmallMethod(), other, "resume")
    longer = small_plan(out, data, schedule=dataclasses.replace(SmallMethod.schedule, epochs=9))
    with pytest.raises(TrainingError, match=r"schedule.epochs was 2, now 9"):
        train(SmallMethod(), longer, "resume")
    assert out.read_bytes() == before
    assert train(SmallMethod(), other, "restart")
    assert out.read_bytes() != before


def test_a_restart_does_not_go_on_with_what_was_there(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(SmallMethod(), small_plan(out, data), running=ALWAYS, report=Steps(4))
    with pytest.raises(TrainingError, match=r"a.resume.safetensors is there already"):
        check_out(out, "new")
    again = SmallMethod()
    assert train(again, small_plan(out, data), "restart")
    assert again.calls == STEPS


def test_changed_data_is_another_run(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(SmallMethod(), small_plan(out, data), running=ALWAYS, report=Steps(4))
    (tmp_path / "plate" / "test" / "good" / "000.png").unlink()
    from vlm_inspect.training.data import read_data

    with pytest.raises(TrainingError, match="is of another run: data was"):
        train(SmallMethod(), small_plan(out, read_data([tmp_path / "plate"], "masks")), "resume")


def test_a_damaged_state_is_refused(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(SmallMethod(), small_plan(out, data), running=ALWAYS, report=Steps(4))
    state = resume_path(out)
    whole = state.read_bytes()
    state.write_bytes(whole[:-3])
    with pytest.raises(LocalizerError, match="is not a whole safetensors file"):
        train(SmallMethod(), small_plan(out, data), "resume")
    train(SmallMethod(), small_plan(tmp_path / "b.safetensors", data))
    state.write_bytes((tmp_path / "b.safetensors").read_bytes())
    with pytest.raises(LocalizerError, match="is not the state of a training run"):
        train(SmallMethod(), small_plan(out, data), "resume")


def test_refuses_where_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"ends in|such as a.safetensors"):
        check_out(tmp_path / "a.pt", "new")
    with pytest.raises(TrainingError, match="name a file"):
        check_out(tmp_path / "a.resume.safetensors", "new")
    with pytest.raises(OutputError, match="no such folder"):
        check_out(tmp_path / "no" / "a.safetensors", "new")


def test_the_record_is_json(tmp_path: Path, data: TrainingData) -> None:
    out = tmp_path / "a.safetensors"
    train(SmallMethod(), small_plan(out, data))
    read = json.loads(record_path(out).read_text())
    assert read["weights"] == "a.safetensors"
    assert {"seconds", "epochs", "segments", "left_out", "pictures", "header", "weights_sha256"} <= read.keys()
    assert "trained_on" not in read["header"]
