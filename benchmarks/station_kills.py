"""Kills of service, batch and watch at random moments: is every part one case, and is every webhook delivered?

    nice -n 12 python -m benchmarks.station_kills --kills 20

Each command runs in a process of its own, forked from this one to spare the imports, and is ended by SIGKILL; parts are
added before each start. At last it runs to its end. The receiver of the webhooks, a process, too, answers every third
with 503.
"""

import argparse
import http.server
import os
import random
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from converters.digest import sha256_of

_MOST_S = 600.0
_BOOK = """class_name: plate
rules:
  - {id: exposure, text: It is neither too dark nor too bright., check: {measure: brightness, min: 40, max: 140}}
"""


def forked(work: Callable[[], object], log: Path) -> int:
    """Do something in a process of its own; returns its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with log.open("ab") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            work()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        finally:
            os._exit(code)
    return child


def command(arguments: Sequence[str]) -> Callable[[], object]:
    """Return `vlm-inspect` with arguments, to be forked."""
    from vlm_inspect import cli

    return lambda: cli.main([*arguments])


def processor_s(process: int) -> float:
    """Return the processor time that a process has taken, in seconds (Linux): no load of the machine shifts it."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


class Receiver:
    """Takes webhooks and writes their ids to a file."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self._ids = folder / "ids.txt"
        self._ids.touch()
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        self._process = forked(lambda: self._serve(listener), folder / "receiver.log")
        listener.close()

    def _serve(self, listener: socket.socket) -> None:
        ids, count = self._ids, [0]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                count[0] += 1
                taken = count[0] % 3 != 0
                if taken:
                    with ids.open("a") as file:
                        file.write(self.headers["webhook-id"] + "\n")
                self.send_response(204 if taken else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.serve_forever()

    def ids(self) -> list[str]:
        """Return the ids that arrived, each as often as it did."""
        return self._ids.read_text().split()

    def end(self) -> None:
        """End it."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


class Trial:
    """One command that is killed again and again."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        """Prepare it."""
        self.name, self.folder = name, folder
        self.moments = random.Random(seed)
        self.inbox, self.digests, self.accepted = folder / "in", [], []  # type: tuple[Path, list[str], list[str]]
        self.inbox.mkdir()
        (folder / "rules").mkdir()
        (folder / "rules" / "plate.yaml").write_text(_BOOK)
        self.receiver = Receiver(folder)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def arguments(self) -> list[str]:
        """The command."""
        store = ["--store", str(self.folder / "cases.db"), "--localizer", "none", "--webhook", self.receiver.url]
        if self.name == "serve":
            where = [
                "--rules",
                str(self.folder / "rules"),
                "--data",
                str(self.folder / "data"),
                "--port",
                str(self.port),
            ]
            return [
                "serve",
                *where,
                *store,
                "--queue",
                "10000",
                "--rate",
                "1000000",
                "--move-to",
                str(self.folder / "judged"),
            ]
        rest = ["--rules", str(self.folder / "rules" / "plate.yaml"), "--csv", str(self.folder / "parts.csv"), "--save"]
        settle = ["--settle", "0.1"] if self.name == "watch" else []
        resume = ["--resume"] if self.name == "batch" and (self.folder / "parts.csv.journal").exists() else []
        return [self.name, str(self.inbox), *rest, *store, *settle, *resume, "--move-to", str(self.folder / "judged")]

    def add_parts(self, count: int = 4) -> None:
        """Put parts into the folder, or send them to the service until it dies."""
        for _ in range(count):
            number = len(self.digests)
            pixels = np.random.default_rng(number).integers(90, 110, (48, 64, 3)).astype(np.uint8)
            path = self.inbox / f"{number:04d}.png"
            draft = self.inbox / f".{number:04d}.png"
            Image.fromarray(pixels).save(draft)
            draft.replace(path)
            self.digests.append(sha256_of(path))

    def send_parts(self, count: int = 4) -> None:
        """Send parts to the service; those that it accepts count."""
        for _ in range(count):
            self.add_parts(1)
            path = sorted(self.inbox.iterdir())[-1]
            with suppress(httpx.TransportError):
                files = {"file": (path.name, path.read_bytes())}
                answer = httpx.post(f"http://127.0.0.1:{self.port}/v1/inspections?wait=0", files=files, timeout=60)
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["id"])
            path.unlink()

    def run(self, kills: int) -> str:
        """Kill it so many times, let it end, and return what is found then."""
        done = 0
        while done < kills:
            if self.name != "serve":
                self.add_parts()
            child = forked(command(self.arguments), self.folder / "log.txt")
            if self.name == "serve":
                self._wait_for_service(child)
                self.send_parts()
            done += self._killed(child, self.moments.uniform(0.0, 0.5 if self.name == "serve" else 1.5))
        self._wait_until_all_arrived()
        self.receiver.end()
        return self._found(kills)

    def _killed(self, child: int, after_s: float) -> bool:
        """Kill a process when it has worked for some seconds more, or rests; False: it had ended by itself."""
        spent_s = processor_s(child) + after_s
        end = time.monotonic() + 30.0 * after_s
        while processor_s(child) < spent_s and time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                if os.waitstatus_to_exitcode(status) not in (0, 1, 3):
                    raise SystemExit((self.folder / "log.txt").read_text())
                return False
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return True

    def _wait_for_service(self, child: int) -> None:
        end = time.monotonic() + _MOST_S
        while time.monotonic() < end:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200:
                    return
            if os.waitpid(child, os.WNOHANG)[0]:
                break
            time.sleep(0.02)
        raise SystemExit((self.folder / "log.txt").read_text())

    @property
    def expected(self) -> int:
        """How many parts there must be."""
        return len(self.accepted) if self.name == "serve" else len(self.digests)

    def _rows(self, query: str) -> list[tuple[str, ...]]:
        with sqlite3.connect(self.folder / "cases.db", timeout=30) as database:
            rows: list[tuple[str, ...]] = database.execute(query).fetchall()
        database.close()
        return rows

    def _wait_until_all_arrived(self) -> None:
        """Let it run until all cases are there and no message waits; messages that a killed process took are freed.

        `batch` ends when the parts are judged, and its next run sends what has not arrived.
        """
        end = time.monotonic() + _MOST_S
        child = forked(command(self.arguments), self.folder / "log.txt")
        while time.monotonic() < end:
            if self.name == "batch" and os.waitpid(child, os.WNOHANG)[0]:
                child = forked(command(self.arguments), self.folder / "log.txt")
            with suppress(sqlite3.OperationalError):
                cases = len(self._rows("SELECT id FROM cases"))
                self._rows("UPDATE outbox SET next_at = 0 WHERE delivered_at IS NULL")
                waiting = len(self._rows("SELECT id FROM outbox WHERE delivered_at IS NULL"))
                if cases >= self.expected and not waiting:
                    break
            time.sleep(0.5)
        if self.name != "batch":
            os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)

    def _found(self, kills: int) -> str:
        cases = self._rows("SELECT id, input_sha256 FROM cases")
        arrived = self.receiver.ids()
        told = {name.rpartition("-")[0] for name in arrived}
        moved = list((self.folder / "judged").rglob("*.png"))
        once = (
            sorted(case for case, _ in cases) == sorted(self.accepted)
            if self.name == "serve"
            else (sorted(digest for _, digest in cases) == sorted(self.digests))
        )
        return (
            f"{self.name}: {kills} kills, {self.expected} parts, {len(cases)} cases"
            f"{'' if once else ' (NOT one each)'}, {len(told & {case for case, _ in cases})} of them told "
            f"({len(arrived)} deliveries of {len(set(arrived))} ids), {len(moved)} files moved{self._left()}"
        )

    def _left(self) -> str:
        """Return what is neither done nor lost: parts that failed, with their reasons, that wait, and messages."""
        parts = self.folder / "data" / "parts"
        reasons = sorted({path.read_text() for path in parts.glob("failed/*/error.txt")})
        waiting = len(list(parts.glob("waiting/*/job.json")))
        messages = len(self._rows("SELECT id FROM outbox WHERE delivered_at IS NULL"))
        told = [f"failed: {reason}" for reason in reasons]
        told += [f"{count} {what} wait" for count, what in ((waiting, "parts"), (messages, "messages")) if count]
        return "; ".join(["", *told])


def main() -> None:
    """Kill, and print what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", choices=("serve", "batch", "watch"))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    import vlm_inspect.service.app  # noqa: F401 - imported once, before anything is forked

    for name in ("serve", "batch", "watch"):
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="kills-") as folder:
                print(Trial(name, Path(folder), chosen.seed).run(chosen.kills), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
