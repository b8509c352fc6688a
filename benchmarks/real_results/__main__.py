"""Measure the offline default on real data, and write the section of docs/results/bench.md.

    python -m benchmarks.real_results [--data DIR] [--out DIR] [--only NAME]... [--write-only]

Every data set and number of references is a `vlm-inspect bench` run of the model `evidence` in a folder of its own,
with its report.html. Runs that are there are gone on with, so that a second call after a stop, or after a change of
the text, asks nothing twice. What could not be run is said in the tables. With --only, the chapters of other data
sets and the means stay as they are.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.real_results.data_set import read_data_sets
from benchmarks.real_results.runs import carry_out, find_runs
from benchmarks.real_results.section import put_chapters, put_into, section_of
from vlm_inspect.errors import InspectError

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run what is not done, write the section, and return the exit code: 1 where a run is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("VLM_INSPECT_DATA", _ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="default: VLM_INSPECT_DATA, else ../shared/data")
    parser.add_argument("--out", type=Path, default=_ROOT / "runs", help="a folder a run; default: runs")
    parser.add_argument("--only", action="append", metavar="NAME", help="this data set alone; may be given again")
    parser.add_argument("--write-only", action="store_true", help="run nothing, write what the runs there say")
    parser.add_argument("--page", type=Path, default=_ROOT / "docs" / "results" / "bench.md")
    given = parser.parse_args()
    data_sets = read_data_sets()
    if unknown := set(given.only or ()) - {one.name for one in data_sets}:
        parser.error(f"--only {', '.join(sorted(unknown))}: there are {', '.join(one.name for one in data_sets)}")
    chosen = [one for one in data_sets if one.name in (given.only or one.name)]
    try:
        if not given.write_only:
            for one in chosen:
                carry_out(one, given.data, given.out)
        runs = find_runs(chosen, given.out)
        if given.only:
            put_chapters(given.page, chosen, runs)
        else:
            put_into(given.page, section_of(data_sets, runs))
    except (InspectError, OSError, ValueError) as error:
        print(f"real_results: {error}", file=sys.stderr)
        return 2
    missing = [f"{one.name}-{shots}" for one in chosen for shots in one.shots if (one.name, shots) not in runs]
    print(f"{given.page}: {len(runs)} runs" + (f"; missing: {', '.join(missing)}" if missing else ""))
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
