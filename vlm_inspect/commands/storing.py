"""What every command that uses the store shares: which store, and how one is opened."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.store import CaseStore

Command = TypeVar("Command", bound=Callable[..., Any])


def store_option(command: Command) -> Command:
    """Add the option that says which store is used."""
    return click.option(
        "--store",
        envvar="VLM_INSPECT_STORE",
        show_envvar=True,
        metavar="FILE|URL",
        help="Where cases are kept: a SQLite file, or postgresql://USER:PASSWORD@HOST/DATABASE; default: the user's "
        "data folder.",
    )(command)


def settings_of(config: "InspectorConfig", *, as_kind: str | None) -> dict[str, Any]:
    """Return what a case keeps of how its part was inspected, as JSON values.

    Args:
        config: the settings of the inspector.
        as_kind: what the part was said to be; None: its content told.
    """
    return {"config": config.as_record(), "as_kind": as_kind, "folder": str(Path.cwd())}


def open_store(named: str | None, *, create: bool = False) -> "CaseStore":
    """Open the store; a named one that is not there is made only on `create`, the default one always."""
    from vlm_inspect.store import CaseStore

    if named == "":
        raise click.UsageError("--store is empty; name a file or a URL, or leave it out")
    return CaseStore(named, create=create or named is None)
