"""Peak memory of converting long 1080p clips: it must not grow with their length, and stay under 600 MB.

python -m benchmarks.video_memory            # 1 and 10 minutes; writes about 100 MB to a temporary folder
python -m benchmarks.video_memory --minutes 2
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LIMIT_MB = 600.0
FPS = 30
SIZE_HW = (1080, 1920)

_CHILD = """
import json, sys, time
from pathlib import Path
from benchmarks.video_memory import peak_mb
from converters.video import read_video, render_video
from converters.view import ViewBudget

start = time.perf_counter()
clip = read_video(Path(sys.argv[1]))
read_s = time.perf_counter() - start
views = render_video(clip, ViewBudget())
cells = sum(len(view.panes) for view in views)
total_s = time.perf_counter() - start
print(json.dumps(dict(frames=clip.frame_count, cells=cells, read_s=read_s, total_s=total_s, peak_mb=peak_mb())))
"""


def peak_mb() -> float:
    """Return the largest resident size this process has had, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count the parent's memory at the time of the fork too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def write_clip(path: Path, minutes: float) -> None:
    """Write a textured belt with a part that moves across it; the scene changes once a minute."""
    import cv2

    height, width = SIZE_HW
    rng = np.random.default_rng(0)
    belts = [cv2.resize(rng.integers(60, 160, (54, 96, 3), np.uint8), (width, height)) for _ in range(3)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    for index in range(round(minutes * 60 * FPS)):
        frame = belts[index // (60 * FPS) % len(belts)].copy()
        x = index * 12 % (width - 200)
        frame[400:600, x : x + 200] = (40, 40, 220)
        writer.write(frame)
    writer.release()


def measure(minutes: float, folder: Path) -> dict[str, float]:
    """Write a clip, convert it in a process of its own, and return that process's figures."""
    path = folder / "clip.mp4"
    start = time.perf_counter()
    write_clip(path, minutes)
    print(
        f"{minutes:g} min of 1080p: {path.stat().st_size / 1e6:.0f} MB, written in {time.perf_counter() - start:.0f} s"
    )
    child = subprocess.run([sys.executable, "-c", _CHILD, str(path)], capture_output=True, text=True, check=True)
    path.unlink()
    figures: dict[str, float] = json.loads(child.stdout)
    print(
        f"  {figures['frames']:.0f} frames to {figures['cells']:.0f} cells, "
        f"read in {figures['read_s']:.1f} s, {figures['total_s']:.1f} s in all, peak {figures['peak_mb']:.0f} MB"
    )
    return figures


def main() -> int:
    """Measure a short and a long clip; 1 when the long one takes more memory than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long clip")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        short, long = (measure(length, Path(folder)) for length in (minutes / 10, minutes))
    growth = long["peak_mb"] - short["peak_mb"]
    print(f"ten times the length: {growth:+.0f} MB; limit {LIMIT_MB:.0f} MB, peak {long['peak_mb']:.0f} MB")
    return int(long["peak_mb"] > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
