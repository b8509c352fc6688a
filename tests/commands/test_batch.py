"""`vlm-inspect batch` from the outside: table, gallery, exit codes, bad parts, and what a kill costs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.waiting import LONGEST_S
from vlm_inspect import cli
from vlm_inspect.batch.run import Pace
from vlm_inspect.commands.delivering import worker_count
from vlm_inspect.config import InspectorConfig
from vlm_inspect.examination import Examination
from vlm_inspect.inspector import Inspector
from vlm_inspect.sinks.csv_table import write_csv
from vlm_inspect.sinks.row import COLUMNS, Row

NONE = ("--localizer", "none", "--quiet")


def photo(path: Path, seed: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    grey = 150 + 6 * np.random.default_rng(seed).standard_normal((40, 40, 3))
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for i in range(3):
        photo(tmp_path / "parts" / f"SN{i:03d}_a.png", i)
    return tmp_path / "parts"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["batch", *map(str, arguments)])
    assert isinstance(left.value.code, int)
    return left.value.code


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_bad_part_is_a_line_and_stops_nothing(parts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (parts / "SN001_a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    out, gallery = tmp_path / "out.csv", tmp_path / "gallery"
    code = run(parts, "--csv", out, "--html", gallery, "--serial", r"SN(\d+)", *NONE)
    told, errors = capfd.readouterr()
    rows = table(out)
    assert code == 2
    assert tuple(rows[0]) == COLUMNS
    assert [row["outcome"] for row in rows] == ["REVIEW", "ERROR", "REVIEW"]
    assert [row["serial"] for row in rows] == ["000", "001", "002"]
    assert rows[1]["score"] == ""
    assert "SN001_a.png" in rows[1]["review_reasons"]
    assert all(len(row["sha256"]) == 64 and row["created_at"] for row in rows)
    assert "3 parts: 2 REVIEW, 1 ERROR" in told
    assert "not judged" in errors
    page = (gallery / "index.html").read_text()
    links = [part.partition('"')[0] for part in page.split('href="')[1:]]
    assert len(links) == 2
    assert all((gallery / link).is_file() for link in links)
    assert page.count('<img src="parts/') == 2
    assert page.index("SN001_a.png") < page.index("SN000_a.png")


def test_resume_judges_what_is_new_changed_or_failed(parts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    (parts / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run(parts, "--csv", out, *NONE) == 2
    photo(parts / "broken.png", 9)
    photo(parts / "SN000_a.png", 10)
    photo(parts / "new.png", 11)
    assert run(str(parts / "*.png"), "--csv", out, "--resume", *NONE) == 3
    assert [Path(row["source"]).name for row in table(out)] == [
        "SN000_a.png",
        "SN001_a.png",
        "SN002_a.png",
        "broken.png",
        "new.png",
    ]
    judged = [json.loads(line).get("source") for line in (tmp_path / "out.csv.journal").read_text().splitlines()]
    names = [Path(source).name for source in judged if source]
    assert sorted(names[4:]) == ["SN000_a.png", "broken.png", "new.png"]


def test_a_kill_costs_the_part_in_flight(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for i in range(60):
        photo(tmp_path / "parts" / f"{i:02d}.png", i)
    out, journal = tmp_path / "out.csv", tmp_path / "out.csv.journal"
    command = [sys.executable, "-m", "vlm_inspect.cli", "batch", str(tmp_path / "parts"), "--csv", str(out), *NONE]
    with subprocess.Popen(command, env={**os.environ}) as process:
        deadline = time.monotonic() + LONGEST_S
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b"\n") >= 4:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(table(out)) < 60, "the table has what is done"
    kept = journal.read_bytes()
    done = kept[: kept.rfind(b"\n") + 1]
    journal.write_bytes(done + b'{"source": "to')  # as a kill in the middle of a line leaves it
    assert run(tmp_path / "parts", "--csv", out, *NONE) == 2
    assert "--resume" in capfd.readouterr().err
    assert run(tmp_path / "parts", "--csv", out, "--resume", "--localizer", "none", "--samples", "2") == 2
    assert "other rules, references or settings" in capfd.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlm_inspect.batch.run.scoring_version", lambda: "memory 1")
        assert run(tmp_path / "parts", "--csv", out, "--resume", *NONE) == 2
    assert "another version" in capfd.readouterr().err
    capfd.readouterr()
    assert run(tmp_path / "parts", "--csv", out, "--resume", "--localizer", "none") == 3
    assert f"60 parts, {done.count(b'created_at')} of them judged before; {out}" in capfd.readouterr().err
    assert [Path(row["source"]).stem for row in table(out)] == [f"{i:02d}" for i in range(60)]
    after = journal.read_bytes()
    assert after.startswith(done)
    assert after.count(b"\n") == 62  # settings, 60 parts once each, the end


def test_wrong_commands_leave_nothing(parts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    curve = tmp_path / "curve.csv"
    curve.write_text("t,v\n0,1\n1,2\n")
    for wrong in (
        (tmp_path / "none*.png", "--csv", tmp_path / "out.csv"),
        (parts, "--csv", tmp_path / "no" / "out.csv"),
        (curve, "--csv", curve),
        (parts, "--csv", tmp_path / "out.csv", "--serial", "("),
        (parts, "--csv", tmp_path / "out.csv", "--html", curve),
        ("", "--csv", tmp_path / "out.csv"),
    ):
        assert run(*wrong, *NONE) == 2
        assert capfd.readouterr().err.count("\n") == 1
    assert curve.read_text() == "t,v\n0,1\n1,2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.csv", "parts"]


def test_a_pipe_and_a_dead_link_are_lines(parts: Path, tmp_path: Path) -> None:
    os.mkfifo(parts / "a_pipe.png")
    (parts / "dead.png").symlink_to(tmp_path / "gone.png")
    assert run(parts, "--csv", tmp_path / "out.csv", *NONE) == 2
    rows = {Path(row["source"]).name: row for row in table(tmp_path / "out.csv")}
    assert rows["a_pipe.png"]["outcome"] == rows["dead.png"]["outcome"] == "ERROR"
    assert len(rows) == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_no_empty_one(parts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photo(parts / "locked" / "x.png", 1).parent.chmod(0)
    code = run(parts, "--csv", parts.parent / "out.csv", *NONE)
    (parts / "locked").chmod(0o700)
    assert code == 2
    assert "locked: cannot be read" in capfd.readouterr().err


def test_the_own_table_in_the_folder_is_no_part(parts: Path) -> None:
    out = parts / "out.csv"
    for _ in range(2):
        assert run(parts, "--csv", out, "--html", parts / "pages", *NONE) == 3
        assert len(table(out)) == 3


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\x1b[31m=1", "\u202e=1"])
def test_no_cell_is_a_formula_or_drives_a_terminal(text: str) -> None:
    row = Row(source=text, outcome="NG", score=0.5, answer=f"a\r\n{text}\x00", created_at="2026-01-01")
    cells = next(iter(csv.DictReader(write_csv([row]).decode().splitlines())))
    assert cells["source"].startswith("'")
    assert cells["score"] == "0.500000"
    assert all(sign.isprintable() for value in cells.values() for sign in value)


def test_without_a_table_there_is_a_line_a_part(parts: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (parts / "SN001_a.png").write_bytes(b"broken")
    code = run(parts, *NONE)
    told = capfd.readouterr().out.splitlines()
    assert code == 2
    assert any(line.startswith("REVIEW  0.50  ") and "SN" in line for line in told)
    assert any(line.startswith("ERROR  ") for line in told)
    assert "parts: " in told[-1]
    assert not list(parts.parent.glob("*.csv"))
    for option in (["--resume"], ["--move-to", tmp_path / "moved"]):
        assert run(parts, *option, *NONE) == 2
        assert f"{option[0]} needs a table" in capfd.readouterr().err


def test_ctrl_c_leaves_a_table_of_what_is_done(
    parts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    examine, out = Inspector.examine, tmp_path / "out.csv"

    def interrupted(self: Inspector, source: Path, **options: Any) -> Examination:
        if source.name == "SN002_a.png":
            raise KeyboardInterrupt
        return examine(self, source, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Inspector, "examine", interrupted)
        assert run(parts, "--csv", out, "--workers", 1, *NONE) == 130
    assert [Path(row["source"]).name for row in table(out)] == ["SN000_a.png", "SN001_a.png"]
    assert f"2 parts were judged and kept in {out}; judge the others with --resume" in capfd.readouterr().err
    assert run(parts, "--csv", out, *NONE) == 2
    assert "2 parts are done; continue with --resume" in capfd.readouterr().err


def test_the_table_of_a_gallery_lies_in_it(parts: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "gallery"
    assert run(parts, "--html", gallery, *NONE) == 3
    assert len(table(gallery / "parts.csv")) == 3
    assert run(parts, "--html", tmp_path / "none", "--rules", tmp_path / "none.yaml") == 2
    assert not (tmp_path / "none").exists()


def test_inspect_many_takes_few_ahead_and_stays_in_order(parts: Path) -> None:
    taken: list[int] = []

    def endless() -> Generator[Path, None, None]:
        while True:
            taken.append(len(taken))
            yield parts / f"SN{len(taken) % 4:03d}_a.png"  # the fourth is missing

    stream = Inspector(localizer=None).inspect_many(endless(), workers=2, waiting=1)
    judged = [next(stream) for _ in range(8)]
    stream.close()  # type: ignore[attr-defined]
    assert [one.source.name[:5] for one in judged] == [f"SN{(i + 1) % 4:03d}" for i in range(8)]
    assert [one.examination is None for one in judged] == [False, False, True, False] * 2
    assert "no such file" in judged[2].error
    assert len(taken) <= 8 + 3
    with pytest.raises(ValueError, match="workers"):
        Inspector(localizer=None).inspect_many([], workers=0)
    with pytest.raises(ValueError, match="this is one part; give a list"):
        Inspector(localizer=None).inspect_many(str(parts))


def test_time_left_does_not_count_the_first_part(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 60.0, 60.0])
    monkeypatch.setattr("vlm_inspect.batch.run.time.monotonic", lambda: next(clock))
    pace = Pace(100, 9)
    pace.count_one()  # read and learned the references for minutes
    assert pace.words() == "10 of 100 parts"
    for _ in range(30):
        pace.count_one()
    assert pace.words() == "40 of 100 parts, 30 a minute, about 2 min left"


def test_parts_that_came_together_make_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.1, 20.0])
    monkeypatch.setattr("vlm_inspect.batch.run.time.monotonic", lambda: next(clock))
    pace = Pace(5, 0, 2)
    pace.count_one()
    pace.count_one()  # the other worker waited for the same references
    assert pace.words() == "2 of 5 parts"
    pace.count_one()
    assert pace.words() == "3 of 5 parts"
    assert pace.words() == "3 of 5 parts, 3 a minute, about 40 s left"


def test_a_worker_a_core_unless_a_model_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    offline = InspectorConfig()
    assert (worker_count(offline, None), worker_count(offline, 3)) == (8, 3)
    assert worker_count(offline.with_changes(model={"name": "openai:x"}), None) == 1
