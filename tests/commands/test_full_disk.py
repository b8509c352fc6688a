"""No room left in the middle of an output: the answer is shown, nothing is half replaced, one line says it.

A limit on the size of files stands in for a full disk: writing fails behind so many bytes of a file.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.fuzz.kinds import Ran, run_command
from vlm_inspect.store import CaseStore

resource = pytest.importorskip("resource", reason="files have no limits on this system")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of files differ by system")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLM_INSPECT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VLM_INSPECT_MODEL", raising=False)
    rng = np.random.default_rng(0)
    for number in range(3):
        folder = tmp_path / "set" / ("good" if number else "bad")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 80, 3), dtype=np.uint8)).save(folder / f"{number}.png")


def told_in_one_line(ran: Ran) -> str:
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line.startswith("vlm-inspect: error:")
    assert "internal" not in line
    return line


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [0, 100, 4000, 12_000])
def test_ask_shows_its_answer_and_leaves_every_file_as_it_was(tmp_path: Path, size: int) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("a.html", "a.png"):
        (out / name).write_text("of yesterday")
    before = files_of(out)
    with room_for(size):
        ask = ("ask", "set/bad/0.png", "--localizer", "none", "--json", "-")
        ran = run_command((*ask, "--html", out / "a.html", "--overlay", out / "a.png"))
    assert "cannot be written" in told_in_one_line(ran)
    assert json.loads(ran.out)["outcome"] == "REVIEW"
    assert files_of(out) == before


def test_a_case_that_finds_no_room_leaves_the_store_whole(tmp_path: Path) -> None:
    save = ("ask", "set/bad/0.png", "--localizer", "none", "--json", "-", "--save", "--keep-input", "--store", "c.db")
    assert run_command(save).code == 3
    for size in (0, 2000, 20_000):
        with room_for(size):
            ran = run_command(save)
        told_in_one_line(ran)
        assert not ran.out or json.loads(ran.out)["outcome"] == "REVIEW"  # empty: refused before the work
    with CaseStore("c.db") as store:
        (line,) = store.list()
        assert store.load(line.id).examination.views
    assert run_command(("replay", line.id, "--store", "c.db")).code == 0


def test_a_batch_and_a_benchmark_go_on_when_there_is_room_again(tmp_path: Path) -> None:
    batch = ("batch", "set", "--localizer", "none", "--csv", "t.csv", "--html", "g", "--quiet")
    bench = ("bench", "set", "--format", "folder", "--shots", 0, "--localizer", "none", "--out", "run", "--quiet")
    for command, size in ((batch, 700), (bench, 20_000)):
        with room_for(size):
            told_in_one_line(run_command(command))
    assert not (tmp_path / "t.csv").exists()
    assert not (tmp_path / "run" / "results.json").exists()
    assert run_command((*batch, "--resume")).code == 3
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4
    resumed = run_command((*bench, "--resume"))
    assert resumed.code == 0, resumed.err
    assert len((tmp_path / "run" / "items.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("calibrate", "set/good", "--out", "nowhere/c.json"), "nowhere: no such folder"),
        (
            ("train", "dapo", "--data", "set", "--clip", "set", "--out", "nowhere/w.safetensors"),
            "nowhere: no such folder",
        ),
        (("demo", "nowhere/demo"), "nowhere: no such folder"),
        (("demo", "set"), "is not empty and holds no earlier demo"),
        (("bench", "set", "--format", "folder", "--out", "set/bad/0.png/run"), "set/bad/0.png is a file"),
        (("batch", "set", "--csv", "nowhere/t.csv"), "nowhere: no such folder"),
        (("sensitivity", "--reference", "set/good", "--html", "nowhere/s.html"), "nowhere: no such folder"),
        (("cases", "export", "--store", "c.db", "--out", "set"), "no such store"),
    ],
    ids=lambda value: " ".join(map(str, value[:2])) if isinstance(value, tuple) else "",
)
def test_the_place_of_a_result_is_looked_at_before_the_work(
    tmp_path: Path, command: tuple[object, ...], told: str
) -> None:
    before = files_of(tmp_path)
    assert told in told_in_one_line(run_command(command))
    assert files_of(tmp_path) == before
