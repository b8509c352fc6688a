"""The service under load: parts an hour against one `ask` a process, waits, refusals, memory.

    nice -n 12 python -m benchmarks.station                       # all of them, bounded in time
    nice -n 12 python -m benchmarks.station --only speed --size 960 1280
    nice -n 12 python -m benchmarks.station --only memory --parts 10000 --size 96 128 --localizer none
    python -m benchmarks.station_kills                            # kills at random moments

Both ways judge the same photos by the same rule book with the same references, one after the other in one run, each
after its references have been learned. Every figure is of this machine as it was: ratios of a run say more than times.
Each measure ends after `--seconds`, and says how many parts it saw.
"""

import argparse
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import second_part
from benchmarks.second_part import paint

REFERENCES = 4
CLIENTS = (1, 4, 16)
_WAIT_S = 900.0


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
        self._command += ["--rate", "1000000", *options]
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
                self._process.kill()
                raise SystemExit(f"the service did not start:\n{self._log.read_text()}")
            time.sleep(0.1)

    def end(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for that."""
        assert self._process is not None
        self._process.send_signal(sign)
        self._process.wait(_WAIT_S)

    def memory_mb(self) -> float:
        """Return what it holds in memory now (Linux)."""
        assert self._process is not None
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def processor_s(self) -> float:
        """Return the processor time it has taken, in seconds (Linux)."""
        assert self._process is not None
        ticks = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


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


@dataclass(frozen=True)
class Load:
    """What clients saw who each send a part, wait for its inspection, and send the next."""

    parts: int
    seconds: float
    waits_s: Sequence[float]
    """Sorted."""

    @property
    def an_hour(self) -> float:
        """Parts an hour."""
        return 3600 * self.parts / self.seconds

    def wait_s(self, share: float) -> float:
        """Return the wait that this share of the parts did not exceed."""
        return self.waits_s[min(len(self.waits_s) - 1, int(share * len(self.waits_s)))]


def send(address: str, parts: list[Path], clients: int, *, most: int, seconds: float) -> Load:
    """Send at most so many parts for at most so many seconds, from several clients at the same time."""
    waits: list[float] = []
    contents = [part.read_bytes() for part in parts]
    left, lock = list(range(most)), threading.Lock()
    end = time.perf_counter() + seconds

    def one() -> None:
        with httpx.Client(base_url=address, timeout=_WAIT_S) as client:
            while time.perf_counter() < end:
                with lock:
                    if not left:
                        return
                    number = left.pop()
                began = time.perf_counter()
                files = {"file": ("part.png", contents[number % len(contents)])}
                answer = client.post("/v1/inspections", files=files, params={"wait": 300})
                answer.raise_for_status()
                waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=one) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(len(waits), time.perf_counter() - began, sorted(waits))


def ask_each(folder: Path, parts: list[Path]) -> tuple[float, float]:
    """Return seconds and processor seconds a part of one `ask` a process."""
    command = [sys.executable, "-m", "vlm_inspect", "ask", "--rules", str(folder / "rules" / "plate.yaml"), "--quiet"]
    command += ["--save", "--keep-input", "--store", str(folder / "asked.db"), "--json", os.devnull]
    began, before = time.perf_counter(), os.times()
    for part in parts:
        done = subprocess.run([*command, str(part)], stdout=subprocess.DEVNULL, check=False)
        if done.returncode not in (0, 1, 3):
            raise SystemExit(f"ask ended with {done.returncode}")
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return (time.perf_counter() - began) / len(parts), spent / len(parts)


def measure_speed(folder: Path, parts: list[Path], chosen: argparse.Namespace) -> None:
    """Print parts an hour of both ways, and the waits; an `ask` before and after, in case the load shifts."""
    ask_each(folder, parts[:1])  # learns the references, and keeps what it learned for the others
    asked = [ask_each(folder, parts[1:2])]
    with running(Service(folder)) as service:
        send(service.address, parts, 1, most=1, seconds=_WAIT_S)
        loads, spent, before = [], [], service.processor_s()
        for clients in CLIENTS:
            load = send(service.address, parts, clients, most=chosen.parts, seconds=chosen.seconds)
            now = service.processor_s()
            loads.append(load)
            spent.append((now - before) / load.parts)
            before = now
            print(
                f"service, {clients:2} clients: {load.an_hour:7.0f} parts an hour ({load.parts} parts), wait p50 "
                f"{statistics.median(load.waits_s):.2f} s, p95 {load.wait_s(0.95):.2f} s; "
                f"processor {spent[-1]:.2f} s a part",
                flush=True,
            )
    asked.append(ask_each(folder, parts[2:3]))
    seconds, processor = (statistics.fmean(values) for values in zip(*asked, strict=True))
    print(f"one ask a process:   {3600 / seconds:7.0f} parts an hour (2 parts); processor {processor:.2f} s a part")
    best = max(load.an_hour for load in loads)
    print(
        f"the service: {best * seconds / 3600:.1f} times the parts an hour, "
        f"{processor / min(spent):.1f} times by processor time"
    )


def measure_refusals(folder: Path, parts: list[Path], chosen: argparse.Namespace) -> None:
    """Print how soon a full queue is told while a part is judged: the answer's first byte, and the whole exchange.

    Beside them stands the first byte of a process that answers the same at once and does nothing else: what the
    machine itself takes.
    """
    with running(Service(folder, "--queue", "1")) as service, _answering_at_once() as bare:
        content = parts[0].read_bytes()
        first, whole, least = [], [], []  # type: tuple[list[float], list[float], list[float]]
        end = time.perf_counter() + chosen.seconds
        with httpx.Client(base_url=service.address, timeout=_WAIT_S) as client:
            while len(whole) < 200 and time.perf_counter() < end:
                began = time.perf_counter()
                files = {"file": ("part.png", content)}
                answer = client.post("/v1/inspections", files=files, params={"wait": 0})
                if answer.status_code == 429:
                    whole.append(1000 * (time.perf_counter() - began))
                    soon = first_byte_ms(service.address, content)
                    first += [] if soon is None else [soon]
                    least.append(first_byte_ms(bare, content) or 0.0)
        for name, waits in (("first byte", first), ("whole exchange", whole), ("first byte of a bare process", least)):
            waits.sort()
            middle, late = statistics.median(waits), waits[int(0.95 * len(waits))]
            print(
                f"full queue told {len(waits)} times, {name}: "
                f"p50 {middle:.0f} ms, p95 {late:.0f} ms, most {waits[-1]:.0f} ms"
            )


_BARE = """
import socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1 << 16)
        self.request.sendall(b"HTTP/1.1 429 Too Many Requests\\r\\nContent-Length: 0\\r\\n\\r\\n")
        try:
            while self.request.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass
with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


@contextlib.contextmanager
def _answering_at_once() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", _BARE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


def first_byte_ms(address: str, content: bytes) -> float | None:
    """Return after how many ms the refusal begins to come, from the end of the headers on; None: it was accepted."""
    host, _, port = address.removeprefix("http://").partition(":")
    head = f"POST /v1/inspections?wait=0 HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + content + b"\r\n--b--\r\n"
    with socket.create_connection((host, int(port)), timeout=_WAIT_S) as opened:
        opened.sendall(f"{head}Content-Length: {len(form)}\r\n\r\n".encode())
        began = time.perf_counter()
        sender = threading.Thread(target=_send_all, args=(opened, form))
        sender.start()
        status = opened.recv(12)
        waited_ms = 1000 * (time.perf_counter() - began)
        sender.join()
    return waited_ms if status.endswith(b"429") else None


def _send_all(opened: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):  # the service has answered, and need not read the rest
        opened.sendall(content)


def measure_memory(folder: Path, parts: list[Path], chosen: argparse.Namespace) -> None:
    """Print the memory of the service as parts go through it, whose bytes are kept with their cases."""
    with running(Service(folder, "--localizer", chosen.localizer)) as service:
        send(service.address, parts, 2, most=40, seconds=_WAIT_S)
        done, began = 40, time.perf_counter()
        print(f"after {done:6} parts: {service.memory_mb():.0f} MB", flush=True)
        while done < chosen.parts and time.perf_counter() - began < chosen.seconds:
            left_s = max(1.0, chosen.seconds - (time.perf_counter() - began))
            step = min(max(20, done // 4), chosen.parts - done)
            done += send(service.address, parts, 4, most=step, seconds=left_s).parts
            print(f"after {done:6} parts: {service.memory_mb():.0f} MB", flush=True)
        listed = httpx.get(f"{service.address}/v1/inspections", timeout=_WAIT_S).json()["total"]
        counted = re.findall(r"^vlm_inspect_inspections_total\{.*\} (\S+)", _metrics(service), re.MULTILINE)
        print(f"cases: {listed}; counted by /metrics: {sum(map(float, counted)):.0f}")


def _metrics(service: Service) -> str:
    return httpx.get(f"{service.address}/metrics", timeout=_WAIT_S).text


MEASURES: dict[str, Callable[[Path, list[Path], argparse.Namespace], None]] = {
    "speed": measure_speed,
    "refusals": measure_refusals,
    "memory": measure_memory,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=200, help="most parts of a measure")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="longest time of a measure, for each number of clients"
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=second_part.SIZE_HW, metavar=("H", "W"), help="of the photos"
    )
    parser.add_argument("--localizer", default="auto", help="of the memory figure; none: parts of milliseconds")
    parser.add_argument("--only", choices=MEASURES)
    chosen = parser.parse_args()
    second_part.SIZE_HW = tuple(chosen.size)
    for name, measure in MEASURES.items():
        if chosen.only in (None, name):
            print(f"{name}: photos of {chosen.size[0]} x {chosen.size[1]} pixels, {REFERENCES} references", flush=True)
            with tempfile.TemporaryDirectory(prefix="station-") as folder:
                measure(Path(folder), prepare(Path(folder), 8), chosen)


if __name__ == "__main__":
    main()
