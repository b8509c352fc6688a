"""What the first scan of a class costs, its references to be read and learned, and what the next one does.

    python -m benchmarks.first_scan [--generated gear plate] [--references 6]

Processor seconds of `vlm-inspect ask` from start to end, on the demo screw, or on generated classes of 40,000 to 60,000
points. The first ask finds an empty cache, the second asks of the same part.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from vlm_inspect.demo.folder import write_demo
from vlm_inspect.demo.generated_scans import Scanner, generate
from vlm_inspect.demo.scan_files import write_scan

_SCANNER = Scanner(points=(40_000, 60_000), noise_mm=(0.01,), partial=0.0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generated", nargs="*", default=[])
    parser.add_argument("--references", type=int, default=6)
    asked = parser.parse_args()
    print("| class | first ask, s | the same again, s | learning over one part's own time |\n|---|---|---|---|")
    for name in asked.generated or ["demo screw"]:
        with tempfile.TemporaryDirectory() as folder:
            given = _demo(Path(folder)) if name == "demo screw" else _generated(name, Path(folder), asked.references)
            first, again = (_ask(given, Path(folder) / "cache") for _ in range(2))
        print(f"| {name} | {first:.1f} | {again:.1f} | {(first - again) / again:.1f} |", flush=True)


def _demo(folder: Path) -> list[str]:
    write_demo(folder / "demo")
    return [str(folder / "demo/screw/blob.ply"), "--rules", str(folder / "demo/rules/screw.yaml")]


def _generated(name: str, folder: Path, count: int) -> list[str]:
    scans = generate(name, 1000, normal=count + 1, anomalous=0, scanner=_SCANNER)
    paths = [folder / f"{i}.ply" for i in range(count + 1)]
    for path, scan in zip(paths, scans, strict=True):
        write_scan(path, scan.cloud.points)
    return [str(paths[0]), *(option for path in paths[1:] for option in ("--reference", str(path)))]


def _ask(given: list[str], cache: Path) -> float:
    """Return the processor seconds of one ask."""
    command = [sys.executable, "-m", "vlm_inspect", "ask", *given, "--quiet", "--json", os.devnull]
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
