"""Kills at random moments: every accepted part is one case and one message id, on either kind of store."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import BOOK, photo
from tests.sinks.hook import listening
from tests.waiting import LONGEST_S, until
from vlm_inspect.sinks.sender import Sender
from vlm_inspect.sinks.webhook import Webhook
from vlm_inspect.store import CaseStore, outbox


class Process:
    """`vlm-inspect serve` as a process of its own."""

    def __init__(self, folder: Path, store: str, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [sys.executable, "-m", "vlm_inspect", "serve", "--rules", str(folder / "rules")]
        self._command += ["--data", str(folder / "data"), "--store", store, "--localizer", "none"]
        self._command += ["--port", str(self.port), "--queue", "1000", "--rate", "100000", *options]
        self._log = folder / "log.txt"
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=LONGEST_S)

    def start(self) -> None:
        with self._log.open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            self._process = subprocess.Popen(self._command, stderr=log, stdout=log, env=environment)
        end = time.monotonic() + LONGEST_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                self.client.get("/healthz")
                return
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.05)

    def end(self, sign: signal.Signals) -> int:
        self.client.close()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=LONGEST_S)
        self._process.send_signal(sign)
        return self._process.wait(LONGEST_S)


def send_and_kill(service: Process, kills: int) -> list[str]:
    """Start a service, send it parts, kill it, again and again; at last let it end. Returns the ids it accepted."""
    moments = random.Random(7)
    accepted: list[str] = []
    for number in range(kills):
        service.start()
        for one in range(6):
            seed = number * 100 + one
            files = {"file": (f"{seed}.png", photo(100, seed=seed), "image/png")}
            answer = service.client.post("/v1/inspections", files=files, params={"wait": 0})
            assert answer.status_code == 202
            accepted.append(answer.json()["id"])
        time.sleep(moments.uniform(0.0, 0.6))
        service.end(signal.SIGKILL)
    service.start()
    until(lambda: service.client.get("/v1/inspections", params={"per_page": 1}).json()["total"] >= len(accepted))
    assert service.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    service.client.close()
    return accepted


@pytest.mark.slow(6)
def test_every_accepted_part_is_one_case_and_one_message(
    store_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = int(os.environ.get("VLM_INSPECT_TEST_KILLS", "2" if "postgresql" not in store_name else "1"))
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "plate.yaml").write_text(BOOK)
    CaseStore(store_name, create=True).close()
    with listening() as hook:
        accepted = send_and_kill(Process(tmp_path, store_name, "--webhook", hook.url), kills)
        later = time.time() + 3600  # what a killed process took is free again
        monkeypatch.setattr(outbox.time, "time", lambda: later)
        with CaseStore(store_name) as store:
            with Sender(store.outbox, [Webhook(hook.url)]) as sender:
                until(lambda: sender.left() == 0)
            lines = store.list()
    assert sorted(line.id for line in lines) == sorted(accepted)
    assert len({line.source.rpartition("/")[2] for line in lines}) == len(accepted)
    arrived = {headers["webhook-id"] for headers, _ in hook.got}
    assert sorted(name.rpartition("-")[0] for name in arrived) == sorted(accepted)
    assert list((tmp_path / "data" / "parts" / "waiting").iterdir()) == []
    assert list((tmp_path / "data" / "parts" / "failed").iterdir()) == []
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
