"""The service under load: parts an hour against one `ask` a process, waits, refusals, memory, kills.

    nice -n 12 python -m benchmarks.station                       # photos with 4 references, 1, 4 and 16 clients
    nice -n 12 python -m benchmarks.station --parts 10000 --only memory
    nice -n 12 python -m benchmarks.station --only kills          # 20 kills at random moments

Both ways judge the same photos by the same rule book, one after the other in one run, each after its references have
been learned. Every figure is of this machine as it was: run it on one that does nothing else.
"""

import argparse
import contextlib
import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.second_part import paint

REFERENCES = 4
CLIENTS = (1, 4, 16)
KILLS = 20
_WAIT_S = 600.0


class Service:
    """`vlm-inspect serve` in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Prepare it; `options` are further ones of the command."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "vlm_inspect", "serve", "--rules", str(folder / "rules")]
        self._command += ["--data", str(folder / "data"), "--store", str(folder / "cases.db"), "--port", str(port)]
        self._command += ["--rate", "1000000", "--forget-input", *options]
        self._log = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> float:
        """Start it; returns after how many seconds it is ready, or answers at all."""
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        while True:
            with contextlib.suppress(httpx.TransportError):
                status = httpx.get(f"{self.address}/{'readyz' if ready else 'healthz'}", timeout=5).status_code
                if status == 200:
                    return time.perf_counter() - began
            if self._process.poll() is not None or time.perf_counter() - began > _WAIT_S:
                raise SystemExit(f"the service did not start:\n{self._log.read_text()}")
            time.sleep(0.1)

    def end(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for that."""
        assert self._process is not None
        self._process.send_signal(sign)
        self._process.wait(60)

    def memory_mb(self) -> float:
        """Return what it holds in memory now (Linux)."""
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def running(service: Service) -> Iterator[Service]:
    """Start a service and end it."""
    service.start()
    try:
        yield service
    finally:
        service.end()


def prepare(folder: Path, parts: int) -> list[Path]:
    """Write a rule book with references, and parts; returns the parts."""
    (folder / "rules").mkdir()
    for number in range(REFERENCES):
        paint(folder / "rules" / f"reference{number}.png", number)
    book = "class_name: plate\nreferences: ['reference*.png']\nrules:\n  - {id: clean, text: It is clean.}\n"
    (folder / "rules" / "plate.yaml").write_text(book)
    return [paint(folder / f"part{number}.png", 1000 + number) for number in range(parts)]


def ask_each(folder: Path, parts: list[Path]) -> float:
    """Return seconds a part of one `ask` a process."""
    command = [sys.executable, "-m", "vlm_inspect", "ask", "--rules", str(folder / "rules" / "plate.yaml"), "--quiet"]
    command += ["--save", "--store", str(folder / "asked.db"), "--json", os.devnull]
    began = time.perf_counter()
    for part in parts:
        done = subprocess.run([*command, str(part)], stdout=subprocess.DEVNULL, check=False)
        if done.returncode not in (0, 1, 3):
            raise SystemExit(f"ask ended with {done.returncode}")
    return (time.perf_counter() - began) / len(parts)


def send(address: str, parts: list[Path], clients: int, each: int) -> tuple[float, list[float]]:
    """Send parts from several clients that each wait for the answer; returns parts a second, and the waits."""
    waits: list[float] = []
    contents = [part.read_bytes() for part in parts]

    def one(number: int) -> None:
        with httpx.Client(base_url=address, timeout=_WAIT_S) as client:
            for turn in range(each):
                content = contents[(number + turn * clients) % len(contents)]
                began = time.perf_counter()
                answer = client.post("/v1/inspections", files={"file": ("part.png", content)}, params={"wait": 300})
                answer.raise_for_status()
                waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(waits) / (time.perf_counter() - began), sorted(waits)


def measure_speed(folder: Path, parts: list[Path], each: int) -> None:
    """Print parts an hour of both ways, and the waits."""
    with running(Service(folder)) as service:
        send(service.address, parts, 1, 1)
        rates = []
        for clients in CLIENTS:
            rate, waits = send(service.address, parts, clients, each)
            rates.append(rate)
            p95 = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
            print(f"service, {clients:2} clients: {3600 * rate:7.0f} parts an hour, ", end="")
            print(f"wait p50 {statistics.median(waits):.2f} s, p95 {p95:.2f} s")
    ask_each(folder, parts[:1])
    each_s = ask_each(folder, parts[1:5])
    print(
        f"one ask a process:   {3600 / each_s:7.0f} parts an hour; the service {max(rates) * each_s:.1f} times as many"
    )


def measure_refusals(folder: Path, parts: list[Path]) -> None:
    """Print how soon a full queue is told."""
    with running(Service(folder, "--queue", "1")) as service:
        content = parts[0].read_bytes()
        waits = []
        with httpx.Client(base_url=service.address, timeout=_WAIT_S) as client:
            while len(waits) < 200:
                began = time.perf_counter()
                files = {"file": ("part.png", content)}
                answer = client.post("/v1/inspections", files=files, params={"wait": 0})
                if answer.status_code == 429:
                    waits.append(1000 * (time.perf_counter() - began))
        waits.sort()
        print(f"full queue told in: p50 {waits[100]:.0f} ms, p95 {waits[190]:.0f} ms, most {waits[-1]:.0f} ms")


def measure_memory(folder: Path, parts: list[Path], count: int) -> None:
    """Print the memory of the service as parts go through it."""
    with running(Service(folder)) as service:
        send(service.address, parts, 2, 20)
        print(f"after     40 parts: {service.memory_mb():.0f} MB")
        for step in range(1, 5):
            send(service.address, parts, 4, max(1, count // 16))
            print(f"after {40 + step * 4 * max(1, count // 16):6} parts: {service.memory_mb():.0f} MB")


def count_after_kills(folder: Path, parts: list[Path], kills: int) -> None:
    """Kill the service at random moments; print how many accepted parts are not exactly one case."""
    from vlm_inspect.store import CaseStore

    moments = random.Random(0)
    service = Service(folder, "--queue", "10000", "--localizer", "none")
    accepted: list[str] = []
    for _ in range(kills):
        service.start(ready=False)
        for part in parts[:6]:
            files = {"file": ("part.png", part.read_bytes())}
            answer = httpx.post(f"{service.address}/v1/inspections", files=files, params={"wait": 0}, timeout=60)
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
        time.sleep(moments.uniform(0.0, 2.0))
        service.end(signal.SIGKILL)
    service.start(ready=False)
    end = time.monotonic() + _WAIT_S
    with CaseStore(folder / "cases.db") as store:
        while store.count() < len(accepted) and time.monotonic() < end:
            time.sleep(0.5)
        service.end()
        kept = sorted(line.id for line in store.list())
    wrong = len(set(accepted) ^ set(kept)) + len(kept) - len(set(kept))
    print(f"{kills} kills: {len(accepted)} parts accepted, {len(kept)} cases, {wrong} wrong")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=200, help="parts of the memory figure")
    parser.add_argument("--each", type=int, default=6, help="parts of each client")
    parser.add_argument("--only", choices=("speed", "refusals", "memory", "kills"))
    chosen = parser.parse_args()
    measures = {
        "speed": lambda folder, parts: measure_speed(folder, parts, chosen.each),
        "refusals": measure_refusals,
        "memory": lambda folder, parts: measure_memory(folder, parts, chosen.parts),
        "kills": lambda folder, parts: count_after_kills(folder, parts, KILLS),
    }
    for name, measure in measures.items():
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                measure(Path(folder), prepare(Path(folder), 8))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"most memory of a process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
