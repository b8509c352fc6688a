"""`vlm-inspect watch` as a process: parts that come, Ctrl-C, a restart."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.waiting import LONGEST_S
from vlm_inspect import cli
from vlm_inspect.store import CaseStore


def photo(path: Path, seed: int) -> None:
    grey = 150 + 6 * np.random.default_rng(seed).standard_normal((40, 40, 3))
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(path)


@contextmanager
def watching(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "vlm_inspect",
        "watch",
        *map(str, arguments),
        "--localizer",
        "none",
        "--settle",
        "0.2",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_for(process: subprocess.Popen[str], words: str) -> list[str]:
    lines: list[str] = []
    assert process.stderr is not None
    while not lines or words not in lines[-1]:
        line = process.stderr.readline()
        assert line, lines
        lines.append(line)
    return lines


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow(4)
def test_parts_are_judged_once_as_they_come(tmp_path: Path) -> None:
    folder, out, store = tmp_path / "in", tmp_path / "out.csv", tmp_path / "cases.db"
    folder.mkdir()
    photo(folder / "a.png", 1)
    given = (folder, "--csv", out, "--html", tmp_path / "pages", "--save", "--store", store)
    with watching(*given) as process:
        wait_for(process, "a.png")
        photo(folder / "b.png", 2)
        (folder / "c.png").write_bytes((folder / "a.png").read_bytes())  # the same part again
        wait_for(process, "b.png")
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0, errors
    assert "2 parts: 2 REVIEW" in told
    assert sorted(Path(row["source"]).name for row in rows(out)) == ["a.png", "b.png"]
    assert (tmp_path / "pages" / "index.html").exists()
    photo(folder / "d.png", 4)
    with watching(*given) as process:
        assert not any("a.png" in line for line in wait_for(process, "d.png"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0
    assert sorted(Path(row["source"]).name for row in rows(out)) == ["a.png", "b.png", "d.png"]
    with CaseStore(store) as cases:
        assert len(cases.list()) == 3


def test_wrong_commands_are_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for wrong in (
        (tmp_path / "none", "--csv", tmp_path / "o.csv"),
        (tmp_path / "in", "--csv", tmp_path / "no" / "o.csv"),
        (tmp_path / "in", "--csv", tmp_path / "o.csv", "--settle", "0"),
    ):
        with pytest.raises(SystemExit) as left:
            cli.main(["watch", *map(str, wrong)])
        assert left.value.code == 2
        assert capfd.readouterr().err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["in"]
