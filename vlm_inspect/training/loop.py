"""The training loop: batches, losses, one optimiser step, and a state on disk that a kill cannot harm.

Equal data, settings and seed give equal weights on one machine's CPU, bit for bit, whether the run was stopped or not:
what is random comes from seed and step, and the learning rate is a function of the step.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vlm_inspect.errors import TrainingError
from vlm_inspect.localization.checkpoint import Header, save_weights
from vlm_inspect.training.batches import Samples, iterate_batches, stack, step_generator, steps_per_epoch
from vlm_inspect.training.data import TrainingData
from vlm_inspect.training.method import Schedule, TrainableMethod, TrainingSample
from vlm_inspect.training.record import Log, Segment, now_utc, versions, write_record
from vlm_inspect.training.reports import Report, Silence, Step
from vlm_inspect.training.resume import Progress, Saved, Start, begin, identity_of, resume_path, save_state

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "float16"]
CHECKPOINT_EVERY_S = 60.0
_MOST_SKIPPED = 50
"""Steps in a row that half precision may skip while it looks for a scale that fits."""
_TORCH_STREAM = 3
"""Key of torch's own random numbers, beside the three of `batches`."""


@dataclass(frozen=True)
class Running:
    """How a run is carried out: nothing here changes what is learned but for rounding."""

    device: str = "cpu"
    precision: Precision = "float32"
    """Of the towers; learnable tensors stay float32. float16 needs CUDA."""
    micro_batch: int | None = None
    """Samples that are on the device at once; None: the whole batch. Gradients are added up."""
    method_splits: bool = False
    """Whether the method itself works in parts of that size, so that the loop hands it whole batches."""
    checkpoint_every_s: float = CHECKPOINT_EVERY_S
    """The state is saved at the end of each epoch, and when it is older than this."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is to be learned, from what, and where it is written."""

    out: Path
    data: TrainingData
    schedule: Schedule
    seed: int
    header: Header
    """Of the weights to be written."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return steps_per_epoch(len(self.data.entries), self.schedule.batch_size)

    @property
    def steps(self) -> int:
        """Batches of the whole run."""
        return self.steps_per_epoch * self.schedule.epochs


def train(
    method: TrainableMethod,
    plan: TrainingPlan,
    start: Start = "new",
    running: Running | None = None,
    report: Report | None = None,
) -> bool:
    """Train the method's learnable tensors and write weights and record; False: the run was finished already.

    Raises:
        TrainingError: a loss is no number (the last good state is kept), the device has too little memory, or the run
            that lies there is another one.
        OutputError: a file cannot be written.
    """
    import torch

    saved = begin(plan.out, start, plan.header)
    if saved == "finished":
        return False
    trainer = Trainer(method, plan, running or Running(), report or Silence(), saved)
    with _reproducible(trainer.running.device):
        trainer.run()
    if bad := [name for name, tensor in trainer.weights().items() if not bool(tensor.isfinite().all())]:
        raise TrainingError(f"{bad[0]} is not a number after the last step; {trainer.advice()}")
    method.learnable.eval()
    header = plan.header.model_copy(update={"steps": plan.steps})
    with torch.no_grad():
        save_weights(plan.out, trainer.weights(), header)
    write_record(plan.out, header, plan.data, trainer.log)
    resume_path(plan.out).unlink(missing_ok=True)
    return True


def learning_rate(schedule: Schedule, step: int, steps: int) -> float:
    """Return the learning rate of a step (counted from 0): constant, or a half cosine from the full rate to 0."""
    if schedule.decay == "constant":
        return schedule.learning_rate
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


class Trainer:
    """One run at work."""

    def __init__(
        self, method: TrainableMethod, plan: TrainingPlan, running: Running, report: Report, saved: Saved | None
    ) -> None:
        """Move the learnable tensors to the device and bring back a saved state.

        Raises:
            TrainingError: the state does not fit the method.
        """
        import torch

        self.method, self.plan, self.running, self._report = method, plan, running, report
        self._kind = running.device.split(":")[0]
        self.module = method.learnable.to(running.device)
        self.optimiser = _optimiser(self.module, plan.schedule)
        self.scaler = torch.amp.GradScaler(self._kind, enabled=running.precision == "float16")
        self.done = 0
        self.log = Log()
        if saved is not None:
            self._bring_back(saved)
        self.log.segments.append(self._segment())
        self._saved_step = self.done if saved is not None else None
        self._saved_at = time.monotonic()
        self._skipped = 0

    def run(self) -> None:
        """Do all steps that are left."""
        import torch

        plan = self.plan
        samples = Samples(plan.data.entries, self.method.side)
        self.module.train()
        steps = range(self.done, plan.steps)
        batches = iterate_batches(
            samples, self.method, seed=plan.seed, steps=steps, batch_size=plan.schedule.batch_size
        )
        with closing(batches):
            for step, batch in batches:
                started = time.monotonic()
                try:
                    losses = self._step(step, batch)
                except torch.cuda.OutOfMemoryError as error:
                    raise TrainingError(self._too_large(len(batch))) from error
                self._count(step, losses, len(batch), time.monotonic() - started)

    def weights(self) -> "dict[str, torch.Tensor]":
        """Return the learnable tensors, and the running statistics beside them."""
        return dict(self.module.state_dict())

    def advice(self) -> str:
        """Return what is kept, and what to do."""
        if self._saved_step is None:
            return "nothing was saved yet; try a lower --lr with --restart"
        kept = resume_path(self.plan.out)
        return (
            f"the state after step {self._saved_step} is kept in {kept}; go on from it with --resume and a lower --lr"
        )

    def _step(self, step: int, samples: list[TrainingSample]) -> dict[str, float]:
        """Do one optimiser step; returns the mean losses over the samples."""
        import torch

        plan, running = self.plan, self.running
        rate = learning_rate(plan.schedule, step, plan.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(_torch_seed(plan.seed, step))
        self.optimiser.zero_grad(set_to_none=True)
        size = len(samples) if running.method_splits else running.micro_batch or len(samples)
        means: dict[str, float] = {}
        for part, first in enumerate(range(0, len(samples), size)):
            some = samples[first : first + size]
            share = len(some) / len(samples)
            batch = stack(some, self.method, running.device)
            with torch.autocast(self._kind, torch.float16, enabled=running.precision == "float16"):
                losses = self.method.losses(batch, step_generator(plan.seed, step, part))
            values = {name: float(loss.detach()) for name, loss in losses.items()}
            self._refuse_nan(step, values)
            self.scaler.scale(losses["total"] * share).backward()  # type: ignore[no-untyped-call]
            for name, value in values.items():
                means[name] = means.get(name, 0.0) + share * value
        self._descend(step)
        return means

    def _descend(self, step: int) -> None:
        """Clip the gradients and take the step; half precision skips it where its scale was too large."""
        import torch

        self.scaler.unscale_(self.optimiser)
        limit = self.plan.schedule.clip_norm
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), math.inf if limit is None else limit)
        if bool(norm.isfinite()):
            self._skipped = 0
        else:
            self._skipped += 1
            if not self.scaler.is_enabled() or self._skipped > _MOST_SKIPPED:
                raise TrainingError(f"step {step + 1}: the gradients are not numbers; {self.advice()}")
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def _refuse_nan(self, step: int, values: Mapping[str, float]) -> None:
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            epoch = step // self.plan.steps_per_epoch + 1
            hint = ", or --precision float32" if self.scaler.is_enabled() else ""
            named = next((name for name in bad if name != "total"), bad[0])
            raise TrainingError(
                f"step {step + 1} (epoch {epoch}): the loss {named} is {values[named]}; {self.advice()}{hint}"
            )

    def _count(self, step: int, losses: dict[str, float], samples: int, seconds: float) -> None:
        """Log and show a step, and save the state where it is due."""
        plan = self.plan
        self.done = step + 1
        self.log.add(losses, samples, seconds)
        last = self.done % plan.steps_per_epoch == 0
        if last:
            losses = self.log.close_epoch().losses
        rate = learning_rate(plan.schedule, step, plan.steps)
        epoch = step // plan.steps_per_epoch + 1
        self._report.show(Step(self.done, plan.steps, epoch, plan.schedule.epochs, last, losses, rate))
        if last or time.monotonic() - self._saved_at >= self.running.checkpoint_every_s:
            self._save()

    def _save(self) -> None:
        progress = Progress(
            identity=identity_of(self.plan.header), step=self.done, scaler=self.scaler.state_dict(), log=self.log
        )
        weights = self.weights()
        if all(bool(tensor.isfinite().all()) for tensor in weights.values()):
            save_state(self.plan.out, progress, weights, self.optimiser)
            self._saved_step = self.done
        self._saved_at = time.monotonic()

    def _bring_back(self, saved: Saved) -> None:
        own = self.module.state_dict()
        names = {name: tuple(tensor.shape) for name, tensor in own.items()}
        if names != {name: tuple(tensor.shape) for name, tensor in saved.weights.items()}:
            raise TrainingError(f"{resume_path(self.plan.out)} holds other tensors; start over with --restart")
        self.module.load_state_dict(saved.weights)
        state = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**state, "state": saved.optimiser})
        if self.scaler.is_enabled() and saved.progress.scaler:
            self.scaler.load_state_dict(saved.progress.scaler)
        self.done, self.log = saved.progress.step, saved.progress.log
        self._report.say(f"going on after step {self.done} of {self.plan.steps}")

    def _segment(self) -> Segment:
        import torch

        running = self.running
        name = torch.cuda.get_device_name(running.device) if running.device.startswith("cuda") else running.device
        return Segment(
            from_step=self.done,
            started=now_utc(),
            learning_rate=self.plan.schedule.learning_rate,
            device=name,
            precision=running.precision,
            micro_batch=running.micro_batch,
            threads=torch.get_num_threads(),
            versions=versions(),
        )

    def _too_large(self, samples: int) -> str:
        """Return how to go on with less memory."""
        size = min(self.running.micro_batch or samples, samples)
        again = "--resume" if self._saved_step is not None else "--restart"
        less = (
            f"go on with {again} --micro-batch {size // 2}"
            if size > 1
            else "choose a smaller --side, or --save-memory with dapo"
        )
        return f"{self.running.device} has too little memory for {size} pictures at once; {less}"


def _optimiser(module: "torch.nn.Module", schedule: Schedule) -> "torch.optim.Optimizer":
    import torch

    kind = torch.optim.Adam if schedule.optimiser == "adam" else torch.optim.AdamW
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return kind(parameters, lr=schedule.learning_rate, betas=schedule.betas, weight_decay=schedule.weight_decay)


def _torch_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([_TORCH_STREAM, seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def _reproducible(device: str) -> Iterator[None]:
    """Keep torch's random numbers apart from the caller's and, on the CPU, forbid what is not deterministic."""
    import torch

    cuda = device.startswith("cuda")
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[torch.device(device).index or 0] if cuda else []):
        try:
            torch.use_deterministic_algorithms(before or not cuda)
            yield
        finally:
            torch.use_deterministic_algorithms(before)
