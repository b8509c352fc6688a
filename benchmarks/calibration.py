"""What a calibration is worth: misses and overkills at the default threshold, and at one set by normal parts alone.

    python -m benchmarks.calibration [--data DIR] [--normals 60] [--overkill 0.05] [CLASS=SHOTS ...]

Of each class the references of a `bench` run are drawn, other training images calibrate (`vlm-inspect calibrate`), and
the test images are scored by `bench` with and without the file. Neither references nor calibrating images are scored.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from evaluation.runs.plan import make_plan
from vlm_inspect.datasets.registry import read_dataset

CLASSES = ("mvtec/bottle=4", "mvtec/screw=4", "magnetic_tile=16")


def run(*arguments: object) -> None:
    """Run vlm-inspect; its results go to stderr."""
    command = [sys.executable, "-m", "vlm_inspect.cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def measure(folder: Path, shots: int, normals: int, overkill: float, out: Path) -> tuple[dict[str, Any], ...]:
    """Return what two runs say of the one class of a folder, without and with calibration, and the calibration.

    Args:
        folder: of the class.
        shots: references.
        normals: training images that calibrate.
        overkill: the asked rate.
        out: a new folder for the runs.
    """
    data = read_dataset(folder)
    (category,) = data.categories
    chosen = make_plan(data, shots=shots).references[category.name]
    rest = sorted(item.path for item in category.train if item not in chosen)
    parts = out / "normals"
    parts.mkdir(parents=True)
    for path in random.Random(0).sample(rest, min(normals, len(rest))):
        (parts / path.name).symlink_to(path)
    given = [part for item in chosen for part in ("--reference", item.path)]
    run("calibrate", parts, "--out", out / "calibration.json", "--overkill", overkill, *given, "--quiet")
    shared = ["bench", folder, "--shots", shots, "--quiet"]
    run(*shared, "--out", out / "default")
    run(*shared, "--out", out / "calibrated", "--calibration", out / "calibration.json")
    told = [json.loads((out / name / "results.json").read_text()) for name in ("default", "calibrated")]
    rows = [{**one["categories"][category.name], "ci95": one["ci95"][category.name]} for one in told]
    return (*rows, json.loads((out / "calibration.json").read_text()))


def cells(row: dict[str, Any]) -> list[str]:
    """Return misses, overkills and what was passed as OK, of one run."""
    shares = [
        f"{row[key]:.3f} ({row['ci95'][key][0]:.2f} to {row['ci95'][key][1]:.2f})"
        for key in ("miss_rate", "overkill_rate")
    ]
    passed = row["outcomes"]["anomalous"].get("OK", 0)
    return [*shares, f"{passed} of {row['n_anomalous']}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classes", nargs="*", default=list(CLASSES), metavar="CLASS=SHOTS")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VLM_INSPECT_DATA", "../shared/data")))
    parser.add_argument("--normals", type=int, default=60)
    parser.add_argument("--overkill", type=float, default=0.05)
    given = parser.parse_args()
    columns = ("class", "references", "calibrated by", "threshold", "missed", "overkill", "anomalous passed as OK")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    with tempfile.TemporaryDirectory() as name:
        for number, one in enumerate(given.classes):
            folder, _, shots = one.partition("=")
            plain, set_, made = measure(
                (given.data / folder).absolute(), int(shots), given.normals, given.overkill, Path(name) / str(number)
            )
            for row, by in ((plain, "nothing"), (set_, f"{made['n']} normal parts")):
                told = [folder, shots, by, f"{row['threshold']:.3f}", *cells(row)]
                print(f"| {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
