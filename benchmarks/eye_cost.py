"""What the eyes cost, beside plain forwards of their networks, in one run: read the ratios.

    python -m benchmarks.eye_cost [--data DIR] [--rounds 15]

One picture after another is framed, seen, searched in the memory and drawn as a map, as an inspection does; between
them the plain networks run in torch on one picture of the stated size. The median over the rounds counts, by the clock
and in processor time of all threads, which a busy machine lengthens less. Fitting is timed once, in seconds of
processor time.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.reference_memory import load
from vlm_inspect.datasets.item import Item
from vlm_inspect.datasets.mvtec import read_category
from vlm_inspect.localization.memory import FittedMemory, ReferenceMemory
from vlm_inspect.localization.memory_settings import MemorySettings
from vlm_inspect.references import Part, ReferenceSet
from vlm_inspect.vision import load_network
from vlm_inspect.vision.runtime import thread_count

CATEGORIES = {"mvtec/hazelnut": "256 px", "mvtec/screw": "512 px"}
REFERENCES = (1, 4, 16)


def main() -> None:
    """Measure and print."""
    default = os.environ.get("VLM_INSPECT_DATA", str(Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(thread_count())
    os.environ["VLM_INSPECT_CACHE"] = "off"
    for name, size in CATEGORIES.items():
        items = read_category(arguments.data / name).train
        measure(f"{name} ({size})", items, arguments.rounds)


def measure(title: str, items: Sequence[Item], rounds: int) -> None:
    """Print the times of one category."""
    parts = [Part(None, tuple(load(item.path))) for item in items[: max(REFERENCES) + 1]]
    runs: dict[str, Callable[[], object]] = {}
    for eye in ("fast", "fine"):
        for count in REFERENCES:
            fitted, seconds = _fit(eye, parts[:count])
            runs[f"{eye} eye, {count} references"] = lambda fitted=fitted: fitted.localize(parts[-1])
            print(f"{title}: {eye} eye fitted to {count} in {seconds:.1f} s of processor time")
    for network, side in (("lite0", 256), ("dinov2", 448)):
        picture = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
        for runtime in ("torch", "openvino"):
            plain = load_network(network, runtime)
            runs[f"plain {network}, {side} px, {runtime}"] = lambda plain=plain, picture=picture: plain.extract(
                [picture]
            )
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter(), time.process_time()
            run()
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    medians = {name: 1e3 * np.median(found[2:], axis=0) for name, found in times.items()}
    unit = medians["plain lite0, 256 px, torch"]
    for name, (clock, processor) in medians.items():
        print(
            f"{title}: {name:<32} {clock:6.0f} ms {clock / unit[0]:5.2f} plain lite0   "
            f"processor {processor:6.0f} ms {processor / unit[1]:5.2f} plain lite0"
        )


def _fit(eye: str, parts: Sequence[Part]) -> tuple[FittedMemory, float]:
    start = time.process_time()
    fitted = ReferenceMemory(MemorySettings.model_validate({"eye": eye})).fit(ReferenceSet(tuple(parts)))
    return fitted, time.process_time() - start


if __name__ == "__main__":
    main()
