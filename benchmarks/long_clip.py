"""A long clip: memory, frames a second, and a run that is killed and goes on: `python -m benchmarks.long_clip`.

A generated belt (320 x 180 pixels, 15 frames a second) whose first minute is normal; then a minute with a toppled
bottle is repeated to the wanted length. `ask CLIP --normal-until 20s --curve` runs in a process of its own:
once about the first minutes alone, whose curve must be the beginning of the whole one's; then about all of it, killed
at a random share of its processor time and begun again. Times are processor time of all threads.
"""

import argparse
import math
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
from vlm_inspect.localization.clip_events.curve import PIECE

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


def ask(
    clip: Path, cache: Path, *, kill_after_s: float | None = None, told: float = math.inf
) -> tuple[float, float, int]:
    """Inspect a clip; returns processor seconds, peak memory in MB and the exit code.

    Args:
        clip: the clip.
        cache: what is kept of it.
        kill_after_s: processor time after which the run is killed; None: it is left to its end.
        told: minutes of the clip after each of which memory is told; about, since scores are kept piece by piece.
    """
    curve = clip.with_suffix(".csv")
    command = [sys.executable, "-m", "vlm_inspect", "ask", str(clip), "--normal-until", "20s", "--curve", str(curve)]
    environment, nowhere = {**os.environ, "VLM_INSPECT_CACHE": str(cache)}, subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)
    memory_mb, next_told = 0.0, told
    if told < math.inf:  # what an earlier run has judged is nothing of this one
        next_told = told * (1 + _kept_minutes(cache) // told)
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        memory_mb = max(memory_mb, _memory_mb(process.pid, "VmHWM"))
        if kill_after_s is not None and _spent_s(process.pid) >= kill_after_s:
            process.send_signal(signal.SIGKILL)
        if next_told < math.inf and _kept_minutes(cache) >= next_told:
            now_mb = _memory_mb(process.pid, "VmRSS")
            print(f"  after {next_told:g} minutes: {now_mb:.0f} MB, at most {memory_mb:.0f} MB", flush=True)
            next_told += told
        time.sleep(_STEP_S)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, memory_mb, process.returncode


def _kept_minutes(cache: Path) -> float:
    """Return how much of the clip has been judged: what of it is kept in pieces."""
    pieces = sum(1 for path in cache.rglob("*") if path.is_file())
    return max(0, pieces - 1) * PIECE / FPS / 60  # one file is what was learned of the beginning


def _memory_mb(pid: int, name: str) -> float:
    """Return the memory of a process, or its peak so far (Linux); what `wait4` tells counts its parent, too."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
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
    parser.add_argument(
        "--told", type=float, default=10.0, help="minutes of the clip after each of which memory is told"
    )
    parser.add_argument("--skip-kill", action="store_true", help="ask about all of it once, without a kill")
    parser.add_argument("--clip", type=Path, help="where the clip is kept for another run; default: nowhere")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, part = given.clip or folder / "long.mp4", folder / "part.mp4"
        count = round(60 * given.minutes * FPS)
        if not clip.exists():
            write_clip(clip, given.minutes, given.seed)
        print(f"{count} frames, {given.minutes:g} minutes, {clip.stat().st_size / 1e6:.0f} MB", flush=True)
        if given.skip_kill:
            measure_once(clip, count, folder, given.told)
        else:
            beginning = write_clip(part, given.part, given.seed)
            share = float(np.random.default_rng([given.seed, 2]).uniform(0.3, 0.9))
            measure_kill((clip, count), (part, beginning), folder, (share, given.told))


def measure_once(clip: Path, count: int, folder: Path, told: float) -> None:
    """Ask about a clip of so many frames; memory is told after each so many minutes of it."""
    spent_s, memory_mb, code = ask(clip, folder / "one", told=told)
    print(f"{spent_s:.0f} s of processor time, {count / spent_s:.0f} frames a second, decoding and start-up counted")
    print(f"peak memory {memory_mb:.0f} MB, exit code {code}")


def measure_kill(whole: tuple[Path, int], part: tuple[Path, int], folder: Path, how: tuple[float, float]) -> None:
    """Ask about the beginning of a clip, then about all of it, killed after a share of its time and begun again.

    Args:
        whole: the clip and how many frames it has.
        part: its beginning, likewise.
        folder: where what is kept goes.
        how: share of the processor time that the beginning lets expect, and minutes of the clip after each of which
            memory is told.
    """
    (clip, count), (beginning, few), (share, told) = whole, part, how
    minutes = few / FPS / 60
    spent_s, memory, code = ask(beginning, folder / "one")
    print(f"the first {minutes:g} minutes, without a kill: {spent_s:.0f} s of processor time, ", end="")
    print(f"{few / spent_s:.0f} frames a second, peak memory {memory:.0f} MB, exit code {code}", flush=True)
    first_s, first_mb, killed = ask(clip, folder / "two", kill_after_s=share * spent_s * count / few, told=told)
    print(f"all of it, killed at about {share:.0%}: {first_s:.0f} s, {first_mb:.0f} MB, exit code {killed}", flush=True)
    again_s, again_mb, code = ask(clip, folder / "two", told=told)
    kept = sum(path.stat().st_size for path in (folder / "two").rglob("*") if path.is_file())
    print(f"begun again: {again_s:.0f} s, peak memory {again_mb:.0f} MB, exit code {code}, {kept / 1e6:.0f} MB kept")
    print(f"  {count / (first_s + again_s):.0f} frames a second of both, decoding and start-up counted")
    same, rows = equal_rows(clip.with_suffix(".csv"), beginning.with_suffix(".csv"))
    print(f"  {same} of the first {rows} lines are those of the part without a kill")


if __name__ == "__main__":
    main()
