"""What the offline default reaches on real data with 0, 1, 4 and 16 references: the table of docs/results.md.

    python -m benchmarks.real_results [--data DIR] [--out DIR] [--limit N] [--shots 0 1 4 16]

Every row is a `vlm-inspect bench` run of the model `evidence`; its folder keeps report.html. Runs that are there are
gone on with. Heatmap AUROC ranks by the heatmap alone: with fewer than two references the inspection itself says
REVIEW, 0.5.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDERS = ("mvtec", "magnetic_tile", "deeppcb")
SHOTS = (0, 1, 4, 16)


def run(data: Path, out: Path, shots: int, limit: int | None) -> dict[str, Any] | None:
    """Return the results of one run, or None where it could not be made; the reason stands on stderr."""
    command = [sys.executable, "-m", "vlm_inspect.cli", "bench", str(data), "--out", str(out), "--shots", str(shots)]
    command += ["--limit", str(limit)] if limit else []
    command += ["--resume"] if out.exists() else []
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return found


def rows(results: dict[str, Any], shots: int) -> Iterator[str]:
    """Yield one line of the table a class."""
    for name, one in results["categories"].items():
        interval = results["ci95"].get(name, {}).get("image_auroc")
        within = "" if not interval else f" ({interval[0]:.2f} to {interval[1]:.2f})"
        cells = [name, shots, f"{one['n'] - one['n_anomalous']} / {one['n_anomalous']}"]
        cells += [f"{_told(one['image_auroc'])}{within}", _told(one.get("heatmap_auroc"))]
        cells += [_told(one.get("pixel_auroc")), _told(one.get("aupro"))]
        cells += [_told(one["miss_rate"]), _told(one["overkill_rate"]), _told(one["review_rate"])]
        yield "| " + " | ".join(map(str, cells)) + " |"


def _told(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VLM_INSPECT_DATA", "../shared/data")))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--shots", type=int, nargs="+", default=list(SHOTS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    heads = "class | references | normal / anomalous | image AUROC (95 %) | heatmap AUROC | pixel AUROC | AUPRO"
    print(f"| {heads} | missed | overkill | REVIEW |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for folder in FOLDERS:
        for shots in given.shots:
            results = run(given.data / folder, given.out / f"{folder}-{shots}", shots, given.limit)
            for row in rows(results, shots) if results else [f"| {folder} | {shots} | could not be run |"]:
                print(row, flush=True)


if __name__ == "__main__":
    main()
