"""What the first scan of a class costs, its references to be read and learned, and what the next one does.

    python -m benchmarks.first_scan                              # the demo screw, six references; a plate, two
    python -m benchmarks.first_scan --generated gear --references 2 6

Processor seconds, all threads, on the demo screw and on generated classes of 40,000 to 60,000 points, twice:

- of `vlm-inspect ask` from start to end; the first ask finds an empty cache, the second asks of the same part;
- in one process that has judged another class before, so that every library and network is loaded: a first part with
  an empty cache, then a second part of the class.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vlm_inspect.demo.folder import write_demo
from vlm_inspect.demo.generated_scans import Scanner, draw, generate
from vlm_inspect.demo.scan_files import write_scan

_SCANNER = Scanner(points=(40_000, 60_000), noise_mm=(0.01,), partial=0.0)
_DEMO = "demo screw"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generated", nargs="*", default=[_DEMO, "plate"], metavar="CLASS")
    parser.add_argument("--references", type=int, nargs="*", default=[2], help="of a generated class")
    asked = parser.parse_args()
    print(
        "| class | first ask, s | the same again, s | learning over it | warm: first part, s | the next, s | over it |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in asked.generated:
        for count in [6] if name == _DEMO else asked.references:
            with tempfile.TemporaryDirectory() as folder:
                parts, options = _given(name, count, Path(folder))
                first, again = (_ask([str(parts[0]), *options], Path(folder) / "cache") for _ in range(2))
                warm, later = _warm(parts, options, Path(folder))
            told = [f"{name}, {count} references", f"{first:.1f}", f"{again:.1f}", f"{(first - again) / again:.1f}"]
            told += [f"{warm:.1f}", f"{later:.1f}", f"{(warm - later) / later:.1f}"]
            print("| " + " | ".join(told) + " |", flush=True)


def _given(name: str, count: int, folder: Path) -> tuple[list[Path], list[str]]:
    """Return two parts of a class, and the options that name its references."""
    if name == _DEMO:
        write_demo(folder / "demo")
        scans = folder / "demo/screw"
        return [scans / "blob.ply", scans / "normal.ply"], ["--rules", str(folder / "demo/rules/screw.yaml")]
    paths = list(_written(name, count + 2, folder))
    return paths[:2], [option for path in paths[2:] for option in ("--reference", str(path))]


def _written(name: str, count: int, folder: Path) -> Iterator[Path]:
    for i, scan in enumerate(generate(name, 1000, normal=count, anomalous=0, scanner=_SCANNER)):
        path = folder / f"{name}{i}.ply"
        write_scan(path, scan.cloud.points)
        yield path


def _ask(given: list[str], cache: Path) -> float:
    """Return the processor seconds of one ask."""
    return _run([sys.executable, "-m", "vlm_inspect", "ask", *given, "--quiet", "--json", os.devnull], cache)


def _warm(parts: list[Path], options: list[str], folder: Path) -> tuple[float, float]:
    """Return the processor seconds of a first and a later part, in a process that has judged another class."""
    from vlm_inspect.config import InspectorConfig

    os.environ["VLM_INSPECT_CACHE"] = str(folder / "other cache")
    thin = Scanner(points=(3_000, 3_001), noise_mm=(0.01,), partial=0.0)
    scans = [draw("tube", "", np.random.default_rng([1, i]), thin).cloud.points for i in range(3)]
    paths = [folder / f"other{i}.ply" for i in range(len(scans))]
    for path, points in zip(paths, scans, strict=True):
        write_scan(path, points)
    InspectorConfig(references=tuple(map(str, paths[1:]))).build().examine(paths[0])
    os.environ["VLM_INSPECT_CACHE"] = str(folder / "warm cache")
    rules = Path(options[1]) if options[0] == "--rules" else None
    inspector = InspectorConfig(rules=rules, references=tuple(options[1::2]) if rules is None else ()).build()
    seconds = []
    for part in parts:
        began = time.process_time()
        inspector.examine(part)
        seconds.append(time.process_time() - began)
    return seconds[0], seconds[1]


def _run(command: list[str], cache: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env={**os.environ, "VLM_INSPECT_CACHE": str(cache)}, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"ask failed: {' '.join(command)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
