"""Kills at random moments: every part has exactly one case, one row and one message id, whatever was going on."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.digest import sha256_of
from tests.waiting import LONGEST_S, until
from vlm_inspect.batch.arrivals import FolderArrivals
from vlm_inspect.batch.destinations import Destinations
from vlm_inspect.batch.run import BatchSettings, run_batch
from vlm_inspect.batch.watching import watch_parts
from vlm_inspect.inspector import Inspector
from vlm_inspect.sinks.cases import Cases
from vlm_inspect.sinks.folders import OutcomeFolders
from vlm_inspect.sinks.messages import Messages
from vlm_inspect.sinks.sender import Sender
from vlm_inspect.sinks.webhook import Webhook
from vlm_inspect.store import CaseStore

KILLS = 20


def add_parts(folder: Path, numbers: range) -> set[str]:
    """Write parts that are all different; returns their digests."""
    digests = set()
    for number in numbers:
        grey = 150 + 6 * np.random.default_rng(number).standard_normal((24, 24, 3))
        path = folder / f"{number:03d}.png"
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(folder / f".{number:03d}.png")
        os.replace(folder / f".{number:03d}.png", path)
        digests.add(sha256_of(path))
    return digests


HOOK = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[1], "a") as file:
            file.write(self.headers["webhook-id"] + "\\n")
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[str]:
    """A receiver in a process of its own, which writes the ids of its messages to ids.txt; yields its URL."""
    command = [sys.executable, "-c", HOOK, str(tmp_path / "ids.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        process.kill()


@contextmanager
def destinations(folder: Path, store: CaseStore) -> Iterator[Destinations]:
    url = (folder / "hook.txt").read_text()
    moved = OutcomeFolders(folder / "judged")
    moved.check()
    with Sender(store.outbox, [Webhook(url)]) as sender:
        sinks = (Cases(store, {}), Messages(store.outbox, [url], sender.wake))
        yield Destinations(folder / "out.csv", sinks=sinks, folders=moved)


def batch(folder: Path) -> None:
    found = sorted((folder / "in").glob("*.png"))
    with CaseStore(folder / "cases.db") as store, destinations(folder, store) as made:
        settings = BatchSettings("settings", resume=True)
        run_batch(Inspector(localizer=None), found, made, settings)


def watch(folder: Path) -> None:
    stop = threading.Event()

    def told(*_: object) -> None:
        if not list((folder / "in").glob("*.png")):
            stop.set()

    with CaseStore(folder / "cases.db") as store, destinations(folder, store) as made:
        watch_parts(
            Inspector(localizer=None),
            lambda journal: FolderArrivals(folder / "in", stop, journal.rows.__contains__, settle_s=0.02),
            made,
            judged_by="settings",
            told=told,
        )


def killed(work: Callable[[Path], None], folder: Path, after_s: float) -> bool:
    """Do the work in a process of its own and kill that; True where it was done before."""
    child = os.fork()
    if child == 0:
        try:
            work(folder)
        except BaseException:  # noqa: BLE001 - what went wrong is the exit code of the child
            os._exit(1)
        os._exit(0)
    deadline = time.monotonic() + after_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


@pytest.mark.slow(5)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("work", [batch, watch])
def test_every_part_has_one_case_after_many_kills(
    work: Callable[[Path], None], tmp_path: Path, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlm_inspect.store.outbox._CLAIM_S", 0.2)  # what a killed process took is soon free again
    (tmp_path / "hook.txt").write_text(hook)
    folder = tmp_path / "in"
    folder.mkdir()
    CaseStore(tmp_path / "cases.db").close()
    moments = random.Random(7)
    digests: set[str] = set()
    kills = 0
    while kills < KILLS:
        digests |= add_parts(folder, range(len(digests), len(digests) + 3))
        kills += not killed(work, tmp_path, moments.uniform(0.02, 0.3))
    digests |= add_parts(folder, range(len(digests), len(digests) + 3))
    assert killed(work, tmp_path, LONGEST_S)
    with sqlite3.connect(tmp_path / "cases.db") as database:
        cases = database.execute("SELECT id, input_sha256 FROM cases").fetchall()
        messages = [name for (name,) in database.execute("SELECT id FROM outbox").fetchall()]
    database.close()
    with CaseStore(tmp_path / "cases.db") as store, Sender(store.outbox, [Webhook(hook)]) as sender:
        until(lambda: not sender.left())
    assert set((tmp_path / "ids.txt").read_text().split()) == set(messages)
    assert sorted(digest for _, digest in cases) == sorted(digests)
    assert len(messages) == len(digests)
    assert {name.rpartition("-")[0] for name in messages} == {case_id for case_id, _ in cases}
    assert list(folder.iterdir()) == []
    assert {sha256_of(path) for path in (tmp_path / "judged" / "REVIEW").iterdir()} == digests
    assert (tmp_path / "out.csv").read_bytes().count(b"\r\n") == len(digests) + 1
