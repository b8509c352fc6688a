"""Several processes on one store, and processes that are killed while they save."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.waiting import LONGEST_S
from vlm_inspect.store import CaseStore
from vlm_inspect.store.tables import CaseFileRow

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "tests.store.saver", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_processes_make_the_store_and_write_at_once_without_loss(store_name: str) -> None:
    ids = run("save", store_name, "3")
    assert len(set(ids)) == 18
    with CaseStore(store_name) as store:
        assert {line.id for line in store.list()} >= set(ids)
        assert store.count() == 18 + 24
        turns = store.turns(ids[0])
        assert [turn.number for turn in turns] == list(range(1, 25))
        assert len({turn.text for turn in turns}) == 24
        assert all(store.load(case_id).examination for case_id in ids[::5])


def test_twenty_kills_in_the_middle_of_saves_leave_every_earlier_case_and_no_half_one(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    told = run("killed", str(path), "20")
    assert len(told) >= 20, "each saver was at work"
    with CaseStore(path) as store:
        lines = store.list()
        assert {line.id for line in lines} >= set(told)
        assert {line.id for line in lines if line.turns == 1} >= set(told)
        for line in lines:  # those that were killed between the commit and the telling, too
            assert store.load(line.id).examination.inspection.outcome == line.outcome
        store.sweep(stale_s=0)
        with Session(store._database._engine) as session:
            named = set(session.scalars(select(CaseFileRow.name)))
        assert {file.name for file in (tmp_path / "cases.db.files").glob("*/*")} == named
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
