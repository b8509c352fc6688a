"""Stores to test on: a SQLite file, and a database on a PostgreSQL server where one is installed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.postgres import OWNER, find_binaries, serve


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """Folder of the socket of a running server."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if os.geteuid() == 0 and not Path("/usr/sbin/runuser").exists():
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    pytest.importorskip("pg8000", reason="the driver is not installed: pip install 'vlm-inspect[postgresql]'")
    with serve(binaries) as folder:
        yield folder


@pytest.fixture
def postgres_url(postgres_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a database that is empty again; its files go to the test's folder."""
    import pg8000.native

    socket = str(postgres_socket / ".s.PGSQL.5432")
    connection = pg8000.native.Connection(OWNER, unix_sock=socket, database="postgres")
    connection.run("DROP SCHEMA public CASCADE")
    connection.run("CREATE SCHEMA public")
    connection.close()
    monkeypatch.setenv("VLM_INSPECT_STORE_FILES", str(tmp_path / "server.files"))
    return f"postgresql://{OWNER}@/postgres?unix_sock={socket}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name of an empty store, of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return str(tmp_path / "cases.db")
