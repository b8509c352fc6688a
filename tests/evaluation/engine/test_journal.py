"""The journal: what it keeps, and what it refuses."""

from pathlib import Path

import pytest

from evaluation.engine.journal import NAME, Journal, open_journal
from evaluation.errors import RunError
from evaluation.runs.record import Failure, ItemRecord
from evaluation.runs.settings import Settings

SETTINGS = Settings(
    dataset="d",
    format="folder",
    items_sha256="0" * 64,
    categories=("a",),
    shots=4,
    seed=0,
    limit=None,
    model="evidence",
    localizer="memory",
    rules_sha256={"a": "1", "b": "2"},
)


def record(name: str, *, failure: Failure | None = None, score: float = 0.25) -> ItemRecord:
    return ItemRecord(id=name, category="a", label="normal", score=score, outcome="OK", failure=failure)


def test_what_was_added_is_there_in_the_next_session(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out", resume=False) as journal:
        journal.begin(SETTINGS)
        journal.add(record("y"), ["two", "replies"])
        journal.add(record("x"), [])
        journal.add_pixels("a", {"aupro": 0.5})
        name = journal.run_id
    with open_journal(tmp_path / "out", resume=True) as journal:
        journal.begin(SETTINGS)
        assert journal.records() == {"x": record("x"), "y": record("y")}
        assert list(journal.records()) == ["x", "y"]
        assert journal.replies("y") == ["two", "replies"]
        assert journal.replies("z") == []
        assert journal.pixels() == {"a": {"aupro": 0.5}}
        assert journal.run_id == name
        assert 0.0 <= journal.wall_s() < 10.0


def test_a_run_that_did_nothing_leaves_nothing_and_one_that_did_stays(tmp_path: Path) -> None:
    with open_journal(tmp_path / "out", resume=False) as journal:
        journal.begin(SETTINGS)
        journal.discard_unused()
    assert not (tmp_path / "out").exists()
    with open_journal(tmp_path / "out", resume=False) as journal:
        journal.begin(SETTINGS)
        journal.add(record("x"), [])
        journal.discard_unused()
        assert journal.records() == {"x": record("x")}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shots": 2}, "shots 4, not 2"),
        ({"model": "openai:x"}, "model 'evidence', not 'openai:x'"),
        ({"rules_sha256": {"a": "1", "b": "3"}}, "rules_sha256 of b '2', not '3'"),
        ({"rules_sha256": {"a": "1"}}, "rules_sha256 of b '2', not None"),
    ],
)
def test_other_settings_are_named(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with Journal(tmp_path / NAME) as journal:
        journal.begin(SETTINGS)
        with pytest.raises(RunError, match=told):
            journal.begin(SETTINGS.model_copy(update=change))


def test_a_full_disk_is_one_line_and_loses_nothing_written(tmp_path: Path) -> None:
    with Journal(tmp_path / NAME) as journal:
        journal.begin(SETTINGS)
        journal.add(record("x"), [])
        pages = journal._database.execute("PRAGMA page_count").fetchone()[0]
        journal._database.execute(f"PRAGMA max_page_count={pages}")  # what a full disk looks like
        with pytest.raises(RunError, match="make room"):
            journal.add(record("y"), ["z" * 100_000])
        assert set(journal.records()) == {"x"}


def test_two_runs_cannot_share_it(tmp_path: Path) -> None:
    with Journal(tmp_path / NAME) as journal:
        journal.begin(SETTINGS)
        with pytest.raises(RunError, match="another run writes to it"):
            Journal(tmp_path / NAME).begin(SETTINGS)


def test_a_file_of_another_kind_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"what is this? " * 100)
    with pytest.raises(RunError, match="not a journal"):
        Journal(tmp_path / NAME)


def test_only_failures_that_may_pass_are_forgotten(tmp_path: Path) -> None:
    with Journal(tmp_path / NAME) as journal:
        journal.begin(SETTINGS)
        journal.add(record("fine"), [])
        for kind in ("unreadable", "backend", "parse"):
            journal.add(record(kind, failure=Failure(kind=kind, message="no")), [])
        journal.add_pixels("a", {})
        assert journal.forget_failed() == 2
        assert set(journal.records()) == {"fine", "parse"}
        assert journal.pixels() == {}


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(RunError, match="holds no run"):
            open_journal(tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
