"""What an agent has of the disk: steps that were paid for and not finished, and earlier cases to look up."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_inspect.safe_text import plain_line, write_line

if TYPE_CHECKING:
    from vlm_inspect.backends.reply_journal import ReplyJournal
    from vlm_inspect.config import InspectorConfig
    from vlm_inspect.inspector import Inspector
    from vlm_inspect.store import CaseStore


def keep_steps(inspector: "Inspector", path: Path) -> "tuple[Inspector, ReplyJournal]":
    """Return the inspector with a model whose answers are on the disk before they are used, and where they are.

    Raises:
        OutputError: the file is there and cannot be read.
    """
    from vlm_inspect.backends.reply_journal import ReplyJournal, journalled

    journal = ReplyJournal(path)
    if len(journal):
        steps = f"{len(journal)} answer{'' if len(journal) == 1 else 's'}"
        write_line(plain_line(f"going on with {steps} of before, which are not paid for again"), err=True)
    return replace(inspector, backend=journalled(inspector.backend, journal)), journal


def journal_of_part(source: Path, config: "InspectorConfig", question: str | None, store: str | None) -> Path | None:
    """Return where the steps of a part are kept, beside the store; None: there is no place for them, which is said.

    Args:
        source: the part.
        config: the settings; other ones make another examination.
        question: what is asked about it.
        store: the store that is named; None: that of the user.

    Raises:
        ConversionError: the part cannot be read.
    """
    from converters.digest import sha256_of
    from vlm_inspect.backends.reply_journal import SUFFIX, remove_old
    from vlm_inspect.errors import StoreError
    from vlm_inspect.store.location import find_store

    told = [sha256_of(source), config.as_record(), question]
    name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
    try:
        place = find_store(store)
    except StoreError as error:
        write_line(plain_line(f"steps are not kept, so that a kill loses what they cost: {error}"), err=True)
        return None
    folder = place.files.with_name("unfinished") if place.path is None else place.path
    folder = folder.with_name(folder.name + SUFFIX)
    remove_old(folder)
    return folder / (name + SUFFIX)


@contextmanager
def earlier_cases(named: str | None, class_name: str) -> "Iterator[CaseStore | None]":
    """Open the store for an agent to look up earlier cases of a class; None where it holds none. No store is made.

    Args:
        named: the store that is named; None: that of the user.
        class_name: of the part.
    """
    from vlm_inspect.errors import StoreError
    from vlm_inspect.store import CaseStore, Filters

    try:
        store = CaseStore(named, create=False)
    except StoreError:
        yield None
        return
    with store:
        yield store if store.list(Filters(class_name=class_name, limit=1)) else None
