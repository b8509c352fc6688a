"""What a second part of a class costs when its references have been read and learned: processor time, and bytes hashed.

    python -m benchmarks.second_part                    # 1, 4 and 16 references

It uses only what the program has long had (`Inspector.examine`), so that an earlier commit can be measured by the same
file: `cd EARLIER && PYTHONPATH=. python .../benchmarks/second_part.py`.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE_HW = (960, 1280)
REFERENCES = (1, 4, 16)


class Counter:
    """Stands in for `hashlib.sha256` and counts the bytes that are hashed."""

    def __init__(self) -> None:
        self.bytes = 0
        self._real = hashlib.sha256

    def __call__(self, data: Any = b"", **options: Any) -> Any:
        """Return a digest that counts."""
        return _Counted(self, self._real(**options), data)


class _Counted:
    def __init__(self, counter: Counter, digest: Any, data: Any) -> None:
        self._counter, self._digest = counter, digest
        self.update(data)

    def update(self, data: Any) -> None:
        self._counter.bytes += memoryview(data).nbytes
        self._digest.update(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._digest, name)


def paint(path: Path, seed: int) -> Path:
    """Write a photo of a grey plate with a grid of holes, a little moved and a little noisy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SIZE_HW[0], 0 : SIZE_HW[1]]
    dy, dx = rng.uniform(-4, 4, 2)
    holes = ((y + dy) % 160 - 80) ** 2 + ((x + dx) % 160 - 80) ** 2 < 40**2
    grey = np.where(holes, 60, 170) + rng.normal(0, 6, SIZE_HW)
    Image.fromarray(np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)).save(path)
    return path


def measure(folder: Path, references: int, parts: int) -> tuple[float, list[float], list[float]]:
    """Return processor seconds of the first part and of each later one, and the MB hashed for each later one."""
    from vlm_inspect.inspector import Inspector

    known = [paint(folder / f"reference{i}.png", i) for i in range(references)]
    given = [paint(folder / f"part{i}.png", 1000 + i) for i in range(parts)]
    inspector = Inspector(references=known)
    counter = Counter()
    hashlib.sha256 = counter
    try:
        seconds, hashed = [], []
        for path in given:
            before, began = counter.bytes, time.process_time()
            inspector.examine(path)
            seconds.append(time.process_time() - began)
            hashed.append((counter.bytes - before) / 1e6)
    finally:
        hashlib.sha256 = counter._real
    return seconds[0], seconds[1:], hashed[1:]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, nargs="+", default=REFERENCES)
    parser.add_argument("--parts", type=int, default=6)
    given = parser.parse_args()
    print("| references | first part, s | a later part, s | MB hashed for it |\n|---|---|---|---|")
    for count in given.references:
        with tempfile.TemporaryDirectory() as name:
            os.environ["VLM_INSPECT_CACHE"] = str(Path(name) / "cache")
            first, later, hashed = measure(Path(name), count, given.parts)
        told = f"{first:.1f} | {statistics.median(later):.2f} | {statistics.median(hashed):.1f}"
        print(f"| {count} | {told} |", flush=True)


if __name__ == "__main__":
    main()
