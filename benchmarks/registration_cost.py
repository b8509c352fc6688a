"""What laying a scan onto another and comparing them costs, by the number of points: processor time and peak memory.

    python -m benchmarks.registration_cost [--points 10000 100000 1000000]

A generated screw in any pose against another of as many points. Each size runs in a process of its own, libraries
loaded before the clock starts; reading a file is not counted. Aim: 10 s on two cores and 2 GB at a million points, and
a time that grows no faster than n log n.
"""

import argparse
import math
import resource
import subprocess
import sys
import time

import numpy as np

from vlm_inspect.demo.generated_scans import Scanner, draw
from vlm_inspect.registration.alignment import align
from vlm_inspect.registration.comparison import compare, scan_surface
from vlm_inspect.registration.pose import apply


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        print(*measure(asked.one))
        return
    print("| points of each | processor, s | by the clock, s | per n log n, of the first | peak memory, GB |")
    print("|---|---|---|---|---|")
    first = None
    for count in asked.points:
        command = [sys.executable, "-m", "benchmarks.registration_cost", "--one", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        cpu, clock, peak = map(float, done.stdout.split())
        rate = cpu / (count * math.log(count))
        first = first or rate
        print(f"| {count:,} | {cpu:.1f} | {clock:.1f} | {rate / first:.2f} | {peak:.2f} |", flush=True)


def measure(count: int) -> tuple[float, float, float]:
    """Return processor and clock seconds of one registration and comparison, and the peak memory in GB."""
    align(*_pair(3_000))
    moving, fixed = _pair(count)
    before, began = time.process_time(), time.perf_counter()
    pose = align(moving, fixed).pose
    compare(scan_surface(apply(pose, moving)), scan_surface(fixed))
    seconds = time.process_time() - before, time.perf_counter() - began
    return *seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _pair(count: int) -> list[np.ndarray]:
    scanner = Scanner(points=(count, count + 1), noise_mm=(0.01,), partial=0.0)
    return [draw("screw", "", np.random.default_rng([0, i]), scanner).cloud.points for i in range(2)]


if __name__ == "__main__":
    main()
