"""Pixel metrics of many large maps: how long, how much memory, and how that compares with the plain computation.

    python -m benchmarks.pixel_metrics [--images 100] [--side 1024] [--skip-plain]

Both sides get the same maps, made in memory. "Plain" pools all pixels, sorts them once and sums along
(tests/evaluation/metrics/plain_pixel_metrics.py): AUPRO alone, while ours also returns AUROC, AP and F1-max. Peak
memory is that of a process of its own which makes one map at a time, as a run would, and resamples them, too.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import PixelMetrics
from evaluation.metrics.pixel_bootstrap import PixelTally, choose_levels
from tests.evaluation.metrics.plain_pixel_metrics import plain_aupro, synthetic

_BATCH = 5


def stream(images: int, side: int) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield name, map and mask, one at a time, a few of them lifted over and over."""
    maps, masks = synthetic(_BATCH, side)
    for number in range(images):
        yield f"{number:04}", maps[number % _BATCH] + np.float32(number * 1e-3), masks[number % _BATCH]


def measure(images: int, side: int) -> tuple[float, float]:
    """Return the seconds of the exact metrics and those of their intervals, of maps that come one at a time."""
    began = time.perf_counter()
    found, labels = PixelMetrics(), {}
    for name, scores, mask in stream(images, side):
        found.add(scores, mask)
        labels[name] = bool(mask.any())
    told = found.summary()
    exact_s = time.perf_counter() - began
    levels = choose_levels(found)
    del found
    tally = PixelTally(levels)
    for name, scores, mask in stream(images, side):
        tally.add(name, scores, mask)
    whole = {"pixel_auroc": told.auroc, "pixel_ap": told.ap, "pixel_f1_max": told.f1_max, "aupro": told.aupro}
    tally.draws(labels, name="class", whole={name: value for name, value in whole.items() if value is not None})
    return exact_s, time.perf_counter() - began - exact_s


def peak_gb(images: int, side: int) -> tuple[float, float, float]:
    """Return the peak resident memory of streaming in a process of its own, in GB (1e9 bytes), and `measure`."""
    command = [sys.executable, "-m", "benchmarks.pixel_metrics", "--measure", str(images), str(side)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(told[0]), float(told[1]), float(told[2])


def compare(images: int, side: int) -> None:
    """Print both times and their ratio."""
    parts = [synthetic(min(_BATCH, images - start), side, seed=start) for start in range(0, images, _BATCH)]
    maps, masks = [one for part in parts for one in part[0]], [one for part in parts for one in part[1]]
    start, cpu = time.perf_counter(), time.process_time()
    found = PixelMetrics()
    for scores, mask in zip(maps, masks, strict=True):
        found.add(scores, mask)
    ours = found.summary()
    ours_s, ours_cpu_s = time.perf_counter() - start, time.process_time() - cpu
    start, cpu = time.perf_counter(), time.process_time()
    plain = plain_aupro(maps, masks)
    plain_s, plain_cpu_s = time.perf_counter() - start, time.process_time() - cpu
    print(f"ours   {ours_s:7.2f} s  AUPRO {ours.aupro:.9f}  AUROC {ours.auroc:.6f}  F1-max {ours.f1_max:.6f}")
    print(f"plain  {plain_s:7.2f} s  AUPRO {plain:.9f}")
    print(f"ratio  {plain_s / ours_s:7.2f}    of CPU time {plain_cpu_s / ours_cpu_s:.2f}")
    print(f"AUPRO differs by {abs(plain - (ours.aupro or 0.0)):.1e}")


def _own_peak_bytes() -> int:
    """Peak RSS of this program alone: `ru_maxrss` of a child also counts what its parent held when it was started."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--skip-plain", action="store_true", help="peak memory only; the plain way takes about 8 GB")
    parser.add_argument("--measure", nargs=2, type=int, metavar=("IMAGES", "SIDE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        times = measure(*arguments.measure)
        print(_own_peak_bytes() / 1e9, *times)
        return
    print(f"{arguments.images} maps of {arguments.side} x {arguments.side}")
    peak, exact_s, drawn_s = peak_gb(arguments.images, arguments.side)
    print(f"peak   {peak:7.2f} GB, one map at a time: {exact_s:.1f} s for the metrics, {drawn_s:.1f} s for intervals")
    if not arguments.skip_plain:
        compare(arguments.images, arguments.side)


if __name__ == "__main__":
    main()
