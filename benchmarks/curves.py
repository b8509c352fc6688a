"""Events of generated curves found in time, and their AUROC: `python -m benchmarks.curves`.

Four classes of curves, six normal ones of each as references: a running motor (one channel, any phase), a press stroke
(two channels, in step but for the trigger), a cyclic drive (two channels, cycles of varying length, any phase) and a
furnace (three channels, no clock). Twenty-four more of each must show no event; eight kinds of faults, six curves of
each, must be found: an event counts where its peak lies within 2.5 % of the curve's length of the time of the fault,
each fault once.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.sample import Series
from converters.series import render_series
from converters.view import ViewBudget
from evaluation.metrics.image import image_auroc
from vlm_inspect.demo.vibration import record
from vlm_inspect.localization.curves.localizer import CurveLocalizer
from vlm_inspect.localization.localizer import FittedLocalizer
from vlm_inspect.references import Part, ReferenceSet

REFERENCES, NORMALS, FAULTY = 6, 24, 6
REACH = 0.025
Floats = NDArray[np.float64]
Span = tuple[float, float]


def motor(rng: np.random.Generator) -> Series:
    """Record a running motor: four seconds at 1 kHz."""
    time_s, accel = record(rng, burst_at_s=None)
    return Series(Path("motor.csv"), time_s, accel[:, None], ("accel",), ("g",))


def press(rng: np.random.Generator) -> Series:
    """Record a press: two strokes in ten seconds at 200 Hz, the trigger up to a tenth of a second late."""
    time_s = np.arange(2000) / 200.0
    late = rng.uniform(-0.1, 0.1)
    force, travel = np.zeros(2000), np.zeros(2000)
    for middle, height in ((3.0, 5.0), (7.0, 3.0)):
        away = time_s - middle - late - rng.normal(scale=0.02)
        gain = rng.normal(1.0, 0.02)
        force += gain * height * np.exp(-((away / 0.5) ** 2)) * (1 + 0.15 * np.sin(9 * away))
        travel += 40 * gain / (1 + np.exp(-(0.8 - np.abs(away)) / 0.06))
    force += rng.normal(scale=0.05, size=2000)
    travel += rng.normal(scale=0.3, size=2000)
    return Series(Path("press.csv"), time_s, np.column_stack([force, travel]), ("force", "travel"), ("kN", "mm"))


def drive(rng: np.random.Generator) -> Series:
    """Record a drive: about twelve cycles of a second at 100 Hz, each two per cent longer or shorter."""
    time_s = np.arange(1200) / 100.0
    turns = np.interp(time_s, np.cumsum(rng.normal(1.0, 0.02, 20)) - rng.uniform(1, 2), np.arange(20.0))
    share = turns % 1.0
    position = 100 * np.where(share < 0.6, 0.5 - 0.5 * np.cos(np.pi * share / 0.6), np.exp(-(share - 0.6) / 0.08))
    current = 2.0 * np.exp(-(((share - 0.1) / 0.05) ** 2)) + 1.2 * np.exp(-(((share - 0.65) / 0.04) ** 2)) + 0.4
    current = current * rng.normal(1.0, 0.03) + rng.normal(scale=0.04, size=1200)
    position += rng.normal(scale=0.6, size=1200)
    values = np.column_stack([current, position])
    return Series(Path("drive.csv"), time_s, values, ("current", "position"), ("A", "mm"))


def furnace(rng: np.random.Generator) -> Series:
    """Record a furnace: ramp, hold, cooling in 900 samples without a clock; two temperatures and the gas valve."""
    sample = np.arange(900.0)
    hot = np.interp(sample, [0, 250, 600, 900], [25, 850, 850, 120]) + rng.normal(scale=4.0)
    hot = np.convolve(np.pad(hot, 20, mode="edge"), np.ones(41) / 41, mode="valid")
    wave = (
        6.0 * np.sin(2 * np.pi * sample / rng.normal(45, 1.0) + rng.uniform(0, 6.3)) * ((sample > 260) & (sample < 600))
    )
    upper = hot + wave + rng.normal(scale=1.5, size=900)
    lower = 0.93 * hot - 0.6 * wave + rng.normal(scale=1.5, size=900)
    valve = np.where(sample < 250, 80.0, np.where(sample < 600, 35.0 - 2.0 * wave, 5.0)) + rng.normal(
        scale=1.0, size=900
    )
    values = np.column_stack([upper, lower, valve])
    return Series(Path("furnace.csv"), sample, values, ("upper", "lower", "valve"), ("C", "C", "%"), time_is_index=True)


CLASSES: dict[str, Callable[[np.random.Generator], Series]] = {
    "motor": motor,
    "press": press,
    "drive": drive,
    "furnace": furnace,
}


def _stretch(rng: np.random.Generator, count: int, share: float) -> slice:
    start = int(rng.integers(count // 20, count - round(share * count) - count // 20))
    return slice(start, start + round(share * count))


def _spike(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """A few samples that leap, as a loose contact makes them."""
    where = _stretch(rng, len(values), 0.02)
    lasting = int(rng.integers(1, 4))
    height = rng.uniform(0.4, 0.8) * np.ptp(values[:, channel])
    values[where.start : where.start + lasting, channel] += float(rng.choice([-1, 1])) * height
    return where.start, where.start + lasting


def _drift(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """From some moment on the values run away, by a good quarter of the range at the end."""
    start = int(rng.uniform(0.3, 0.6) * len(values))
    height = float(rng.choice([-1, 1])) * rng.uniform(0.15, 0.4) * np.ptp(values[:, channel])
    values[start:, channel] += height * np.linspace(0, 1, len(values) - start)
    return start, len(values)


def _drop_out(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """A sensor that keeps its last value."""
    where = _stretch(rng, len(values), rng.uniform(0.05, 0.1))
    values[where, channel] = values[where.start, channel]
    return where.start, where.stop


def _level(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """A stretch that lies too high or too low."""
    where = _stretch(rng, len(values), rng.uniform(0.1, 0.2))
    values[where, channel] += float(rng.choice([-1, 1])) * rng.uniform(0.1, 0.3) * np.ptp(values[:, channel])
    return where.start, where.stop


def _slow(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """All channels run 1.25 times slower for a while; what follows is as late as that."""
    where = _stretch(rng, len(values), 0.15)
    clock = np.cumsum(
        np.where((np.arange(len(values)) >= where.start) & (np.arange(len(values)) < where.stop), 1 / 1.25, 1)
    )
    before = values.copy()
    for c in range(values.shape[1]):
        values[:, c] = np.interp(clock - clock[0], np.arange(len(values)), before[:, c])
    return where.start, where.stop


def _missing(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """What repeats, or the stroke, does not happen: every channel rests."""
    where = _stretch(rng, len(values), 0.09)
    busy = np.abs(np.diff(values[:, 0])).cumsum()
    for _ in range(20):  # a stretch in which something would have happened
        if busy[where.stop - 1] - busy[where.start] >= 0.7 * busy[-1] * 0.09:
            break
        where = _stretch(rng, len(values), 0.09)
    for c in range(values.shape[1]):
        noise = np.median(np.abs(np.diff(values[:, c]))) if values.shape[1] > 1 else 0.0
        line = np.linspace(values[where.start, c], values[where.stop, c], where.stop - where.start)
        values[where, c] = line + rng.normal(scale=max(noise, 1e-9), size=len(line))
    return where.start, where.stop


def _phase(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """One channel is late against the others for a while, or, of a single one, jumps."""
    where = _stretch(rng, len(values), 0.15)
    late = round(0.012 * len(values))
    values[where, channel] = np.roll(values[:, channel], late)[where]
    return where.start, where.stop


def _rattle(values: Floats, channel: int, rng: np.random.Generator) -> Span:
    """A burst of noise."""
    where = _stretch(rng, len(values), rng.uniform(0.03, 0.08))
    values[where, channel] += rng.normal(scale=0.08 * np.ptp(values[:, channel]), size=where.stop - where.start)
    return where.start, where.stop


FAULTS: dict[str, Callable[[Floats, int, np.random.Generator], Span]] = {
    "spike": _spike,
    "drift": _drift,
    "drop-out": _drop_out,
    "level": _level,
    "slow": _slow,
    "missing": _missing,
    "phase": _phase,
    "rattle": _rattle,
}


IN_STEP = {"press", "furnace"}
"""Classes whose curves look alike at the same moment: what runs slowly once is late from then on."""
_VISIBLE = 0.04
"""A fault counts as one where it changes a channel by this share of its range, root mean square."""
_TRIES = 200


def faulty(name: str, kind: str, rng: np.random.Generator) -> tuple[Series, Span]:
    """Return a curve of a class with one fault that can be seen, and when it lasts, in its unit of time."""
    curve = CLASSES[name](rng)
    for _ in range(_TRIES):
        values = curve.values.copy()
        first, last = FAULTS[kind](values, int(rng.integers(values.shape[1])), rng)
        stretch = slice(int(first), int(last))
        change = np.sqrt(((values - curve.values)[stretch] ** 2).mean(axis=0))
        if (change >= _VISIBLE * np.ptp(curve.values, axis=0)).any():
            break
    end = len(values) - 1 if kind == "slow" and name in IN_STEP else min(int(last), len(values) - 1)
    return replace(curve, values=values), (float(curve.time_s[int(first)]), float(curve.time_s[end]))


def peaks_of(fitted: FittedLocalizer, curve: Series) -> tuple[float, list[float]]:
    """Return the score of a curve, and when its events are highest, in its unit of time."""
    found = fitted.localize(Part(curve, tuple(render_series(curve, ViewBudget()))))
    assert found.log_scores is not None
    assert found.sample_curve is not None
    return float(found.log_scores[0]), [float(curve.time_s[event.peak]) for event in found.sample_curve.events]


def measure(name: str, seed: int) -> tuple[float, float]:
    """Print and return the AUROC of whole curves and the F1 of events of one class."""
    kind_of = list(CLASSES).index(name)
    made = [CLASSES[name](np.random.default_rng([seed, kind_of, 0, k])) for k in range(REFERENCES)]
    parts = tuple(Part(one, tuple(render_series(one, ViewBudget()))) for one in made)
    fitted = CurveLocalizer().fit(ReferenceSet(parts))
    began, scores, labels, hits, extra = time.process_time(), [], [], dict.fromkeys(FAULTS, 0), 0
    for k in range(NORMALS):
        score, peaks = peaks_of(fitted, CLASSES[name](np.random.default_rng([seed, kind_of, 1, k])))
        scores.append(score)
        labels.append(False)
        extra += len(peaks)
    false = extra
    for number, kind in enumerate(FAULTS):
        for k in range(FAULTY):
            curve, (first, last) = faulty(name, kind, np.random.default_rng([seed, kind_of, 2, number, k]))
            score, peaks = peaks_of(fitted, curve)
            scores.append(score)
            labels.append(True)
            near = REACH * float(curve.time_s[-1] - curve.time_s[0])
            inside = [peak for peak in peaks if first - near <= peak <= last + near]
            hits[kind] += bool(inside)
            extra += len(peaks) - len(inside)
    spent = (time.process_time() - began) / len(scores)
    found, true = sum(hits.values()), FAULTY * len(FAULTS)
    f1 = 2 * found / (true + found + extra)
    auroc = image_auroc(np.array(labels), np.array(scores))
    assert auroc is not None
    told = ", ".join(f"{kind} {count}" for kind, count in hits.items())
    print(
        f"{name}: AUROC {auroc:.3f}, event F1 {f1:.3f}, {false} events in {NORMALS} normal curves, of {FAULTY}: {told}"
    )
    print(f"  {spent:.2f} s of processor time a curve, plots included", flush=True)
    return auroc, f1


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    figures = [measure(name, given.seed) for name in CLASSES]
    print("mean: AUROC {:.3f}, event F1 {:.3f}".format(*np.mean(figures, axis=0)))


if __name__ == "__main__":
    main()
