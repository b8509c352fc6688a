"""A long clip: memory, frames a second, and a run that is killed and goes on: `python -m benchmarks.long_clip`.

A generated belt (320 x 180 pixels, 15 frames a second) whose first minute is normal; then a minute with a toppled
bottle is repeated to the wanted length. `ask CLIP --normal-until 20s --curve` runs in a process of its own:
once about the first minutes alone, whose curve must be the beginning of the whole one's; then about all of it, killed
at a random share of its processor time and begun again. Times are processor time of all threads.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vlm_inspect.demo.conveyor import film_events

FPS, SIZE_WH = 15.0, (320, 180)
_STEP_S = 0.2


def pictures(seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames, without end."""
    normal, _ = film_events(np.random.default_rng([seed, 0]), (), seconds=60.0, speed_px_s=430.0)
    upset, _ = film_events(np.random.default_rng([seed, 1]), (("toppled", 30.0),), seconds=60.0, speed_px_s=430.0)
    first, then = ([cv2.resize(one, SIZE_WH, interpolation=cv2.INTER_AREA) for one in film] for film in (normal, upset))
    return chain(first, chain.from_iterable(repeat(then)))


def write_clip(path: Path, minutes: float, seed: int) -> int:
    """Write the clip; returns how many frames it has."""
    count = round(60 * minutes * FPS)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE_WH)
    for one in islice(pictures(seed), count):
        writer.write(one[..., ::-1])
    writer.release()
    return count


def ask(clip: Path, cache: Path, *, kill_after_s: float | None = None) -> tuple[float, float, int]:
    """Inspect a clip; returns processor seconds, peak memory in MB and the exit code.

    Args:
        clip: the clip.
        cache: what is kept of it.
        kill_after_s: processor time after which the run is killed; None: it is left to its end.
    """
    curve = clip.with_suffix(".csv")
    command = [sys.executable, "-m", "vlm_inspect", "ask", str(clip), "--normal-until", "20s", "--curve", str(curve)]
    environment, nowhere = {**os.environ, "VLM_INSPECT_CACHE": str(cache)}, subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)
    memory_mb = 0.0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        memory_mb = max(memory_mb, _peak_mb(process.pid))
        if kill_after_s is not None and _spent_s(process.pid) >= kill_after_s:
            process.send_signal(signal.SIGKILL)
        time.sleep(_STEP_S)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, memory_mb, process.returncode


def _peak_mb(pid: int) -> float:
    """Return the peak memory of a process so far (Linux); what `wait4` tells counts its parent before it began, too."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0  # it has just ended


def _spent_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def equal_rows(one: Path, other: Path) -> tuple[int, int]:
    """Return how many lines of two tables are equal from the first on, and how many the shorter has."""
    pairs = list(zip(one.read_text("ascii").splitlines(), other.read_text("ascii").splitlines(), strict=False))
    return next((k for k, (left, right) in enumerate(pairs) if left != right), len(pairs)), len(pairs)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument(
        "--part", type=float, default=10.0, help="minutes of the clip that are asked about without a kill"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clip", type=Path, help="where the clip is kept for another run; default: nowhere")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, part = given.clip or folder / "long.mp4", folder / "part.mp4"
        count = round(60 * given.minutes * FPS)
        if not clip.exists():
            write_clip(clip, given.minutes, given.seed)
        beginning = write_clip(part, given.part, given.seed)
        print(f"{count} frames, {given.minutes:g} minutes, {clip.stat().st_size / 1e6:.0f} MB", flush=True)
        spent_s, memory, code = ask(part, folder / "one")
        print(f"the first {given.part:g} minutes, without a kill: {spent_s:.0f} s of processor time, ", end="")
        print(f"{beginning / spent_s:.0f} frames a second, peak memory {memory:.0f} MB, exit code {code}", flush=True)
        share = float(np.random.default_rng([given.seed, 2]).uniform(0.3, 0.9))
        first_s, first_mb, killed = ask(clip, folder / "two", kill_after_s=share * spent_s * count / beginning)
        print(
            f"all of it, killed at about {share:.0%}: {first_s:.0f} s, {first_mb:.0f} MB, exit code {killed}",
            flush=True,
        )
        again_s, again_mb, code = ask(clip, folder / "two")
        kept = sum(path.stat().st_size for path in (folder / "two").rglob("*") if path.is_file())
        print(
            f"begun again: {again_s:.0f} s, peak memory {again_mb:.0f} MB, exit code {code}, {kept / 1e6:.0f} MB kept"
        )
        print(f"  {count / (first_s + again_s):.0f} frames a second of both, decoding and start-up counted")
        same, rows = equal_rows(clip.with_suffix(".csv"), part.with_suffix(".csv"))
        print(f"  {same} of the first {rows} lines are those of the part without a kill")


if __name__ == "__main__":
    main()
