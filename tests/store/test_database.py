"""Opening a store: made, migrated, refused; and what can be wrong with a file, in one line each."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from tests.store.parts import examine
from tests.waiting import LONGEST_S
from vlm_inspect.errors import StoreError
from vlm_inspect.store import CaseStore, database
from vlm_inspect.store.database import NEWEST, VERSION_TABLE, _config, upgrade
from vlm_inspect.store.tables import CaseRow, Table

ROOT = Path(__file__).resolve().parents[2]


def one_line(error: pytest.ExceptionInfo[StoreError]) -> str:
    told = str(error.value)
    assert "\n" not in told
    return told


def set_back(store_name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a store as the first version had it, with one case in it; returns the case's id."""
    monkeypatch.setattr(database, "NEWEST", "0001")
    with CaseStore(store_name) as store:
        engine = store._database._engine
        with engine.begin() as connection:  # the program of now writes columns that the first version did not have
            there = {column["name"] for column in inspect(connection).get_columns("cases")}
            later = [column for column in CaseRow.__table__.columns if column.name not in there]
            for column in later:
                connection.execute(text(f"ALTER TABLE cases ADD COLUMN {column.name} TEXT"))
        case_id = store.save(examine(), "a.png")
        with engine.begin() as connection:
            for column in later:
                connection.execute(text(f"ALTER TABLE cases DROP COLUMN {column.name}"))
    monkeypatch.setattr(database, "NEWEST", NEWEST)
    return case_id


def test_the_migrations_make_the_tables_that_the_program_uses(store_name: str) -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == NEWEST
    with CaseStore(store_name) as store, store._database._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_an_older_store_is_migrated_with_its_cases(store_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = set_back(store_name, monkeypatch)
    with CaseStore(store_name) as store:
        assert store._database.version() == NEWEST
        assert store.load(case_id).examination
        assert store.add_turn(case_id, "user", "Why?").number == 1


def test_judgements_of_an_older_store_are_moved(store_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "NEWEST", "0004")
    with CaseStore(store_name) as store:
        ids = [store.save(examine(), "a.png") for _ in range(2)]
        kept = {"outcome": "NG", "words": "a burr", "inspected": "OK"}
        for case_id in ids:
            store.add_correction(case_id, "judgement", kept, accepted=True)
        store.add_correction(ids[0], "ignore", {"box": [0, 0, 1, 1]})
        store.add_correction(ids[0], "judgement", {"outcome": "OK", "words": ""}, accepted=True)
        store.add_correction(ids[1], "judgement", {"outcome": 7}, accepted=True)  # damaged: it stays
    monkeypatch.setattr(database, "NEWEST", NEWEST)
    with CaseStore(store_name) as store:
        assert [(one.outcome, one.by, one.reason) for one in store.judgements(ids[0])] == [
            ("NG", "", "a burr"),
            ("OK", "", ""),
        ]
        assert [one.kind for one in store.corrections(ids[0])] == ["ignore"]
        assert [one.outcome for one in store.judgements(ids[1])] == ["NG"]
        assert [one.kind for one in store.corrections(ids[1])] == ["judgement"]
        assert store.judge(ids[0], "NG", by="anna").number == 3
        (newest, older) = store.judged_cases()
        assert (newest.line.id, newest.line.judged, older.line.judged_by) == (ids[1], "NG", "anna")
        assert len(older.judgements) == 3
        with pytest.raises(StoreError, match="nobody is named"):
            store.judge(ids[0], "OK", by=" ")
        store.delete(ids[0])


def test_a_migration_that_fails_changes_nothing(store_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = set_back(store_name, monkeypatch)

    def half(connection: object, revision: str) -> None:
        upgrade(connection, revision)  # type: ignore[arg-type]  # what the database gives
        raise StoreError("the power went")

    monkeypatch.setattr(database, "upgrade", half)
    with pytest.raises(StoreError, match="the power went"):
        CaseStore(store_name)
    monkeypatch.setattr(database, "NEWEST", "0001")
    with CaseStore(store_name) as store, store._database._engine.connect() as connection:
        assert store._database.version() == "0001"
        assert "turns" not in inspect(connection).get_table_names()
        assert connection.execute(text("SELECT id FROM cases")).scalars().all() == [case_id]


def test_a_store_of_a_newer_version_is_refused_and_left_alone(store_name: str) -> None:
    with CaseStore(store_name) as store, store._database.writing() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    with pytest.raises(StoreError, match=r"was written by a newer version of vlm-inspect; install that") as error:
        CaseStore(store_name)
    assert "secret" not in one_line(error)


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(StoreError, match="is no store of vlm-inspect") as error:
        CaseStore(path)
    one_line(error)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="is a database of another program"):
        CaseStore(foreign)
    assert foreign.read_bytes() == before
    with pytest.raises(StoreError, match="is a folder; name the store's file"):
        CaseStore(tmp_path)
    with pytest.raises(StoreError, match="no such folder"):
        CaseStore(tmp_path / "missing" / "cases.db")
    with pytest.raises(StoreError, match="/dev/null is not a file"):
        CaseStore("/dev/null")
    with pytest.raises(StoreError, match="no such store"):
        CaseStore(tmp_path / "missing.db", create=False)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    with CaseStore(path) as store:
        for _ in range(3):
            store.save(examine(), "a.png")
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged") as error, CaseStore(path) as store:
        store.list()
    one_line(error)


def test_a_locked_store_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    with CaseStore(path, wait_s=0.1) as store:
        case_id = store.save(examine(), "a.png")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is in use by another process; try again") as error:
            store.save(examine(), "b.png")
        one_line(error)
        assert [line.id for line in store.list()] == [case_id], "readers go on"
        other.close()
        with CaseStore(path) as second, second.files.locked(), pytest.raises(StoreError, match="is in use"):
            store.save(examine(), "c.png")
        store.save(examine(), "d.png")
        assert store.count() == 2


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may look into, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


READ_THEN_DELETE = """
import sys
from vlm_inspect.errors import StoreError
from vlm_inspect.store import CaseStore

with CaseStore(sys.argv[1]) as store:
    (line,) = store.list()
    assert store.load(line.id).examination
    try:
        store.delete(line.id)
    except StoreError as error:
        print(error)
"""


def test_a_write_protected_store_can_be_read_and_not_written(open_folder: Path) -> None:
    path = open_folder / "cases.db"
    with CaseStore(path) as store:
        store.save(examine(), "a.png")
    for kept in (open_folder, *open_folder.rglob("*")):  # its owner shows it to others, who may not change it
        kept.chmod(0o555 if kept.is_dir() else 0o444)
    command = [sys.executable, "-c", READ_THEN_DELETE, str(path)]
    if os.geteuid() == 0:  # root may write to what is protected: ask as somebody who may not
        if shutil.which("setpriv") is None:
            pytest.skip("root is never kept from writing, and there is no setpriv")
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", *command]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot be written: Permission denied" in done.stdout


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://root@localhost/cases", "mysql is not supported"),
        ("sqlite://", "in memory keeps nothing"),
        ("postgresql://user:secret@127.0.0.1:1/cases", "cannot be used: Can't create a connection"),
        ("postgresql+psycopg://user:secret@127.0.0.1:1/cases", "driver that is not installed"),
        ("postgresql://user:secret@127.0.0.1:port/cases", "URL cannot be read"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(StoreError, match=told) as error:
        CaseStore(url)
    assert "secret" not in one_line(error)


def test_the_store_is_named_by_the_environment_or_lies_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLM_INSPECT_STORE", str(tmp_path / "named.db"))
    with CaseStore() as store:
        assert store.location.path == tmp_path / "named.db"
    (tmp_path / "link.db").symlink_to(tmp_path / "named.db")
    with CaseStore(tmp_path / "link.db") as store:
        assert store.location.files == tmp_path / "named.db.files"
    with CaseStore(f"sqlite:///{tmp_path}/by_url.db") as store:
        assert store.location.path == tmp_path / "by_url.db"
    monkeypatch.delenv("VLM_INSPECT_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if sys.platform == "linux":
        with CaseStore() as store:
            assert store.location.path == tmp_path / "data" / "vlm-inspect" / "cases.db"
            assert store.location.files == tmp_path / "data" / "vlm-inspect" / "cases.db.files"


def test_the_file_is_kept_in_the_mode_that_lets_readers_go_on(tmp_path: Path) -> None:
    with CaseStore(tmp_path / "cases.db") as store:
        store.save(examine(), "a.png")
        with store._database._engine.connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
            assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30_000
