"""A service that is told twice to end says so in one line: the second time it does not wait, and shows no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.service.conftest import BOOK
from tests.waiting import LONGEST_S, until


def test_ctrl_c_twice_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "plate.yaml").write_text(BOOK)
    command = [sys.executable, "-m", "vlm_inspect", "serve", "--rules", str(tmp_path / "plate.yaml"), "--port", "0"]
    command += ["--data", str(tmp_path / "data"), "--store", str(tmp_path / "cases.db"), "--localizer", "none"]
    told = tmp_path / "told.txt"
    with told.open("w") as file, subprocess.Popen(command, stderr=file, env={**os.environ}) as process:
        until(lambda: "ready after" in told.read_text() or process.poll() is not None, told.read_text)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
        process.wait(LONGEST_S)
    said = told.read_text()
    assert "listening on" in said
    assert "Traceback" not in said
