"""Vibration curves of a gear motor: normal ones, and one with a burst as a chipped tooth or a loose part makes it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlm_inspect.demo.truth import DemoCase, DemoDefect

RULES = "rules/vibration.yaml"
RATE_HZ = 1000.0
SECONDS = 4.0
REFERENCES = 6

FloatArray = NDArray[np.float64]


def write_vibrations(folder: Path, generator: Callable[[str], np.random.Generator]) -> list[DemoCase]:
    """Write every curve under `folder/vibration`; returns their truth, paths relative to `folder`."""
    references = tuple(f"vibration/references/normal_{i:02d}.csv" for i in range(1, REFERENCES + 1))
    (folder / "vibration" / "references").mkdir(parents=True)
    for name in (*references, "vibration/normal.csv"):
        _write_curve(folder / name, *record(generator(name), burst_at_s=None))
    rng = generator("vibration/burst.csv")
    time_s = round(rng.uniform(1.0, 3.0), 3)
    _write_curve(folder / "vibration/burst.csv", *record(rng, burst_at_s=time_s))
    normal = DemoCase(source="vibration/normal.csv", rules=RULES, references=references, outcome="OK")
    defect = DemoDefect(type="burst", time_s=time_s)
    burst = DemoCase(source="vibration/burst.csv", rules=RULES, references=references, outcome="NG", defects=(defect,))
    return [normal, burst]


def record(rng: np.random.Generator, *, burst_at_s: float | None) -> tuple[FloatArray, FloatArray]:
    """Record one curve: seconds and acceleration in g, both float64 (4000,).

    Shaft at about 29.5 Hz with two harmonics, gear mesh at 13 teeth with side bands, slow load changes, sensor noise.

    Args:
        rng: what makes this curve differ from the next: speed, load, phase, noise.
        burst_at_s: second at the middle of the burst; None: no burst.
    """
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    shaft_hz = 29.5 * rng.normal(1.0, 0.008)
    wander = np.cumsum(rng.normal(scale=0.0004, size=time_s.size))
    turns = shaft_hz * time_s + wander * 20 + rng.random()
    load = 1.0 + 0.06 * np.sin(2 * np.pi * rng.uniform(0.3, 0.7) * time_s + rng.uniform(0, 2 * np.pi))
    shaft = np.sin(2 * np.pi * turns)
    for order, share in ((2, 0.32), (3, 0.14)):
        shaft += share * rng.normal(1.0, 0.08) * np.sin(2 * np.pi * order * turns + rng.uniform(0, 2 * np.pi))
    mesh = 0.28 * rng.normal(1.0, 0.08) * (1 + 0.3 * np.sin(2 * np.pi * turns)) * np.sin(2 * np.pi * 13 * turns)
    accel = 0.42 * rng.normal(1.0, 0.04) * load * (shaft + mesh) + rng.normal(scale=0.035, size=time_s.size)
    if burst_at_s is not None:
        accel += _burst(rng, time_s, burst_at_s)
    return time_s, accel


def _burst(rng: np.random.Generator, time_s: FloatArray, middle_s: float) -> FloatArray:
    """Return a train of seven decaying rings of the housing at 180 Hz, one a shaft turn, strongest in the middle."""
    total = np.zeros_like(time_s)
    for turn in range(-3, 4):
        since = time_s - (middle_s + turn / 29.5)
        height = 1.5 * np.exp(-((turn / 2.2) ** 2)) * rng.uniform(0.9, 1.1)
        ring = np.exp(-np.clip(since, 0, None) / 0.014) * np.sin(2 * np.pi * 180.0 * since)
        total += np.where(since >= 0, height * ring, 0.0)
    return total


def _write_curve(path: Path, time_s: FloatArray, accel: FloatArray) -> None:
    np.savetxt(
        path, np.column_stack([time_s, accel]), fmt="%.5f", delimiter=",", header="time (s),accel (g)", comments=""
    )
