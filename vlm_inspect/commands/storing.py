"""What every command that uses the store shares: which store, and how one is opened."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vlm_inspect.store import CaseStore

Command = TypeVar("Command", bound=Callable[..., Any])


def store_option(command: Command) -> Command:
    """Add the option that says which store is used."""
    return click.option(
        "--store",
        envvar="VLM_INSPECT_STORE",
        metavar="FILE|URL",
        help="Where cases are kept: a SQLite file, or postgresql://USER:PASSWORD@HOST/DATABASE; default: the user's "
        "data folder.",
    )(command)


def settings_of(options: Mapping[str, Any], not_kept: Collection[str]) -> dict[str, Any]:
    """Return the options that a case keeps, as JSON types, and the folder that relative paths are relative to."""
    kept = {
        name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if name not in not_kept
    }
    if "@" in (kept.get("base_url") or ""):
        del kept["base_url"]  # it names a user, and a password
    return {**kept, "folder": str(Path.cwd())}


def open_store(named: str | None, *, create: bool = False) -> "CaseStore":
    """Open the store; a named one that is not there is made only on `create`, the default one always."""
    from vlm_inspect.store import CaseStore

    if named == "":
        raise click.UsageError("--store is empty; name a file or a URL, or leave it away")
    return CaseStore(named, create=create or named is None)
