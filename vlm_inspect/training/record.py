"""The record of a run: what was trained, on what, how it went, and with which software; JSON beside the weights."""

import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from vlm_inspect.file_writing import write_atomically
from vlm_inspect.localization.checkpoint import Header
from vlm_inspect.version import VERSION

if TYPE_CHECKING:
    from vlm_inspect.training.data import TrainingData


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Segment(_Part):
    """One start of the program: a run that was stopped has several."""

    from_step: int
    started: str
    """UTC, ISO 8601."""
    learning_rate: float
    device: str
    precision: str
    micro_batch: int | None
    threads: int
    versions: dict[str, str]


class Epoch(_Part):
    """The mean losses of one epoch over its samples, and how long it took."""

    epoch: int
    """Counted from 1."""
    samples: int
    seconds: float
    losses: dict[str, float]


class Log(_Part):
    """How a run goes: written into its state, and in the end into its record."""

    segments: list[Segment] = Field(default_factory=list)
    epochs: list[Epoch] = Field(default_factory=list)
    samples: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = Field(default_factory=dict)
    """Of the epoch at work: samples, seconds, and losses times samples."""

    def add(self, losses: Mapping[str, float], samples: int, seconds: float) -> None:
        """Count one step."""
        self.samples += samples
        self.seconds += seconds
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * samples

    def close_epoch(self) -> Epoch:
        """Close the epoch at work, and return it."""
        losses = {name: total / self.samples for name, total in self.sums.items()}
        epoch = Epoch(epoch=len(self.epochs) + 1, samples=self.samples, seconds=round(self.seconds, 3), losses=losses)
        self.epochs.append(epoch)
        self.samples, self.seconds, self.sums = 0, 0.0, {}
        return epoch


class Picture(_Part):
    """One picture that was trained on."""

    source: str
    sha256: str
    word: str | None


class Record(_Part):
    """All that is to be known of a finished run."""

    weights: str
    """Name of the file of weights."""
    weights_sha256: str
    finished: str
    """UTC, ISO 8601."""
    seconds: float
    """Time in the steps of all segments."""
    header: dict[str, Any]
    """The header of the weights, but for the marks of the pictures, which stand below in full."""
    epochs: list[Epoch]
    segments: list[Segment]
    left_out: tuple[str, ...]
    pictures: list[Picture]


def record_path(out: Path) -> Path:
    """Return where the record of a run is written."""
    return out.with_name(out.name.removesuffix(".safetensors") + ".record.json")


def write_record(out: Path, header: Header, data: "TrainingData", log: Log) -> Record:
    """Write the record of the run whose weights were written to `out`, and return it.

    Raises:
        OutputError: it cannot be written.
    """
    from converters.digest import sha256_of

    record = Record(
        weights=out.name,
        weights_sha256=sha256_of(out),
        finished=now_utc(),
        seconds=round(sum(epoch.seconds for epoch in log.epochs), 3),
        header=header.model_dump(mode="json", exclude={"trained_on"}),
        epochs=log.epochs,
        segments=log.segments,
        left_out=data.left_out,
        pictures=[Picture(source=e.source, sha256=e.sha256, word=e.item.word) for e in data.entries],
    )
    write_atomically(record_path(out), (record.model_dump_json(indent=2) + "\n").encode())
    return record


def now_utc() -> str:
    """Return the time, UTC, ISO 8601 in seconds."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    import numpy as np
    import torch

    return {
        "vlm-inspect": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.platform(),
    }
