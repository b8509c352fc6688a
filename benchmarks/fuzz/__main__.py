"""python -m benchmarks.fuzz [KIND]... [--mutants N] [--seed S]: damages files and runs the commands that read them."""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fuzz.kinds import Kind, make_kinds, run_command


def fuzz(kind: Kind, mutants: int, seed: int) -> list[str]:
    """Return what went wrong, a line each."""
    faults = []
    for number in range(mutants):
        kind.restore()
        kind.damage(random.Random(f"{seed} {kind.name} {number}"))
        for command in kind.commands:
            began = time.monotonic()
            ran = run_command(command)
            if fault := ran.fault:
                faults.append(f"{kind.name}, mutant {number}, {command[0]}: {fault}")
            if (took := time.monotonic() - began) > LONGEST_S:
                faults.append(f"{kind.name}, mutant {number}, {command[0]}: took {took:.0f} s")
    kind.restore()
    return faults


LONGEST_S = 20.0


def main() -> int:
    """Damage files of the kinds named, else of all; exit code 1 where a fault was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="beginnings of kinds; default: all")
    parser.add_argument("--mutants", type=int, default=300, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["VLM_INSPECT_CACHE"] = str(Path(place) / "cache")
        found = []
        for kind in make_kinds(Path(place)):
            if given.kinds and not kind.name.startswith(tuple(given.kinds)):
                continue
            faults = fuzz(kind, given.mutants, given.seed)
            print(f"{kind.name}: {given.mutants} mutants, {len(faults)} faults", flush=True)
            found += faults
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
