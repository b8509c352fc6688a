"""One million points to six 512 x 512 depth views: how long, how much memory, and against a plain NumPy sort.

    python -m benchmarks.projection [--points N] [--size PX] [--runs N]

The machine's noise falls on both methods alike, so the ratio says more than the seconds.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from converters.projection import DIRECTIONS, Camera, ScanFrame, canonical_frame, project
from converters.sample import PointCloud
from converters.shading import depth_image


def threaded_rod(count: int) -> PointCloud:
    """Return points on a bolt: a head and a threaded shaft, 20 mm long, turned and shifted; the same every time."""
    random = np.random.default_rng(0)
    along, angle = random.uniform(0.0, 20.0, count), random.uniform(0.0, 2.0 * np.pi, count)
    thread = 2.0 - 0.45 * np.abs(2.0 * ((along / 0.7 - angle / (2.0 * np.pi)) % 1.0) - 1.0)
    radius = np.where(along < 2.5, 3.6, thread)
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), along])
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    return PointCloud(Path("bolt.ply"), points @ turn.T + [40.0, -7.0, 300.0])


def six_depth_views(cloud: PointCloud, frame: ScanFrame, size: int) -> list[NDArray[np.uint8]]:
    """Return the six depth pictures, surfaces closed."""
    return [depth_image(seen, frame.half_extent_mm) for seen in project(cloud, frame, size).values()]


def six_sorted_views(cloud: PointCloud, frame: ScanFrame, size: int) -> list[NDArray[np.float64]]:
    """Return six raw depth maps the plain way: sort by pixel and depth, keep the first of each pixel; no gap closed."""
    posed, maps = frame.posed(cloud.points), []
    for direction in DIRECTIONS:
        xy, depth = Camera.facing(direction, frame.half_extent_mm, size).pixels(posed)
        cell = np.floor(xy).astype(np.int64)
        inside = ((cell >= 0) & (cell < size)).all(axis=1)
        pixel, far = cell[inside, 1] * size + cell[inside, 0], depth[inside]
        order = np.lexsort((far, pixel))
        first = np.r_[True, np.diff(pixel[order]) != 0]
        seen = np.full(size * size, np.inf)
        seen[pixel[order][first]] = far[order][first]
        maps.append(seen.reshape(size, size))
    return maps


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure, and print one line a number."""
    parser = argparse.ArgumentParser(description="Time the projection of a scan to six depth views.")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    cloud = threaded_rod(options.points)
    frame = canonical_frame(cloud)
    six_depth_views(cloud, frame, options.size)  # imports and caches
    own, plain, posing = [], [], []
    for _ in range(options.runs):
        posing.append(_seconds(lambda: canonical_frame(cloud)))
        own.append(_seconds(lambda: six_depth_views(cloud, frame, options.size)))
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in range(max(1, options.runs // 3)):
        plain.append(_seconds(lambda: six_sorted_views(cloud, frame, options.size)))
    print(f"{options.points} points to six {options.size} x {options.size} depth views, {options.runs} runs")
    print(f"project, close, draw: median {median(own):.3f} s, fastest {min(own):.3f} s")
    print(f"canonical pose: median {median(posing):.3f} s")
    ratio = median(plain) / median(own)
    print(f"plain NumPy sort, gaps left open: median {median(plain):.3f} s, {ratio:.1f} times as long")
    print(f"peak memory before the sort: {rss_mib:.0f} MiB")


if __name__ == "__main__":
    main()
