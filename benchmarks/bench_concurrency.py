"""How close `bench` comes to what a slow server allows.

    python -m benchmarks.bench_concurrency [--runs 5]

64 items, 0.5 s an answer, 16 at once: ideal is 64 / 16 x 0.5 s = 2.0 s, the aim 2.6 s from the first request to the
end of the command. What comes before, libraries and data set, is loading. Then 512 items, 0.05 s an answer, 32 at once:
what an item more costs. Command and server are processes of their own, as they are in reality. Of the memory that an
item more takes, all but some 4 kB, its record, are the resamples of the intervals, which are bounded.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.backends.openai_server import Body, OpenAIServer, Response
from tests.evaluation.coloured_parts import Model, coloured_parts


@dataclass(frozen=True)
class Case:
    """What is asked of a server."""

    items: int
    answer_s: float
    at_once: int

    @property
    def ideal_s(self) -> float:
        """Seconds in which nothing but waiting is done."""
        return -(-self.items // self.at_once) * self.answer_s

    def __str__(self) -> str:
        return f"{self.items} items, {self.answer_s:g} s an answer, {self.at_once} at once"


@dataclass(frozen=True)
class Measured:
    """One run of the command."""

    loading_s: float
    """From its start to the first request."""
    asking_s: float
    """From the first request to its end."""
    cpu_s: float
    """Processor time of the command, loading included; the server's is not."""
    peak_mb: float
    """Largest resident memory in MB (1e6 bytes)."""


AIMED, MANY = Case(64, 0.5, 16), Case(512, 0.05, 32)


class Timed(Model):
    """Notes when the first request comes in."""

    def __init__(self, answer_s: float) -> None:
        super().__init__(delay_s=answer_s)
        self.first_s = 0.0

    def __call__(self, body: Body) -> Response:
        """Answer as the model does."""
        self.first_s = self.first_s or time.monotonic()
        return super().__call__(body)


def serve(answer_s: float, end: Connection) -> None:
    """Serve until anything is received; tells the address, and at last when it was first asked, and how often."""
    model = Timed(answer_s)
    with OpenAIServer([model]) as server:
        end.send(server.base_url)
        end.recv()
    end.send((model.first_s, sum(model.asked.values())))


def measure(case: Case, parts: Path, out: Path) -> Measured:
    """Run the command once, in a new folder."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(case.answer_s, theirs))
    server.start()
    named = ["--model", "openai:tiny", "--base-url", ours.recv(), "--localizer", "none", "--shots", "0"]
    how = ["--out", str(out), "--concurrency", str(case.at_once), "--cache", "off", "--quiet"]
    began = time.monotonic()
    command = [sys.executable, "-m", "vlm_inspect.cli", "bench", str(parts), *how, *named]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    ended = time.monotonic()
    process.returncode = os.waitstatus_to_exitcode(status)
    ours.send("end")
    first, asked = ours.recv()
    server.join()
    if process.returncode or asked != case.items:
        raise SystemExit(f"bench ended with {process.returncode} after {asked} of {case.items} requests")
    return Measured(first - began, ended - first, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def repeat(case: Case, runs: int, folder: Path) -> list[Measured]:
    """Print one line a run and one about all of them."""
    parts = coloured_parts(folder / f"parts{case.items}", case.items)
    print(f"{case}; ideal {case.ideal_s:.2f} s", flush=True)
    found = []
    for number in range(runs):
        one = measure(case, parts, folder / f"out{case.items}-{number}")
        found.append(one)
        print(
            f"  {one.asking_s:.2f} s beyond {one.loading_s:.2f} s of loading; {one.cpu_s:.2f} s of processor time, "
            f"{one.peak_mb:.0f} MB",
            flush=True,
        )
    asking = [one.asking_s for one in found]
    print(f"  beyond loading: best {min(asking):.2f} s, median {statistics.median(asking):.2f} s")
    return found


def main() -> None:
    """Measure both cases, and what an item more costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each case")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        few, many = (repeat(case, runs, Path(name)) for case in (AIMED, MANY))
    more = MANY.items - AIMED.items
    cpu_s = min(one.cpu_s for one in many) - min(one.cpu_s for one in few)
    grown_mb = statistics.median(one.peak_mb for one in many) - statistics.median(one.peak_mb for one in few)
    print(f"{more} items more: {1000 * cpu_s / more:.1f} ms of processor time an item, {grown_mb:.0f} MB in all")


if __name__ == "__main__":
    main()
