"""`Location`: where the store is: a SQLite file or a database server, and the folder of its files.

The store is named by `--store`, else by VLM_INSPECT_STORE, else it is `cases.db` in the user's data folder. The files
of a SQLite file lie beside it, in `cases.db.files`. Those of a server lie in the user's data folder, or where
VLM_INSPECT_STORE_FILES says, on which all machines that use the server must agree; there each database has a folder
of its own, or one would sweep what belongs to another.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.errors import StoreError
from vlm_inspect.file_patterns import in_home
from vlm_inspect.real_path import real_path
from vlm_inspect.secret_values import secret_value
from vlm_inspect.store.files import make_private

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

ENVIRONMENT = "VLM_INSPECT_STORE"
FILES_ENVIRONMENT = "VLM_INSPECT_STORE_FILES"
PASSWORD_VARIABLE = "VLM_INSPECT_STORE_PASSWORD"
_DRIVERS = {"postgresql": "postgresql+pg8000", "postgres": "postgresql+pg8000"}
"""What a URL without a driver means; pg8000 is the one that the extra `postgresql` installs."""


@dataclass(frozen=True)
class Location:
    """A database, and the folder of the files that its rows name."""

    url: "URL"
    files: Path
    """The folder of the files; of a server: that of all its databases' folders."""
    path: Path | None
    """The SQLite file; None for a server."""

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else self.url.render_as_string(hide_password=True)


def find_store(named: str | Path | None = None) -> Location:
    """Return the place of the store, and make the user's data folder where it is there.

    Args:
        named: a path or a URL; None: by the environment, else the default.

    Raises:
        StoreError: a URL that cannot be read or of another kind of database, or a folder.
    """
    text = str(named or os.environ.get(ENVIRONMENT) or "")
    if not text:
        return _in_file(_data_folder() / "cases.db")
    if "://" not in text:
        return _in_file(in_home(text))
    return _by_url(text)


def _by_url(text: str) -> Location:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise StoreError("the store's URL cannot be read; write postgresql://USER:PASSWORD@HOST/DATABASE") from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise StoreError("a store in memory keeps nothing; name a file: sqlite:///cases.db")
        return _in_file(Path(url.database))
    if backend not in _DRIVERS:
        raise StoreError(f"a store in {backend} is not supported; name a SQLite file or a postgresql:// URL")
    if not url.password and (password := secret_value(PASSWORD_VARIABLE)):
        url = url.set(password=password)
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    named = os.environ.get(FILES_ENVIRONMENT)
    return Location(url, Path(named) if named else _data_folder() / "servers", None)


def _in_file(path: Path) -> Location:
    from sqlalchemy.engine import URL

    if path.is_dir():
        raise StoreError(f"{path} is a folder; name the store's file in it")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent}: no such folder; make it first, or name another store")
    if path.exists() and not path.is_file():  # a pipe or a device: opening it could wait for ever
        raise StoreError(f"{path} is not a file; name the store's file")
    path = real_path(path)  # a link and what it names are one store, with one folder of files
    return Location(URL.create("sqlite", database=str(path)), path.with_name(f"{path.name}.files"), path)


def _data_folder() -> Path:
    from platformdirs import user_data_path

    try:
        folder = user_data_path("vlm-inspect", appauthor=False)
        make_private(folder)
        return folder
    except OSError as error:
        raise StoreError(
            f"{error.filename}: {error.strerror}; name another store with --store or {ENVIRONMENT}"
        ) from error
