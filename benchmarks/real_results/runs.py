"""The runs behind the section: made, gone on with, and read."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.real_results.data_set import DataSet
from evaluation.errors import RunError
from evaluation.runs.finished_run import FinishedRun, read_run

Runs = Mapping[tuple[str, int], FinishedRun]
"""By data set and number of references."""


def command_of(data: Path, out: Path, shots: int, *, resume: bool, normal_until: str = "") -> list[str]:
    """Return the command line of one run, after `vlm-inspect`."""
    beginning = ["--normal-until", normal_until] if normal_until else []
    further = [*beginning, *(["--resume"] if resume else [])]
    return ["bench", str(data), "--out", str(out), "--shots", str(shots), *further]


def carry_out(one: DataSet, data: Path, out: Path) -> None:
    """Make the runs of a data set, or go on with them; what cannot be run is said on stderr, and the others go on."""
    for shots in one.shots:
        there = folder_of(out, one, shots)
        command = command_of(data / one.folder, there, shots, resume=there.exists(), normal_until=one.normal_until)
        done = subprocess.run([sys.executable, "-m", "vlm_inspect.cli", *command], stdout=sys.stderr, check=False)
        if done.returncode:
            print(f"real_results: {there.name} ended with exit code {done.returncode}", file=sys.stderr)


def find_runs(data_sets: Sequence[DataSet], out: Path) -> dict[tuple[str, int], FinishedRun]:
    """Return the runs that are finished; the others are absent."""
    found = {}
    for one in data_sets:
        for shots in one.shots:
            try:
                run = read_run(folder_of(out, one, shots))
            except RunError as error:
                print(f"real_results: {error}", file=sys.stderr)
                continue
            if run.results.settings.shots != shots:
                raise RunError(f"{run.folder} holds a run with {run.results.settings.shots} references; move it")
            found[one.name, shots] = run
    return found


def folder_of(out: Path, one: DataSet, shots: int) -> Path:
    """Return the output folder of a run."""
    return out / f"{one.name}-{shots}"
