"""`Database`: the connection to the store: opened, brought to this version's form, its faults in one line each.

A store of an older version is migrated when it is opened, in one transaction; of two processes that open it, one
migrates and the other waits. A store of a newer version is left alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from vlm_inspect.errors import StoreError
from vlm_inspect.store.files import PRIVATE_FILE, lock_folder
from vlm_inspect.store.location import Location
from vlm_inspect.store.tables import FactRow

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "vlm_inspect_version"
NEWEST = "0006"
"""The revision of this version's tables: the last module of `migrations/versions`."""
_MIGRATION_LOCK = 0x564C4D69
"""Number of the advisory lock on a server; any that other programs are not likely to take."""
_FAULTS = (
    ("database is locked", "is in use by another process; try again"),
    ("readonly database", "is write-protected; allow writing, or name another store"),
    ("read-only", "is write-protected; allow writing, or name another store"),
    ("unable to open database file", "cannot be opened; check its folder and its permissions"),
    ("file is not a database", "is no store of vlm-inspect; name another file"),
    ("malformed", "is damaged; put it back from a copy"),
    ("disk is full", "has no room left; free some, or name another store"),
)


class Database:
    """The rows of a store. Close it, or use it in `with`."""

    def __init__(self, location: Location, *, wait_s: float) -> None:
        """Open the database, make its tables where there are none, migrate them where they are of an older version.

        Args:
            location: where it is.
            wait_s: longest wait for another process that writes, in seconds.

        Raises:
            StoreError: it cannot be opened, belongs to another program, or to a newer version of this one.
        """
        self.location = location
        self._engine = _engine(location, wait_s)
        try:
            with self._in_words():
                self._prepare(wait_s)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that changes nothing.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._in_words(), Session(self._engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session whose changes are committed together at its end, or not at all.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._in_words(), Session(self._engine.execution_options(immediate=True)) as session, session.begin():
            yield session

    def version(self) -> str | None:
        """Return the revision of the tables; None for an empty database."""
        with self._engine.connect() as connection:
            return _version(connection)

    def store_id(self) -> str:
        """Return what tells this store from every other."""
        with self.reading() as session:
            return session.get_one(FactRow, "store_id").value

    def _prepare(self, wait_s: float) -> None:
        path = self.location.path
        if path is not None and path.exists() and self.version() == NEWEST:
            return
        if path is None:
            self._migrate()
            return
        with lock_folder(self.location.files, wait_s):  # two processes must not make the same file
            if not path.exists():
                path.touch(mode=PRIVATE_FILE)  # SQLite gives the files that it makes beside it the same mode
            with self._engine.connect() as connection:
                self._refuse_foreign(connection)
                connection.rollback()
                raw = connection.connection.driver_connection
                if raw is not None:
                    raw.execute("PRAGMA journal_mode = WAL")  # kept in the file; readers go on while one writes
            self._migrate()

    def _migrate(self) -> None:
        with self._engine.execution_options(immediate=True).begin() as connection:
            if self.location.path is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            found = _version(connection)
            if found != NEWEST:
                self._refuse_newer(found)
                upgrade(connection, NEWEST)

    def _refuse_foreign(self, connection: Connection) -> None:
        if _version(connection) is None and inspect(connection).get_table_names():
            raise StoreError(f"{self.location} is a database of another program; name another file")

    def _refuse_newer(self, found: str | None) -> None:
        from alembic.script import ScriptDirectory

        known = {step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()}
        if found is not None and found not in known:
            raise StoreError(
                f"{self.location} was written by a newer version of vlm-inspect; install that, or name another store"
            )

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"{self.location} {_words_for(error)}") from error
        except UnicodeDecodeError as error:  # SQLite's own message quotes the damage
            raise StoreError(f"{self.location} is damaged; put it back from a copy") from error


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the tables to a revision, within the connection's transaction."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def _engine(location: Location, wait_s: float) -> Engine:
    try:
        if location.path is None:
            return create_engine(location.url, pool_pre_ping=True)
        engine = create_engine(_file_url(location.path), connect_args={"timeout": wait_s})
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"{location} needs a driver that is not installed: pip install 'vlm-inspect[postgresql]'"
        ) from error
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _file_url(path: Path) -> URL:
    """Name the file; one in a write-protected folder is opened as what cannot change, or it could not be read at all.

    SQLite keeps the state of a file in WAL mode in two files beside it, which it cannot make there.
    """
    at_work = path.with_name(f"{path.name}-wal").exists()
    if not path.exists() or at_work or os.access(path.parent, os.W_OK):
        return URL.create("sqlite", database=str(path))
    return URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query={"immutable": "1", "uri": "true"})


def _set_up_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # Python would commit before a CREATE TABLE; we begin by ourselves
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its turn at once: two readers that both turn into writers would lock each other out."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _words_for(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    told = str(cause)
    for sign, words in _FAULTS:
        if sign in told:
            return words
    if isinstance(cause.args[0] if cause.args else None, dict):  # what a PostgreSQL server says, by field
        told = str(cause.args[0].get("M", told))
    return f"cannot be used: {' '.join(told.split())[:200]}"
