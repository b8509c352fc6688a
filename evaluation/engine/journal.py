"""The journal of a run: one SQLite file, one transaction an item.

A process that is killed leaves the items that it had finished, and nothing half. The file is held locked while a run
writes to it, so that two runs cannot share an output folder.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from evaluation.errors import RunError
from evaluation.runs.documents import parse_document
from evaluation.runs.record import ItemRecord
from evaluation.runs.settings import Settings
from vlm_inspect.errors import OutputError
from vlm_inspect.file_writing import check_folder

NAME = "journal.sqlite"
FORMAT = "2"
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, category TEXT NOT NULL, record TEXT NOT NULL, replies TEXT NOT NULL, session INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pixels (category TEXT PRIMARY KEY, metrics TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pixel_draws (
    category TEXT NOT NULL, metric TEXT NOT NULL, draws BLOB NOT NULL, PRIMARY KEY (category, metric));
CREATE TABLE IF NOT EXISTS probes (key TEXT PRIMARY KEY, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (number INTEGER PRIMARY KEY, began REAL NOT NULL, last REAL NOT NULL);
"""

_Value = TypeVar("_Value")
_TEXTS = TypeAdapter(list[str])
_METRICS = TypeAdapter(dict[str, Any])


class Journal:
    """What is done of a run; use it as a context."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if new, and hold it.

        Raises:
            RunError: it is no journal, or another process holds it.
        """
        self.path = path
        try:
            self._database = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
            self._database.execute("INSERT OR IGNORE INTO facts VALUES ('format', ?)", (FORMAT,))
        except sqlite3.OperationalError as error:
            reason = "another run writes to it" if "locked" in str(error) else str(error)
            raise RunError(f"{path} cannot be used: {reason}; wait for it, or give another --out") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise RunError(f"{path} is not a journal of a run ({error}); give another --out") from error
        if (found := self._fact("format")) != FORMAT:
            raise RunError(f"{path} has format {found}; this version reads {FORMAT}; give another --out")
        self._began = time.monotonic()
        self._session = 0

    @property
    def settings(self) -> Settings | None:
        """Settings of the run; None in a new journal.

        Raises:
            RunError: they are of another version.
        """
        text = self._fact("settings")
        try:
            return None if text is None else Settings.model_validate_json(text)
        except ValidationError as error:
            raise RunError(f"{self.path} was written by another version; give another --out") from error

    @property
    def run_id(self) -> str:
        """A name that no other run has."""
        return self._fact("run") or ""

    def begin(self, settings: Settings) -> None:
        """Open a session, the run's first or a further one.

        Raises:
            RunError: the run has other settings; names the first that differs.
        """
        known = self.settings
        if known is not None:
            known.check_equal(settings, str(self.path.parent))
        now = time.time()
        with self._writing():
            if known is None:
                self._set("settings", settings.model_dump_json())
                self._set("run", uuid.uuid4().hex)
            cursor = self._database.execute("INSERT INTO sessions (began, last) VALUES (?, ?)", (now, now))
            self._session = int(cursor.lastrowid or 0)
        self._began = time.monotonic()

    def add(self, record: ItemRecord, replies: Sequence[str]) -> None:
        """Write one finished item, at once or not at all.

        Raises:
            RunError: the disk is full, or the file is damaged.
        """
        row = (record.id, record.category, record.model_dump_json(), json.dumps(replies), self._session)
        with self._writing():
            self._database.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)", row)
            elapsed = time.monotonic() - self._began
            self._database.execute("UPDATE sessions SET last = began + ? WHERE number = ?", (elapsed, self._session))

    def records(self) -> dict[str, ItemRecord]:
        """Return what is done, by id, in the order of the ids.

        Raises:
            RunError: a record is damaged, or of another version.
        """
        rows = self._rows("SELECT id, record FROM items ORDER BY id")
        remedy = "give another --out"
        return {key: parse_document(ItemRecord, text, f"{self.path}, item {key}", remedy) for key, text in rows}

    def replies(self, item: str) -> list[str]:
        """Return the raw replies of an item; none where it is not done."""
        rows = self._rows("SELECT replies FROM items WHERE id = ?", item)
        return [one for row in rows for one in self._parsed(_TEXTS, row[0])]

    def forget_failed(self) -> int:
        """Forget the items that could not be read or asked, so that they are tried again; returns how many."""
        failed = [one for one in self.records().values() if one.failure is not None and one.failure.kind != "parse"]
        with self._writing():
            for one in failed:
                self._database.execute("DELETE FROM items WHERE id = ?", (one.id,))
                for table in ("pixels", "pixel_draws"):
                    self._database.execute(f"DELETE FROM {table} WHERE category = ?", (one.category,))
        return len(failed)

    def pixels(self) -> dict[str, dict[str, Any]]:
        """Return the pixel metrics of the classes that are complete."""
        return {name: self._parsed(_METRICS, text) for name, text in self._rows("SELECT * FROM pixels")}

    def pixel_draws(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """Return the pixel metrics over resamples, by class and metric."""
        found: dict[str, dict[str, NDArray[np.float32]]] = {}
        for category, metric, packed in self._rows("SELECT * FROM pixel_draws ORDER BY category, rowid"):
            try:
                found.setdefault(category, {})[metric] = np.frombuffer(packed, np.float32)
            except (ValueError, TypeError) as error:
                raise self._damaged(error) from error
        return found

    def add_pixels(
        self,
        category: str,
        metrics: Mapping[str, Any],
        draws: Mapping[str, NDArray[np.floating]] | None = None,
    ) -> None:
        """Write the pixel metrics of a class; its maps are not needed any more. Raises as `add`."""
        rows = [(category, name, values.astype(np.float32).tobytes()) for name, values in (draws or {}).items()]
        with self._writing():
            self._database.execute("INSERT OR REPLACE INTO pixels VALUES (?, ?)", (category, json.dumps(dict(metrics))))
            self._database.execute("DELETE FROM pixel_draws WHERE category = ?", (category,))
            self._database.executemany("INSERT INTO pixel_draws VALUES (?, ?, ?)", rows)

    def probe(self, key: str) -> str | None:
        """Return the answer to a probe of the model; None where it was not asked yet."""
        rows = self._rows("SELECT answer FROM probes WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def probes(self) -> list[str]:
        """Return the answers to all probes."""
        return [str(row[0]) for row in self._rows("SELECT answer FROM probes ORDER BY key")]

    def add_probe(self, key: str, answer: str) -> None:
        """Write the answer to a probe, at once or not at all. Raises as `add`."""
        with self._writing():
            self._database.execute("INSERT OR REPLACE INTO probes VALUES (?, ?)", (key, answer))

    def wall_s(self) -> float:
        """Return how long all sessions took together in seconds, each up to its last finished item."""
        return float(self._rows("SELECT COALESCE(SUM(last - began), 0) FROM sessions")[0][0])

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def discard_unused(self) -> None:
        """Leave nothing of a run that broke off before anything was done, so that its command can be mended."""
        folder = self.path.parent
        if self._rows("SELECT 1 FROM items UNION SELECT 1 FROM probes LIMIT 1"):
            return
        self.close()
        for path in (self.path, *(self.path.with_name(f"{NAME}-{end}") for end in ("wal", "shm"))):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds something else
            folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction; what cannot be written is one line."""
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise RunError(f"{self.path} cannot be written ({error}); make room for it, then --resume") from error

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query; what cannot be read is one line."""
        try:
            return self._database.execute(query, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's own message may quote the damage
            raise self._damaged(error) from error

    def _parsed(self, kind: TypeAdapter[_Value], text: Any) -> _Value:
        try:
            return kind.validate_json(text)
        except (ValidationError, TypeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> RunError:
        return RunError(f"{self.path} is damaged ({type(error).__name__}); give another --out")

    def _fact(self, name: str) -> str | None:
        rows = self._rows("SELECT value FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def _set(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def check_place(folder: Path, *, resume: bool) -> None:
    """Make sure, before any work, that a run can be kept in an output folder; leaves nothing behind.

    Raises:
        RunError: the folder holds a run and it is not resumed, holds other files, or cannot be written.
    """
    path = folder / NAME
    try:
        if path.exists() and not resume:
            raise RunError(f"{folder} holds a run already; add --resume to go on with it, or give another --out")
        if not path.exists() and folder.is_dir() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty and holds no run; give a new folder as --out")
        check_folder(folder)
    except OSError as error:
        raise RunError(f"--out {folder} cannot be used: {error.strerror or error}; give another folder") from error
    except OutputError as error:
        raise RunError(f"--out: {error}") from error


def open_journal(folder: Path, *, resume: bool) -> Journal:
    """Return the journal of an output folder, which is made if it is new; raises what `check_place` raises."""
    check_place(folder, resume=resume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--out {folder} cannot be used: {error.strerror or error}; give another folder") from error
    return Journal(folder / NAME)
