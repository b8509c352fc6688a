"""A PostgreSQL server of the tests' own, on a socket in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import LONGEST_S

OWNER = "postgres"
_FOLDERS = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")


def find_binaries() -> Path | None:
    """Return the folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).parent
    folders = [path.parent for root in _FOLDERS for path in Path(root).glob("**/bin/initdb")]
    return max(folders, default=None)


@contextmanager
def serve(binaries: Path) -> Iterator[Path]:
    """Start a server; gives the folder of its socket. As root it runs as the user whom the package makes."""
    as_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not in tmp_path: a socket's path holds about 100 characters
    if as_root:
        shutil.chown(folder, OWNER)
    prefix = ["runuser", "-u", OWNER, "--"] if as_root else []

    def run(*command: str) -> None:
        subprocess.run([*prefix, *command], check=True, cwd=folder, capture_output=True, timeout=LONGEST_S)

    data = str(folder / "data")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
    try:
        run(str(binaries / "initdb"), "-D", data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        run(str(binaries / "pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield folder
        finally:
            run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
